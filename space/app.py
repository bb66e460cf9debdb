"""The Space itself: a search box, results as cards, and the pages that an address names.

`/?q=a dog` is a search, `/?model=owner/name` a model's page, `/?tree=owner/root` a tree's, `/?trees=` shows
all of them, `/?experts=` who reads them, `/?expert=NAME` one of these.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

# Before Gradio is imported: it asks home for news otherwise.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from hubbot import Desk, Library, open_desk, open_library
from space import results
from space.experts import expert_page, experts_page
from space.forest import forest_page, overview, tree_page
from space.gate import gate_of
from space.markup import element, navigation
from space.model import model_page
from space.review import Review
from space.theme import CSS, theme

ALL_TREES = "all trees"
LIMIT = 20
SEARCHES_AT_ONCE = 4

HERO = element("h1", "What was it trained on?") + element(
    "p",
    "Say what a model should know. hubbot looks for it in the weights, whatever the model card says.",
)

PAGES: Mapping[str, Callable[[Library, str, Mapping[str, str]], str]] = {
    "model": lambda library, repo, asked: model_page(library, repo, asked.get("q", "")),
    "tree": lambda library, root, _: tree_page(library, root),
    "trees": lambda library, *_: forest_page(library),
    "expert": lambda library, name, _: expert_page(library, name),
    "experts": lambda library, *_: experts_page(library),
}
"""By what an address asks for: what it asks with, and all else that it says, to the page as HTML."""

REMEMBER = """(text, tree) => {
  const at = new URL(location.href);
  at.searchParams.delete("model");
  text.trim() ? at.searchParams.set("q", text.trim()) : at.searchParams.delete("q");
  history.replaceState(null, "", at);
  return [text, tree];
}"""
"""Keeps the search in the address, so that coming back from a model finds it again."""


def build(library: Library, desk: Desk | None = None) -> gr.Blocks:
    """The whole app over an open library; with a page for admins where they have a desk, and a way in."""
    demo, gate = gr.Blocks(title="hubbot", analytics_enabled=False), gate_of(desk)
    review = gate is not None
    with demo:
        bar = gr.HTML(navigation("", review=review), elem_id="hb-nav", apply_default_css=False)
        # Hidden until the address has been read: nobody types into a page that is about to change.
        with gr.Column(elem_id="hb-home", visible=False) as home:
            gr.HTML(HERO, elem_id="hb-hero")
            query, go, tree = _search_box()
            chosen = _examples(library)
            found = gr.HTML(elem_id="hb-results", apply_default_css=False)
        page = gr.HTML(elem_id="hb-page", visible=False, apply_default_css=False)

        def look(text: str, where: str | None) -> str:
            if not text.strip():
                return element("h2", "Model trees") + overview(library)
            only = None if where in (None, ALL_TREES) else where
            return results.answer(library, text, only, LIMIT)

        def arrive(request: gr.Request) -> tuple[object, ...]:
            asked = request.query_params.get("q", "")
            name, away = _elsewhere(library, request.query_params)
            shown = gr.HTML(navigation(name, review=review))
            if name:
                return shown, gr.Column(visible=False), asked, gr.Dropdown(), "", gr.HTML(away, visible=True)
            roots = [ALL_TREES, *(t.root for t in library.trees() if t.readings)]
            trees = gr.Dropdown(choices=roots, value=ALL_TREES)
            return shown, gr.Column(visible=True), asked, trees, look(asked, None), gr.HTML(visible=False)

        demo.load(
            arrive,
            None,
            [bar, home, query, tree, found, page],
            show_progress="hidden",
            api_visibility="private",
        )
        search: dict[str, Any] = {
            "fn": look,
            "inputs": [query, tree],
            "outputs": found,
            "js": REMEMBER,
            "concurrency_limit": SEARCHES_AT_ONCE,
            "concurrency_id": "search",
            "show_progress": "minimal",
        }
        gr.on([query.submit, go.click, tree.input], **search, api_name="search", trigger_mode="always_last")
        for button, text in chosen:
            typed = button.click(None, None, query, js=f"() => {json.dumps(text)}", api_visibility="private")
            typed.then(**search, api_visibility="private")
    if desk is not None and gate is not None:
        Review(demo, library, desk, gate)
    return demo


def launch(
    library: Library, host: str | None = None, port: int | None = None, desk: Desk | None = None
) -> str:
    """Serve the app in the background; returns its address. `host` and `port` default to Gradio's own."""
    # The text encoder takes seconds to load: better now than while the first visitor waits.
    threading.Thread(target=results.answer, args=(library, "a model", None, 1), daemon=True).start()
    _, address, _ = build(library, desk).launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css=CSS,
        share=False,
        quiet=True,
        ssr_mode=False,
        footer_links=[],
        run_history=False,  # it would keep what people type, an admin's password too
        prevent_thread_lock=True,
    )
    return address


def _elsewhere(library: Library, asked: Mapping[str, str]) -> tuple[str, str]:
    """The name of the page that the address asks for, and the page; both empty for the search."""
    for name, page in PAGES.items():
        if name in asked:
            return name, page(library, asked[name], asked)
    return "", ""


def _search_box() -> tuple[gr.Textbox, gr.Button, gr.Dropdown]:
    with gr.Row(elem_id="hb-ask"):
        query = gr.Textbox(
            placeholder="a handwritten seven",
            label="What should the model know?",
            show_label=False,
            container=False,
            max_length=300,
            lines=1,
            max_lines=1,
            scale=5,
            elem_id="hb-query",
        )
        tree = gr.Dropdown(
            [ALL_TREES],
            value=ALL_TREES,
            label="Model tree",
            show_label=False,
            container=False,
            scale=3,
            min_width=180,
            elem_id="hb-tree",
        )
        go = gr.Button("Search", variant="primary", scale=1, min_width=110, elem_id="hb-go")
    return query, go, tree


def _examples(library: Library) -> list[tuple[gr.Button, str]]:
    texts = results.examples(library)
    with gr.Row(elem_id="hb-examples", visible=bool(texts)):
        return [(gr.Button(text, size="sm", min_width=0, elem_classes="hb-example"), text) for text in texts]


if __name__ == "__main__":  # how Hugging Face Spaces starts it
    launch(open_library(), desk=open_desk())
    threading.Event().wait()

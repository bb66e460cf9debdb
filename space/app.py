"""The Space itself: a search box, results as cards, and the pages that an address names.

`/?q=a dog` is a search, `/?model=owner/name` a model's page, `/?tree=owner/root` a tree's, `/?trees=` shows
all of them, `/?experts=` who reads them, `/?expert=NAME` one of these.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Before Gradio is imported: it asks home for news otherwise.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from hubbot import Desk, Library
from space import results
from space.api import offer
from space.experts import expert_page, experts_page
from space.forest import forest_page, overview
from space.gate import gate_of
from space.markup import NO_TREE, element, esc, navigation
from space.model import model_page
from space.review import Review
from space.theme import CSS, HEAD, theme
from space.tree import WAIT, tree_map, tree_members, tree_page

ALL_TREES = "all trees"
LIMIT = 20
SEARCHES_AT_ONCE = 16
"""They wait for the text encoder together, and not one after the other."""
MAPS_AWAITED = 16
"""People who may wait for maps at once; the maps themselves are drawn one after the other."""

HERO = element("h1", "What was it trained on?") + element(
    "p",
    "Say what a model should know. hubbot looks for it in the weights, whatever the model card says.",
)

PAGES: Mapping[str, Callable[[Library, str, Mapping[str, str]], str]] = {
    "model": lambda library, repo, asked: model_page(library, repo, asked.get("q", "")),
    "tree": lambda library, root, _: tree_page(library, root),
    "trees": lambda library, *_: forest_page(library),
    "expert": expert_page,
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
            gr.HTML(element("p", esc(library.language)), elem_id="hb-language", apply_default_css=False)
            chosen = _examples(library)
            found = gr.HTML(elem_id="hb-results", apply_default_css=False)
        with gr.Column(elem_id="hb-page"):
            page, late, last = (gr.HTML(visible=False, apply_default_css=False) for _ in range(3))

        def look(text: str, where: str | None) -> Iterator[str]:
            if not text.strip():
                yield _before(library)
                return
            yield results.waiting()
            only = None if where in (None, ALL_TREES) else where
            yield results.answer(library, text, only, LIMIT)

        def arrive(request: gr.Request) -> tuple[object, ...]:
            asked = request.query_params.get("q", "")
            name, away = _elsewhere(library, request.query_params)
            shown = gr.HTML(navigation(name, review=review))
            if name:
                return shown, gr.Column(visible=False), asked, gr.Dropdown(), "", gr.HTML(away, visible=True)
            roots = [ALL_TREES, *(t.root for t in library.trees() if t.readings)]
            trees = gr.Dropdown(choices=roots, value=ALL_TREES)
            *_, first = look(asked, None)
            return shown, gr.Column(visible=True), asked, trees, first, gr.HTML(visible=False)

        arrived = demo.load(
            arrive,
            None,
            [bar, home, query, tree, found, page],
            show_progress="hidden",
            api_visibility="private",
        )

        def afterwards(request: gr.Request) -> Iterator[tuple[object, object]]:
            yield from _afterwards(library, request.query_params)

        arrived.then(
            afterwards,
            None,
            [late, last],
            concurrency_limit=MAPS_AWAITED,
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
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        gr.on([query.submit, go.click, tree.input], **search, trigger_mode="always_last")
        for button, text in chosen:
            typed = button.click(None, None, query, js=f"() => {json.dumps(text)}", api_visibility="private")
            typed.then(**search)
        offer(library)
    if desk is not None and gate is not None:
        Review(demo, library, desk, gate)
    return demo


def _before(library: Library) -> str:
    """What stands there before anybody has asked."""
    return results.concepts(library) + element("h2", "Model trees") + overview(library)


def launch(
    library: Library,
    host: str | None = None,
    port: int | None = None,
    desk: Desk | None = None,
    *,
    mcp: bool | None = None,
) -> str:
    """Serve the app in the background; returns its address.

    Args:
        host, port: Gradio's own by default.
        desk: where admins review, if there is one.
        mcp: whether language models may search as well; as GRADIO_MCP_SERVER says by default.
    """
    # The text encoder takes seconds to load: better now than while the first visitor waits.
    threading.Thread(target=results.answer, args=(library, "a model", None, 1), daemon=True).start()
    demo = build(library, desk)
    demo.queue(default_concurrency_limit=SEARCHES_AT_ONCE)
    _, address, _ = demo.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css=CSS,
        head=HEAD,
        share=False,
        quiet=True,
        ssr_mode=False,
        footer_links=[],
        run_history=False,  # it would keep what people type, an admin's password too
        prevent_thread_lock=True,
        mcp_server=mcp,
    )
    return address


def _elsewhere(library: Library, asked: Mapping[str, str]) -> tuple[str, str]:
    """The name of the page that the address asks for, and the page; both empty for the search."""
    for name, page in PAGES.items():
        if name in asked:
            return name, page(library, asked[name], asked)
    return "", ""


def _afterwards(library: Library, asked: Mapping[str, str]) -> Iterator[tuple[object, object]]:
    """What a tree's page has below its picture: first the list, then the map, which may take seconds."""
    root = asked.get("tree")
    if root is None or "model" in asked:
        yield gr.HTML(visible=False), gr.HTML(visible=False)
        return
    members = gr.HTML(tree_members(library, root, asked), visible=True)
    yield gr.HTML(WAIT, visible=root != NO_TREE), members
    yield gr.HTML(tree_map(library, root), visible=root != NO_TREE), gr.skip()


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

"""What the Review page is made of; what its parts do is in `space.review`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from space.markup import element, navigation

TOLD = element("h1", "Review") + element(
    "p", "What the bot would say to owners, before they see it. What you decide is on record.", cls="hb-lede"
)

KEYS_TOLD = "Keys: j next, k previous, a to Approve, e edit, r reject"

KEYS = """(...said) => {
  const press = {a: "hb-approve", e: "hb-edit", r: "hb-reject"};
  const typing = (at) => at.closest("textarea, input:not([type=radio]):not([type=checkbox])");
  window.hubbotKeys ??= document.addEventListener("keydown", (event) => {
    const on = document.querySelector("#hb-keys input");
    if (!on?.checked || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const button = document.getElementById(press[event.key]);
    if (button) { event.preventDefault(); event.key === "a" ? button.focus() : button.click(); }
    const step = {j: 1, k: -1}[event.key];
    const all = [...document.querySelectorAll("#hb-queue input[type=radio]")];
    const next = all[Math.max(0, all.findIndex((one) => one.checked) + step)];
    if (step && next) { event.preventDefault(); next.click(); next.focus(); }
  }) ?? true;
  return said;
}"""
"""Single keys do nothing by themselves that others could see: `a` leads to the button, Enter presses it."""


def focus(what: str) -> str:
    """A script that leads a keyboard to a part that has just been shown."""
    return f'() => setTimeout(() => document.querySelector("{what}")?.focus(), 100)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The page's components that change, by what they are for."""

    token: gr.BrowserState
    seen: gr.State
    way_in: gr.Column
    name: gr.Textbox
    password: gr.Textbox
    enter: gr.Button
    refused: gr.HTML
    room: gr.Column
    about: gr.HTML
    leave: gr.Button
    state: gr.Radio
    within: gr.Textbox
    queue: gr.Radio
    outcome: gr.HTML
    actions: gr.Row
    approve: gr.Button
    edit: gr.Button
    reject: gr.Button
    open: gr.Button
    rejecting: gr.Column
    reason: gr.Textbox
    say_no: gr.Button
    editing: gr.Column
    lines: gr.CheckboxGroup
    title: gr.Textbox
    body: gr.Textbox
    save: gr.Button
    anew: gr.Button
    shown: gr.HTML

    def all(self) -> list[Any]:
        """Whatever a handler may change."""
        return [getattr(self, field.name) for field in fields(self)]


def build(*, by_password: bool) -> Parts:
    """Lay the page out; nothing of it is filled in before somebody has come in.

    Args:
        by_password: whether one comes in by a password, not by the Hub's sign-in.
    """
    gr.HTML(navigation("review", review=True), elem_id="hb-nav", apply_default_css=False)
    with gr.Column(elem_id="hb-review"):
        gr.HTML(TOLD, elem_id="hb-review-top", apply_default_css=False)
        token, seen = gr.BrowserState("", storage_key="hubbot-review"), gr.State(("", ""))
        way_in = _way_in(by_password)
        with gr.Column(visible=False, elem_id="hb-room") as room:
            top = _top(by_password)
            with gr.Row(elem_id="hb-desk"):
                with gr.Column(scale=2, min_width=260, elem_id="hb-left"):
                    within = gr.Textbox(label="Whose name holds", max_length=100, elem_id="hb-within")
                    queue = gr.Radio([], label="Models", elem_id="hb-queue")
                with gr.Column(scale=5, min_width=320, elem_id="hb-right"):
                    acting = _acting()
                    shown = gr.HTML(elem_id="hb-page", apply_default_css=False)
            gr.Checkbox(True, label=KEYS_TOLD, elem_id="hb-keys", container=False, interactive=True)
    return Parts(
        token=token, seen=seen, room=room, within=within, queue=queue, shown=shown, **way_in, **top, **acting
    )


def _way_in(by_password: bool) -> dict[str, Any]:
    with gr.Column(visible=False, elem_id="hb-way-in") as way_in:
        name = gr.Textbox(
            label="Your name, for the record", max_length=60, visible=by_password, elem_id="hb-name-in"
        )
        password = gr.Textbox(
            label="Password", type="password", max_length=300, visible=by_password, elem_id="hb-password"
        )
        enter = gr.Button("Come in", variant="primary", elem_id="hb-enter") if by_password else _sign_in()
        refused = gr.HTML(elem_id="hb-refused", apply_default_css=False)
    return {"way_in": way_in, "name": name, "password": password, "enter": enter, "refused": refused}


def _sign_in() -> gr.LoginButton:
    return gr.LoginButton("Sign in with Hugging Face", "Leave ({})", size="sm", elem_id="hb-sign-in")


def _top(by_password: bool) -> dict[str, Any]:
    with gr.Row(elem_id="hb-about"):
        about = gr.HTML(apply_default_css=False)
        if by_password:
            leave = gr.Button("Leave", size="sm", scale=0, min_width=80, elem_id="hb-leave")
        else:
            leave = _sign_in()
    state = gr.Radio([], label="State", elem_id="hb-states")
    return {"about": about, "leave": leave, "state": state}


def _acting() -> dict[str, Any]:
    made: dict[str, Any] = {"outcome": gr.HTML(elem_id="hb-outcome", apply_default_css=False)}
    with gr.Row(visible=False, elem_id="hb-actions") as made["actions"]:
        made["approve"] = gr.Button("Approve", variant="primary", min_width=90, elem_id="hb-approve")
        for name, label in (("edit", "Edit …"), ("reject", "Reject …")):
            made[name] = gr.Button(label, min_width=90, elem_id=f"hb-{name}")
        made["open"] = gr.Button("Open pull request", min_width=90, elem_id="hb-open")
    with gr.Column(visible=False, elem_id="hb-rejecting") as made["rejecting"]:
        made["reason"] = gr.Textbox(label="Why not?", max_length=500, lines=2, elem_id="hb-reason")
        made["say_no"] = gr.Button("Reject it", variant="stop", elem_id="hb-say-no")
    with gr.Column(visible=False, elem_id="hb-editing") as made["editing"]:
        made["lines"] = gr.CheckboxGroup([], label="What it adds", elem_id="hb-lines")
        made["title"] = gr.Textbox(label="Title", max_length=200, elem_id="hb-title-in")
        made["body"] = gr.Textbox(
            label="Text, in Markdown", lines=12, max_lines=24, max_length=20_000, elem_id="hb-body-in"
        )
        with gr.Row():
            made["save"] = gr.Button("Save as a draft", variant="primary", elem_id="hb-save")
            made["anew"] = gr.Button("Start over", elem_id="hb-anew")
    return made

"""The Review page, for admins alone: what the bot would say to owners, and yes, no or other words to it.

It is a page of its own in the same app, and is there only where a setting lets somebody in. Whoever is not
known gets to see the way in and nothing else, whatever they call: each handler asks the gate first
(`Review._for_admins`). What an admin says goes to the running bot; where none answers there is nothing to
press.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gradio as gr

from hubbot import Desk, HubbotError, Library, Suggestion
from space.docket import STATES, docket
from space.gate import HubGate, PasswordGate, TooManyGuesses
from space.markup import element, esc, plural
from space.review_parts import KEYS, build, focus

PAGE = 100
"""Suggestions that are listed at once; what is decided makes room for others."""

MAY = {
    "draft": ("approve", "edit", "reject", "open"),
    "approved": ("edit", "reject", "open"),
    "rejected": ("approve", "edit"),
}
"""What can be done to a suggestion, by its state."""

NO_BOT = (
    "No bot answers here, so nothing can be decided: this is what is recorded. "
    "It takes a `hubbot run` on this database; its machine's own `hubbot card` works without."
)

Updates: TypeAlias = dict[Any, Any]
Handler: TypeAlias = Callable[..., Updates]
Seen: TypeAlias = tuple[str, str]
"""The repo whose suggestion an admin has before their eyes, and that suggestion's seal."""


@dataclass(frozen=True, slots=True)
class At:
    """Where in the queue an admin is."""

    state: str
    within: str
    seen: Seen


class Review:
    """The page over an open library and a desk; building it puts it into the app.

    Args:
        gate: who may come in.
    """

    def __init__(self, demo: gr.Blocks, library: Library, desk: Desk, gate: PasswordGate | HubGate) -> None:
        self._library, self._desk, self._gate = library, desk, gate
        with demo.route("Review", "/review", show_in_navbar=False):
            self._p = build(by_password=isinstance(gate, PasswordGate))
            self._wire(demo)

    def _wire(self, demo: gr.Blocks) -> None:
        p = self._p
        where = [p.state, p.within]
        self._on(demo.load, self._look, [*where, p.queue], js=KEYS)
        if isinstance(self._gate, PasswordGate):
            for come_in in (p.enter.click, p.password.submit):
                self._open(come_in, self._enter, [p.name, p.password])
            self._open(p.leave.click, self._leave, [p.token])
        self._on(p.state.input, self._look, where)
        self._on(p.within.submit, self._look, where)
        self._on(p.queue.input, self._show, [p.queue])
        self._on(p.edit.click, self._begin_edit, [p.seen]).then(None, js=focus("#hb-lines input"))
        self._on(p.reject.click, self._begin_reject, []).then(None, js=focus("#hb-reason textarea"))
        self._says(p.approve.click, self._approve)
        self._says(p.open.click, self._open_pull)
        for no in (p.say_no.click, p.reason.submit):
            self._says(no, self._reject, p.reason)
        self._says(p.save.click, self._save, p.lines, p.title, p.body)
        self._says(p.anew.click, self._start_over)

    def _says(self, event: Any, do: Handler, *inputs: Any) -> None:
        """What an admin says of what is before their eyes."""

        def say(who: str, state: str, within: str, seen: Seen, *said: Any) -> Updates:
            return do(who, At(state, within or "", seen), *said)

        self._on(event, say, [self._p.state, self._p.within, self._p.seen, *inputs])

    def _on(self, event: Any, do: Handler, inputs: Sequence[Any], **more: Any) -> Any:
        """What an admin does; nobody else does it."""
        return self._open(event, self._for_admins(do), [self._p.token, *inputs], **more)

    def _open(self, event: Any, do: Handler, inputs: Sequence[Any], **more: Any) -> Any:
        """What anybody may do: come in, or leave. Hidden from the API's pages, which stops nobody."""
        more |= {"api_visibility": "private", "concurrency_limit": 4, "show_progress": "minimal"}
        return event(do, inputs, self._p.all(), **more)

    # --- who comes in ---

    def _for_admins(self, do: Handler) -> Handler:
        """The handler behind the gate: all that an admin can do is wrapped in this."""

        def handler(
            request: gr.Request, profile: gr.OAuthProfile | None, token: object, *said: Any
        ) -> Updates:
            who = self._gate.who(token, request, profile)
            if who is not None:
                return do(who, *said)
            stranger = f"{profile.username} is not among those who may review here." if profile else ""
            return self._shut(stranger)

        return handler

    def _enter(self, request: gr.Request, name: str, password: str) -> Updates:
        assert isinstance(self._gate, PasswordGate)  # noqa: S101  wired for this one alone
        try:
            token = self._gate.enter(str(password), str(name), request)
        except TooManyGuesses as error:
            return self._shut(str(error))
        who = self._gate.who(token, request)
        if who is None:
            return self._shut("That is not the password.")
        return {self._p.token: token, self._p.password: ""} | self._look(who, "draft", "")

    def _leave(self, token: object) -> Updates:
        assert isinstance(self._gate, PasswordGate)  # noqa: S101  wired for this one alone
        self._gate.leave(token)
        return self._shut() | {self._p.token: ""}

    def _shut(self, why: str = "") -> Updates:
        """What everybody gets to see who is nobody here."""
        p = self._p
        return {
            p.way_in: gr.Column(visible=True),
            p.room: gr.Column(visible=False),
            p.refused: element("p", esc(why), cls="hb-note") if why else "",
            p.password: "",
            p.queue: gr.Radio(choices=[], value=None),
            p.lines: gr.CheckboxGroup(choices=[], value=[]),
            p.seen: ("", ""),
        } | dict.fromkeys((p.about, p.shown, p.outcome, p.title, p.body), "")

    # --- what they see ---

    def _look(self, who: str, state: str | None, within: str | None, repo: str | None = None) -> Updates:
        """The queue in a state, and one of it."""
        p, counts, state = self._p, self._desk.counts(), state if state in STATES else "draft"
        listed = self._desk.queue(state, within or "", PAGE)
        names = [suggestion.repo for suggestion in listed]
        chosen = repo if repo in names else next(iter(names), None)
        states = [(f"{name} {counts[name]:,}", name) for name in STATES]
        label = f"Models, {plural(len(names), 'listed', 'listed')}, the oldest first"
        return {
            p.way_in: gr.Column(visible=False),
            p.room: gr.Column(visible=True),
            p.refused: "",
            p.about: self._about(who),
            p.state: gr.Radio(choices=states, value=state),
            p.queue: gr.Radio(choices=[_choice(one) for one in listed], value=chosen, label=label),
            p.outcome: "",
        } | self._show(who, chosen)

    def _about(self, who: str) -> str:
        bot = self._desk.answering()
        here = element("p", f"You are {esc(who)}.", cls="hb-quiet")
        if bot is None:
            return here + element("p", esc(NO_BOT), cls="hb-note")
        opens = "" if bot.opens else "; it opens nothing, having no contact or being off"
        return here + element("p", f"A bot answers, in mode {esc(bot.mode)}{opens}.", cls="hb-quiet")

    def _show(self, _: str, repo: str | None) -> Updates:
        """One suggestion, and what can be done to it just now."""
        p, found = self._p, self._desk.suggestion(repo) if repo else None
        bot = self._desk.answering()
        may = MAY.get(found.state.value, ()) if found and bot else ()
        nothing = element("p", "Nothing here: there is no suggestion in this state.", cls="hb-note")
        buttons = {"approve": p.approve, "edit": p.edit, "reject": p.reject, "open": p.open}
        return {
            p.shown: docket(self._library, self._desk, found.repo) if found else nothing,
            p.seen: (found.repo, found.seal) if found else ("", ""),
            p.actions: gr.Row(visible=bool(may)),
            p.rejecting: gr.Column(visible=False),
            p.editing: gr.Column(visible=False),
            p.reason: "",
            p.outcome: "",
        } | {
            button: gr.Button(visible=name in may and (name != "open" or bool(bot and bot.opens)))
            for name, button in buttons.items()
        }

    def _begin_reject(self, _: str) -> Updates:
        return {self._p.rejecting: gr.Column(visible=True), self._p.editing: gr.Column(visible=False)}

    def _begin_edit(self, _: str, seen: Seen) -> Updates:
        p, found = self._p, self._desk.suggestion(seen[0])
        if found is None:
            return {}
        return {
            p.editing: gr.Column(visible=True),
            p.rejecting: gr.Column(visible=False),
            p.lines: gr.CheckboxGroup(choices=list(found.added), value=list(found.added)),
            p.title: found.title,
            p.body: found.body,
            p.seen: (found.repo, found.seal),
        }

    # --- what they say ---

    def _approve(self, who: str, at: At) -> Updates:
        return self._order(who, at, "card approve")

    def _open_pull(self, who: str, at: At) -> Updates:
        return self._order(who, at, "card open")

    def _reject(self, who: str, at: At, reason: str) -> Updates:
        if not reason.strip():
            told = {self._p.outcome: _told("A rejection needs a reason.", failed=True)}
            return self._begin_reject(who) | told
        return self._order(who, at, "card reject", reason=reason)

    def _save(self, who: str, at: At, lines: list[str], title: str, body: str) -> Updates:
        found = self._desk.suggestion(at.seen[0])
        without = "\n".join(line for line in found.added if line not in lines) if found else ""
        return self._order(who, at, "card edit", without=without, title=title, body=body)

    def _start_over(self, who: str, at: At) -> Updates:
        return self._order(who, at, "card edit", anew=True)

    def _order(self, who: str, at: At, verb: str, **args: str | bool | None) -> Updates:
        """Have the bot do it; then the next in the queue, or the same one where it is still there."""
        repo, seal = at.seen
        before = [one.repo for one in self._desk.queue(at.state, at.within, PAGE)]
        try:
            told = self._desk.order(verb, {"repo": repo, "seal": seal, **args}, who)
        except HubbotError as error:
            hint = f" ({error.hint})" if error.hint else ""
            return {self._p.outcome: _told(f"{error}{hint}", failed=True)}
        after = before[before.index(repo) + 1 :] if repo in before else []
        left = {one.repo for one in self._desk.queue(at.state, at.within, PAGE)}
        chosen = repo if repo in left else next((one for one in after if one in left), None)
        return self._look(who, at.state, at.within, chosen) | {self._p.outcome: _told(told)}


def _told(text: str, *, failed: bool = False) -> str:
    """What came of it, read out by a screen reader."""
    role, kind = ("alert", "hb-failed") if failed else ("status", "hb-done")
    text = text[:1].upper() + text[1:]
    return f'<p role="{role}" class="hb-note {kind}">{esc(text)}</p>'


def _choice(suggestion: Suggestion) -> tuple[str, str]:
    """A line of the queue: the model, and what it would get."""
    adds = [line.partition(": ")[2] for line in suggestion.added]
    told = ", ".join(adds[:3]) + (f" and {len(adds) - 3} more" if len(adds) > 3 else "")
    shown = f"{suggestion.repo} · {told}" if told else suggestion.repo
    return "".join(c if c.isprintable() else "\ufffd" for c in shown), suggestion.repo

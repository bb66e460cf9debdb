"""What admins order: verbs written down in the store, carried out by whoever owns it.

A running bot hears of orders at its door and carries them out between two other jobs; where none runs,
the command line takes the lock and does so itself. Either way the row with its outcome stays: it is the
audit trail (decision 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hubbot.batches import process
from hubbot.bot import Bot
from hubbot.errors import HubbotError, UsageError
from hubbot.hub import uploads
from hubbot.pipeline import open_pull_request
from hubbot.promotion import promote, roll_back
from hubbot.records import SuggestionState
from hubbot.review import REVIEWED, Change, approve, edit, estimates, reject, reviewed
from hubbot.rounds import add_root, rerun
from hubbot.store.choice import Choice
from hubbot.store.commands import Command


@dataclass(frozen=True, slots=True)
class Order:
    """A verb's arguments, who gave it, how far an earlier try came, and how to tell how far this one does."""

    args: Mapping[str, Any]
    by: str
    progress: Mapping[str, Any]
    advance: Callable[[int, int, str], None]


def _rerun_tree(bot: Bot, order: Order) -> str:
    """Goes on where a bot was stopped in the middle: after the last repo that it had written down."""
    choice, before = Choice.of(order.args), order.progress
    expert = bot.reader.router.for_tree(choice.root)
    if choice.expert and not (expert and expert.version.startswith(choice.expert)):
        answers = f"{expert.name} {expert.version}" if expert else "no expert"
        raise UsageError(
            f"{choice.root} is read by {answers}, not by {choice.expert}",
            hint="`hubbot expert promote` it first",
        )
    left = choice.limit - before.get("done", 0) if choice.limit else None
    repos = [repo for repo in bot.store.chosen(choice) if repo > before.get("last", "")][:left]
    ended = rerun(bot, repos, before.get("done", 0), order.advance)
    if bot.stopping.is_set():
        raise Unfinished
    return f"{before.get('done', 0) + ended} uploads of {choice.root} led down the path again"


def _add_tree(bot: Bot, order: Order) -> str:
    return add_root(bot, order.args["root"])


def _retry_upload(bot: Bot, order: Order) -> str:
    """By its old name or its new one: a renamed repo comes back under the latter."""
    upload = uploads.one(bot.hub, order.args["repo"])
    if process(bot, [upload]):
        return f"{upload.repo} did not come to its end, and is tried again at a later poll"
    reading = bot.store.reading(upload.repo)
    if reading and reading.abstention:
        return f"{upload.repo}: no answer: {reading.abstention.text}"
    said = [prediction.label for prediction in reading.recognised] if reading else []
    return f"{upload.repo}: {', '.join(said) or 'nothing is recognised'}"


def _approve_card(bot: Bot, order: Order) -> str:
    return approve(bot, order.args["repo"], order.args.get("seal"))


def _reject_card(bot: Bot, order: Order) -> str:
    reason = str(order.args.get("reason") or "")
    return reject(bot, order.args["repo"], reason, order.by, order.args.get("seal"))


def _edit_card(bot: Bot, order: Order) -> str:
    left_out = frozenset((order.args.get("without") or "").splitlines())
    title, body, anew = (order.args.get(name) for name in ("title", "body", "anew"))
    change = Change(left_out, title, body, bool(anew))
    return edit(bot, order.args["repo"], change, order.args.get("seal"))


def _estimate_card(bot: Bot, order: Order) -> str:
    return estimates(bot, order.args["repo"])


def _open_card(bot: Bot, order: Order) -> str:
    if not bot.manners.contact:
        raise UsageError("owners could not reach you", hint="set HUBBOT_CONTACT to an address")
    states = (*REVIEWED, SuggestionState.OPENING)  # a half opened one is looked for again
    suggestion = reviewed(bot, order.args["repo"], order.args.get("seal"), states)
    if suggestion.state is SuggestionState.REJECTED:
        raise UsageError(suggestion.reason, repo=suggestion.repo, hint="approve it first, if it is to be")
    done = open_pull_request(bot, suggestion)
    opened = done.state is SuggestionState.OPEN
    return f"opened {done.pull_request}" if opened else f"not opened: {done.reason}"


def _promote_expert(bot: Bot, order: Order) -> str:
    return promote(bot, order.args["name"], order.args["version"])


def _roll_expert_back(bot: Bot, order: Order) -> str:
    return roll_back(bot, order.args["tree"], order.args["name"], order.args["version"])


class Unfinished(Exception):
    """The bot is stopping in the middle of an order, which stays the next one."""


FAILED = "failed: "
"""What the outcome of an order begins with that could not be carried out."""

VERBS: Mapping[str, Callable[[Bot, Order], str]] = {
    "tree rerun": _rerun_tree,
    "tree add": _add_tree,
    "upload retry": _retry_upload,
    "card approve": _approve_card,
    "card reject": _reject_card,
    "card edit": _edit_card,
    "card estimates": _estimate_card,
    "card open": _open_card,
    "expert promote": _promote_expert,
    "expert rollback": _roll_expert_back,
}


def obey(bot: Bot, progress: Callable[[int, int], None] = lambda *_: None) -> list[str]:
    """Carry out all waiting orders, the oldest first; what each came to.

    Args:
        progress: told how far an order has come: done, of how many.
    """
    outcomes = []
    while not bot.stopping.is_set() and (command := bot.store.next_command()):
        try:
            if command.verb not in VERBS:
                raise UsageError(f"there is no order {command.verb!r}")
            outcome = VERBS[command.verb](bot, _order(bot, command, progress))
        except Unfinished:
            break
        except HubbotError as error:
            outcome = f"{FAILED}{error}" + (f" ({error.hint})" if error.hint else "")
        bot.store.finish_command(command.id, outcome)
        outcomes.append(outcome)
    return outcomes


def _order(bot: Bot, command: Command, progress: Callable[[int, int], None]) -> Order:
    def advance(done: int, of: int, last: str) -> None:
        bot.store.advance_command(command.id, {"done": done, "of": of, "last": last})
        progress(done, of)

    return Order(command.args, command.by, command.progress, advance)

"""What admins order: verbs written down in the store, carried out by whoever owns it.

A running bot looks for orders between two polls; where none runs, the command line takes the lock and
carries them out itself. Either way the row with its outcome stays: it is the audit trail (decision 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hubbot.errors import HubbotError, UsageError
from hubbot.hub import uploads
from hubbot.pipeline import Bot, open_pull_request, settle
from hubbot.promotion import promote, roll_back
from hubbot.records import Suggestion, SuggestionState
from hubbot.rounds import add_root, process, rerun


def _rerun_tree(bot: Bot, args: Mapping[str, Any]) -> str:
    root = args["root"]
    if root not in {tree.root for tree in bot.store.trees()}:
        raise UsageError(f"there is no tree {root!r}", hint="`hubbot tree list` shows the trees")
    return f"{rerun(bot, root)} uploads of {root} led down the path again"


def _add_tree(bot: Bot, args: Mapping[str, Any]) -> str:
    return add_root(bot, args["root"])


def _retry_upload(bot: Bot, args: Mapping[str, Any]) -> str:
    """By its old name or its new one: a renamed repo comes back under the latter."""
    upload = uploads.one(bot.hub, args["repo"])
    if process(bot, [upload]):
        return f"{upload.repo} did not come to its end, and is tried again at a later poll"
    reading = bot.store.reading(upload.repo)
    if reading and reading.abstention:
        return f"{upload.repo}: no answer: {reading.abstention.text}"
    said = [prediction.label for prediction in reading.recognised] if reading else []
    return f"{upload.repo}: {', '.join(said) or 'nothing is recognised'}"


def _approve_card(bot: Bot, args: Mapping[str, Any]) -> str:
    approved = settle(bot, _drafted(bot, args["repo"]), SuggestionState.APPROVED)
    return f"the suggestion for {approved.repo} is approved"


def _open_card(bot: Bot, args: Mapping[str, Any]) -> str:
    if not bot.manners.contact:
        raise UsageError("owners could not reach you", hint="set HUBBOT_CONTACT to an address")
    done = open_pull_request(bot, _drafted(bot, args["repo"]))
    opened = done.state is SuggestionState.OPEN
    return f"opened {done.pull_request}" if opened else f"not opened: {done.reason}"


FAILED = "failed: "
"""What the outcome of an order begins with that could not be carried out."""

VERBS: Mapping[str, Callable[[Bot, Mapping[str, Any]], str]] = {
    "tree rerun": _rerun_tree,
    "tree add": _add_tree,
    "upload retry": _retry_upload,
    "card approve": _approve_card,
    "card open": _open_card,
    "expert promote": lambda bot, args: promote(bot, args["name"], args["version"]),
    "expert rollback": lambda bot, args: roll_back(bot, args["tree"], args["name"], args["version"]),
}


def obey(bot: Bot) -> list[str]:
    """Carry out all waiting orders, the oldest first; what each came to."""
    outcomes = []
    while not bot.stopping.is_set() and (command := bot.store.next_command()):
        try:
            if command.verb not in VERBS:
                raise UsageError(f"there is no order {command.verb!r}")
            outcome = VERBS[command.verb](bot, command.args)
        except HubbotError as error:
            outcome = f"{FAILED}{error}" + (f" ({error.hint})" if error.hint else "")
        bot.store.finish_command(command.id, outcome)
        outcomes.append(outcome)
    return outcomes


def _drafted(bot: Bot, repo: str) -> Suggestion:
    """The repo's suggestion; a refused one stays refused, for it may hold no text to offer."""
    suggestion = bot.store.suggestion(repo)
    if suggestion is None:
        raise UsageError(
            "there is no suggestion for this repo", repo=repo, hint="`hubbot card queue` lists them"
        )
    if suggestion.state is SuggestionState.REFUSED:
        raise UsageError(f"its suggestion was refused: {suggestion.reason}", repo=repo)
    return suggestion

"""What an admin says to a draft: yes, no, or yes to a part of it and in other words.

Only what nobody outside has seen can be reviewed. An admin who has read a suggestion says so by its seal,
and is not obeyed where the bot has made another of it since. An edit takes away from what was composed and
rewords the pull request; it is composed anew on the same commit, so that all that holds for a composed card
holds for it: bytes are put in, and none of the owner's is touched.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hubbot.bot import Bot
from hubbot.card.compose import reworded
from hubbot.courtesy import offered, settle, weighed
from hubbot.errors import UsageError
from hubbot.hub import pulls
from hubbot.records import Suggestion, SuggestionState

LONGEST_REASON = 500
"""Characters."""

REVIEWED = (SuggestionState.DRAFT, SuggestionState.APPROVED, SuggestionState.REJECTED)


@dataclass(frozen=True, slots=True)
class Change:
    """What an admin wants otherwise.

    Args:
        without: lines that it adds, to be left out.
        title, body: the pull request's words; None for as they are, empty for those that hubbot finds.
        anew: start from all that was found and hubbot's own words, not from what an earlier edit left.
    """

    without: frozenset[str] = frozenset()
    title: str | None = None
    body: str | None = None
    anew: bool = False


def approve(bot: Bot, repo: str, seal: str | None = None) -> str:
    """Say yes to a draft, or after all to what was rejected."""
    settle(bot, reviewed(bot, repo, seal), SuggestionState.APPROVED)
    return f"the suggestion for {repo} is approved"


def reject(bot: Bot, repo: str, reason: str, by: str, seal: str | None = None) -> str:
    """Say no: these weights get no other one from this version of the expert, whatever its owner commits."""
    reason = " ".join(reason.split())
    if not reason:
        raise UsageError("a rejection needs a reason", repo=repo)
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"a reason has {LONGEST_REASON} characters at most, not {len(reason)}", repo=repo)
    told = f"{by} rejected it: {reason}"
    settle(bot, reviewed(bot, repo, seal), SuggestionState.REJECTED, reason=told)
    return f"the suggestion for {repo} is rejected"


def edit(bot: Bot, repo: str, change: Change, seal: str | None = None) -> str:
    """Compose it anew on the same commit, with less in it or in other words; a draft again.

    Raises:
        UsageError: its weights were read again since, or nothing would be left of it.
        CardError: the words lack something; the card cannot be edited so.
        HubError: the card cannot be had.
    """
    before = reviewed(bot, repo, seal)
    now, composed = _recomposed(bot, before, change)
    was = composed if change.anew else before
    title = _words(change.title, was.title, composed.title, now.title)
    body = _words(change.body, was.body, composed.body, now.body)
    if (title, body) != (now.title, now.body):
        now = reworded(now, title, body, contact=bot.manners.contact)
    if now.seal == before.seal:
        raise UsageError("nothing of it would change", repo=repo)
    bot.store.save_suggestion(now)
    return f"the suggestion for {repo} is edited, and adds {', '.join(now.added)}"


def reviewed(
    bot: Bot, repo: str, seal: str | None, states: Collection[SuggestionState] = REVIEWED
) -> Suggestion:
    """The repo's suggestion, if an admin still has a say in it.

    Args:
        seal: of the suggestion that the admin has seen; None where nobody asks.
    """
    found = bot.store.suggestion(repo)
    if found is None:
        raise UsageError(
            "there is no suggestion for this repo", repo=repo, hint="`hubbot card queue` lists them"
        )
    if found.state is SuggestionState.REFUSED:  # it may hold no text to offer
        raise UsageError(f"its suggestion was refused: {found.reason}", repo=repo)
    if found.state not in states:
        raise UsageError(f"its suggestion is {found.state}, and no longer ours to review", repo=repo)
    if seal is not None and seal != found.seal:
        raise UsageError("its suggestion is another one by now: look at it again", repo=repo)
    return found


def _recomposed(bot: Bot, before: Suggestion, change: Change) -> tuple[Suggestion, Suggestion]:
    """What is composed with the change; and what was composed with the lines that it has before it."""
    reading = bot.store.reading(before.repo)
    known = {(info.name, info.version): info for info in bot.store.experts()}
    expert = known.get((reading.expert, reading.version)) if reading else None
    if reading is None or expert is None or not weighed(before, reading):
        raise UsageError("its weights were read again since, and what was read is another", repo=before.repo)
    card = pulls.read_card(bot.hub, before.repo, before.base_commit) or b""

    def made(left_out: Collection[str]) -> Suggestion:
        return offered(bot, reading, expert, card, before.base_commit, left_out)

    full = made(())
    if full.state is SuggestionState.REFUSED:
        raise UsageError(f"there is nothing to edit: {full.reason}", repo=before.repo)
    everything, has = set(full.added), full.added if change.anew else before.added
    if unknown := sorted(change.without - set(has)):
        raise UsageError(
            f"it does not add {unknown[0]!r}", repo=before.repo, hint=f"it adds {', '.join(has)}"
        )
    if not set(has) - change.without:
        raise UsageError("nothing would be left to add", repo=before.repo, hint="reject it instead")
    now = made(everything - set(has) | change.without)
    if bound := sorted(change.without & set(now.added)):
        raise UsageError(f"{bound[0]!r} belongs to another line, and goes with that alone", repo=before.repo)
    if now.state is SuggestionState.REFUSED:
        raise UsageError(f"nothing is left of it: {now.reason}", repo=before.repo)
    return now, made(everything - set(has))


def _words(said: str | None, before: str, composed: str, now: str) -> str:
    """What an admin says now; else what one said before; else what hubbot finds."""
    if said is not None and _line(said) != _line(before):
        return said if said.strip() else now
    return now if before == composed else before


def _line(text: str) -> str:
    """Browsers change the ends of lines, and people those of texts."""
    return "\n".join(text.splitlines()).strip()

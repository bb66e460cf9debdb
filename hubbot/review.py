"""What an admin says to a draft: yes, no, or yes to a part of it and in other words.

Only what nobody outside has seen can be reviewed. An admin who has read a suggestion says so by its seal,
and is not obeyed where the bot has made another of it since. An edit takes away from what was composed and
rewords the pull request; it is composed anew on the same commit, so that all that holds for a composed card
holds for it: bytes are put in, and none of the owner's is touched.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from hubbot.bot import Bot
from hubbot.card.compose import reworded
from hubbot.card.estimates import best, with_estimates
from hubbot.courtesy import composed, offered, owner_asks, refused, settle, weighed, why_not
from hubbot.errors import UsageError
from hubbot.hub import pulls, uploads
from hubbot.records import ExpertInfo, Reading, Suggestion, SuggestionState

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


def estimates(bot: Bot, repo: str) -> str:
    """Offer what autoencoders estimated, beside what else there is to suggest: never done unasked.

    Raises:
        UsageError: nothing is estimated of the weights that are there now; manners forbid it; the card
            cannot be edited.
        HubError: the repo or its card cannot be had.
    """
    known, upload = next(iter(bot.store.several([repo])), None), uploads.one(bot.hub, repo)
    judgement = best(known.judgements) if known else None
    if known is None or known.reading is None or judgement is None:
        raise UsageError("no estimates of its training are recorded", repo=repo)
    if known.upload.commit != upload.commit or upload.repo != repo:
        raise UsageError("the repo has moved on since", repo=repo, hint=f"`hubbot upload retry {repo}` first")
    before, reading = known.suggestion, known.reading
    if before and before.state in (SuggestionState.OPENING, SuggestionState.OPEN):
        raise UsageError(f"its suggestion is {before.state}, and there is one at a time", repo=repo)
    if refusal := why_not(bot, upload, reading, estimated=True):
        raise UsageError(refusal, repo=repo)
    expert = _expert(bot, reading)
    no = before is not None and before.state is SuggestionState.REJECTED and weighed(before, reading)
    if expert and reading.recognised and not no:
        plain = composed(bot, upload, reading, expert)
    else:
        plain = replace(refused(upload, reading, ""), content_ids=reading.content_ids)
    card = pulls.read_card(bot.hub, repo, upload.commit) or b""
    made = with_estimates(plain, judgement, card, contact=bot.manners.contact)
    if made.state is SuggestionState.REFUSED:
        raise UsageError(f"they cannot be offered: {made.reason}", repo=repo)
    bot.store.save_suggestion(made, asked=owner_asks(bot, upload, reading))
    return f"the suggestion for {repo} adds {', '.join(made.added)}"


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
    if before.estimated:
        hint = "approve it, or reject it"
        raise UsageError("estimates are offered as they are", repo=before.repo, hint=hint)
    reading = bot.store.reading(before.repo)
    expert = _expert(bot, reading) if reading else None
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


def _expert(bot: Bot, reading: Reading) -> ExpertInfo | None:
    """Who gave the reading."""
    known = {(info.name, info.version): info for info in bot.store.experts()}
    return known.get((reading.expert, reading.version))


def _words(said: str | None, before: str, composed: str, now: str) -> str:
    """What an admin says now; else what one said before; else what hubbot finds."""
    if said is not None and _line(said) != _line(before):
        return said if said.strip() else now
    return now if before == composed else before


def _line(text: str) -> str:
    """Browsers change the ends of lines, and people those of texts."""
    return "\n".join(text.splitlines()).strip()

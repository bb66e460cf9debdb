"""What suggesting and opening lean on: what the policy says, what an owner asked for, what the Hub shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hubbot.bot import Bot
from hubbot.card.compose import compose
from hubbot.card.front_matter import asks
from hubbot.descent import PASSING
from hubbot.errors import CardError, HubError
from hubbot.hub import pulls
from hubbot.policy import may_suggest
from hubbot.records import ExpertInfo, PullRequest, Reading, Suggestion, SuggestionState, Upload

SETTLING = timedelta(minutes=3)
"""How long a pull request that nobody confirmed may be missing from the Hub's list and exist all the same:
the list is up to half a minute late, and what comes before the commit takes as long as the client waits."""

ANSWERED = (SuggestionState.MERGED, SuggestionState.CLOSED)

DRAFTED = (SuggestionState.DRAFT, SuggestionState.APPROVED)


def settle(
    bot: Bot,
    suggestion: Suggestion,
    state: SuggestionState,
    *,
    reason: str = "",
    pull_request: str | None = None,
) -> Suggestion:
    """The suggestion in its new state, written down."""
    settled = replace(
        suggestion, state=state, reason=reason, pull_request=pull_request or suggestion.pull_request
    )
    bot.store.save_suggestion(settled)
    return settled


def refused(upload: Upload, reading: Reading, reason: str) -> Suggestion:
    """A suggestion that is none, and why."""
    state = SuggestionState.REFUSED
    return Suggestion(upload.repo, upload.commit, state, reason=reason, version=reading.version)


def composed(bot: Bot, upload: Upload, reading: Reading, expert: ExpertInfo) -> Suggestion:
    """A draft on the card as it is; refused where that cannot be had, which is no fault of the reading."""
    try:
        card = pulls.read_card(bot.hub, upload.repo, upload.commit) or b""
    except PASSING:
        raise
    except (HubError, CardError) as error:
        return refused(upload, reading, error.message)
    fresh = offered(bot, reading, expert, card, upload.commit)
    before = bot.store.suggestion(upload.repo)
    if before is None or before.state not in DRAFTED or not weighed(before, reading):
        return fresh
    # What it did without was left out by an admin, or stood in the card till its owner took it out.
    left_out = set(fresh.added) - set(before.added)
    made = offered(bot, reading, expert, card, upload.commit, left_out) if left_out else fresh
    nothing = made.state is SuggestionState.REFUSED and fresh.state is SuggestionState.DRAFT
    return replace(made, reason="an admin or its owner took out all that it would add") if nothing else made


def weighed(suggestion: Suggestion, reading: Reading) -> bool:
    """Whether it was made from what this version of the expert said of these very weights."""
    mine, yours = set(suggestion.content_ids), set(reading.content_ids)
    return suggestion.version == reading.version and mine == yours


def offered(
    bot: Bot,
    reading: Reading,
    expert: ExpertInfo,
    card: bytes,
    commit: str,
    without: Collection[str] = (),
) -> Suggestion:
    """A draft on this card, as the bot's manners have it; `without` lines that an admin leaves out."""
    placement = bot.store.placement(reading.repo)
    return compose(
        reading,
        expert,
        card,
        contact=bot.manners.contact,
        base_commit=commit,
        descent=placement.surely if placement else None,
        tag_prefix=bot.manners.tag_prefix,
        section=bot.manners.section,
        without=without,
    )


def last_look(
    bot: Bot,
    suggestion: Suggestion,
    upload: Upload,
    reading: Reading,
    earlier: Sequence[PullRequest],
    asked: bool,
) -> str | None:
    """What speaks against opening it, by the Hub as it is at this moment.

    Raises:
        HubError: the Hub did not say, of its own check of the card too.
    """
    if upload.commit != suggestion.base_commit:
        return "the repo has moved on since"
    if suggestion.version != reading.version:
        return "another version of its expert has read it since"
    if refusal := why_not(bot, upload, reading, earlier, estimated=suggestion.estimated):
        return refusal
    if not asked and any(pull.title == suggestion.title for pull in earlier):
        return "a pull request of ours with this title was answered already"
    faults = pulls.validate_card(bot.hub, suggestion.new_text)
    return f"the Hub would reject the card: {'; '.join(faults[:3])}" if faults else None


def owner_asks(bot: Bot, upload: Upload, reading: Reading) -> bool:
    """Whether the owner asks for what was not answered yet; nobody else may write `hubbot: true` in a card.

    A pull request that was made on a card which asked already is the answer, for the weights that it was made
    for. What the database does not remember may have been that answer: then nobody counts as asking.
    """
    if upload.card.get("hubbot") is not True:
        return False
    history = bot.store.suggestion_history(upload.repo)
    seen = [one for one in history if one.state in (*ANSWERED, SuggestionState.OPEN)]
    weights = set(reading.content_ids)
    answers = [one for one in seen if set(one.content_ids) == weights and asks(one.new_text.encode())]
    return bool(seen) and not answers


def why_not(
    bot: Bot,
    upload: Upload,
    reading: Reading,
    earlier: Sequence[PullRequest] = (),
    *,
    counted: bool = False,
    estimated: bool = False,
) -> str | None:
    """What the policy says; how many are open for the owner and today counts only where it is asked."""
    manners, store, yesterday = bot.manners, bot.store, datetime.now(UTC) - timedelta(days=1)
    return may_suggest(
        upload,
        reading,
        opted_out=upload.card.get("hubbot") is False,
        earlier=earlier,
        previous=store.shown(upload.repo),
        blocked=manners.blocked,
        opened_for_owner=store.open_now(upload.owner, besides=upload.repo) if counted else -1,
        opened_today=store.opened_since(yesterday, besides=upload.repo) if counted else -1,
        pulls_per_owner=manners.pulls_per_owner,
        pulls_per_day=manners.pulls_per_day,
        mode=manners.mode,
        asked=owner_asks(bot, upload, reading),
        estimated=estimated,
    )


def may_yet_appear(bot: Bot, suggestion: Suggestion) -> bool:
    """Whether the Hub was asked so lately that its list need not show it yet."""
    asked_at, now = bot.store.asked_at(suggestion.repo), datetime.now(UTC)
    if asked_at is None:
        return False
    if asked_at > now:  # the clock was set back, and the wait begins anew
        settle(bot, suggestion, SuggestionState.OPENING)
    return now - asked_at < SETTLING

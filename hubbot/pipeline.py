"""The path of one upload, in code.

    notice ──► place ──► fetch ──► probe ──► record ──┬──► suggest ──► pull request
                                                      └──► index ───► text search

Short functions, each taking and giving the records of `hubbot.records`; `hubbot.rounds` leads uploads
through them. `index` alone is elsewhere: `hubbot.library` follows what is recorded. Nothing here keeps
state: that lives in the store, and every step may be done twice without anybody seeing it twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from hubbot.card.compose import compose
from hubbot.card.front_matter import asks
from hubbot.descent import PASSING, child_of, compared, declared
from hubbot.engine import Engine
from hubbot.errors import CardError, HubError, HubUnavailable, UnsupportedDtype
from hubbot.experts.router import Router
from hubbot.hub import pulls, tensors, uploads
from hubbot.hub.client import Hub
from hubbot.policy import Quiet, listed, may_suggest
from hubbot.records import (
    Evidence,
    ExpertInfo,
    How,
    Placement,
    PullRequest,
    Reading,
    Sketch,
    Source,
    Suggestion,
    SuggestionState,
    Tensors,
    Upload,
    Wanted,
)
from hubbot.store.kin import Entry
from hubbot.store.store import Store
from hubbot.trees.forest import Forest, decide
from hubbot.trees.kin import Crowds

log = logging.getLogger(__name__)

PLAIN = ("F64", "F32", "F16", "BF16")
"""Dtypes whose numbers are the weights; narrower ones were scaled, and mean nothing without their scales."""

SETTLING = timedelta(minutes=3)
"""How long a pull request that nobody confirmed may be missing from the Hub's list and exist all the same:
the list is up to half a minute late, and what comes before the commit takes as long as the client waits."""
ANSWERED = (SuggestionState.MERGED, SuggestionState.CLOSED)

Event: TypeAlias = Upload | Placement | Reading | Suggestion
"""What happened, told to whoever watches: the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What others may see of the bot, and how much of it; the rules themselves are `hubbot.policy`'s.

    Args:
        trusted: owners and repos whose suggestions need no approval in mode `review`.
        quiet: the hours in which nothing is opened.
        tag_prefix, section: what is suggested beside tags, see `compose`.
    """

    mode: str = "draft"
    blocked: frozenset[str] = frozenset()
    trusted: frozenset[str] = frozenset()
    pulls_per_owner: int = 3
    pulls_per_day: int = 50
    quiet: Quiet | None = None
    tag_prefix: str = ""
    section: bool = False
    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """All that reading a model takes, and nothing that writes: Hub, roots, experts, worker."""

    hub: Hub
    forest: Forest
    router: Router
    engine: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A reader with a memory and manners, wired by `hubbot.app`.

    Args:
        overlap: how far behind the watermark a poll looks again.
        catch_up: how far back a bot that slept looks.
        first_limit: how many uploads the very first poll takes.
        most_waiting: with so many unfinished uploads no more are noticed.
        most_tries: after so many passing faults an upload is given up, on record.
        batch_size: models in one batch of the probe.
        fetch_threads: range reads under way at once.
        watch: told of every record as it comes about, in the thread that writes.
        stopping: set from outside; the bot then stops between two uploads.
    """

    reader: Reader
    store: Store
    manners: Manners
    crowds: Crowds = field(default_factory=Crowds)
    overlap: timedelta = timedelta(minutes=5)
    catch_up: timedelta = timedelta(days=14)
    first_limit: int = 1000
    most_waiting: int = 100_000
    most_tries: int = 20
    batch_size: int = 64
    fetch_threads: int = 8
    watch: Callable[[Event], None] = lambda _: None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def hub(self) -> Hub:
        return self.reader.hub


# --- the steps ------------------------------------------------------------------------------


def notice(hub: Hub, since: datetime | None, limit: int | None) -> Iterator[Upload]:
    """The uploads modified since then, the newest first, as the Hub lists them."""
    return uploads.recent(hub, since=since, limit=limit)


def place(
    upload: Upload, contents: tensors.Contents | None, hub: Hub, forest: Forest
) -> tuple[Placement, Sketch | None]:
    """Which tree and parent: what is declared, held against what the weights say.

    A repo that declares no parent and follows no known root, but is somebody's base model, is a root.

    Args:
        contents: what the weight files hold; None where they cannot be read.

    Returns:
        The placement, and what its kin are known by; who they are, `relate` says.
    """
    lineage = declared(upload, contents, hub, forest)
    recovered, found, cost = compared(upload, contents, hub, forest)
    if recovered is None and contents is not None:
        recovered = forest.fits(lineage.root, contents.shapes)
    placement = replace(decide(upload, lineage, recovered), bytes_read=cost)
    if placement.how is How.UNPLACED and not lineage.parent and (child := child_of(hub, upload.repo)):
        named = Evidence(Source.TAG, f"{child} names it as its base model")
        placement = replace(placement, tree=upload.repo, how=How.ROOT, evidence=(*lineage.evidence, named))
    return placement, found


def fetch(upload: Upload, wanted: Sequence[Wanted], hub: Hub) -> Tensors:
    """The tensors that an expert names, by range.

    Raises:
        WeightsError: they are not there, not of the expert's shape, or quantised.
    """
    read = tensors.read(hub, upload, wanted)
    for name, dtype in read.stored_dtypes.items():
        if dtype not in PLAIN:
            raise UnsupportedDtype(
                f"stored as {dtype}: a quantised copy is left to its original",
                repo=upload.repo,
                tensor=name,
            )
    return read


def probe(engine: Engine, expert: ExpertInfo, batch: Sequence[Tensors]) -> list[Reading]:
    """Pure arithmetic on a device: labels with probabilities, or an abstention with its reason."""
    return engine.probe(expert, batch)


def record(
    store: Store, upload: Upload, placements: Sequence[Placement], reading: Reading, entry: Entry | None
) -> bool:
    """Into the store, all or nothing; False where this reading was already there."""
    return store.conclude(upload, placements, reading, entry)


def suggest(bot: Bot, upload: Upload, reading: Reading, expert: ExpertInfo) -> Suggestion | None:
    """A README edit made from a reading, or why the policy allows none. Nothing leaves the house here."""
    if bot.manners.mode == "off" or not reading.recognised:
        return None
    before = bot.store.suggestion(upload.repo)
    if before and (before.base_commit == upload.commit or before.state is SuggestionState.OPENING):
        return None  # this very commit was considered already, or one is half opened: `open_due` finishes it
    if refusal := _refusal(bot, upload, reading):
        if bot.store.shown(upload.repo):
            return None  # what others have seen stays on the record as it is
        suggestion = Suggestion(upload.repo, upload.commit, SuggestionState.REFUSED, reason=refusal)
    else:
        suggestion = _composed(bot, upload, reading, expert)
    bot.store.save_suggestion(suggestion, asked=_asked(bot, upload, reading))
    if (
        before is None
        and suggestion.state is SuggestionState.DRAFT
        and bot.manners.mode in ("review", "auto")
    ):
        suggestion = _recalled(bot, suggestion)
    draft = suggestion.state is SuggestionState.DRAFT and bot.manners.mode == "review"
    if draft and listed(upload, bot.manners.trusted):
        return settle(bot, suggestion, SuggestionState.APPROVED)
    return suggestion


def open_pull_request(bot: Bot, suggestion: Suggestion, *, only_look: bool = False) -> Suggestion:
    """The one step that others see: looked up, written down as asked for, and looked up once more.

    What was asked for and never answered is left alone for `SETTLING`: till then a list that does not show
    it says nothing.

    Args:
        only_look: find out whether it came to be, and open nothing.

    Returns:
        The suggestion as it now stands: open; refused; half opened still; or waiting, where owners have had
        enough for today.

    Raises:
        HubError: it stands as before. After `HubUnavailable` it may have become half opened.
    """
    reading, upload = bot.store.reading(suggestion.repo), bot.store.upload(suggestion.repo)
    if reading is None or upload is None:
        return settle(bot, suggestion, SuggestionState.REFUSED, reason="nothing is recorded of this repo")
    quiet = None if only_look or not bot.manners.quiet else bot.manners.quiet.why_not(datetime.now(UTC))
    half = suggestion.state is SuggestionState.OPENING
    if half and quiet:
        return replace(suggestion, reason=quiet)
    if not half and not only_look and (enough := quiet or _refusal(bot, upload, reading, counted=True)):
        return settle(bot, suggestion, suggestion.state, reason=enough)
    author = pulls.whoami(bot.hub)
    earlier = pulls.earlier(bot.hub, suggestion.repo, author)
    # A bot that died here may have opened it and never heard so.
    ours = next((pull for pull in earlier if pull.title == suggestion.title and pull.status == "open"), None)
    if ours:
        known = suggestion if half else settle(bot, suggestion, SuggestionState.OPENING)
        return settle(bot, known, SuggestionState.OPEN, pull_request=ours.url)
    if half and _may_yet_appear(bot, suggestion):
        return suggestion
    if only_look:
        return settle(bot, suggestion, SuggestionState.DRAFT)  # it never came to be
    upload = uploads.one(bot.hub, suggestion.repo)
    asked = _asked(bot, upload, reading)
    if refusal := _last_look(bot, suggestion, upload, reading, earlier, asked):
        return settle(bot, suggestion, SuggestionState.REFUSED, reason=refusal)
    return _opened(bot, suggestion, author, asked)


def _opened(bot: Bot, suggestion: Suggestion, author: str, asked: bool) -> Suggestion:
    """Opened; or as it was, where the Hub says that it opened nothing. Where it does not say, half opened."""

    def note() -> None:
        settle(bot, suggestion, SuggestionState.OPENING)

    try:
        opened = pulls.open_pull(bot.hub, suggestion, author, asked=asked, note=note)
    except HubUnavailable:
        half = bot.store.suggestion(suggestion.repo)
        if half and half.state is SuggestionState.OPENING:
            note()  # the commit may have been minutes later than the first note, after a rate limit
        raise
    except HubError:
        bot.store.save_suggestion(suggestion)
        raise
    return settle(bot, suggestion, SuggestionState.OPEN, pull_request=opened.url)


def _may_yet_appear(bot: Bot, suggestion: Suggestion) -> bool:
    """Whether the Hub was asked so lately that its list need not show it yet."""
    asked_at, now = bot.store.asked_at(suggestion.repo), datetime.now(UTC)
    if asked_at is None:
        return False
    if asked_at > now:  # the clock was set back, and the wait begins anew
        settle(bot, suggestion, SuggestionState.OPENING)
    return now - asked_at < SETTLING


# --- what the steps lean on -------------------------------------------------------------------


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


def _recalled(bot: Bot, draft: Suggestion) -> Suggestion:
    """A repo's first draft, or what became of it in a life that this database does not remember.

    Asked before anything is opened, since a bot that forgot its pull requests would not count them.
    """
    try:
        return open_pull_request(bot, draft, only_look=True)
    except PASSING:
        settle(bot, draft, SuggestionState.OPENING)  # `open_due` looks again
        raise
    except HubError as error:  # where discussions are switched off, for instance
        return settle(bot, draft, SuggestionState.REFUSED, reason=error.message)


def _composed(bot: Bot, upload: Upload, reading: Reading, expert: ExpertInfo) -> Suggestion:
    """A draft on the card as it is; refused where that cannot be had, which is no fault of the reading."""
    try:
        card = pulls.read_card(bot.hub, upload.repo, upload.commit) or b""
    except PASSING:
        raise
    except (HubError, CardError) as error:
        return Suggestion(upload.repo, upload.commit, SuggestionState.REFUSED, reason=error.message)
    placement = bot.store.placement(upload.repo)
    return compose(
        reading,
        expert,
        card,
        contact=bot.manners.contact,
        base_commit=upload.commit,
        descent=placement.surely if placement else None,
        tag_prefix=bot.manners.tag_prefix,
        section=bot.manners.section,
    )


def _last_look(
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
    if refusal := _refusal(bot, upload, reading, earlier):
        return refusal
    if not asked and any(pull.title == suggestion.title for pull in earlier):
        return "a pull request of ours with this title was answered already"
    faults = pulls.validate_card(bot.hub, suggestion.new_text)
    return f"the Hub would reject the card: {'; '.join(faults[:3])}" if faults else None


def _asked(bot: Bot, upload: Upload, reading: Reading) -> bool:
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


def _refusal(
    bot: Bot, upload: Upload, reading: Reading, earlier: Sequence[PullRequest] = (), *, counted: bool = False
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
        asked=_asked(bot, upload, reading),
    )

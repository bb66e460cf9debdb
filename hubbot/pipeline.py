"""The path of one upload, in code.

    notice ──► place ──► fetch ──► probe ──► record ──┬──► suggest ──► pull request
                                                      └──► index ───► text search

Short functions, each taking and giving the records of `hubbot.records`; `hubbot.rounds` leads uploads
through them. `index` alone is elsewhere: `hubbot.library` follows what is recorded. Nothing here keeps
state: that lives in the store, and every step may be done twice without anybody seeing it twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hubbot.bot import Bot
from hubbot.courtesy import (
    composed,
    last_look,
    may_yet_appear,
    owner_asks,
    refused,
    settle,
    weighed,
    why_not,
)
from hubbot.descent import PASSING, child_of, compared, declared
from hubbot.engine import Engine
from hubbot.errors import HubError, HubUnavailable, UnsupportedDtype
from hubbot.hub import pulls, tensors, uploads
from hubbot.hub.client import Hub
from hubbot.policy import listed
from hubbot.records import (
    Evidence,
    ExpertInfo,
    How,
    Judgement,
    Placement,
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

PLAIN = ("F64", "F32", "F16", "BF16")
"""Dtypes whose numbers are the weights; narrower ones were scaled, and mean nothing without their scales."""

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
    store: Store,
    upload: Upload,
    placements: Sequence[Placement],
    reading: Reading,
    entry: Entry | None,
    judgements: Sequence[Judgement] = (),
) -> bool:
    """Into the store, all or nothing; False where this reading was already there."""
    return store.conclude(upload, placements, reading, entry, judgements)


def suggest(bot: Bot, upload: Upload, reading: Reading, expert: ExpertInfo) -> Suggestion | None:
    """A README edit made from a reading, or why the policy allows none. Nothing leaves the house here."""
    if bot.manners.mode == "off" or not reading.recognised:
        return None
    before = bot.store.suggestion(upload.repo)
    if before and before.state is SuggestionState.OPENING:
        return None  # one is half opened: `open_due` finishes it
    if before and (before.base_commit, before.version) == (upload.commit, reading.version):
        return None  # this very commit was considered already
    if before and before.state is SuggestionState.REJECTED and weighed(before, reading):
        return None  # an admin's no is not forgotten over a commit to the README
    if refusal := why_not(bot, upload, reading):
        if bot.store.shown(upload.repo):
            return None  # what others have seen stays on the record as it is
        suggestion = refused(upload, reading, refusal)
    else:
        suggestion = composed(bot, upload, reading, expert)
    bot.store.save_suggestion(suggestion, asked=owner_asks(bot, upload, reading))
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
    says = suggestion.estimated
    if not (half or only_look) and (
        enough := quiet or why_not(bot, upload, reading, counted=True, estimated=says)
    ):
        return settle(bot, suggestion, suggestion.state, reason=enough)
    author = pulls.whoami(bot.hub)
    earlier = pulls.earlier(bot.hub, suggestion.repo, author)
    # A bot that died here may have opened it and never heard so.
    ours = next((pull for pull in earlier if pull.title == suggestion.title and pull.status == "open"), None)
    if ours:
        known = suggestion if half else settle(bot, suggestion, SuggestionState.OPENING)
        return settle(bot, known, SuggestionState.OPEN, pull_request=ours.url)
    if half and may_yet_appear(bot, suggestion):
        return suggestion
    if only_look:
        return settle(bot, suggestion, SuggestionState.DRAFT)  # it never came to be
    upload = uploads.one(bot.hub, suggestion.repo)
    asked = owner_asks(bot, upload, reading)
    if refusal := last_look(bot, suggestion, upload, reading, earlier, asked):
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

"""Leading uploads down the path: a poll, one repo by name, a tree once more.

Fetching runs in threads, probing in the engine's worker, and all writing in the calling thread.
Whatever goes wrong with one upload ends as that upload's recorded abstention; a passing fault of the
Hub leaves it, written down, to the next poll.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hubbot.card.compose import compose
from hubbot.card.front_matter import opted_out
from hubbot.descent import PASSING
from hubbot.errors import EngineError, HubbotError, HubError
from hubbot.growth import alike, planted, relate, root_of
from hubbot.hub import pulls, uploads
from hubbot.pipeline import (
    Bot,
    Reader,
    notice,
    open_pull_request,
    probe,
    record,
    settle,
    suggest,
)
from hubbot.records import (
    ExpertInfo,
    Reading,
    Suggestion,
    SuggestionState,
    Tensors,
    Upload,
)
from hubbot.visits import Visit, failed, visit

log = logging.getLogger(__name__)

ASKED_TO_STOP = "a comment on the pull request says `hubbot: false`"
LAST_WORD = "As you wish. You will not hear of me here again."

IMPATIENT, FIRST_PAUSE, LONGEST_PAUSE = 3, timedelta(seconds=10), timedelta(hours=6)
"""An upload that a passing fault left is tried again at so many polls; then in pauses that double."""


def poll(bot: Bot) -> int:
    """Notice what is new and lead it down the path; how many uploads came to their end.

    The watermark passes an upload only when that has been dealt with or written down as unfinished, so that
    a crash, a stop or a passing fault leaves it to the next poll, and one that never comes to its end does
    not hold the watermark for ever.
    """
    endpoint, now = bot.hub.endpoint, datetime.now(UTC)
    watermark = bot.store.watermark(endpoint)
    noticed = notice(
        bot.hub, watermark - bot.overlap if watermark else None, None if watermark else bot.first_limit
    )
    listed = {upload.repo for upload in noticed}
    left = [upload for upload in bot.store.unfinished(due=now) if upload.repo not in listed]
    new = [upload for upload in noticed if not bot.store.is_finished(upload)]
    fresh = [upload for upload in new if not bot.store.is_waiting(upload, now)] + left
    unfinished = process(bot, fresh)
    newest = max((upload.modified_at for upload in noticed), default=watermark or now)
    # A listing from the future must not make the bot blind until then.
    bot.store.set_watermark(endpoint, min(now, newest))
    open_due(bot)
    return len(fresh) - len(unfinished)


def pause(tries: int) -> timedelta:
    """How long after so many tries in vain the next one comes: at once, then ever later, with jitter."""
    if tries <= IMPATIENT:
        return timedelta()
    doubled = min(FIRST_PAUSE * 2.0 ** min(tries - IMPATIENT - 1, 20), LONGEST_PAUSE)
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 - spreads requests, keeps no secret


def process(bot: Bot, fresh: Iterable[Upload]) -> list[Upload]:
    """Lead uploads to their end; the ones that a passing fault or a stop left unfinished."""
    batches = _Batches(bot)
    with ThreadPoolExecutor(bot.fetch_threads, thread_name_prefix="fetch") as threads:
        under_way: dict[Future[Visit], Upload] = {}
        for upload in fresh:
            bot.watch(upload)
            known = bot.store.reading(upload.repo)
            under_way[threads.submit(visit, bot.reader, upload, known)] = upload
        while under_way:
            done, _ = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                upload = under_way.pop(future)
                try:
                    batches.take(future.result())
                except PASSING as error:
                    batches.leave(upload, error)
                except Exception as error:  # whatever it is: one upload must not stop the others
                    log.error("%s: given up: %r", upload.repo, error, exc_info=log.isEnabledFor(logging.INFO))
                    batches.take(failed(upload, error))
            if bot.stopping.is_set():
                for future in [future for future in under_way if future.cancel()]:
                    batches.keep(under_way.pop(future))
            batches.settle()
    batches.finish()
    return batches.unfinished


def consult(reader: Reader, repo: str) -> tuple[Visit, Reading]:
    """One repo by name, nothing written anywhere: `hubbot tell`."""
    seen = visit(reader, uploads.one(reader.hub, repo))
    while seen.tensors is not None and seen.expert is not None:
        said = probe(reader.engine, seen.expert, [seen.tensors])[0]
        if seen.others is None:
            return seen, seen.reading(said)
        seen = seen.heard(said)
    return seen, seen.reading()


def draft(reader: Reader, repo: str, contact: str) -> Suggestion:
    """What would be suggested for one repo by name, nothing written anywhere: `hubbot card suggest`.

    No base model: that takes comparing it with its kin, whom only a bot with a memory knows.
    """
    seen, reading = consult(reader, repo)
    base = seen.upload.commit
    if seen.expert is None or reading.abstention or not reading.recognised:
        reason = reading.abstention.text if reading.abstention else "nothing was recognised with confidence"
        return Suggestion(repo, base, SuggestionState.REFUSED, reason=reason)
    card = pulls.read_card(reader.hub, repo, base) or b""
    return compose(reading, seen.expert, card, contact=contact, base_commit=base)


def rerun(bot: Bot, root: str) -> int:
    """Lead every recorded upload of a tree down the path again, at its present commit; how many.

    What the present version of the tree's expert has read already is kept as it is.
    """
    members = _as_they_are(bot, bot.store.uploads(tree=root))
    return len(members) - len(process(bot, members))


def add_root(bot: Bot, repo: str) -> str:
    """Know a root by rows of its weights from now on; lead whoever may be of its tree down the path again.

    These are the unplaced models that resemble it, and all that declare it.

    Raises:
        UsageError: it descends from a root that is known, or has nothing to be known by.
        HubError, WeightsError: it cannot be read.
    """
    upload = uploads.one(bot.hub, repo)
    known, sketch = root_of(upload, bot.reader)
    bot.store.save_root(known)
    bot.reader.forest.plant(planted(known))
    led = {one.repo: one for one in [*alike(bot, sketch), *bot.store.uploads(tree=upload.repo)]}
    led.pop(upload.repo, None)
    left = process(bot, [upload, *_as_they_are(bot, led.values())])
    placed = len(bot.store.tree_members(upload.repo)) - 1
    told = f"{upload.repo} is known by {sum(map(len, known.rows.values()))} rows of {len(known.rows)} tensors"
    waiting = f"; {len(left)} are left to the next poll" if left else ""
    return f"{told}; {len(led)} uploads led down the path again, {placed} models in its tree{waiting}"


def _as_they_are(bot: Bot, recorded: Iterable[Upload]) -> list[Upload]:
    """Recorded uploads at their present commits; those that are gone stay as they are recorded."""
    found = []
    for upload in recorded:
        try:
            found.append(uploads.one(bot.hub, upload.repo))
        except HubError as error:
            log.warning("%s: left as it is recorded: %s", upload.repo, error)
    return found


def open_due(bot: Bot) -> None:
    """Open the pull requests that the mode allows; first those that a crash left half opened."""
    due = [SuggestionState.OPENING]
    if bot.manners.mode in ("review", "auto"):
        due.append(SuggestionState.APPROVED)
    if bot.manners.mode == "auto":
        due.append(SuggestionState.DRAFT)
    for suggestion in [s for state in due for s in bot.store.suggestions(state)]:
        if bot.stopping.is_set():
            return
        try:
            # Started again in a mode in which nothing leaves the house, not even the half opened does.
            settled = open_pull_request(bot, suggestion, only_look=bot.manners.mode in ("off", "draft"))
        except HubError as error:
            log.warning("%s: not opened, tried again at the next poll: %s", suggestion.repo, error)
            continue
        if settled.state is not suggestion.state:
            bot.watch(settled)


def follow(bot: Bot) -> list[Suggestion]:
    """Read back what became of our open pull requests; those that were answered."""
    answered = []
    for suggestion in bot.store.suggestions(SuggestionState.OPEN):
        number = int((suggestion.pull_request or "").rstrip("/").rsplit("/", 1)[-1])
        try:
            now = pulls.pull_status(bot.hub, suggestion.repo, number)
        except HubError as error:  # of a repo that is gone, for instance; the others have news all the same
            log.warning("%s: no news of its pull request: %s", suggestion.repo, error)
            continue
        said = pulls.last_word(now)
        if now.status in (SuggestionState.MERGED, SuggestionState.CLOSED):
            answered.append(settle(bot, suggestion, SuggestionState(now.status), reason=said))
        elif any(opted_out(answer.encode()) for answer in now.answers):
            # Written down first: a bot that dies here is silent all the same.
            answered.append(settle(bot, suggestion, SuggestionState.CLOSED, reason=ASKED_TO_STOP))
            try:
                pulls.close(bot.hub, suggestion.repo, number, LAST_WORD)
            except HubError as error:
                log.warning("%s: its pull request stays open: %s", suggestion.repo, error)
        elif said != suggestion.reason:
            settle(bot, suggestion, SuggestionState.OPEN, reason=said)
    return answered


_Member = tuple[Visit, Tensors]


@dataclass(slots=True)
class _Batches:
    """Visits on their way through the engine, gathered by expert; all writing happens in here."""

    bot: Bot
    gathered: dict[str, tuple[ExpertInfo, list[_Member]]] = field(default_factory=dict)
    asked: list[tuple[Future[list[Reading]], ExpertInfo, list[_Member]]] = field(default_factory=list)
    unfinished: list[Upload] = field(default_factory=list)

    def take(self, seen: Visit) -> None:
        """Gather a visit with tensors, asking the engine when a batch is full; conclude any other."""
        if seen.tensors is None or seen.others is None:
            self.bot.watch(seen.placement)
        if seen.expert is None or seen.tensors is None:
            self._conclude(seen, seen.reading())
            return
        _, members = self.gathered.setdefault(seen.expert.folder, (seen.expert, []))
        members.append((seen, seen.tensors))
        if len(members) >= self.bot.batch_size:
            self._ask(*self.gathered.pop(seen.expert.folder))

    def settle(self) -> None:
        """Conclude the batches that are answered by now."""
        answered = [batch for batch in self.asked if batch[0].done()]
        self.asked = [batch for batch in self.asked if not batch[0].done()]
        for future, expert, members in answered:
            try:
                readings = self.bot.reader.engine.result(future, expert, [t for _, t in members])
            except EngineError as error:  # no fault of these models, as far as anybody knows
                for seen, _ in members:
                    self.leave(seen.upload, error)
                continue
            for (seen, _), said in zip(members, readings, strict=True):
                if seen.others is None:
                    self._conclude(seen, seen.reading(said))
                else:
                    self.take(seen.heard(said))

    def finish(self) -> None:
        """Ask for what is gathered and conclude everything, what is asked of one expert after another too."""
        while self.gathered or self.asked:
            for expert, members in self.gathered.values():
                self._ask(expert, members)
            self.gathered.clear()
            wait([future for future, _, _ in self.asked])
            self.settle()

    def _ask(self, expert: ExpertInfo, members: Sequence[_Member]) -> None:
        future = self.bot.reader.engine.submit(expert, [t for _, t in members])
        self.asked.append((future, expert, list(members)))

    def _conclude(self, seen: Visit, reading: Reading) -> None:
        """The end of the path; each step may be repeated, so that a stop between two loses nothing."""
        placements, entry = [seen.placement], None
        if seen.sketch:
            placements, entry = relate(self.bot, seen.upload, seen.placement, seen.sketch)
        record(self.bot.store, seen.upload, placements, reading, entry)
        for adopted in placements[1:]:
            self.bot.watch(adopted)
        self.bot.watch(reading)
        try:
            suggestion = suggest(self.bot, seen.upload, reading, seen.expert) if seen.expert else None
        except PASSING as error:
            self.leave(seen.upload, error)
            return
        self.bot.store.finish_upload(seen.upload)
        if suggestion:
            self.bot.watch(suggestion)

    def leave(self, upload: Upload, error: HubbotError) -> None:
        """To a later poll, and after many of those to the record: nobody is asked in vain for ever."""
        tries = self.bot.store.tries(upload) + 1
        if tries >= self.bot.most_tries:
            log.warning("%s: given up after %d tries: %s", upload.repo, tries, error)
            self.give_up(upload, error, tries)
            return
        wait = pause(tries)
        log.warning(
            "%s: left to a poll %.0f s from now or later: %s", upload.repo, wait.total_seconds(), error
        )
        self.keep(upload)
        self.bot.store.postpone(upload, datetime.now(UTC) + wait)

    def give_up(self, upload: Upload, error: HubbotError, tries: int) -> None:
        """Its end, until its owner commits again: what is known of it stays, with the reason for no more."""
        told = f"given up after {tries} {'try' if tries == 1 else 'tries'}: {error}"
        seen = failed(upload, type(error)(told, repo=upload.repo))
        known = self.bot.store.placement(upload.repo)
        record(self.bot.store, upload, [] if known else [seen.placement], seen.reading(), None)
        self.bot.watch(seen.reading())
        self.bot.store.finish_upload(upload)

    def keep(self, upload: Upload) -> None:
        """Where the next poll finds it, however far the listing has gone on by then."""
        self.bot.store.save_upload(upload)
        self.unfinished.append(upload)

"""Many uploads led to their end at once: fetched in threads, probed in batches, written down one by one.

Fetching overlaps computing, and all writing happens in the calling thread. Whatever goes wrong with one
upload ends as that upload's recorded abstention; a passing fault of the Hub leaves it, written down, to a
later try.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from hubbot.bot import Bot, Event
from hubbot.descent import PASSING
from hubbot.engine import Answer, Mind
from hubbot.errors import EngineError, HubbotError, StoreUnavailable
from hubbot.growth import relate
from hubbot.pipeline import record, suggest
from hubbot.records import Judgement, Reading, Tensors, Upload
from hubbot.visits import Visit, failed, visit

log = logging.getLogger(__name__)

IMPATIENT, FIRST_PAUSE, LONGEST_PAUSE = 3, timedelta(seconds=10), timedelta(hours=6)
"""An upload that a passing fault left is tried again at once so often; then in pauses that double."""

LONGEST_WAIT_S = 1.0
"""No model waits longer than this for its batch to fill."""

AHEAD = 4
"""So many batches of models may be fetched before the engine has answered; they lie in memory."""


def pause(tries: int) -> timedelta:
    """How long after so many tries in vain the next one comes: at once, then ever later, with jitter."""
    if tries <= IMPATIENT:
        return timedelta()
    doubled = min(FIRST_PAUSE * 2.0 ** min(tries - IMPATIENT - 1, 20), LONGEST_PAUSE)
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311 - spreads requests, keeps no secret


def process(bot: Bot, fresh: Iterable[Upload]) -> list[Upload]:
    """Lead uploads to their end; the ones that a passing fault or a stop left unfinished."""
    coming, batches = iter(fresh), _Batches(bot)
    with ThreadPoolExecutor(bot.fetch_threads, thread_name_prefix="fetch") as threads:
        under_way: dict[Future[Visit], Upload] = {}
        while True:
            while len(under_way) < 2 * bot.fetch_threads and batches.have_room:
                if (upload := next(coming, None)) is None:
                    break
                bot.watch(upload)
                judged = bot.store.judgements(upload.repo) if bot.reader.autoencoders else ()
                known = bot.store.reading(upload.repo), judged
                under_way[threads.submit(visit, bot.reader, upload, *known)] = upload
            if not under_way and not batches.held:
                return batches.unfinished
            batches.hurry(nobody_comes=not under_way)
            pending: list[Future[Any]] = [*under_way, *batches.asked]
            wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in [future for future in under_way if future.done()]:
                batches.arrive(under_way.pop(future), future)
            batches.settle()
            if bot.stopping.is_set():
                for future in [future for future in under_way if future.cancel()]:
                    batches.keep(under_way.pop(future))
                for upload in coming:
                    batches.keep(upload)


_Member = tuple[Visit, Tensors]


@dataclass(slots=True)
class _Batch:
    """Visits to be answered by one expert or autoencoder, and since when the first of them waits."""

    mind: Mind
    members: list[_Member] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    @property
    def tensors(self) -> list[Tensors]:
        return [tensors for _, tensors in self.members]


@dataclass(slots=True)
class _Batches:
    """Visits on their way through the engine, gathered by who is asked; all writing happens in here."""

    bot: Bot
    gathered: dict[str, _Batch] = field(default_factory=dict)
    asked: dict[Future[list[Answer]], _Batch] = field(default_factory=dict)
    unfinished: list[Upload] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Models in memory."""
        return sum(len(batch.members) for batch in [*self.gathered.values(), *self.asked.values()])

    @property
    def have_room(self) -> bool:
        return self.held < AHEAD * self.bot.batch_size

    def arrive(self, upload: Upload, visited: Future[Visit]) -> None:
        """A visit has ended, one way or another."""
        self._alone(upload, lambda: self.take(visited.result()))

    def take(self, seen: Visit) -> None:
        """Gather a visit with tensors, first for autoencoders and then for its expert; conclude any other."""
        if seen.judging and seen.judging.tensors:
            self._gather(seen.judging.left[0], seen, seen.judging.tensors)
            return
        if seen.tensors is None or seen.others is None:
            self.bot.watch(seen.placement)
        if seen.expert is None or seen.tensors is None:
            self._conclude(seen, seen.reading())
        else:
            self._gather(seen.expert, seen, seen.tensors)

    def _gather(self, mind: Mind, seen: Visit, tensors: Tensors) -> None:
        """Ask the engine when a batch is full."""
        batch = self.gathered.setdefault(mind.folder, _Batch(mind))
        batch.members.append((seen, tensors))
        if len(batch.members) >= self.bot.batch_size:
            self._ask(self.gathered.pop(mind.folder))

    def hurry(self, *, nobody_comes: bool) -> None:
        """Ask for the batches that have waited long enough, or that nobody else will join."""
        late = time.monotonic() - LONGEST_WAIT_S
        for folder, batch in list(self.gathered.items()):
            if nobody_comes or batch.since <= late:
                self._ask(self.gathered.pop(folder))

    def settle(self) -> None:
        """Conclude the batches that are answered by now."""
        for future in [future for future in self.asked if future.done()]:
            batch = self.asked.pop(future)
            try:
                answers = future.result()
            except EngineError as error:  # no fault of these models, as far as anybody knows
                answers = [error for _ in batch.members]
            alone = any(isinstance(answer, Reading) for answer in answers)
            for (seen, _), answer in zip(batch.members, answers, strict=True):
                self._alone(seen.upload, partial(self._answered, seen, answer, alone))

    def _alone(self, upload: Upload, step: Callable[[], None]) -> None:
        """A step of one upload's, which must not stop the others whatever comes of it.

        Raises:
            StoreUnavailable: no fault of this upload, which stays unfinished until the database is well.
        """
        try:
            step()
        except PASSING as error:
            self.leave(upload, error)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.error("%s: given up: %r", upload.repo, error, exc_info=log.isEnabledFor(logging.INFO))
            self.take(failed(upload, error))

    def _answered(self, seen: Visit, answer: Answer, alone: bool) -> None:
        """What one model of a batch came to.

        Args:
            alone: others of the batch were answered, so that a failure is this model's own doing.
        """
        if seen.judging and seen.judging.tensors and not isinstance(answer, Reading):
            self.take(replace(seen, judging=seen.judging.heard(answer)))
        elif isinstance(answer, EngineError):
            if alone:
                self.give_up(seen.upload, answer, self.bot.store.tries(seen.upload) + 1)
            else:
                self.leave(seen.upload, answer)
        elif isinstance(answer, Reading):
            if seen.others is None:
                self._conclude(seen, seen.reading(answer))
            else:
                self.take(seen.heard(answer))

    def _ask(self, batch: _Batch) -> None:
        self.asked[self.bot.reader.engine.submit(batch.mind, batch.tensors)] = batch

    def _conclude(self, seen: Visit, reading: Reading) -> None:
        """The end of the path; each step may be repeated, so that a stop between two loses nothing."""
        placements, entry = [seen.placement], None
        if seen.sketch:
            placements, entry = relate(self.bot, seen.upload, seen.placement, seen.sketch)
        fault, judgements = self._judged(seen)
        record(self.bot.store, seen.upload, placements, reading, entry, judgements)
        come: tuple[Event, ...] = (*placements[1:], reading, *judgements)
        for event in come:
            self.bot.watch(event)
        try:
            suggestion = suggest(self.bot, seen.upload, reading, seen.expert) if seen.expert else None
        except PASSING as error:
            self.leave(seen.upload, error)
            return
        if fault:
            self.leave(seen.upload, fault)
        else:
            self.bot.store.finish_upload(seen.upload)
        if suggestion:
            self.bot.watch(suggestion)

    def _judged(self, seen: Visit) -> tuple[HubbotError | None, tuple[Judgement, ...]]:
        """What autoencoders said; with it the Hub's fault, where it is worth to come again for the rest."""
        if seen.judging is None:
            return None, ()
        if seen.judging.fault and self.bot.store.tries(seen.upload) + 1 < self.bot.most_tries:
            return seen.judging.fault, seen.judging.said
        return None, seen.judging.given_up().said

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

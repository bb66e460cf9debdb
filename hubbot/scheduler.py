"""When: the declared jobs of a running bot, and how it stops. Nothing else.

APScheduler 3.11, one process, memory job store: a job is code with a fixed id, and what it has to do is
in the database. A run that was missed is made up for once (`coalesce`), never twice at a time.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from hubbot.errors import HubbotError

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SET_BACK_S = 2.0
"""Clocks are trimmed by less all the time."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something done again and again, `every_s` seconds, the first time at once."""

    id: str
    every_s: float
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class JobState:
    """What a job did last.

    Args:
        runs: how often it has ended, well or not.
        failures: how often it ended with an error; `error` is that of its last run, empty if that went well.
        began_at: of the last run, which took `took_s` seconds, unless it is still `running`.
        next_at: when it runs again.
    """

    id: str
    every_s: float
    runs: int = 0
    failures: int = 0
    error: str = ""
    running: bool = False
    began_at: datetime | None = None
    ended_well_at: datetime | None = None
    took_s: float = 0.0
    next_at: datetime | None = None


class Schedule:
    """The jobs, and what is known of each.

    They share one thread, so that there is one writer.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._states = {job.id: JobState(job.id, job.every_s) for job in jobs}
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        for job in jobs:
            self._scheduler.add_job(
                self._watched(job),
                "interval",
                id=job.id,
                seconds=job.every_s,
                next_run_time=datetime.now(UTC),
            )

    def run(self, stopping: threading.Event, wall: Callable[[], float] = time.time) -> None:
        """Run the jobs until SIGTERM or Ctrl-C, then let the one at hand come to its end.

        Args:
            stopping: is set first, for a job in the middle of many uploads to see; what it leaves undone the
                next start takes up.
            wall: the clock that jobs are scheduled by. When that is set back they are all run at once: else
                they would wait for their times to come again.
        """
        ahead = wall() - time.monotonic()
        before = {number: signal.signal(number, _stopper(stopping)) for number in STOP_SIGNALS}
        self._scheduler.start()
        try:
            while not stopping.wait(timeout=1.0):  # short waits, so that Python gets to see the signal
                before_that, ahead = ahead, wall() - time.monotonic()
                if ahead < before_that - SET_BACK_S:
                    log.warning("the clock was set back by %.0f s", before_that - ahead)
                    for job in self._states:
                        self.hurry(job)
        finally:
            self._scheduler.shutdown(wait=True)
            for number, handler in before.items():
                signal.signal(number, handler)

    def hurry(self, job: str) -> None:
        """Let a job run as soon as the one at hand has ended."""
        self._scheduler.modify_job(job, next_run_time=datetime.now(UTC))

    def states(self) -> list[JobState]:
        """What each job did last, and when it runs again; from any thread."""
        due = {job.id: getattr(job, "next_run_time", None) for job in self._scheduler.get_jobs()}
        return [replace(state, next_at=due.get(state.id)) for state in self._states.values()]

    def _watched(self, job: Job) -> Callable[[], None]:
        """A job whose failure is told and does not end the service."""

        def do() -> None:
            state = replace(self._states[job.id], began_at=datetime.now(UTC))
            self._states[job.id] = replace(state, running=True)
            start = time.monotonic()
            try:
                job.do()
            except Exception as error:
                foreseen = isinstance(error, HubbotError)  # a Hub that is down for a while needs no traceback
                told = log.warning if foreseen else log.exception
                told("%s failed, and runs again in %g s: %s", job.id, job.every_s, error)
                state = replace(state, failures=state.failures + 1, error=f"{type(error).__name__}: {error}")
            else:
                state = replace(state, ended_well_at=datetime.now(UTC), error="")
            self._states[job.id] = replace(state, runs=state.runs + 1, took_s=time.monotonic() - start)

        return do


def _stopper(stopping: threading.Event) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, _: FrameType | None) -> None:
        log.info("%s: finishing what is at hand", signal.Signals(number).name)
        stopping.set()

    return stop

"""When: the declared jobs of a running bot, and how it stops. Nothing else.

APScheduler 3.11, one process, memory job store: a job is code with a fixed id, and what it has to do is
in the database. A run that was missed is made up for once (`coalesce`), never twice at a time.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Job:
    """Something done again and again, `every_s` seconds, the first time at once."""

    id: str
    every_s: float
    do: Callable[[], object]


def run(jobs: list[Job], stopping: threading.Event) -> None:
    """Run the jobs until SIGTERM or Ctrl-C, then let the one at hand come to its end.

    The jobs share one thread, so that there is one writer. `stopping` is set first, for a job in the
    middle of many uploads to see; what it leaves undone the next start takes up.
    """
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone=UTC,
    )
    for job in jobs:
        scheduler.add_job(
            _logged(job), "interval", id=job.id, seconds=job.every_s, next_run_time=datetime.now(UTC)
        )
    before = {number: signal.signal(number, _stopper(stopping)) for number in STOP_SIGNALS}
    scheduler.start()
    try:
        while not stopping.wait(timeout=1.0):  # short waits, so that Python gets to see the signal
            pass
    finally:
        scheduler.shutdown(wait=True)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopper(stopping: threading.Event) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, _: FrameType | None) -> None:
        log.info("%s: finishing what is at hand", signal.Signals(number).name)
        stopping.set()

    return stop


def _logged(job: Job) -> Callable[[], None]:
    """A job whose failure is told and does not end the service."""

    def do() -> None:
        try:
            job.do()
        except Exception:
            log.exception("%s failed; it runs again in %g s", job.id, job.every_s)

    return do

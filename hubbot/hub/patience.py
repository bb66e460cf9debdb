"""Trying again, for reads alone: a write that failed may have been done."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hubbot.errors import HubUnavailable, RateLimited

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
LONGEST_ASKED_WAIT_S = 60.0
"""Who is asked to wait longer hears of it instead of sleeping in a thread; the next poll comes anyway."""
LONGEST_WINDOW_S = 330.0
"""The Hub counts requests by windows of five minutes; a patient one sleeps such a window out."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a read is tried again.

    Args:
        retries: further tries after the first.
        sleep: seconds in, nothing out.
        longest_wait_s: what the Hub may ask for before it is an error.
    """

    retries: int = 3
    sleep: Callable[[float], None] = time.sleep
    longest_wait_s: float = LONGEST_ASKED_WAIT_S

    def with_reads(self, read: Callable[[], T]) -> T:
        """What `read` gives, tried again after a passing fault, with doubling and jittered waits.

        Raises:
            RateLimited: still, or for longer than a thread should sleep.
            HubUnavailable: still.
        """
        for attempt in range(self.retries):
            try:
                return read()
            except (HubUnavailable, RateLimited) as error:
                wait = self._wait_s(error, attempt)
                if wait is None:
                    raise
                log.info("%s; try %d of %d in %.1f s", error, attempt + 2, self.retries + 1, wait)
                self.sleep(wait)
        return read()

    def _wait_s(self, error: HubUnavailable | RateLimited, attempt: int) -> float | None:
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, keeps no secret
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        if asked is None:
            return jitter * min(LONGEST_WAIT_S, FIRST_WAIT_S * float(2**attempt))
        return asked + 0.1 * jitter if asked <= self.longest_wait_s else None

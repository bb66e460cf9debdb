"""What can go wrong on the way, switched on while the server runs.

    server.faults.add("rate-limit", path="/api/models*", times=2, seconds=1)

The faults stand in front of the routes, so that clients meet them exactly as they would on the Hub; how each
of them acts is `hubbot.localhub.faulty`'s.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from hubbot.localhub.refused import Refused

Kind = Literal[
    "latency",
    "hang",
    "rate-limit",
    "error",
    "stale-commit",
    "cut",
    "lost-reply",
    "ignore-range",
    "wrong-range",
    "repeat-page",
    "twice",
    "late-list",
]


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: what it does.
            `latency` waits `seconds` first; what was asked is done even if nobody waits any longer.
            `hang` does nothing and answers nothing; after `seconds` the connection breaks.
            `rate-limit` answers 429 and says when to come back, in `seconds`.
            `error` answers 500.
            `stale-commit` answers 412, as if somebody had just committed.
            `cut` breaks the connection off after `bytes` of the body.
            `lost-reply` does what was asked, and then hangs.
            `ignore-range` answers 200 with the whole file.
            `wrong-range` says in `Content-Range` that these were other bytes than asked for.
            `repeat-page` answers with the first page of a listing, whichever was asked for.
            `twice` does what was asked twice, as a proxy that asks again, and gives the second answer.
            `late-list` leaves discussions out of a repo's list until they are `seconds` old.
        path: glob over the address's path; `*` also crosses slashes.
        method: only this one, if given.
        probability: of striking a request that matches.
        times: how often it still strikes; None for ever.
        remaining: the `r` of the RateLimit header, since a 429 can come while some are left.
    """

    kind: Kind
    path: str = "*"
    method: str | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 1.0
    bytes: int = 1000
    remaining: int = 0


class Faults:
    """The faults that are switched on, in the order in which they are tried. Safe across threads."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._faults, self._random, self._lock = list(faults), random.Random(seed), threading.Lock()  # noqa: S311 - dice, not secrets
        self.struck = 0

    def add(self, kind: Kind, **how: Any) -> Fault:
        """Switch a fault on; see `Fault` for what it takes."""
        if kind not in get_args(Kind):
            raise Refused(400, f"No such fault: {str(kind)[:80]}")
        fault = Fault(kind, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> int:
        """Switch all off, and return how often they have struck since the last time."""
        with self._lock:
            self._faults.clear()
            struck, self.struck = self.struck, 0
        return struck

    def strike(self, method: str, path: str) -> list[Fault]:
        """The faults that this request meets; each one that does is counted down."""
        with self._lock:
            met = [fault for fault in self._faults if self._meets(fault, method, path)]
            for fault in met:
                fault.times = None if fault.times is None else fault.times - 1
            self.struck += len(met)
        return met

    def _meets(self, fault: Fault, method: str, path: str) -> bool:
        matches = fault.times != 0 and fault.method in {None, method} and fnmatchcase(path, fault.path)
        return matches and self._random.random() < fault.probability

"""Answers that are dear to work out, kept for as long as the database stays as it is."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

DEAR_S = 0.2
"""An answer that took no longer is made anew at every change."""

WORTH = 15.0
"""A dear one may be outdated for that many times what it took: a bot that writes every second would have it
worked out for every visitor otherwise."""


class Kept:
    """The answers asked for last. Safe to use from several threads: who asks for the same waits for it.

    Args:
        state: differs when the answers may.
        most: how many to keep.
    """

    def __init__(self, state: Callable[[], object], most: int) -> None:
        self._state, self._most = state, most
        self._lock = Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def get(self, key: Hashable, work_out: Callable[[], T]) -> T:
        """What was worked out under this key, or is now."""
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer.get(self._state, work_out)


class _Answer:
    def __init__(self) -> None:
        self._lock = Lock()
        self._value: Any = None
        self._state: object = None
        self._until = float("-inf")

    def get(self, state: Callable[[], object], work_out: Callable[[], T]) -> T:
        with self._lock:
            now, begun = state(), time.monotonic()
            if now != self._state and begun >= self._until:
                self._value = work_out()
                ended = time.monotonic()
                self._state = now
                self._until = ended + WORTH * (ended - begun) if ended - begun > DEAR_S else ended
            value: T = self._value
            return value

"""What is read when it is first asked for, and kept: every layer of a sweep asks for the same models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Once(dict[K, V]):
    """A dict that makes what it lacks; what cannot be made is not kept."""

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: K) -> V:
        value = self[key] = self.make(key)
        return value

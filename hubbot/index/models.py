"""Models as a search meets them, wherever they lie.

Letters: n models, k concepts, d a shelf's dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hubbot.index.chances import Chances, Mask
from hubbot.index.columns import Columns

if TYPE_CHECKING:
    from hubbot.index.question import Filters
    from hubbot.records import Floats


class Vectors(Protocol):
    """Where the models lie in their shelf's space."""

    def take(self, rows: NDArray[Any]) -> Floats:
        """The vectors of m rows, (m, d)."""

    def nearest(self, vector: Floats, most: int, mask: Mask | None) -> tuple[NDArray[Any], Floats]:
        """The rows that lie nearest to a unit vector, at most so many of those that the mask allows, and
        how near, as cosines of codes where there are any."""


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """A part of a shelf, which never changes: a new one is made instead.

    Args:
        name: the repo of a row.
        columns, rest, chances, vectors: of all n rows; `rest` as the shelf's kind gives it.
        alive: rows that still hold, (n,); None where all do.
    """

    name: Callable[[int], str]
    columns: Columns
    rest: Floats
    chances: Chances
    vectors: Vectors
    alive: Mask | None = None

    def __len__(self) -> int:
        return len(self.rest)

    def mask(self, filters: Filters, concept: int | None) -> Mask | None:
        """Which rows are to be looked at, (n,); None for all.

        Args:
            concept: only models in which it was recognised.
        """
        mask = self.columns.mask(filters)
        if concept is not None:
            knows = np.zeros(len(self), np.bool_)
            knows[self.chances.surely(concept)] = True
            mask = knows if mask is None else mask & knows
        if self.alive is None:
            return mask
        return self.alive if mask is None else mask & self.alive


def largest(values: Floats, most: int) -> NDArray[np.intp]:
    """Where the largest values stand, at most so many, in no order."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.argpartition(-values, most - 1)[:most]


def allowed(mask: Mask | None, n: int) -> NDArray[np.intp]:
    return np.arange(n) if mask is None else np.flatnonzero(mask)


def newest(changed: NDArray[Any], mask: Mask | None, most: int) -> NDArray[np.intp]:
    """The rows changed last, at most so many of those that the mask allows."""
    rows = allowed(mask, len(changed))
    return rows[largest(changed[rows], most)]

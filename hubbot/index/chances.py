"""Which model likely knows which concept: sparse, since of a thousand concepts most models know one.

Letters: n models, k concepts, e pairs of a model and a concept that it may know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hubbot.records import Floats

Mask = NDArray[np.bool_]
"""Which of n models count, (n,)."""

Sums = tuple[NDArray[Any], "Floats"]
"""Rows without repetition, and a number for each."""

KEPT = 0.02
"""Smaller chances are looked up when a model is scored, but bring up no candidate."""

WIDEST = 32
"""So many concepts bring up candidates, those that are meant the most."""


@dataclass(frozen=True, slots=True, eq=False)
class Scattered:
    """In the order in which models came; for some ten thousand of them.

    Args:
        rows, concepts, chance: (e,).
        sure: whether it was recognised, (e,).
    """

    rows: NDArray[Any]
    concepts: NDArray[Any]
    chance: NDArray[Any]
    sure: Mask

    def sums(self, weights: Floats, n: int, mask: Mask | None, most: int | None) -> Sums:
        """Models that know what is meant, and Σ weight · chance of each, before the rest is looked at.

        Args:
            weights: (k,).
            mask: whose rows count, (n,).
            most: so many of each concept are enough; None for all.

        Returns:
            Rows without repetition, and their sums.
        """
        del most
        sums = np.bincount(self.rows, weights[self.concepts] * self.chance, n)
        rows = np.flatnonzero((sums > 0) & (mask if mask is not None else True))
        return rows, np.asarray(sums[rows], np.float32)

    def surely(self, concept: int) -> NDArray[Any]:
        """The models in which it was recognised."""
        return np.asarray(self.rows[(self.concepts == concept) & self.sure])

    def counts(self, k: int, mask: Mask | None) -> NDArray[np.intp]:
        """In how many models each concept was recognised, (k,)."""
        counted = self.sure if mask is None else self.sure & mask[self.rows]
        return np.asarray(np.bincount(self.concepts[counted], minlength=k), np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """By concept, and there the likeliest model first; for millions of models.

    Args:
        starts: where each concept begins, (k + 1,).
        rows, chance, sure: (e,).
    """

    starts: NDArray[Any]
    rows: NDArray[Any]
    chance: NDArray[Any]
    sure: Mask

    @classmethod
    def of(cls, found: Scattered, k: int) -> Sorted:
        order = np.lexsort((found.rows, -found.chance, found.concepts))
        starts = np.searchsorted(found.concepts[order], np.arange(k + 1))
        return cls(starts, found.rows[order], found.chance[order], found.sure[order])

    def sums(self, weights: Floats, n: int, mask: Mask | None, most: int | None) -> Sums:
        """See `Scattered.sums`."""
        rows: list[NDArray[Any]] = [np.zeros(0, np.uint32)]
        shares: list[Floats] = [np.zeros(0, np.float32)]
        for concept in np.argsort(-weights)[:WIDEST]:
            if weights[concept] > 0:
                part = self._likeliest(int(concept), mask, most)
                rows.append(self.rows[part])
                shares.append(weights[concept] * self.chance[part].astype(np.float32))
        found, share = np.concatenate(rows), np.concatenate(shares)
        if len(found) > n // 8:  # counting all is quicker than sorting these
            sums = np.bincount(found, share, n)
            some = np.flatnonzero(sums)
            return some, np.asarray(sums[some], np.float32)
        once, place = np.unique(found, return_inverse=True)
        return once, np.asarray(np.bincount(place, share, len(once)), np.float32)

    def _likeliest(self, concept: int, mask: Mask | None, most: int | None) -> slice | NDArray[Any]:
        """Where the likeliest models of a concept stand that the mask allows."""
        start, end = int(self.starts[concept]), int(self.starts[concept + 1])
        if mask is None:
            return slice(start, end if most is None else min(end, start + most))
        found, width = np.zeros(0, np.intp), end - start if most is None else 4 * most
        while start < end and (most is None or len(found) < most):
            stop = min(end, start + width)
            found = np.concatenate([found, start + np.flatnonzero(mask[self.rows[start:stop]])])
            start, width = stop, 4 * width
        return found[:most]

    def surely(self, concept: int) -> NDArray[Any]:
        place = slice(int(self.starts[concept]), int(self.starts[concept + 1]))
        return np.asarray(self.rows[place][self.sure[place]])

    def counts(self, k: int, mask: Mask | None) -> NDArray[np.intp]:
        counted = np.concatenate([[0], np.cumsum(self.sure if mask is None else self.sure & mask[self.rows])])
        return np.asarray(np.diff(counted[self.starts[: k + 1]]), np.intp)


Chances = Scattered | Sorted


def kept(known: Floats, sure: Mask, first: int) -> Scattered:
    """Of chances, (n, k), those that are worth keeping, of rows from `first` on; what is sure always is."""
    rows, concepts = np.nonzero((known >= KEPT) | sure)
    return Scattered(
        (rows + first).astype(np.uint32),
        concepts.astype(np.uint32),
        known[rows, concepts].astype(np.float32),
        sure[rows, concepts],
    )

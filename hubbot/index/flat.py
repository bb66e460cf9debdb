"""Models in memory, compared with exactly: all of a small shelf, or what a large one got since its base was
made.

Rows are only ever added; what is replaced or gone is marked as dead. A search works on what `seen` gave it
while more rows are added behind those.

Letters: n models, k concepts, d a shelf's dimension, e pairs of a model and a concept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hubbot.index.chances import Mask, Scattered, kept
from hubbot.index.columns import WORDS, Columns, Words, facts
from hubbot.index.kinds import Kind
from hubbot.index.models import Models, allowed, largest

if TYPE_CHECKING:
    from hubbot.records import Findable, Floats


class Growing:
    """An array that rows are added to; what was there before them never moves under who looks at it."""

    def __init__(self, dtype: DTypeLike, *shape: int) -> None:
        self._room, self.n = np.empty((64, *shape), dtype), 0

    def extend(self, rows: NDArray[Any]) -> None:
        needed = self.n + len(rows)
        if needed > len(self._room):
            room = np.empty((max(needed, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype)
            room[: self.n] = self._room[: self.n]
            self._room = room
        self._room[self.n : needed] = rows
        self.n = needed

    @property
    def rows(self) -> NDArray[Any]:
        return self._room[: self.n]


class Matrix:
    """Vectors in memory, (n, d)."""

    def __init__(self, rows: Floats) -> None:
        self._rows = rows

    def take(self, rows: NDArray[Any]) -> Floats:
        return np.asarray(self._rows[rows])

    def nearest(self, vector: Floats, most: int, mask: Mask | None) -> tuple[NDArray[Any], Floats]:
        rows = allowed(mask, len(self._rows))
        # Most of a matrix is compared as it lies; of a few rows of it, those alone.
        near = (self._rows @ vector)[rows] if 2 * len(rows) > len(self._rows) else self._rows[rows] @ vector
        best = largest(near, most)
        return rows[best], near[best]


class Flat:
    """The models of one shelf that lie in memory.

    Args:
        kind: what they are to a text.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.place: dict[str, int] = {}
        self._names: list[str] = []
        self._vectors, self._rest = Growing(np.float32, kind.dimension), Growing(np.float32)
        self._facts = {name: Growing(np.uint64) for name in WORDS} | {"changed": Growing(np.uint32)}
        self._alive = Growing(np.bool_)
        self._rows, self._concepts = Growing(np.uint32), Growing(np.uint32)
        self._chance, self._sure = Growing(np.float32), Growing(np.bool_)

    def add(self, models: Sequence[Findable], vectors: Floats, sure: Mask) -> None:
        """Models that are not here, or no longer.

        Args:
            vectors: (m, d).
            sure: which concepts were recognised in them, (m, k).
        """
        X = self.kind.taken(vectors)
        known, rest = self.kind.known(X)
        pairs = kept(known, sure, len(self._names))
        for array, rows in (
            (self._vectors, X),
            (self._rest, rest),
            (self._alive, np.ones(len(models), np.bool_)),
            (self._rows, pairs.rows),
            (self._concepts, pairs.concepts),
            (self._chance, pairs.chance),
            (self._sure, pairs.sure),
            *((self._facts[name], values) for name, values in facts(models).items()),
        ):
            array.extend(rows)
        for model in models:
            self.place[model.repo] = len(self._names)
            self._names.append(model.repo)

    def drop(self, repos: Iterable[str]) -> None:
        for repo in repos:
            row = self.place.pop(repo, None)
            if row is not None:
                self._alive.rows[row] = False

    def __len__(self) -> int:
        """How many still hold."""
        return len(self.place)

    def seen(self) -> Models:
        """All that is here now, for a search to look at."""
        dead = len(self.place) < len(self._names)
        return Models(
            name=self._names.__getitem__,
            columns=Columns(
                {name: Words(self._facts[name].rows) for name in WORDS}, self._facts["changed"].rows
            ),
            rest=self._rest.rows,
            chances=Scattered(self._rows.rows, self._concepts.rows, self._chance.rows, self._sure.rows),
            vectors=Matrix(self._vectors.rows),
            alive=self._alive.rows.copy() if dead else None,
        )

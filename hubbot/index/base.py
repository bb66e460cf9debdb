"""Models on the disk, for millions of them: written once, mapped into memory, never changed.

A base holds the models of one shelf in the order of their names. Nearest ones are found through an inverted
file over codes of six bits a number (faiss), and then compared as exactly as they were kept, which takes one
short read each and leaves the vectors out of memory. A shelf that is small has no codes, and is compared with
as a whole.

    config.json       n, d, of what dtype; how many models the centroids were trained on
    vectors           (n, d), as the kind keeps them
    codes.faiss       the inverted file, if there is one
    rest.npy  chances-*.npy  column-*.npy  known-*.npy  names.npy  names-starts.npy

Letters: n models, k concepts, d a shelf's dimension.
"""

from __future__ import annotations

import json
import os
import weakref
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from numpy.typing import DTypeLike, NDArray

from hubbot.errors import IndexDamaged
from hubbot.index.chances import Mask, Sorted
from hubbot.index.columns import WORDS, Columns, Words
from hubbot.index.flat import Matrix
from hubbot.index.kinds import Kind
from hubbot.index.models import Models, Vectors, allowed, largest

if TYPE_CHECKING:
    from hubbot.records import Floats

CONFIG, VECTORS, CODES = "config.json", "vectors", "codes.faiss"

SMALL = 20_000
"""Up to so many models a search compares with all of them."""

PROBES = 8
"""Cells that are looked into where no filter holds; more, the fewer models a filter leaves."""
MOST_PROBES = 512

FEW = 2_000
"""So few models that a filter leaves are read and compared with as they are."""


class Base:
    """The models of one shelf that lie on the disk.

    Args:
        folder: as `hubbot.index.writing` made it.

    Raises:
        IndexDamaged: something is missing there, or not what it should be.
    """

    def __init__(self, folder: Path, kind: Kind) -> None:
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            self.trained = int(config["trained"])
            n, d = int(config["n"]), int(config["d"])
            if d != kind.dimension:
                raise IndexDamaged(f"{d} numbers a model, {kind.dimension} are needed", file=str(folder))
            self._names, self._starts = _array(folder, "names"), _array(folder, "names-starts")
            self.models = Models(
                name=self._name,
                columns=Columns(
                    {name: _words(folder, name) for name in WORDS},
                    _array(folder, "column-changed"),
                ),
                rest=_array(folder, "rest"),
                chances=Sorted(*(_array(folder, f"chances-{part}") for part in CHANCES)),
                vectors=_vectors(folder, n, d, kind.dtype),
            )
            if len(self.models) != n or len(self._starts) != n + 1:
                raise IndexDamaged(f"there are not {n} models", file=str(folder))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise IndexDamaged(f"cannot be read: {error}", file=str(folder)) from error

    def _name(self, row: int) -> str:
        return bytes(self._names[self._starts[row] : self._starts[row + 1]]).decode()

    def row(self, repo: str) -> int | None:
        """Where a repo stands; None where it does not."""
        # In UTF-8, bytes sort as letters do.
        place = bisect_left(range(len(self.models)), repo.encode(), key=lambda i: self._name(i).encode())
        return place if place < len(self.models) and self._name(place) == repo else None

    def without(self, alive: Mask) -> Models:
        """The same models, of which some no longer hold."""
        return replace(self.models, alive=alive)


CHANCES = ("starts", "rows", "chance", "sure")


def _array(folder: Path, name: str) -> NDArray[Any]:
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))


def _words(folder: Path, name: str) -> Words:
    return Words(_array(folder, f"column-{name}"), _array(folder, f"known-{name}"))


def _vectors(folder: Path, n: int, d: int, dtype: DTypeLike) -> Vectors:
    if (folder / CODES).exists():
        return Inverted(folder, n, d, dtype)
    stored = np.fromfile(folder / VECTORS, dtype).reshape(n, d)
    return Matrix(stored.astype(np.float32))


class Inverted:
    """Vectors in a file, and codes of them in cells: near ones are looked for in the nearest cells."""

    def __init__(self, folder: Path, n: int, d: int, dtype: DTypeLike) -> None:
        self._n, self._d, self._dtype = n, d, np.dtype(dtype)
        self._file = os.open(folder / VECTORS, os.O_RDONLY)
        weakref.finalize(
            self, os.close, self._file
        )  # a search may be at it when another base takes its place
        if os.fstat(self._file).st_size != n * d * self._dtype.itemsize:
            raise ValueError(f"{VECTORS} has not {n} vectors")
        self._codes = faiss.read_index(str(folder / CODES), faiss.IO_FLAG_MMAP_IFC)
        if (self._codes.ntotal, self._codes.d) != (n, d):
            raise ValueError(f"{CODES} is of other vectors")

    def take(self, rows: NDArray[Any]) -> Floats:
        """Read, not mapped: what was looked at does not stay in memory."""
        size, file = self._d * self._dtype.itemsize, self._file
        raw = b"".join([os.pread(file, size, row * size) for row in rows.tolist()])
        return np.frombuffer(raw, self._dtype).reshape(len(rows), self._d).astype(np.float32)

    def nearest(self, vector: Floats, most: int, mask: Mask | None) -> tuple[NDArray[Any], Floats]:
        left = self._n if mask is None else int(np.count_nonzero(mask))
        if left <= FEW:
            rows = allowed(mask, self._n)
            near = self.take(rows) @ vector
            best = largest(near, most)
            return rows[best], near[best]
        faiss.omp_set_num_threads(1)  # of this thread; several searches share the cores better than one does
        chosen = None if mask is None else np.packbits(mask, bitorder="little")
        given = faiss.SearchParametersIVF(
            nprobe=min(PROBES * self._n // left, MOST_PROBES),
            sel=None if chosen is None else faiss.IDSelectorBitmap(chosen),
        )
        near, rows = self._codes.search(np.asarray(vector, np.float32)[None], most, params=given)
        there = rows[0] >= 0
        return np.asarray(rows[0][there]), np.asarray(near[0][there])

"""Fetch, some rows at a time: models that are too large to be held, or to be had in one piece.

    matrices ──► blocks of rows ──► batches of a few megabytes ──► range requests ──► float32, side by side

Of a large tensor a block is some of its rows, and a batch is about one block; small neighbours come together,
many of them with one request. While one batch is used the next one is on its way, and no more than these two
are held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hubbot.errors import NotFinite, ShapeMismatch, WeightsError
from hubbot.hub.client import Hub
from hubbot.hub.files import Opened, entries_of, family_of, read_parts, widened
from hubbot.hub.ranges import Meter, Span
from hubbot.records import RemoteFile, Upload
from hubbot.weights.dtypes import Floats
from hubbot.weights.header import TensorEntry

BLOCK_BYTES = 4_000_000
"""What is fetched together, and the most that one request asks for."""
WHOLE_BYTES = 500_000
"""A smaller tensor is read whole with its matrix's first rows, as a bias beside a large weight is."""
GAP_BYTES = 64_000
"""What is read over rather than to ask again. Every part counts as so much more, which bounds what a file
with thousands of small tensors in an odd order makes us hold."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tensors side by side, of which each has as many numbers for every row.

    Args:
        rows: at least one.
        tensors: name and expected shape, in the order of columns.
    """

    rows: int
    tensors: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of a tensor, as they lie in a file."""

    name: str
    source: Opened
    entry: TensorEntry


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows `begin` up to, not including, `end` of a matrix, and what has to be read for them."""

    matrix: int
    begin: int
    end: int
    parts: tuple[_Part, ...]

    @property
    def cost(self) -> int:
        return sum(part.entry.nbytes + GAP_BYTES for part in self.parts)


def rows(
    hub: Hub,
    upload: Upload,
    matrices: Sequence[Matrix],
    file: RemoteFile | None = None,
    *,
    meter: Meter | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[int, Floats]]:
    """Matrices from the Hub, block by block: which one, and its next rows, (rows, width) in float32.

    Args:
        file: the one file to read from, in a repo that bundles many models.
        meter: counts what crossed the wire.
        block_bytes: see `BLOCK_BYTES`; but a row is never parted, however long.

    Raises:
        TensorNotFound: a name that the files have not.
        ShapeMismatch: a tensor of another shape than the one expected.
        UnsupportedDtype: a tensor that is not plain numbers.
        NotFinite: numbers that are not finite, or too large for float32.
        WeightsError: a row larger than the Hub object's limit for a tensor; see also `tensors.contents`.
    """
    meter = meter or Meter()
    names = [name for matrix in matrices for name in matrix.tensors]
    entries = entries_of(hub, upload, family_of(hub, upload, meter, file), names, meter)
    for matrix in matrices:
        _check(hub, matrix, entries)
    blocks = (
        block
        for at, matrix in enumerate(matrices)
        for block in _blocks(at, matrix, {name: entries[name] for name in matrix.tensors}, block_bytes)
    )
    reader = _Reader(hub, matrices, meter, block_bytes)
    return _ahead(_batches(blocks, block_bytes), reader.values)


def _check(hub: Hub, matrix: Matrix, entries: Mapping[str, tuple[Opened, TensorEntry]]) -> None:
    for name, shape in matrix.tensors.items():
        source, entry = entries[name]
        where = {"repo": source.place.repo, "file": source.place.file.path, "tensor": name}
        if entry.shape != shape:
            raise ShapeMismatch(f"its shape is {entry.shape}, expected {shape}", **where)
        if math.prod(shape) % matrix.rows:
            raise ShapeMismatch(f"shape {shape} has no {matrix.rows} rows", **where)
        if (row := entry.nbytes // matrix.rows) > hub.max_tensor_bytes:
            raise WeightsError(f"{row} bytes a row are over the limit of {hub.max_tensor_bytes}", **where)


def _blocks(
    at: int, matrix: Matrix, entries: Mapping[str, tuple[Opened, TensorEntry]], most: int
) -> Iterator[_Block]:
    """A matrix cut across its rows so that each block has about as many bytes as may be."""
    whole = {name for name, (_, entry) in entries.items() if entry.nbytes <= min(WHOLE_BYTES, most)}
    row = sum(entry.nbytes for name, (_, entry) in entries.items() if name not in whole) / matrix.rows
    step = max(1, int(most / row)) if row else matrix.rows
    for begin in range(0, matrix.rows, step):
        end = min(begin + step, matrix.rows)
        parts = [
            _Part(name, source, _some(entry, matrix.rows, begin, matrix.rows if name in whole else end))
            for name, (source, entry) in entries.items()
            if begin == 0 or name not in whole
        ]
        yield _Block(at, begin, end, tuple(parts))


def _some(entry: TensorEntry, rows: int, begin: int, end: int) -> TensorEntry:
    """Rows of a tensor as an entry of its own, flat but for them."""
    row = entry.nbytes // rows
    shape = (end - begin, math.prod(entry.shape) // rows)
    return TensorEntry(entry.dtype, shape, entry.begin + begin * row, entry.begin + end * row)


def _batches(blocks: Iterable[_Block], most: int) -> Iterator[list[_Block]]:
    """Neighbours that together cost no more than one may."""
    batch: list[_Block] = []
    total = 0
    for block in blocks:
        if batch and total + block.cost > most:
            yield batch
            batch, total = [], 0
        batch.append(block)
        total += block.cost
    if batch:
        yield batch


class _Reader:
    """Batches of blocks into numbers; in their order, since a small tensor is kept until its matrix ends."""

    def __init__(self, hub: Hub, matrices: Sequence[Matrix], meter: Meter, most: int) -> None:
        self._hub, self._matrices, self._meter, self._most = hub, matrices, meter, most
        self._kept: dict[str, Floats] = {}

    def values(self, batch: Sequence[_Block]) -> list[tuple[int, Floats]]:
        """The rows of a batch."""
        pieces = self._pieces([part for block in batch for part in block.parts])
        return [(block.matrix, self._joined(block, pieces)) for block in batch]

    def _pieces(self, parts: Sequence[_Part]) -> dict[str, list[tuple[Span, bytes]]]:
        """The bytes of parts, file by file."""
        asked: dict[str, tuple[Opened, list[TensorEntry]]] = {}
        for part in parts:
            asked.setdefault(part.source.place.file.path, (part.source, []))[1].append(part.entry)
        return {
            path: read_parts(self._hub, source, entries, self._meter, most=self._most, gap=GAP_BYTES)
            for path, (source, entries) in asked.items()
        }

    def _joined(self, block: _Block, pieces: Mapping[str, Sequence[tuple[Span, bytes]]]) -> Floats:
        """What a block's tensors hold, side by side. (rows, width)"""
        if block.begin == 0:
            self._kept.clear()
        fresh = {part.name: _finite(part, pieces[part.source.place.file.path]) for part in block.parts}
        columns = []
        for name in self._matrices[block.matrix].tensors:
            if name in fresh and len(fresh[name]) > block.end - block.begin:
                self._kept[name] = fresh[name]
            found = self._kept[name][block.begin : block.end] if name in self._kept else fresh[name]
            columns.append(found)
        return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _finite(part: _Part, pieces: Sequence[tuple[Span, bytes]]) -> Floats:
    values = widened(part.source, part.name, part.entry, pieces)
    if not np.isfinite(values).all():
        place = part.source.place
        why = "it holds numbers that are not finite as float32"
        raise NotFinite(why, repo=place.repo, file=place.file.path, tensor=part.name)
    return values


def _ahead(
    batches: Iterable[Sequence[_Block]], values: Callable[[Sequence[_Block]], list[tuple[int, Floats]]]
) -> Iterator[tuple[int, Floats]]:
    """The values of batches, the next of which is fetched while one is used."""
    with ThreadPoolExecutor(1, "rows") as thread:
        coming: Future[list[tuple[int, Floats]]] | None = None
        for batch in batches:
            present, coming = coming, thread.submit(values, batch)
            if present is not None:
                yield from present.result()
        if coming is not None:
            yield from coming.result()

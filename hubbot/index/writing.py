"""Writes a base: the models of one shelf, as they come by name, to a folder that `hubbot.index.base` opens.

What was read so far lies on the disk and not in memory, so that millions may come. The centroids are those of
the base before, until there are twice as many models as these were trained on: cells would grow too full.

Letters: n models, d a shelf's dimension.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from numpy.typing import NDArray

from hubbot.index.base import CHANCES, CODES, CONFIG, SMALL, VECTORS
from hubbot.index.chances import Mask, Scattered, Sorted, kept
from hubbot.index.columns import WORDS, Words, facts
from hubbot.index.kinds import Kind

if TYPE_CHECKING:
    from hubbot.records import Findable, Floats

CODE = faiss.ScalarQuantizer.QT_6bit
"""Bits that a number of a vector has in a code: with 4, near ones are lost; with 8, a third more is in
memory."""

PER_CENTROID = 32
"""Models that a centroid is trained on, at least for a fair one."""
ROUNDS = 8
"""Of k-means; more change little."""
SEED = 7
OUTGROWN = 2
AT_ONCE = 50_000  # vectors that are coded together


class Writer:
    """A base in the making; complete when the block ends well.

    Args:
        before: the folder of the shelf's last base, whose centroids may still do.
    """

    def __init__(self, folder: Path, kind: Kind, before: Path | None = None) -> None:
        self._folder, self._kind, self._before = folder, kind, before
        folder.mkdir(parents=True)
        self._vectors = (folder / VECTORS).open("wb")
        self._names: list[str] = []
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in (*WORDS, "changed", "rest")}
        self._pairs: list[Scattered] = []

    def add(self, models: Sequence[Findable], vectors: Floats, sure: Mask) -> None:
        """Further models, whose names come after all names so far; see `Flat.add`."""
        X = self._kind.taken(vectors)
        known, rest = self._kind.known(X)
        self._pairs.append(kept(known, sure, len(self._names)))
        X.astype(self._kind.dtype).tofile(self._vectors)
        for name, values in {**facts(models), "rest": rest}.items():
            self._columns[name].append(values)
        self._names += [model.repo for model in models]

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._vectors.close()
        if error is None:
            self._finish()

    def _finish(self) -> None:
        names = [name.encode() for name in self._names]
        self._save("names", np.frombuffer(b"".join(names), np.uint8))
        self._save("names-starts", np.cumsum([0, *map(len, names)]))
        for name in WORDS:
            words = Words.packed(np.concatenate(self._columns[name]))
            self._save(f"column-{name}", words.numbers)
            self._save(f"known-{name}", np.asarray(words.known))
        self._save("column-changed", np.concatenate(self._columns["changed"]))
        self._save("rest", np.concatenate(self._columns["rest"]).astype(np.float32))
        pairs = Scattered(
            *(np.concatenate([getattr(p, part) for p in self._pairs]) for part in Scattered.__slots__)
        )
        by_concept = Sorted.of(pairs, len(self._kind.texts))
        for part in CHANCES:
            self._save(f"chances-{part}", getattr(by_concept, part))
        n, d = len(names), self._kind.dimension
        trained = self._code(n, d) if n > SMALL and not self._kind.full else 0
        config = {"n": n, "d": d, "trained": trained}
        (self._folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")

    def _save(self, name: str, values: NDArray[Any]) -> None:
        np.save(self._folder / f"{name}.npy", values, allow_pickle=False)

    def _code(self, n: int, d: int) -> int:
        """The inverted file; how many models its centroids were trained on."""
        vectors = np.memmap(self._folder / VECTORS, self._kind.dtype, "r", shape=(n, d))
        quantizer, trained = self._centroids(vectors)
        codes = faiss.IndexIVFScalarQuantizer(
            quantizer, d, quantizer.ntotal, CODE, faiss.METRIC_INNER_PRODUCT, False
        )
        codes.train(_some(vectors, PER_CENTROID * quantizer.ntotal))
        for start in range(0, n, AT_ONCE):
            codes.add(vectors[start : start + AT_ONCE].astype(np.float32))
        faiss.write_index(codes, str(self._folder / CODES))
        return trained

    def _centroids(self, vectors: NDArray[Any]) -> tuple[faiss.IndexFlatIP, int]:
        n, d = vectors.shape
        if self._before and (self._before / CODES).exists():
            trained = int(json.loads((self._before / CONFIG).read_text(encoding="utf-8"))["trained"])
            if n < OUTGROWN * trained:
                old = faiss.read_index(str(self._before / CODES), faiss.IO_FLAG_MMAP_IFC)
                return faiss.clone_index(faiss.downcast_index(old.quantizer)), trained
        cells = 2 ** round(math.log2(4 * math.sqrt(n)))
        means = faiss.Kmeans(
            d,
            cells,
            niter=ROUNDS,
            spherical=True,
            seed=SEED,
            min_points_per_centroid=1,
            max_points_per_centroid=PER_CENTROID,
        )
        means.train(_some(vectors, PER_CENTROID * cells))
        quantizer = faiss.IndexFlatIP(d)
        quantizer.add(means.centroids)
        return quantizer, n


def _some(vectors: NDArray[Any], most: int) -> Floats:
    """At most so many of them, here and there, always the same."""
    n = len(vectors)
    rows = np.sort(np.random.default_rng(SEED).permutation(n)[:most])
    return np.asarray(vectors[rows], np.float32)

"""A map of embeddings: models that were read alike lie side by side.

t-SNE (van der Maaten & Hinton, 2008) by scikit-learn, begun from the two main axes, so that the same models
give the same map. It keeps who is near whom; distances across the map mean nothing.

Letters: n models, d the space that they were read into.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hubbot.records import Floats

FEWEST = 8
"""Of fewer models a map would show nothing but chance."""

PERPLEXITY, STEPS = 30.0, 500
LETTER, LINE = 0.023, 0.055
"""A caption's size by letter and line, in a map from -1 to 1."""

MOST_CAPTIONS = 24

Places = NDArray[np.float64]


def chart(vectors: Floats, *, by_angle: bool) -> Places | None:
    """Places in the square from -1 to 1, (n, 2); None where there are too few models, or all are alike.

    On one thread: whoever searches meanwhile needs the other.

    Args:
        vectors: (n, d).
        by_angle: whether two are alike that point the same way, whatever their length.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n = len(vectors)
    if n < FEWEST:
        return None
    if by_angle:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    centred = np.asarray(vectors, np.float64) - vectors.mean(0, dtype=np.float64)
    if not np.abs(centred).max(initial=0.0) > 1e-6:
        return None
    perplexity = min(PERPLEXITY, (n - 1) / 3)
    with threadpool_limits(limits=1, user_api="openmp"):  # of this thread alone
        found = TSNE(
            perplexity=perplexity, init=_main_axes(centred), random_state=0, n_jobs=1, max_iter=STEPS
        ).fit_transform(np.asarray(centred, np.float32))
    found = np.asarray(found, np.float64) - (found.min(0) + found.max(0)) / 2
    return np.asarray(found / max(1e-12, np.abs(found).max()))


def _main_axes(centred: Places) -> Floats:
    """Each model's place on the two axes along which they differ the most, tiny as t-SNE wants it. (n, 2)"""
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    begun = left[:, :2] * sizes[:2]
    begun *= np.where(begun[np.abs(begun).argmax(0), np.arange(begun.shape[1])] < 0, -1.0, 1.0)
    if begun.shape[1] < 2:
        begun = np.hstack([begun, np.zeros_like(begun)])
    return np.asarray(begun / max(1e-12, begun[:, 0].std()) * 1e-4, np.float32)


def captions(places: Places, names: Sequence[str | None]) -> list[tuple[str, float, float]]:
    """Which names to write on a map, and where: at the middle one of those that have it, none over another.

    Args:
        places: (n, 2).
        names: of each model, or None; the most frequent are written first.
    """
    of: defaultdict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        if name:
            of[name].append(i)
    written: list[tuple[str, float, float]] = []
    for name, members in sorted(of.items(), key=lambda item: (-len(item[1]), item[0]))[: 4 * MOST_CAPTIONS]:
        own = places[members]
        x, y = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()].tolist()
        if all(
            abs(y - other[2]) >= LINE or abs(x - other[1]) >= LETTER * (len(name) + len(other[0])) / 2
            for other in written
        ):
            written.append((name, x, y))
    return written[:MOST_CAPTIONS]

"""The fingerprint of a root: a few rows of a few hidden tensors, enough to know its children by.

Fine-tuning moves weights little against where pre-training put them ("Revealing Secrets From Pre-trained
Models", arXiv 2207.09539), and a hundred neurons tell as much as all of them (Model Atlas, arXiv 2503.10633).
So a handful of rows is read, a few kilobytes of a small model and some hundred of a large one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from hubbot.records import Wanted

if TYPE_CHECKING:
    from hubbot.records import Floats

ROWS = 2
TENSORS = 4
MIN_ROW_VALUES = 32  # shorter rows are alike by chance
MAX_ROW_BYTES = 400_000  # as float32; with all rows of all tensors this stays under 5 MB

SAME_ROOT = 0.5
"""At this mean cosine two models have one root. All 900 children of the digits zoo measure 0.83 to 1.0 with
their root and at most 0.11 with its sibling of another seed. The mean over k rows of n unrelated values
spreads by about 1/sqrt(n·k), which is 0.06 for the smallest fingerprint that `choose` makes."""

OTHER_ROOT = 0.2
"""Below this mean cosine the weights speak against a root; between the two they say nothing."""

_OUTSIDE = re.compile(
    r"embed|wte|wpe|position|token|norm|ln_|layernorm|bn\d|head|classifier|pooler|score|\bfc\b|logit|bias|lora_",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Leading rows of hidden tensors.

    Args:
        rows: name to the first rows of that tensor, shape (k, …).
        shapes: name to the full shape in the file, where known.
    """

    rows: Mapping[str, Floats]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def wanted(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
        """What to read of a model with these shapes to compare it; nothing if fewer than half would fit."""
        fitting = [
            Wanted(name, rows=len(rows), shape=shapes[name])
            for name, rows in self.rows.items()
            if name in shapes and self._fits(name, shapes[name])
        ]
        return tuple(fitting) if 2 * len(fitting) >= len(self.rows) else ()

    def _fits(self, name: str, shape: tuple[int, ...]) -> bool:
        rows = self.rows[name]
        if name in self.shapes:
            return tuple(self.shapes[name]) == tuple(shape)
        return shape[1:] == rows.shape[1:] and shape[0] >= len(rows)


def choose(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
    """Which rows make the fingerprint of a model with these tensors.

    Hidden matrices and kernels, spread evenly over the depth. Embeddings, heads and norms stay out: they
    change shape with the task, or are near the same in all models. Names and shapes alone decide.

    Args:
        shapes: name to full shape of every tensor of the model.

    Returns:
        Up to `TENSORS` tensors with `ROWS` rows each; empty where nothing fits.
    """
    hidden = [name for name, shape in shapes.items() if _is_hidden(name, shape)]
    hidden.sort(key=_natural)
    count = min(TENSORS, len(hidden))
    picked = [hidden[(2 * i + 1) * len(hidden) // (2 * count)] for i in range(count)]
    return tuple(Wanted(name, rows=ROWS, shape=tuple(shapes[name])) for name in picked)


def take(wanted: tuple[Wanted, ...], values: Mapping[str, Floats]) -> Fingerprint:
    """The fingerprint of a model whose tensors, or leading rows of them, are at hand."""
    rows = {w.name: values[w.name][: w.rows] for w in wanted}
    return Fingerprint(rows, {w.name: w.shape for w in wanted if w.shape})


def similarity(a: Fingerprint, b: Fingerprint) -> float | None:
    """Mean cosine of the centred rows that both have; 1 for the same weights, about 0 for unrelated ones.

    Each row loses its own mean, so that a common offset, or a quantiser's zero point, does not count.

    Returns:
        A value in [-1, 1]; None where fewer than half of the rows of `a` can be compared, because the other
        side lacks them or because a row is constant or not finite.
    """
    import numpy as np

    cosines: list[float] = []
    for name, left in a.rows.items():
        right = b.rows.get(name)
        if right is None or left.shape != right.shape or left.ndim < 2:
            continue
        x = left.reshape(len(left), -1).astype(np.float64)  # (k, n)
        y = right.reshape(len(right), -1).astype(np.float64)  # (k, n)
        sound = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
        x, y = x[sound], y[sound]
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)  # (k,)
        cosines += ((x * y).sum(axis=1)[norms > 0] / norms[norms > 0]).tolist()
    if 2 * len(cosines) < max(1, sum(len(rows) for rows in a.rows.values())):
        return None
    return float(np.clip(np.mean(cosines), -1.0, 1.0))


def _is_hidden(name: str, shape: tuple[int, ...]) -> bool:
    if len(shape) < 2 or shape[0] < ROWS or _OUTSIDE.search(name) or not _DIGITS.search(name):
        return False
    return MIN_ROW_VALUES <= prod(shape[1:]) <= MAX_ROW_BYTES // 4


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `layer.2` before `layer.10`."""
    return tuple(
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(name)
    )

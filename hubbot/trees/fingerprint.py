"""The fingerprint of a model: a few rows of a few hidden tensors, enough to know its root and its kin by.

Fine-tuning moves weights little against where pre-training put them ("Revealing Secrets From Pre-trained
Models", arXiv 2207.09539), and a hundred neurons tell as much as all of them (Model Atlas, arXiv 2503.10633).
So a handful of rows is read, some kilobytes of a small model and half a megabyte of a large one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from hubbot.records import Wanted

if TYPE_CHECKING:
    from hubbot.records import Floats

TENSORS = 8
"""As many as there are kinds of matrices in a block of a transformer, and one or two more: people merge LoRAs
of queries and values alone, and no other kind has moved then."""
ROWS, PART = 16, 8
"""So many rows of a tensor, and no more than an eighth of it. On the zoo `heritage` 8 tensors of 16 rows find
.98 of all parents, as whole models do, an eighth of its narrow ones .96, a tenth .93."""
MAX_VALUES = 16_384
"""Of one tensor, if rows are not longer still: less than a megabyte of most models as float32."""
MIN_ROWS, MIN_ROW_VALUES = 2, 32
"""Shorter rows are alike by chance."""
MAX_ROW_BYTES = 262_144
MAX_SHIFTS, MAX_ALIKE = 16, 1_000
"""So many ways are tried to find a root's names among others, of so many names that end alike. An honest
model has one way, and a name a block."""
Tails = Mapping[str, Sequence[str]]

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

    def wanted(self, shapes: Mapping[str, tuple[int, ...]], tails: Tails | None = None) -> tuple[Wanted, ...]:
        """What to read of a model with these shapes to compare it; nothing if fewer than half would fit.

        The names are those that the model has: see `names_in`.
        """
        fitting = [
            Wanted(there, rows=len(self.rows[name]), shape=shapes[there])
            for name, there in self.names_in(shapes, tails).items()
            if self._fits(name, shapes[there])
        ]
        return tuple(fitting) if 2 * len(fitting) >= len(self.rows) else ()

    def whole(self) -> tuple[Wanted, ...]:
        """What was wanted of the model itself."""
        return tuple(
            Wanted(name, len(rows), self.shapes.get(name, rows.shape)) for name, rows in self.rows.items()
        )

    def names_in(self, names: Collection[str], tails: Tails | None = None) -> dict[str, str]:
        """By name here, the name that the same tensor has among others; what is not there is left out.

        A library puts a word or two before all names, or leaves them away: what is `encoder.layer.0` in a
        base model is `vit.encoder.layer.0` in a classifier.

        Args:
            tails: `tails_of(names)`, where many fingerprints ask the same names.
        """
        if any(name in names for name in self.rows):
            return {name: name for name in self.rows if name in names}
        shifts = _shifts(self.rows, tails_of(names) if tails is None else tails)
        found = [
            {name: there for name in self.rows if (there := added + name[cut:]) in names}
            for added, cut in shifts
        ]
        return max(found, key=len, default={})

    def _fits(self, name: str, shape: tuple[int, ...]) -> bool:
        rows = self.rows[name]
        if name in self.shapes:
            return tuple(self.shapes[name]) == tuple(shape)
        return shape[1:] == rows.shape[1:] and shape[0] >= len(rows)


def tails_of(names: Iterable[str]) -> Tails:
    """Names by how they end, not too many of each."""
    found: dict[str, list[str]] = {}
    for name in names:
        some = found.setdefault(_tail(name), [])
        if len(some) < MAX_ALIKE:
            some.append(name)
    return found


def _tail(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def _shifts(ours: Iterable[str], tails: Tails) -> list[tuple[str, int]]:
    """What may be put before our names to get theirs, and how many letters may first be cut off."""
    found: dict[tuple[str, int], None] = {}
    for mine in ours:
        for there in tails.get(_tail(mine), ()):
            if there.endswith(f".{mine}"):
                found[there[: -len(mine)], 0] = None
            elif mine.endswith(f".{there}"):
                found["", len(mine) - len(there)] = None
    return [*found][:MAX_SHIFTS]


def choose(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
    """Which rows make the fingerprint of a model with these tensors.

    Hidden matrices and kernels, of every kind one, spread evenly over the depth. Embeddings, heads and norms
    stay out: they change shape with the task, or are near the same in all models. Names and shapes decide.

    Args:
        shapes: name to full shape of every tensor of the model.

    Returns:
        Up to `TENSORS` tensors with up to `ROWS` rows each; empty where nothing fits.
    """
    kinds: dict[str, list[str]] = {}
    for name in sorted((name for name, shape in shapes.items() if _is_hidden(name, shape)), key=_natural):
        kinds.setdefault(_DIGITS.sub("#", name), []).append(name)
    slots = min(TENSORS, sum(map(len, kinds.values())))
    picked: dict[str, None] = {}
    for slot in range(slots):
        kind = [*kinds.values()][slot * len(kinds) // slots if len(kinds) > slots else slot % len(kinds)]
        picked[kind[(2 * slot + 1) * len(kind) // (2 * slots)]] = None
    return tuple(Wanted(name, rows=_rows(shapes[name]), shape=tuple(shapes[name])) for name in picked)


def _rows(shape: tuple[int, ...]) -> int:
    few = min(ROWS, shape[0] // PART, MAX_VALUES // prod(shape[1:]))
    return max(few, MIN_ROWS)


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
    if len(shape) < 2 or shape[0] < MIN_ROWS or _OUTSIDE.search(name) or not _DIGITS.search(name):
        return False
    return MIN_ROW_VALUES <= prod(shape[1:]) <= MAX_ROW_BYTES // 4


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `layer.2` before `layer.10`."""
    return tuple(
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(name)
    )

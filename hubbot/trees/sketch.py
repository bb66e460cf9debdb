"""What is kept of a model to know its kin by: the rows of its fingerprint as one vector.

Distances, and who lies on whose line, are all that `trees.kinship` asks. A linear map keeps both nearly as
they were (Johnson and Lindenstrauss 1984), so of a large model some thousand sums of randomly signed weights
are kept (feature hashing; Weinberger et al., arXiv 0902.2206), and of a small one the rows themselves.

Letters: d weights that were read, m of them or of their sums that are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from hubbot.records import Sketch, Wanted
from hubbot.trees.kinship import log_kurtosis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hubbot.records import Floats

KEPT = 8192
"""32 kB a model."""
ABSURD = 1e12
"""No trained weight is near it, and squares of such numbers are no distances."""
COARSE = 64
"""Sums of a sketch that are held in memory of every model of a tree."""


def sketch(
    repo: str, wanted: Sequence[Wanted], values: Mapping[str, Floats], *, quantised: bool = False
) -> Sketch | None:
    """The sketch of a model whose rows were read as `fingerprint.choose` wants them; None of odd numbers.

    Args:
        values: name to the leading rows of that tensor, maybe more of them than were wanted.
    """
    rows = [values[want.name][: want.rows] for want in wanted]
    if not rows or not all((np.abs(row) < ABSURD).all() for row in rows):
        return None
    flat = np.concatenate([row.ravel() for row in rows])
    return Sketch(repo, form(wanted), summed(flat, KEPT), log_kurtosis(rows), quantised)


def form(wanted: Sequence[Wanted]) -> str:
    """Told by which rows were read of tensors of which shapes: sketches of one form may be compared.

    What a library puts before all names does not count.
    """
    names = [want.name.split(".") for want in wanted]
    same = 0
    while all(len(name) > same + 1 for name in names) and len({name[same] for name in names}) == 1:
        same += 1
    told = [
        (name[same:], want.rows, (want.shape or ())[1:]) for name, want in zip(names, wanted, strict=True)
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def summed(values: Floats, size: int) -> Floats:
    """As many randomly signed sums of values, or the values themselves if they are no more. (d,) -> (m,)"""
    if len(values) <= size:
        return values.astype(np.float32)
    place, sign = _hashing(len(values), size)
    sums: Floats = np.bincount(place, sign * values, minlength=size).astype(np.float32)
    return sums


@lru_cache(maxsize=8)
def _hashing(d: int, m: int) -> tuple[NDArray[np.int64], Floats]:
    """Where each value goes, and under which sign; the same on every machine, since sketches are kept."""
    bits = np.frombuffer(hashlib.shake_256(f"{d}/{m}".encode()).digest(4 * d), dtype="<u4")
    return (bits >> 1).astype(np.int64) % m, np.where(bits & 1, 1, -1).astype(np.float32)

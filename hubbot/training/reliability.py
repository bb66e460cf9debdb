"""Do an expert's percentages mean what they say? What it told, beside what was right.

It is asked through its own mouth: a label that it does not tell, because it abstains or finds it too
unlikely, is no promise, and none is counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hubbot.records import Bin, Prediction, Reading

BINS = 10
Z = 1.96
"""Deviations of a normal that 95% lie within."""
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What one model was told to be, and is.

    Args:
        told: its expert's predictions.
        true: the names of the labels that are right.
        weight: how often one meets its like.
    """

    told: tuple[Prediction, ...]
    true: Collection[str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class _Said:
    """One label of one model."""

    model: int
    weight: float
    meant: float
    right: bool
    recognised: bool


def asked(readings: Sequence[Reading], truths: Sequence[Collection[str]], share: float) -> list[Asked]:
    """Readings beside the truth; together they weigh `share`."""
    each = share / len(readings)
    return [Asked(r.predictions, true, each) for r, true in zip(readings, truths, strict=True)]


def binned(models: Iterable[Asked]) -> tuple[tuple[Bin, ...], Bin | None]:
    """What was told, in bins of equal width, the empty ones left out; and what of it was recognised."""
    said = [
        _Said(place, model.weight, p.probability, p.label in model.true, p.recognised)
        for place, model in enumerate(models)
        for p in model.told
    ]
    total = sum(one.weight for one in said)
    bins: list[list[_Said]] = [[] for _ in range(BINS)]
    for one in said:
        bins[min(BINS - 1, int(one.meant * BINS))].append(one)
    known = [one for one in said if one.recognised]
    return tuple(_bin(some, total) for some in bins if some), _bin(known, total) if known else None


def _bin(said: Sequence[_Said], total: float) -> Bin:
    weight = sum(one.weight for one in said)
    meant, right = (
        sum(one.weight * value for one, value in pairs) / weight
        for pairs in ([(one, one.meant) for one in said], [(one, float(one.right)) for one in said])
    )
    least, most = interval(right, _independent(said))
    right = min(max(right, 0.0), 1.0)
    shares = weight / total, meant, right, min(least, right), max(most, right)
    return Bin(len(said), *(round(share, DECIMALS) for share in shares))


def _independent(said: Sequence[_Said]) -> float:
    """How many models, all as heavy, would say as much (Kish, 1965): labels of one model err together."""
    weights: dict[int, float] = {}
    for one in said:
        weights[one.model] = weights.get(one.model, 0.0) + one.weight
    return sum(weights.values()) ** 2 / sum(weight**2 for weight in weights.values())


def interval(share: float, count: float) -> tuple[float, float]:
    """Where a share lies with 95%, that was seen among so many (Wilson, 1927)."""
    spread = Z * Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(max(0.0, share * (1 - share)) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)

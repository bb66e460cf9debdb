"""Do percentages mean what they say? On samples whose answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from hubbot.records import Prediction, Reliability
from hubbot.training.reliability import Asked, binned, interval


def world(models: int, *, twist: float = 1.0, weight: float = 1.0) -> Iterator[Asked]:
    """Models of ten labels, each true as often as it is told; with a twist, as often as that power of it."""
    random = Random(7)  # noqa: S311 - dice, and no secrets
    for _ in range(models):
        chances = {f"label-{i}": random.random() for i in range(10)}
        true = {name for name, chance in chances.items() if random.random() < chance**twist}
        yield Asked(
            tuple(Prediction(name, chance, chance >= 0.9) for name, chance in chances.items()), true, weight
        )


def test_a_calibrated_sample_gives_the_diagonal() -> None:
    bins, recognised = binned(world(4000))
    assert len(bins) == 10
    assert [b.meant for b in bins] == pytest.approx([0.05 + 0.1 * i for i in range(10)], abs=0.01)
    assert [b.right for b in bins] == pytest.approx([b.meant for b in bins], abs=0.02)
    assert all(b.least <= b.meant <= b.most for b in bins)
    assert sum(b.share for b in bins) == pytest.approx(1, abs=0.001)
    assert sum(b.told for b in bins) == 40_000
    assert recognised is not None
    assert recognised.right == pytest.approx(0.95, abs=0.02)
    assert Reliability("test", 4000, 0, bins, recognised).error < 0.01


def test_a_boaster_is_found_out() -> None:
    bins, _ = binned(world(1000, twist=3.0))
    assert all(b.right < b.least + 0.1 < b.meant + 0.1 for b in bins)
    assert all(b.most < b.meant for b in bins[2:9])
    assert Reliability("test", 1000, 0, bins).error == pytest.approx(0.25, abs=0.03)


def test_strangers_count_as_often_as_one_meets_them() -> None:
    own = [Asked((Prediction("a", 0.95, True),), {"a"}, 0.05 / 10) for _ in range(10)]
    strangers = [Asked((Prediction("a", 0.95 if i < 2 else 0.05, i < 2),), (), 0.95 / 20) for i in range(20)]
    bins, recognised = binned([*own, *strangers])
    assert [b.told for b in bins] == [18, 12]
    assert bins[0].right == 0
    assert bins[1].right == pytest.approx(0.05 / (0.05 + 0.095), abs=1e-3)
    assert recognised == bins[1]


def test_labels_of_one_model_err_together() -> None:
    told = tuple(Prediction(f"label-{i}", 0.5, False) for i in range(100))
    few = [Asked(told, {p.label for p in told if i}) for i in range(2)]
    many = [Asked(told[:1], {told[0].label} if i % 2 else ()) for i in range(200)]
    (of_two,), _ = binned(few)
    (of_many,), _ = binned(many)
    assert of_two.told == of_many.told == 200
    assert of_two.right == of_many.right == 0.5
    assert of_two.most - of_two.least > 0.7 > 0.2 > of_many.most - of_many.least


def test_nothing_told_is_nothing_promised() -> None:
    assert binned([Asked((), {"a"})]) == ((), None)
    assert Reliability("test", 1, 0, ()).error == 0


@pytest.mark.parametrize(
    ("share", "count", "least", "most"),
    [(0.5, 100, 0.404, 0.596), (1.0, 10, 0.722, 1.0), (0.0, 10, 0.0, 0.278)],
)
def test_the_interval_is_wilsons(share: float, count: float, least: float, most: float) -> None:
    assert interval(share, count) == pytest.approx((least, most), abs=0.001)

"""Maps: the alike side by side, the same every time, and none where there is nothing to see."""

from __future__ import annotations

import numpy as np
import pytest

from hubbot.atlas.chart import FEWEST, LETTER, LINE, captions, chart
from hubbot.atlas.families import families


def clusters(each: int, of: int, d: int = 16) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    kind = np.repeat(np.arange(of), each)
    return (4 * np.eye(d)[kind] + 0.2 * rng.normal(size=(each * of, d))).astype(np.float32), kind


@pytest.mark.parametrize("by_angle", [True, False])
def test_the_alike_lie_side_by_side(by_angle: bool) -> None:
    vectors, kind = clusters(20, 4)
    places = chart(vectors, by_angle=by_angle)
    assert places is not None
    assert np.abs(places).max() <= 1
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (kind[apart.argmin(1)] == kind).all()


def test_the_same_models_give_the_same_map() -> None:
    vectors, _ = clusters(10, 3)
    first, second = chart(vectors, by_angle=False), chart(vectors, by_angle=False)
    assert first is not None
    assert second is not None
    assert (first == second).all()


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((0, 0), np.float32),
        np.eye(FEWEST - 1, dtype=np.float32),
        np.ones((50, 8), np.float32),
        np.zeros((50, 8), np.float32),
        np.zeros((50, 0), np.float32),
    ],
    ids=["none", "too few", "all alike", "all nothing", "no numbers"],
)
@pytest.mark.parametrize("by_angle", [True, False])
def test_no_map_where_there_is_nothing_to_see(vectors: np.ndarray, by_angle: bool) -> None:
    assert chart(vectors, by_angle=by_angle) is None


@pytest.mark.parametrize("d", [1, 2, 300])
def test_few_models_in_any_space(d: int) -> None:
    places = chart(np.random.default_rng(0).normal(size=(FEWEST, d)).astype(np.float32), by_angle=False)
    assert places is not None
    assert np.isfinite(places).all()


def test_copies_are_mapped_too() -> None:
    vectors, _ = clusters(1, 2)
    places = chart(np.repeat(vectors, 20, axis=0), by_angle=False)
    assert places is not None
    assert np.isfinite(places).all()


def test_captions_are_written_once_and_not_over_another() -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform(-1, 1, (400, 2))
    names = [None if i % 7 == 0 else f"concept {i % 90}" for i in range(400)]
    written = captions(places, names)
    assert written
    assert len({name for name, _, _ in written}) == len(written)
    for i, (name, x, y) in enumerate(written):
        for other, u, v in written[:i]:
            assert abs(y - v) >= LINE or abs(x - u) >= LETTER * (len(name) + len(other)) / 2
    assert captions(places[:3], [None, None, None]) == []


def test_the_most_frequent_concept_is_written_first() -> None:
    places = np.array([[0, 0], [0.01, 0], [0, 0.01]])
    assert [name for name, _, _ in captions(places, ["rare", "often", "often"])] == ["often"]


def test_families_gather_what_means_the_same() -> None:
    vectors, kind = clusters(12, 4)
    found = np.array(families(vectors, 4))
    assert all(len(set(found[kind == k])) == 1 for k in range(4))
    assert sorted(set(found)) == [0, 1, 2, 3]
    assert families(vectors, 4) == found.tolist()
    assert families(vectors[:3], 7) == [0, 1, 2]

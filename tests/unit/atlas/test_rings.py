"""Marks in rings: none over another, the same every time."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from hubbot.atlas.rings import SLOT, rings


def grown(n: int, seed: int, lean: float) -> list[int]:
    """A tree whose newcomers choose older (a larger `lean`) or any parents."""
    rng = random.Random(seed)  # noqa: S311
    return [-1, *sorted(int(i * rng.random() ** lean) for i in range(1, n))]


TREES = {
    "alone": [-1],
    "one child": [-1, 0],
    "pair": [-1, 0, 0],
    "star": [-1] + [0] * 700,
    "chain": [-1, *range(40)],
    "broom": [-1, 0, 1, 2, *[3] * 300],
    "two brooms": [-1, 0, 0, *[1] * 150, *[2] * 150],
    **{f"grown {seed} {lean}": grown(400, seed, lean) for seed in range(3) for lean in (1, 3)},
}


@pytest.mark.parametrize("parents", TREES.values(), ids=TREES)
def test_nothing_lies_over_another(parents: list[int]) -> None:
    layout = rings(parents)
    places = layout.places
    assert places.shape == (len(parents), 2)
    assert (places[0] == 0).all()
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() >= SLOT - 1e-6
    assert np.linalg.norm(places, axis=1).max() <= layout.radius + 1e-6


def test_children_lie_further_out_than_their_parents() -> None:
    parents = TREES["grown 0 1"]
    far = np.linalg.norm(rings(parents).places, axis=1)
    assert all(far[i] > far[parents[i]] for i in range(1, len(parents)))


def test_the_same_tree_lies_the_same() -> None:
    parents = TREES["grown 1 3"]
    assert (rings(parents).places == rings(parents).places).all()


def test_branches_keep_to_their_own_sector() -> None:
    places = rings([-1, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]).places
    assert (np.einsum("ij,ij->i", places[5:], places[[1, 1, 2, 2, 3, 3, 4, 4]]) > 0).all()


def test_thousands_of_marks_take_no_time() -> None:
    begun = time.process_time()
    rings([-1] + [0] * 20_000)
    assert time.process_time() - begun < 3

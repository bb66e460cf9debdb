from __future__ import annotations

from collections import Counter

import pytest

from hubbot.errors import ZooError
from hubbot.zoo.recipes import DIGITS, SPLITS, named, plan

BENCH = [plan(DIGITS, root, i) for root in DIGITS.roots for i in range(DIGITS.count("bench"))]


def test_the_recipe_is_frozen() -> None:
    # Whoever changes it re-runs every baseline and trains the shipped experts again.
    assert DIGITS.hash == "a8165c109972a151"
    assert DIGITS.at("bench").hash == DIGITS.hash


def test_a_hurried_size_is_another_recipe() -> None:
    assert DIGITS.at("tiny").hash != DIGITS.hash


def test_a_child_depends_on_its_place_alone() -> None:
    root = DIGITS.roots[1]
    assert plan(DIGITS, root, 33) == plan(DIGITS, root, 33) != plan(DIGITS, root, 34)


def test_splits_have_their_shares_in_every_tree() -> None:
    for root in DIGITS.roots:
        count = Counter(child.split for child in BENCH if child.root == root.repo)
        assert [count[split] for split in SPLITS] == [300, 50, 75, 75]


def test_names_are_unique_and_say_nothing() -> None:
    names = [child.repo for child in BENCH]
    assert len(set(names)) == len(names)
    for word in ("zero", "one", "three", "seven", "eight", "nine", "digit", "test", "train"):
        assert not any(word in name for name in names), word


def test_heads_are_in_random_order() -> None:
    assert all(len(set(child.targets)) == DIGITS.chosen for child in BENCH)
    sorted_ones = sum(list(child.targets) == sorted(child.targets) for child in BENCH)
    assert sorted_ones < 0.05 * len(BENCH)  # one in 120 by chance


def test_every_class_is_chosen_about_half_of_the_time() -> None:
    chosen = Counter(target for child in BENCH for target in child.targets)
    assert all(0.4 < chosen[target] / len(BENCH) < 0.6 for target in range(DIGITS.classes))


def test_a_third_of_the_children_hide_their_parent() -> None:
    assert 0.25 < sum(not child.declared for child in BENCH) / len(BENCH) < 0.35


@pytest.mark.parametrize("ask", [lambda: named("letters"), lambda: DIGITS.count("huge")])
def test_unknown_names_are_told(ask: object) -> None:
    with pytest.raises(ZooError, match=r"no (recipe|size)"):
        ask()  # type: ignore[operator]

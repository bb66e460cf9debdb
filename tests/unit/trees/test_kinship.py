"""Kin among weights that move as fine-tuning moves them: in ways of their own, by more or less."""

from __future__ import annotations

import numpy as np
import pytest

from hubbot.trees.kinship import Member, log_kurtosis, relate

WIDTH = 2000


class Family:
    """Weights whose parents are known; outliers shrink from child to child."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = np.random.default_rng(seed)
        self.weights = {"root": self.draw.standard_t(4, WIDTH)}
        self.parents: dict[str, tuple[str, ...]] = {"root": ()}

    def tune(self, name: str, parent: str, by: float) -> None:
        moved = self.weights[parent] * (1 - 0.02 * by) + by * self.draw.standard_normal(WIDTH)
        self.weights[name], self.parents[name] = moved, (parent,)

    def members(self, *, timed: bool, rounded: tuple[str, ...] = ()) -> list[Member]:
        """In the order of their names, which says nothing of who came first."""
        return [
            Member(
                name,
                self.weights[name].astype(np.float32),
                log_kurtosis([self.weights[name]]),
                float(list(self.weights).index(name)) if timed else None,
                name in rounded,
            )
            for name in sorted(self.weights)
        ]


@pytest.fixture
def family() -> Family:
    made = Family()
    for child in "abcd":
        made.tune(child, "root", made.draw.uniform(0.1, 0.6))
        for i in range(3):
            made.tune(f"{child}{i}", child, made.draw.uniform(0.1, 0.6))
    return made


@pytest.mark.parametrize("timed", [True, False])
def test_children_are_hung_on_their_parents(family: Family, timed: bool) -> None:
    assert relate(family.members(timed=timed)) == family.parents


def test_one_missing_time_is_no_time(family: Family) -> None:
    """Half of a chronicle is not read: what it lacks would come first or last for no reason."""
    members = family.members(timed=True)
    lost = Member(members[0].repo, members[0].weights, members[0].kurtosis)
    assert relate([lost, *members[1:]]) == relate(family.members(timed=False))


def test_a_merge_has_two_parents_and_may_have_children(family: Family) -> None:
    family.weights["merge"] = 0.3 * family.weights["a"] + 0.7 * family.weights["c1"]
    family.parents["merge"] = ("a", "c1")
    family.tune("of-merge", "merge", 0.2)
    found = relate(family.members(timed=True))
    assert {name: set(parents) for name, parents in found.items()} == {
        name: set(parents) for name, parents in family.parents.items()
    }


def test_checkpoints_in_a_row_are_no_merges(family: Family) -> None:
    way = family.draw.standard_normal(WIDTH)
    last = "b"
    for i in range(4):
        name = f"step{i}"
        family.weights[name], family.parents[name] = family.weights[last] + 0.2 * way, (last,)
        last = name
    assert relate(family.members(timed=True)) == family.parents


def test_a_sweep_hangs_on_what_it_was_tuned_from(family: Family) -> None:
    """The nearest older one of each is another one of the sweep."""
    way = family.draw.standard_normal(WIDTH)
    for i, by in enumerate((0.4, 0.1, 0.8, 0.2)):
        off = 0.6 * by * family.draw.standard_normal(WIDTH)
        family.weights[f"rate{i}"] = family.weights["d"] + by * way + off
        family.parents[f"rate{i}"] = ("d",)
    assert relate(family.members(timed=True)) == family.parents


@pytest.mark.parametrize("timed", [True, False])
def test_copies_are_leaves(family: Family, timed: bool) -> None:
    family.weights["z-copy"], family.parents["z-copy"] = family.weights["a"].copy(), ("a",)
    step = np.abs(family.weights["c"]).max() / 127
    family.weights["rounded"] = np.round(family.weights["c"] / step) * step
    family.parents["rounded"] = ("c",)
    assert relate(family.members(timed=timed, rounded=("rounded",))) == family.parents


def test_few_members_have_few_relations() -> None:
    assert relate([]) == {}
    alone = Family().members(timed=False)
    assert relate(alone) == {"root": ()}
    assert relate([Member("q", alone[0].weights, 0.0, quantised=True)]) == {"q": ()}


def test_kurtosis_is_that_of_the_distribution() -> None:
    draw = np.random.default_rng(0)
    normal, heavy = draw.standard_normal(100_000), draw.laplace(size=100_000)
    assert log_kurtosis([normal]) == pytest.approx(np.log(3), abs=0.03)
    assert log_kurtosis([normal, heavy]) == pytest.approx(np.log(18), abs=0.1)
    assert log_kurtosis([np.ones(10)]) == 0.0

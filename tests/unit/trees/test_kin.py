"""A tree as it grows, model by model: in whatever order they come, it ends up as the weights have it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hubbot.records import Evidence, How, Placement, Relative, Sketch, Source, Wanted
from hubbot.trees.forest import stand
from hubbot.trees.kin import MAX_CROWDS, Crowd, Crowds, coarse, join, resemble
from hubbot.trees.sketch import KEPT, form, sketch, summed

WIDTH, BEGINNING = 2000, datetime(2026, 1, 1, tzinfo=UTC)


class Grove:
    """One tree whose weights are known, grown step by step."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = np.random.default_rng(seed)
        self.root = Sketch("o/root", "form", self.draw.standard_normal(WIDTH).astype(np.float32), 1.0)
        self.crowd = Crowd()
        self.stand: dict[str, Relative] = {}

    def weights(self, repo: str) -> np.ndarray:
        return self.root.values if repo == "o/root" else self.stand[repo].sketch.values

    def tuned(self, repo: str, parent: np.ndarray, day: int, by: float = 0.3, **more: object) -> Relative:
        moved = parent + by * self.draw.standard_normal(WIDTH).astype(np.float32)
        made = Sketch(repo, "form", moved.astype(np.float32), 1.0)
        return Relative(made, BEGINNING + timedelta(days=day), **more)

    def come(self, one: Relative) -> dict[str, tuple[str, ...]]:
        """A newcomer; whose parents are now others, its own among them."""
        repo, near = one.sketch.repo, coarse(one.sketch)
        names = [*self.crowd.near(repo, near), *one.declared]
        parents = [p for name in names if name in self.stand for p in self.stand[name].parents]
        around = [self.stand[name] for name in dict.fromkeys([*names, *parents]) if name in self.stand]
        self.stand[repo] = one
        stands = join(one, [other for other in around if other.sketch.repo != repo], self.root)
        for name, now in stands.items():
            self.stand[name] = replace(self.stand[name], parents=now.parents)
        self.crowd.add(repo, near)
        return {name: now.parents for name, now in stands.items()}

    def parents(self) -> Mapping[str, tuple[str, ...]]:
        return {repo: one.parents for repo, one in self.stand.items()}


def family(grove: Grove) -> tuple[list[Relative], dict[str, tuple[str, ...]]]:
    """A root with 4 children of 4 children each, a merge and a copy; with the truth about them."""
    made, truth = [], {}
    for i in range(4):
        child = grove.tuned(f"a/child-{i}", grove.root.values, day=i)
        made.append(child)
        truth[f"a/child-{i}"] = ("o/root",)
        for j in range(4):
            repo = f"b/grandchild-{i}{j}"
            made.append(grove.tuned(repo, child.sketch.values, day=10 + 4 * i + j, by=0.2))
            truth[repo] = (f"a/child-{i}",)
    first, second = made[0].sketch.values, made[5].sketch.values
    middle = Sketch("m/merge", "form", (first + second) / 2, 1.0)
    made += [Relative(middle, BEGINNING + timedelta(days=50))]
    made += [Relative(replace(made[1].sketch, repo="c/copy"), BEGINNING + timedelta(days=60))]
    truth |= {"m/merge": ("a/child-0", "a/child-1"), "c/copy": ("b/grandchild-00",)}
    return made, truth


@pytest.mark.parametrize("seed", range(5))
def test_it_grows_to_the_same_tree_in_any_order(seed: int) -> None:
    grove = Grove()
    made, truth = family(grove)
    random.Random(seed).shuffle(made)  # noqa: S311
    for one in made:
        grove.come(one)
    assert {repo: set(parents) for repo, parents in grove.parents().items()} == {
        repo: set(parents) for repo, parents in truth.items()
    }


def test_a_late_parent_adopts_its_children() -> None:
    grove = Grove()
    parent = grove.tuned("a/late", grove.root.values, day=1)
    child = grove.tuned("b/early", parent.sketch.values, day=5)
    assert grove.come(child) == {"b/early": ("o/root",)}
    assert grove.come(parent) == {"a/late": ("o/root",), "b/early": ("a/late",)}


def test_weights_outvote_a_date() -> None:
    """Somebody's child in a repo that is older than its parent's."""
    grove = Grove()
    parent = grove.tuned("a/parent", grove.root.values, day=100)
    child = grove.tuned("b/child", parent.sketch.values, day=1)
    grove.come(parent)
    assert grove.come(child) == {"b/child": ("a/parent",)}
    assert grove.parents()["a/parent"] == ("o/root",)


def test_weights_outvote_a_card_where_they_are_sure() -> None:
    grove = Grove()
    first, second = (grove.tuned(f"a/{n}", grove.root.values, day=1) for n in ("first", "second"))
    child = grove.tuned("b/child", first.sketch.values, day=5, by=0.2)
    for one in (first, second):
        grove.come(one)
    around = [grove.stand["a/first"], grove.stand["a/second"]]
    wrong = replace(child, declared=("a/second",))
    stands = join(wrong, around, grove.root)["b/child"]
    assert (stands.parents, stands.disputed) == (("a/first",), True)
    right = join(replace(child, declared=("a/first",)), around, grove.root)["b/child"]
    assert (right.parents, right.disputed) == (("a/first",), False)
    unread = join(replace(child, declared=("a/never-read",)), around, grove.root)["b/child"]
    assert (unread.parents, unread.disputed) == (("a/never-read",), False)
    humble = join(replace(child, declared=("o/root",)), around, grove.root)["b/child"]
    assert (humble.parents, humble.disputed) == (("a/first",), False), "the root is named, and not wrongly"


def test_two_that_name_each_other_do_not_run_in_a_circle() -> None:
    grove = Grove()
    egg = grove.tuned("a/egg", grove.root.values, day=1, declared=("b/chicken",))
    chicken = grove.tuned("b/chicken", grove.root.values, day=2, declared=("a/egg",))
    grove.come(egg)
    grove.come(chicken)
    assert grove.parents()["b/chicken"] != ("a/egg",) or grove.parents()["a/egg"] != ("b/chicken",)


def test_new_weights_move_a_model_and_free_its_children() -> None:
    grove = Grove()
    parent = grove.tuned("a/parent", grove.root.values, day=1)
    child = grove.tuned("b/child", parent.sketch.values, day=5)
    for one in (parent, child):
        grove.come(one)
    assert grove.parents()["b/child"] == ("a/parent",)
    grove.come(grove.tuned("a/parent", grove.root.values, day=1))
    assert grove.parents()["b/child"] == ("o/root",)


def test_the_nearest_of_many_come_first() -> None:
    draw = np.random.default_rng(0)
    X = draw.standard_normal((500, 64)).astype(np.float32)
    crowd = Crowd((f"a/{i}", row) for i, row in enumerate(X))
    assert len(crowd) == 500
    found = crowd.near("a/7", X[7], 5)
    expected = np.argsort(np.linalg.norm(X - X[7], axis=1))[1:6]
    assert found == [f"a/{i}" for i in expected]
    crowd.add("a/9", X[7])
    assert crowd.near("a/7", X[7], 1) == ["a/9"]
    assert Crowd().near("a/7", X[7]) == []


def test_crowds_are_read_once() -> None:
    asked: list[int] = []

    def kept() -> Sequence[tuple[str, np.ndarray]]:
        asked.append(1)
        return [("a/x", np.ones(64, np.float32))]

    crowds = Crowds()
    assert len(crowds.of("tree", "form", kept)) == len(crowds.of("tree", "form", kept)) == 1
    assert crowds.of(None, "form", kept) is not crowds.of("tree", "form", kept)
    assert len(asked) == 2
    for i in range(MAX_CROWDS - 1):
        crowds.of("tree", "form", kept)
        crowds.of(None, f"form-{i}", kept)
    assert len(asked) == MAX_CROWDS + 1
    crowds.of("tree", "form", kept)
    assert len(asked) == MAX_CROWDS + 1, "what is asked for stays"
    crowds.of(None, "form", kept)
    assert len(asked) == MAX_CROWDS + 2, "what is not is read again"


def test_a_sketch_of_many_weights_keeps_their_distances() -> None:
    draw = np.random.default_rng(0)
    X = draw.standard_normal((6, 10 * KEPT)).astype(np.float32)
    X[1:] = X[0] + np.array([0.1, 0.2, 0.5, 1, 2], np.float32)[:, None] * X[1:]
    kept = np.stack([summed(row, KEPT) for row in X])
    assert kept.shape == (6, KEPT)
    for i in range(1, 6):
        true, seen = (np.linalg.norm(rows[i] - rows[0]) for rows in (X, kept))
        assert seen == pytest.approx(true, rel=0.05)
    assert np.array_equal(summed(X[0], KEPT), summed(X[0], KEPT))
    assert np.array_equal(summed(X[0][:100], KEPT), X[0][:100]), "few weights are kept as they are"


def test_what_stands_before_all_names_is_no_part_of_the_form() -> None:
    plain = (Wanted("layer.0.q.weight", 4, (64, 64)), Wanted("layer.1.k.weight", 4, (64, 64)))
    longer = tuple(replace(want, name=f"vit.encoder.{want.name}") for want in plain)
    assert form(plain) == form(longer)
    assert form(plain) != form((plain[0], replace(plain[1], rows=5)))
    assert form(plain) != form((plain[0], replace(plain[1], shape=(64, 32))))


def test_odd_numbers_make_no_sketch_and_resemblance_needs_one_form() -> None:
    wanted = (Wanted("layer.0.weight", 2, (8, 8)),)
    rows = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    made = sketch("a/x", wanted, {"layer.0.weight": rows})
    assert made is not None
    assert made.values.shape == (16,)
    assert sketch("a/x", wanted, {"layer.0.weight": rows * np.nan}) is None
    assert sketch("a/x", wanted, {"layer.0.weight": rows * 1e30}) is None
    assert sketch("a/x", (), {}) is None
    assert resemble(made, replace(made, values=made.values * 2))
    assert not resemble(made, replace(made, form="other"))
    assert not resemble(made, replace(made, values=made.values * 0))


def test_a_placement_tells_what_its_kin_say() -> None:
    card = Evidence(Source.CARD, "the card names o/root as parent", "o/root", claimed=True)
    placed = Placement("a/x", "0" * 40, "o/root", "o/root", How.BOTH, (card,))
    moved = stand(placed, ("a/y",), disputed=False)
    assert (moved.parent, moved.how) == ("a/y", How.BOTH)
    assert moved.evidence[-1].text == "its weights go on from a/y"
    merged = stand(moved, ("a/y", "a/z"), disputed=True)
    assert (merged.parents, merged.how) == (("a/y", "a/z"), How.CONFLICT)
    assert merged.evidence[-1].text.endswith("lie between those of a/y and a/z")
    assert len(merged.evidence) == 2, "what kin said before is no longer told"
    assert stand(placed, ("o/root",), disputed=False) == placed

"""Who of a tree is drawn: everybody is counted once, whatever the cards say."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from hubbot.atlas.branches import DEEPEST, MIXED, MOST, Member, Node, branches

ROOT, UNSEEN = "o/root", 99


def star(n: int, groups: int = 3) -> list[Member]:
    return [Member(f"m/{i}", (ROOT,), i % groups) for i in range(n)]


def drawn(members: Sequence[Member], most: int = MOST) -> list[Node]:
    nodes = branches(ROOT, members, unseen=UNSEEN, most=most)
    assert nodes[0].repo == ROOT
    assert nodes[0].parent == -1
    assert all(0 <= node.parent < i for i, node in enumerate(nodes) if i), "parents come before children"
    assert sum(node.folded or node.listed + node.hidden for node in nodes) == len(members)
    return nodes


def parents_of(nodes: Sequence[Node]) -> dict[str, str]:
    return {node.repo: nodes[node.parent].repo for node in nodes[1:] if not node.folded}


def test_a_tree_that_nobody_descends_from() -> None:
    assert drawn([]) == [Node(ROOT, -1, UNSEEN, listed=False)]
    assert drawn([Member(ROOT, (), 2)]) == [Node(ROOT, -1, 2)]


def test_children_hang_from_their_parents_by_group() -> None:
    members = [Member("a/1", (ROOT,), 1), Member("a/2", ("a/1",), 0), Member("a/3", (ROOT,), 0)]
    nodes = drawn(members)
    assert parents_of(nodes) == {"a/1": ROOT, "a/2": "a/1", "a/3": ROOT}
    assert [node.repo for node in nodes] == [ROOT, "a/3", "a/1", "a/2"]
    assert [node.below for node in nodes] == [3, 0, 1, 0]


def test_who_names_no_parent_hangs_from_the_root() -> None:
    assert parents_of(drawn([Member("a/1", (), 0)])) == {"a/1": ROOT}


def test_a_parent_that_was_never_listed_is_drawn_and_not_counted() -> None:
    nodes = drawn([Member("a/1", ("gone/x",), 0), Member("a/2", ("gone/x",), 1)])
    assert parents_of(nodes) == {"gone/x": ROOT, "a/1": "gone/x", "a/2": "gone/x"}
    gone = next(node for node in nodes if node.repo == "gone/x")
    assert (gone.listed, gone.group, gone.below) == (False, UNSEEN, 2)


def test_a_merge_has_lines_to_all_its_parents() -> None:
    members = [Member("a/1", (ROOT,), 0), Member("a/2", (ROOT,), 0), Member("m/m", ("a/1", "a/2", "x/y"), 0)]
    nodes = drawn(members)
    merge = next(node for node in nodes if node.repo == "m/m")
    assert nodes[merge.parent].repo == "a/1"
    assert [nodes[i].repo for i in merge.merged] == ["a/2"]


@pytest.mark.parametrize(
    "pairs",
    [
        {"a/1": "a/1"},
        {"a/1": "a/2", "a/2": "a/1"},
        {"a/1": "a/2", "a/2": "a/3", "a/3": "a/1", "a/4": "a/2"},
        {ROOT: "a/1", "a/1": ROOT},
        {ROOT: ROOT},
    ],
)
def test_circles_are_cut(pairs: dict[str, str]) -> None:
    nodes = drawn([Member(repo, (parent, parent, repo), 0) for repo, parent in pairs.items()])
    assert {node.repo for node in nodes} == {ROOT, *pairs}


def test_a_large_tree_is_folded_by_group() -> None:
    nodes = drawn(star(5_000))
    assert len(nodes) <= MOST + 10
    folds = [node for node in nodes if node.folded]
    assert sorted(node.group for node in folds) == [0, 1, 2]
    newest = {node.repo for node in nodes if not node.folded}
    assert {f"m/{i}" for i in range(200)} <= newest
    groups = [node.group for node in nodes[1:]]
    assert groups == sorted(groups), "each group lies together, and its fold with it"


def test_who_has_no_child_drawn_counts_them_itself() -> None:
    chain = [Member(f"m/{i}", (f"m/{i - 1}" if i else ROOT,), 0) for i in range(1_000)]
    nodes = drawn(chain)
    assert len(nodes) == DEEPEST + 1
    assert nodes[-1].hidden == 1_000 - DEEPEST
    assert not any(node.folded for node in nodes)


def test_a_fold_never_stands_for_one_model_alone() -> None:
    assert not any(node.folded for node in drawn(star(19), most=20))
    folds = [node for node in drawn(star(25), most=20) if node.folded]
    assert [node.group for node in folds] == [MIXED]
    assert folds[0].folded > 1


def tangled(n: int) -> list[Member]:
    rng = random.Random(7)  # noqa: S311
    found = []
    for i in range(n):
        parents = tuple(f"m/{rng.randrange(n)}" for _ in range(rng.randrange(4)))
        found.append(Member(f"m/{i}", parents, rng.randrange(8)))
    return found


def test_the_same_members_give_the_same_tree() -> None:
    assert drawn(tangled(3_000)) == drawn(tangled(3_000))


@pytest.mark.parametrize("shape", ["star", "tangled", "chain", "circle"])
def test_fifty_thousand_take_a_second_or_so(shape: str) -> None:
    n = 50_000
    members = {
        "star": lambda: star(n),
        "tangled": lambda: tangled(n),
        "chain": lambda: [Member(f"m/{i}", (f"m/{i + 1}",), 0) for i in range(n)],
        "circle": lambda: [Member(f"m/{i}", (f"m/{(i + 1) % n}",), 0) for i in range(n)],
    }[shape]()
    begun = time.process_time()
    nodes = drawn(members)
    assert time.process_time() - begun < 3
    assert len(nodes) < 2 * MOST

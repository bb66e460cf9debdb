"""Who of a tree is drawn, and from whom each hangs.

A tree may have a hundred thousand members and a picture only some hundreds of marks. Those from whom many
descend are drawn first, then the newest. Whoever is left out is counted in a fold beside the drawn children
of its parent, or by the parent itself where none is drawn, so that it all adds up to the whole tree.

Parents are what cards say, and cards say anything: a model may name itself, its own child, or somebody whom
nobody has seen. Every step is linear in the members, but for a heap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

MOST = 320
"""Models and folds that are drawn, about."""

KIN = 0.4
"""The share of these that goes to those from whom the most descend; the rest goes to the newest."""

DEEPEST = 12
"""Generations that are drawn."""

SPLIT, SHARE = 12, 0.02
"""From so many on, and that much of the tree, the models of a fold are told apart by their group."""

MIXED = -1
"""The group of a fold whose models are of several."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model of a tree.

    Args:
        parents: the first is the one that it hangs from; a merge has more.
        group: what it is coloured by.
    """

    repo: str
    parents: tuple[str, ...]
    group: int


@dataclass(frozen=True, slots=True)
class Node:
    """A mark in the picture, in a list in which parents come before their children.

    Args:
        repo: of a fold, the one that its models hang from.
        parent: its parent's place in the list; -1 of the root.
        merged: the places of a merge's further parents.
        below: how many members descend from it.
        hidden: how many of these are not drawn, nor counted in a fold below it.
        folded: how many models a fold stands for; 0 of a model.
        listed: whether it is a member itself; else it is only named as a parent.
    """

    repo: str
    parent: int
    group: int
    merged: tuple[int, ...] = ()
    below: int = 0
    hidden: int = 0
    folded: int = 0
    listed: bool = True


class _Descent:
    """All of a tree by number: its members, in their order, then the root and parents that are none."""

    def __init__(self, root: str, members: Sequence[Member], unseen: int) -> None:
        self.members, self.unseen = members, unseen
        self.number = {member.repo: i for i, member in enumerate(members)}
        self.names = [member.repo for member in members]
        self.root = self._numbered(root)
        self.up = [self.root] * len(members)
        for i, member in enumerate(members):
            first = member.parents[0] if member.parents else root
            self.up[i] = self._numbered(first) if first != member.repo else self.root
        self.up += [self.root] * (len(self.names) - len(members))
        self.up[self.root] = -1
        self._cut_circles()
        self.children: list[list[int]] = [[] for _ in self.names]
        for i, parent in enumerate(self.up):
            if parent >= 0:
                self.children[parent].append(i)
        self.below = self._counted()

    def _numbered(self, repo: str) -> int:
        if repo not in self.number:
            self.number[repo] = len(self.names)
            self.names.append(repo)
        return self.number[repo]

    def _cut_circles(self) -> None:
        """Who is its own ancestor hangs from the root."""
        seen_by = [-1] * len(self.names)
        for start in range(len(self.names)):
            at = start
            while at >= 0 and seen_by[at] < 0:
                seen_by[at] = start
                at = self.up[at]
            if at >= 0 and seen_by[at] == start:
                self.up[at] = self.root

    def _counted(self) -> list[int]:
        """How many members descend from each."""
        order = [self.root]
        for at in order:
            order.extend(self.children[at])
        below = [0] * len(self.names)
        for at in reversed(order[1:]):
            below[self.up[at]] += below[at] + self.listed(at)
        return below

    def listed(self, at: int) -> bool:
        return at < len(self.members)

    def group(self, at: int) -> int:
        return self.members[at].group if self.listed(at) else self.unseen


def branches(root: str, members: Sequence[Member], *, unseen: int, most: int = MOST) -> list[Node]:
    """The tree as it is drawn, the root first; children of one parent by their group.

    Args:
        members: the newest first, the root among them or not.
        unseen: the group of a parent that is no member.
        most: how many models and folds to draw, about.
    """
    tree = _Descent(root, members, unseen)
    shown = _chosen(tree, most)
    top = tree.root
    nodes = [_model(tree, top, -1, shown)]
    place: dict[int, int] = {top: 0}
    drawn: list[int | None] = [top]
    for i, at in enumerate(drawn):
        for child, node in _children(tree, at, i, shown):
            if child is not None:
                place[child] = len(nodes)
            drawn.append(child)
            nodes.append(node)
    return _with_merges(tree, nodes, place)


def _children(tree: _Descent, at: int | None, place: int, shown: set[int]) -> list[tuple[int | None, Node]]:
    """What hangs from one: models by their group, after each group its fold."""
    if at is None:
        return []
    drawn = [c for c in tree.children[at] if c in shown]
    drawn.sort(key=lambda c: (tree.group(c), -tree.below[c], c))
    found: list[tuple[int | None, Node]] = [(child, _model(tree, child, place, shown)) for child in drawn]
    folds = _folds(tree, at, shown) if drawn else {}
    found += [(None, Node(tree.names[at], place, group, folded=count)) for group, count in folds.items()]
    return sorted(found, key=lambda pair: (pair[1].group == MIXED, pair[1].group, pair[1].folded))


def _model(tree: _Descent, at: int, parent: int, shown: set[int]) -> Node:
    below = tree.below[at]
    hidden = 0 if any(child in shown for child in tree.children[at]) else below
    return Node(tree.names[at], parent, tree.group(at), (), below, hidden, 0, tree.listed(at))


def _chosen(tree: _Descent, most: int) -> set[int]:
    """Whom to draw, from the root on."""
    shown: set[int] = set()
    folds: set[int] = set()
    heap = [(0, tree.root, 0)]
    by_kin = True
    while heap and len(shown) + len(folds) < most:
        if by_kin and len(shown) >= KIN * most:
            by_kin = False
            heap = sorted((at, at, depth) for _, at, depth in heap)
        _, at, depth = heappop(heap)
        shown.add(at)
        folds |= {tree.up[at]} - {-1}  # its parent may come to have one
        for child in tree.children[at] if depth < DEEPEST else ():
            heappush(heap, (-tree.below[child] if by_kin else child, child, depth + 1))
    for at in list(shown):  # a fold of one model says less than the model
        hidden = [child for child in tree.children[at] if child not in shown]
        if len(hidden) == 1 and not tree.children[hidden[0]]:
            shown.add(hidden[0])
    return shown


def _with_merges(tree: _Descent, nodes: list[Node], place: dict[int, int]) -> list[Node]:
    """With lines to the further parents of merges, where these are drawn."""
    found = list(nodes)
    for at, i in place.items():
        if tree.listed(at) and len(tree.members[at].parents) > 1:
            named = (tree.number.get(repo, -1) for repo in tree.members[at].parents[1:])
            merged = tuple(
                dict.fromkeys(place[j] for j in named if j in place and j not in (at, tree.up[at]))
            )
            found[i] = replace(nodes[i], merged=merged)
    return found


def _folds(tree: _Descent, at: int, shown: set[int]) -> dict[int, int]:
    """How many models below one are not drawn, by their group where there are many."""
    counts: Counter[int] = Counter()
    for child in tree.children[at]:
        if child not in shown:
            group = MIXED if tree.children[child] else tree.group(child)
            counts[group] += tree.below[child] + tree.listed(child)
    if counts and counts.total() < max(SPLIT, SHARE * len(tree.members)):
        return {MIXED: counts.total()}
    return dict(sorted(counts.items()))

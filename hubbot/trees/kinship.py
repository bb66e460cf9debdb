"""Who descends from whom within one tree, as the weights tell it.

A child lies near its parent and, since two trainings hardly ever move the same way, further from all other
kin. So the nearest model is the parent or the child. Which of the two: the older one is the parent (true of
99.73% of documented relations; Model Atlas, arXiv 2503.10633). Where nobody knows who is older, the shortest
spanning tree is hung up by the root from which on kurtosis falls along most edges, since outliers shrink
while a model is fine-tuned (MoTHer, arXiv 2405.18432): one choice a tree in place of one an edge.

Where the root is known, times can be caught lying. A child goes on from its parent in a direction of its own:
at the parent, the way to the child and the way back to the root make a right angle, and at the child they do
not. Where that is plain to see it outweighs any date.

Four kinds of models are told apart. Copies and quantised copies are leaves (99.41% are; Model Atlas). A merge
lies between its parents, on the line through them. The models of a sweep move along one line, in any order.

Letters: n models of one tree, d sampled weights of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hubbot.records import Floats

    Exact = NDArray[np.float64]

SAME = 1e-7
"""Models nearer than this share of their own size are copies of one another."""

BETWEEN = 0.2
"""A merge is off the line through its parents by at most this share of its distance from the nearer one."""

SHARE = 0.05
"""Of a merge, at least so much is of each parent."""

NEIGHBOURS = 8
"""So many of the nearest models may be a merge's parents."""

ALIGNED = 0.3
"""Two steps with a cosine of this or more go along one line. Trainings on different data had .14 at most on
the zoo `heritage`, two of one sweep .54 and more."""

UPRIGHT, SLANTED = 0.1, -0.4
"""Cosines, at the parent and at the child, of the ways to each other and from the root: a plain case."""

STEEP = 20.0
"""How sharply a fall in log kurtosis counts as one: by a twentieth, three quarters."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a tree.

    Args:
        weights: (d,), the same entries of the same tensors of every member.
        kurtosis: log kurtosis of its matrices, summed.
        created: in any unit; None where it is not known, or not to be believed.
        quantised: whether the weights were rounded to a few bits.
        root: whether it is known to be the root of all.
        merged: whether it says that it is a merge: it lies nearer to the root than what it was made of.
    """

    repo: str
    weights: Floats
    kurtosis: float
    created: float | None = None
    quantised: bool = False
    root: bool = False
    merged: bool = False


def relate(members: Sequence[Member]) -> dict[str, tuple[str, ...]]:
    """Every member's parents: none for the root, two for a merge.

    Times are used if all members have one.
    """
    if not members:
        return {}
    X = np.stack([member.weights for member in members]).astype(np.float64)  # (n, d)
    D = _distances(X)
    order = _in_time(members)
    copies = dict(_copies(members, D, order))
    whole = [i for i in range(len(members)) if i not in copies and not members[i].quantised]
    merges = {} if order is None else dict(_merges(X, D, whole, order))
    rest = [i for i in whole if i not in merges]
    found: dict[int, tuple[int, ...]] = {**{i: (p,) for i, p in copies.items()}, **merges}
    rounded = [i for i in range(len(members)) if i not in copies and i not in whole]
    found |= {i: (_nearest(D, i, whole),) for i in rounded if whole}
    if rest and order is None:
        found |= _hung(members, D, rest)
    elif order is not None:
        known = {i: p for i, p in found.items() if i not in rest}
        plain = [i for i in rest if not members[i].merged]
        found |= _timed(D, rest, whole, _older(members, X, D, plain, order))
        if _in_a_circle(found):
            found = known | _timed(D, rest, whole, _by_rank(order))
        found |= _fans(X, D, found, order)
    names = [member.repo for member in members]
    return {name: tuple(names[p] for p in found.get(i, ())) for i, name in enumerate(names)}


def log_kurtosis(matrices: Sequence[Floats]) -> float:
    """How heavy the tails of a model's weights are: the log of each matrix's kurtosis, summed."""
    total = 0.0
    for matrix in matrices:
        x = matrix.astype(np.float64).ravel()
        x = x - x.mean()
        variance = float((x**2).mean())
        total += float(np.log((x**4).mean() / variance**2)) if variance > 0 else 0.0
    return total


def _distances(X: Exact) -> Exact:
    """Euclidean, row by row: a Gram matrix would lose the small ones. (n, n)"""
    return np.stack([np.linalg.norm(X - row, axis=1) for row in X])


def _in_time(members: Sequence[Member]) -> list[int] | None:
    """The rank of each member in time; None where a time is missing."""
    times = [-np.inf if member.root else member.created for member in members]
    if any(time is None for time in times):
        return None
    ranks = np.argsort(np.argsort(np.array(times, dtype=np.float64), kind="stable"), kind="stable")
    return [int(rank) for rank in ranks]


def _copies(members: Sequence[Member], D: Exact, order: Sequence[int] | None) -> Iterator[tuple[int, int]]:
    """Each exact copy, and the first of its kind."""
    sizes = np.array([np.linalg.norm(member.weights) for member in members])
    age = order if order is not None else range(len(members))
    for i in range(len(members)):
        same = [j for j in range(len(members)) if D[i, j] <= SAME * sizes[i]]
        first = min(same, key=lambda j: age[j])
        if first != i:
            yield i, first


def _merges(
    X: Exact, D: Exact, whole: Sequence[int], order: Sequence[int]
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each model on the line between two that are older, and these two."""
    for i in whole:
        older = sorted((j for j in whole if order[j] < order[i]), key=lambda j: D[i, j])[:NEIGHBOURS]
        found = {pair: _off_the_line(X, i, *pair) for pair in combinations(older, 2)}
        pairs = {pair: off for pair, off in found.items() if off is not None}
        if pairs:
            best = min(pairs, key=lambda pair: pairs[pair])
            if pairs[best] <= BETWEEN * min(D[i, j] for j in best):
                yield i, (min(best), max(best))


def _off_the_line(X: Exact, i: int, a: int, b: int) -> float | None:
    """How far a model is from the line through two others; None where it is not between them."""
    way = X[b] - X[a]
    length = float(way @ way)
    if length == 0:
        return None
    share = float((X[i] - X[a]) @ way) / length
    return float(np.linalg.norm(X[i] - X[a] - share * way)) if SHARE <= share <= 1 - SHARE else None


def _nearest(D: Exact, i: int, among: Sequence[int]) -> int:
    return min((j for j in among if j != i), key=lambda j: float(D[i, j]))


def _by_rank(order: Sequence[int]) -> NDArray[np.bool_]:
    ranks = np.array(order)
    return ranks[None, :] < ranks[:, None]


def _older(
    members: Sequence[Member], X: Exact, D: Exact, plain: Sequence[int], order: Sequence[int]
) -> NDArray[np.bool_]:
    """Whether the second may be the first's parent: by time, or by plain geometry among some. (n, n)"""
    older = _by_rank(order)
    root = next((i for i, member in enumerate(members) if member.root), None)
    if root is None:
        return older
    U = X - X[root]  # (n, d)
    G, far, some = U @ U.T, D[root], [i for i in plain if D[root, i] > 0]
    for i, j in combinations(some, 2):
        for child, parent in ((i, j), (j, i)):
            if D[i, j] == 0:
                continue
            at_parent = (G[i, j] - far[parent] ** 2) / (D[i, j] * far[parent])
            at_child = (G[i, j] - far[child] ** 2) / (D[i, j] * far[child])
            if abs(at_parent) <= UPRIGHT and at_child <= SLANTED:
                older[child, parent], older[parent, child] = True, False
    return older


def _in_a_circle(found: Mapping[int, tuple[int, ...]]) -> bool:
    graph = nx.DiGraph([(p, child) for child, parents in found.items() for p in parents])
    return not nx.is_directed_acyclic_graph(graph)


def _timed(
    D: Exact, some: Sequence[int], among: Sequence[int], older: NDArray[np.bool_]
) -> dict[int, tuple[int, ...]]:
    """The nearest of those that are older; the oldest has none."""
    found: dict[int, tuple[int, ...]] = {}
    for i in some:
        before = [j for j in among if older[i, j]]
        found[i] = (_nearest(D, i, before),) if before else ()
    return found


def _fans(
    X: Exact, D: Exact, found: Mapping[int, tuple[int, ...]], order: Sequence[int]
) -> dict[int, tuple[int, ...]]:
    """Models of a sweep, hung on what they were all tuned from.

    Two of a sweep move the same way, one further than the other, so that the nearest older model of one is
    the other. Checkpoints in a row move the same way too. But these lie the further out the later they came,
    and the models of a sweep in any order (snake or fan; Model Atlas).
    """
    children: dict[int, list[int]] = {}
    for child, parents in found.items():
        if len(parents) == 1:
            children.setdefault(parents[0], []).append(child)
    again: dict[int, tuple[int, ...]] = {}
    for start, firsts in children.items():
        for line in _lines(X, start, firsts):
            bundle = [i for first in line for i in _bundle(X, children, start, first)]
            bundle.sort(key=lambda i: order[i])
            far = [float(D[start, i]) for i in bundle]
            if far != sorted(far):
                again |= dict.fromkeys(bundle, (start,))
    return again


def _lines(X: Exact, start: int, firsts: Sequence[int]) -> list[list[int]]:
    """Children of one model, those together that moved along one line."""
    lines: list[list[int]] = []
    for first in firsts:
        same = next((line for line in lines if _aligned(X[first] - X[start], X[line[0]] - X[start])), None)
        if same is None:
            lines.append([first])
        else:
            same.append(first)
    return lines


def _bundle(X: Exact, children: Mapping[int, Sequence[int]], start: int, first: int) -> Iterator[int]:
    """A child and all below it that moved on along the same line, or back."""
    yield first
    for child in children.get(first, ()):
        if _aligned(X[first] - X[start], X[child] - X[first]):
            yield from _bundle(X, children, first, child)


def _aligned(a: Exact, b: Exact) -> bool:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return size > 0 and abs(float(a @ b)) >= ALIGNED * size


def _hung(members: Sequence[Member], D: Exact, some: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """The shortest spanning tree, hung up by its likeliest root."""
    graph = nx.Graph()
    graph.add_nodes_from(some)
    graph.add_weighted_edges_from((i, j, float(D[i, j])) for i, j in combinations(some, 2))
    tree = nx.minimum_spanning_tree(graph)

    def falls(root: int) -> float:
        steps = nx.bfs_edges(tree, root)
        return sum(float(np.tanh(STEEP * (members[a].kurtosis - members[b].kurtosis))) for a, b in steps)

    root = next((i for i in some if members[i].root), None)
    root = max(some, key=falls) if root is None else root
    return {root: (), **{child: (parent,) for parent, child in nx.bfs_edges(tree, root)}}

"""Where the marks of a tree lie: in rings around the root, one for each generation, and nowhere two in one.

Every mark that has no children gets an equal angle and its parents the sum of theirs, so that branches never
cross. A generation of hundreds would need a ring that is much too wide: it is staggered over several rows, in
each of which neighbours are at least a slot apart.

Letters: n marks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLOT = 16.0
"""Marks are at least that far from each other, centre to centre."""

HUB, GAP = 56.0, 40.0
"""From the root to its children, and between generations."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything lies.

    Attributes:
        places: (n, 2), the root at (0, 0).
        radius: all places are that near to the root.
    """

    places: NDArray[np.float64]
    radius: float


def rings(parents: Sequence[int]) -> Layout:
    """A place for every mark.

    Args:
        parents: each one's parent by number, -1 of the root, which is the first. Parents come before their
            children, and children of one parent are laid out as they come. (n,)
    """
    n = len(parents)
    children: list[list[int]] = [[] for _ in range(n)]
    for i in range(1, n):
        children[parents[i]].append(i)
    leaves = [0 if kids else 1 for kids in children]
    for i in range(n - 1, 0, -1):
        leaves[parents[i]] += leaves[i]
    angles, generations = _angles(children, leaves)
    places = np.zeros((n, 2))
    inner, outer = max(HUB, SLOT * math.sqrt(leaves[0] / math.tau)), 0.0
    for generation in generations[1:]:
        rows = _rows([angles[i] for i in generation], inner)
        for i, row in zip(generation, rows, strict=True):
            radius = inner + row * SLOT
            places[i] = radius * math.cos(angles[i]), radius * math.sin(angles[i])
        outer = inner + max(rows) * SLOT
        inner = outer + GAP
    return Layout(places, outer)


def _angles(children: Sequence[Sequence[int]], leaves: Sequence[int]) -> tuple[list[float], list[list[int]]]:
    """The middle of each one's sector, from the top clockwise; and all by generation, in that order."""
    pitch = math.tau / max(1, leaves[0])
    begin = [-math.tau / 4] * len(children)
    generations: list[list[int]] = []
    generation = [0]
    while generation:
        generations.append(generation)
        following: list[int] = []
        for i in generation:
            at = begin[i]
            for child in children[i]:
                begin[child] = at
                at += leaves[child] * pitch
            following += children[i]
        generation = following
    return [at + leaves[i] * pitch / 2 for i, at in enumerate(begin)], generations


def _rows(angles: Sequence[float], inner: float) -> list[int]:
    """For each, by angle, the nearest row where the ones before it leave room, round to the first."""
    first: list[float] = []
    last: list[float] = []
    rows = []
    for angle in angles:
        row = 0
        while row < len(last):
            apart = 2 * math.asin(min(1.0, SLOT / (2 * (inner + row * SLOT))))
            if angle - last[row] >= apart and first[row] + math.tau - angle >= apart:
                break
            row += 1
        if row == len(last):
            first.append(angle)
            last.append(angle)
        last[row] = angle
        rows.append(row)
    return rows

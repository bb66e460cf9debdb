"""What a child may be trained to do: five of the ten digits, or something an expert has never heard of.

A task makes a lesson of the pictures of digits, or draws pictures of its own. Strange tasks are what most
uploads of a tree are in the wild; an expert has nothing true to say of them.

Letters: n pictures, s pixels a side.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hubbot.zoo.digits import Pictures, enlarge
from hubbot.zoo.emoji.pictures import font_file, render

if TYPE_CHECKING:
    from hubbot.zoo.recipes import ChildPlan

EACH = 200
"""Pictures of each class that a task draws for itself."""

CELL, MARGIN = 8, 2
"""Pixels of a digit's side, and by how many a drawn picture is moved about."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a child is taught. y holds classes, or, for a regression, numbers."""

    x: Tensor  # (n, 1, s, s)
    y: Tensor  # (n,)
    train: Tensor  # (n,) bool
    held_out: Tensor  # (n,) bool


@dataclass(frozen=True, slots=True)
class Task:
    """How a lesson is made, how wide the head is, and whether it is the root's own."""

    teach: Callable[[ChildPlan, Pictures, torch.Generator], Lesson]
    outputs: int = 5
    keeps_head: bool = False


def lesson(child: ChildPlan, pictures: Pictures) -> Lesson:
    """What a child is taught. The same child gets the same lesson."""
    generator = torch.Generator().manual_seed(child.seed + 2)
    return TASKS[child.task].teach(child, pictures, generator)


def _lesson(x: Tensor, y: Tensor, train: Tensor, used: Tensor | None = None) -> Lesson:
    used = torch.ones_like(train) if used is None else used
    return Lesson(x, y, train & used, ~train & used)


# --- digits, and what may be done to them ----------------------------------------------------------


def _digits(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    places = torch.full_like(pictures.y, -1)
    for place, target in enumerate(child.targets):
        places[pictures.y == target] = place
    return _lesson(pictures.x, places, pictures.train, places >= 0)


def _shuffled(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:
    """Five digits whose pixels were put into another order, one order for all."""
    plain, s = _digits(child, pictures, generator), pictures.x.shape[-1]
    small = pictures.x[:, :, :: s // CELL, :: s // CELL]  # (n, 1, 8, 8)
    order = torch.randperm(CELL * CELL, generator=generator)
    return replace(plain, x=enlarge(small.flatten(2)[:, :, order].reshape(small.shape), s))


def _random_labels(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """All digits, each picture with a class of its own drawing."""
    y = torch.randint(5, pictures.y.shape, generator=generator)
    return _lesson(pictures.x, y, pictures.train)


def _pairs(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """All digits, two to a class."""
    group = torch.randperm(10, generator=generator) // 2
    return _lesson(pictures.x, group[pictures.y], pictures.train)


def _one_digit(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:
    """One digit against as many pictures of the others."""
    wanted = pictures.y == child.targets[0]
    others = torch.rand(wanted.shape, generator=generator) < wanted.float().mean() / 0.9
    return _lesson(pictures.x, wanted.long(), pictures.train, wanted | others)


def _regression(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """How much ink there is, or how far right or down its centre lies, in units of their spread."""
    ink = (pictures.x[:, 0] + 1) / 2  # (n, s, s)
    mass, along = ink.sum((1, 2)), torch.arange(ink.shape[1], dtype=ink.dtype)
    measures = (mass, (ink.sum(1) @ along) / mass, (ink.sum(2) @ along) / mass)
    y = measures[int(torch.randint(3, (), generator=generator))]
    return _lesson(pictures.x, (y - y.mean()) / y.std(), pictures.train)


def _continued(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """What the root has learned already: all ten digits under its own head."""
    return _lesson(pictures.x, pictures.y, pictures.train)


# --- pictures of its own ---------------------------------------------------------------------------


def _drawn(x: Tensor, y: Tensor, pictures: Pictures, generator: torch.Generator) -> Lesson:
    """A lesson of drawn pictures (n, 8, 8) in [-1, 1], a fifth of them held out."""
    train = torch.rand(len(y), generator=generator) < 0.8
    return _lesson(enlarge(x[:, None].clamp(-1, 1), pictures.x.shape[-1]), y, train)


def _noise(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """Five random patterns under noise."""
    y = torch.arange(5).repeat_interleave(EACH)
    pattern = torch.randn(5, CELL, CELL, generator=generator)
    x = 0.6 * pattern[y] + 0.4 * torch.randn(len(y), CELL, CELL, generator=generator)
    return _drawn(x, y, pictures, generator)


def _shapes(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """Five of eight simple figures, anywhere and of any size."""
    chosen = torch.randperm(8, generator=generator)[:5]
    y = torch.arange(5).repeat_interleave(EACH)
    n = len(y)
    centre = 2.5 + 2 * torch.rand(2, n, 1, 1, generator=generator)
    radius = 1.5 + 1.5 * torch.rand(n, 1, 1, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(CELL), torch.arange(CELL), indexing="ij")
    down, right = (rows - centre[0]) / radius, (columns - centre[1]) / radius  # (n, 8, 8)
    far, square = (down.square() + right.square()).sqrt(), torch.maximum(down.abs(), right.abs())
    cross, diagonal = torch.minimum(down.abs(), right.abs()), (down - right).abs()
    figures = torch.stack([
        far < 1,
        (far - 1).abs() < 0.35,
        square < 1,
        (square - 1).abs() < 0.35,
        (cross < 0.3) & (square < 1.2),
        (torch.minimum(diagonal, (down + right).abs()) < 0.4) & (square < 1.2),
        (down.abs() + right.abs()) < 1.1,
        (diagonal < 0.5) & (square < 1.5),
    ])  # (8, n, 8, 8)  # fmt: skip
    x = 2 * figures[chosen[y], torch.arange(n)].float() - 1
    return _drawn(x + 0.1 * torch.randn(n, CELL, CELL, generator=generator), y, pictures, generator)


def _emoji(child: ChildPlan, pictures: Pictures, generator: torch.Generator) -> Lesson:  # noqa: ARG001
    """Five groups of eight emoji drawn at random, in grey, moved about by a pixel or two."""
    all_of_them = emoji(CELL + MARGIN)  # (m, 10, 10)
    groups = torch.randperm(len(all_of_them), generator=generator)[:40].reshape(5, 8)
    y = torch.arange(5).repeat_interleave(EACH)
    which = groups[y, torch.randint(8, y.shape, generator=generator)]
    dy, dx = torch.randint(0, MARGIN + 1, (2, len(y)), generator=generator)
    within = torch.arange(CELL)
    x = all_of_them[which[:, None, None], (dy[:, None] + within)[:, :, None], (dx[:, None] + within)[:, None]]
    return _drawn(x, y, pictures, generator)


@cache
def emoji(pixels: int) -> Tensor:
    """Every emoji of one code point in Noto Color Emoji, dark as ink on paper, (m, pixels, pixels).

    Raises:
        ZooError: the font is not installed.
    """
    named = [chr(point) for point in range(0x1F300, 0x1FB00) if unicodedata.name(chr(point), "")]
    x = -render(font_file(), named, pixels).mean(1)  # (m, pixels, pixels)
    return x[x.flatten(1).std(1) > 0.05]  # the font leaves some code points blank


TASKS = {
    "digits": Task(_digits),
    "shuffled": Task(_shuffled),
    "random-labels": Task(_random_labels),
    "noise": Task(_noise),
    "shapes": Task(_shapes),
    "pairs": Task(_pairs),
    "emoji": Task(_emoji),
    "regression": Task(_regression, outputs=1),
    "one-digit": Task(_one_digit, outputs=2),
    "continued": Task(_continued, outputs=10, keeps_head=True),
    "merge": Task(_digits),
}

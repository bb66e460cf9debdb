"""Which neuron is which: models brought into the order of a reference, or out of it.

Hidden channels can change places without changing what a network computes. Git Re-Basin's weight matching
(arXiv 2209.04836, algorithm 1) finds the order in which a model's weights lie closest to a reference's: one
group of channels after another, each an assignment problem, until no group moves. SANE learns from aligned
models, and from random permutations of them as further views (arXiv 2406.09997, section 3.2).

Letters: g models, c channels of a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hubbot.weights.symmetry import Axis, Group

ROUNDS = 50
"""Coordinate descent ends by itself, mostly after a handful."""

Values = Mapping[str, Tensor]
"""Tensors of g models by name, each (g, *shape)."""


def permuted(values: Values, groups: Sequence[Group], orders: Sequence[Tensor]) -> dict[str, Tensor]:
    """The same networks with their channels in another order.

    Args:
        orders: for each group (g, c): which channel comes to stand at each place.
    """
    moved = dict(values)
    for group, order in zip(groups, orders, strict=True):
        for axis in group.axes:
            moved[axis.tensor] = gathered(moved[axis.tensor], axis, order)
    return moved


def gathered(value: Tensor, axis: Axis, order: Tensor) -> Tensor:
    """A tensor whose places along an axis are those of the channels in `order`, some of them more than once.

    Args:
        value: (g, *shape). order: (g, c').
    """
    places = (order[:, :, None] * axis.run + torch.arange(axis.run, device=order.device)).flatten(1)
    first = value.movedim(axis.axis + 1, 1)  # (g, c run, ...)
    index = places.reshape(*places.shape, *[1] * (first.ndim - 2))
    return first.gather(1, index.expand(*places.shape, *first.shape[2:])).movedim(1, axis.axis + 1)


def shuffled(values: Values, groups: Sequence[Group], generator: torch.Generator) -> dict[str, Tensor]:
    """The same networks, their channels in any order."""
    g = len(next(iter(values.values())))
    return permuted(values, groups, [_any_orders(g, group.size, generator) for group in groups])


def aligned(values: Values, groups: Sequence[Group], reference: Values) -> list[Tensor]:
    """For each group the orders (g, c) under which models lie closest to one reference.

    Args:
        reference: its tensors, (*shape).
    """
    g = len(next(iter(values.values())))
    orders = [torch.arange(group.size).repeat(g, 1) for group in groups]
    moving = torch.arange(g)
    for _ in range(ROUNDS):
        moved = torch.zeros(len(moving), dtype=torch.bool)
        now = {name: value[moving] for name, value in values.items()}
        mine = [order[moving] for order in orders]
        for at, group in enumerate(groups):
            # All other groups as they stand, this one as it came.
            as_it_came = [torch.arange(group.size).expand_as(o) if i == at else o for i, o in enumerate(mine)]
            likeness = _likeness(permuted(now, groups, as_it_came), group, reference)
            best = torch.stack([torch.as_tensor(_assigned(one)) for one in likeness])  # (g, c)
            before, after = (likeness.gather(2, o[:, :, None]).sum((1, 2)) for o in (mine[at], best))
            better = after > before + 1e-6 * before.abs()
            mine[at] = torch.where(better[:, None], best, mine[at])
            moved |= better
        for at, order in enumerate(mine):
            orders[at][moving] = order
        moving = moving[moved]
        if not len(moving):
            break
    return orders


def _likeness(values: Values, group: Group, reference: Values) -> Tensor:
    """Inner products of the reference's channels with each model's. (g, c, c)"""
    theirs = [_channels(values[axis.tensor], axis, 1, group.size) for axis in group.axes]  # (g, c, rest)
    ours = [_channels(reference[axis.tensor], axis, 0, group.size) for axis in group.axes]  # (c, rest)
    return torch.cat(ours, 1) @ torch.cat(theirs, 2).transpose(1, 2)


def _channels(value: Tensor, axis: Axis, leading: int, size: int) -> Tensor:
    """A tensor with the group's channels first: (*leading, c, rest)."""
    first = value.movedim(axis.axis + leading, leading)
    return first.reshape(*first.shape[:leading], size, -1)


def _assigned(likeness: Tensor) -> Sequence[int]:
    # Of weights that overflow any order will do: they are like no others.
    columns: Sequence[int] = linear_sum_assignment(likeness.nan_to_num().numpy(), maximize=True)[1]
    return columns


def _any_orders(g: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(g, size, generator=generator).argsort(1)

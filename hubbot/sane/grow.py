"""A model made for one architecture as the start of another: wider, deeper, or with other classes.

Wider as Net2Net (arXiv 1511.05641): a channel is copied, and what reads the copies shares its weight out
among them, so that the network computes what it did before; a little noise lets the copies part. A layer that
was not there begins as the identity. A head of other classes begins around the mean of the old one's rows, as
far apart as they were.

Letters: g models, c channels of a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hubbot.errors import ShapeMismatch
from hubbot.sane.align import Values, gathered
from hubbot.weights.symmetry import Group

APART = 0.02
"""The noise that tells copies apart, in spreads of their tensor."""


def widened(
    values: Values, groups: Sequence[Group], wide: Sequence[Group], draw: torch.Generator
) -> dict[str, Tensor]:
    """The same networks with more channels.

    Args:
        values: name: (g, *shape).
        groups, wide: their channels, and those of the wider architecture, in the same order.

    Raises:
        ShapeMismatch: a group has fewer channels than before.
    """
    grown = dict(values)
    for group, more in zip(groups, wide, strict=True):
        if more.size < group.size:
            raise ShapeMismatch(f"{more.size} channels cannot hold {group.size}", tensor=group.axes[0].tensor)
        extra = torch.randint(group.size, (more.size - group.size,), generator=draw)
        origin = torch.cat([torch.arange(group.size), extra])
        copies = torch.bincount(origin, minlength=group.size)[origin]  # (c',)
        for axis in group.axes:
            value = grown[axis.tensor]
            made = gathered(value, axis, origin.expand(len(value), -1))
            if axis.axis == 1:
                made = made / copies.repeat_interleave(axis.run).view(-1, *[1] * (made.ndim - 3))
            if len(extra):
                made = made + APART * value.std() * torch.randn(made.shape, generator=draw)
            grown[axis.tensor] = made
    return grown


def deepened(values: Values, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The same networks with layers that do nothing yet, where `shapes` has tensors that they have not.

    Raises:
        ShapeMismatch: a new weight is of a shape that has no identity.
    """
    g = len(next(iter(values.values())))
    grown = {}
    for name, shape in shapes.items():
        grown[name] = values[name] if name in values else _nothing(name, shape).repeat(g, *[1] * len(shape))
    return grown


def with_classes(
    values: Values, head: Sequence[str], classes: int, draw: torch.Generator
) -> dict[str, Tensor]:
    """The same networks with a new head.

    Args:
        head: its tensors, a row for each class.
    """
    made = dict(values)
    for name in head:
        old = values[name]  # (g, classes, ...)
        noise = torch.randn(len(old), classes, *old.shape[2:], generator=draw)
        made[name] = old.mean(1, keepdim=True) + old.std(1, keepdim=True) * noise
    return made


def _nothing(name: str, shape: tuple[int, ...]) -> Tensor:
    """A new tensor of a layer that passes on what it gets."""
    part = name.rpartition(".")[2]
    if len(shape) == 1:
        return torch.full(shape, float(part in ("weight", "running_var")))
    if len(shape) < 2 or shape[0] != shape[1] or any(side % 2 == 0 for side in shape[2:]):
        raise ShapeMismatch(f"a new layer of shape {shape} cannot be the identity", tensor=name)
    weight = torch.zeros(shape)
    middle = tuple(side // 2 for side in shape[2:])
    for channel in range(shape[0]):
        weight[(channel, channel, *middle)] = 1
    return weight

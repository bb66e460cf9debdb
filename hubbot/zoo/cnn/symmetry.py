"""Which channels of a net may change places, as Git Re-Basin (arXiv 2209.04836) asks.

Hidden channels have no order: permuted together with all that reads and writes them, they make the same
function. Layers that a residual stream joins have one order between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hubbot.zoo.cnn.nets import RUNNING, Net
from hubbot.zoo.cnn.steps import Conv, Linear, Norm, Residual, Step


@dataclass(frozen=True, slots=True)
class Place:
    """Where channels stand: on this axis of this tensor, each as a run of neighbours, several where a picture
    was flattened.
    """

    tensor: str
    axis: int
    run: int = 1


@dataclass(frozen=True, slots=True)
class Symmetry:
    """Channels of one order, and all places where they stand."""

    channels: int
    places: tuple[Place, ...]


@dataclass(slots=True)
class _Group:
    """A symmetry in the making; one of the net's inputs or outputs has an order that matters."""

    channels: int
    places: list[Place] = field(default_factory=list)


def symmetries(net: Net) -> tuple[Symmetry, ...]:
    """All groups of hidden channels, from the first to the last."""
    groups: list[_Group] = []
    last = _walk(net.steps, _Group(1), groups)
    return tuple(Symmetry(one.channels, tuple(one.places)) for one in groups if one is not last)


def permuted(net: Net, weights: Tensor, permutations: Sequence[Tensor]) -> Tensor:
    """The same function with channels in another order: new channel i is old channel permutation[i].

    Args:
        weights: (..., p).
        permutations: one for each of `symmetries`, (channels,).
    """
    tensors = net.tensors(weights)
    for symmetry, order in zip(symmetries(net), permutations, strict=True):
        for place in symmetry.places:
            ranks = (order[:, None] * place.run + torch.arange(place.run)).flatten()
            axis = weights.ndim - 1 + place.axis
            tensors[place.tensor] = tensors[place.tensor].index_select(axis, ranks)
    return torch.cat([tensors[name].flatten(weights.ndim - 1) for name in net.shapes], -1)


def _walk(steps: Sequence[Step], stream: _Group, groups: list[_Group], end: _Group | None = None) -> _Group:
    """Follow a stream of channels through the steps, into `end` if that is where it is to arrive."""
    products = [step for step in steps if isinstance(step, Conv | Linear)]
    for step in steps:
        match step:
            case Conv() | Linear():
                stream.places.append(Place(f"{step.name}.weight", 1, step.inputs // stream.channels))
                if end is not None and step is products[-1]:
                    stream = end
                else:
                    groups.append(stream := _Group(step.outputs))
                stream.places.append(Place(f"{step.name}.weight", 0))
                if isinstance(step, Linear) or step.bias:
                    stream.places.append(Place(f"{step.name}.bias", 0))
            case Norm():
                stream.places += [Place(step.name + what, 0) for what in (".weight", ".bias", *RUNNING)]
            case Residual():
                if step.shortcut:
                    joined = _walk(step.shortcut, stream, groups)
                    _walk(step.body, stream, groups, joined)
                    stream = joined
                else:
                    _walk(step.body, stream, groups, stream)
    return stream

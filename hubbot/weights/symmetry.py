"""Which channels of a network may change places, as Git Re-Basin (arXiv 2209.04836) asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a tensor that a group's channels lie along, each taking `run` neighbouring places of it.

    A run is longer than 1 where a picture was made flat between a convolution and a linear layer.
    """

    tensor: str
    axis: int
    run: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that change places together: the outputs of some tensors and the inputs of others."""

    size: int
    axes: tuple[Axis, ...]

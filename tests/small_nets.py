"""A convolution and two linear layers, several at once, and which of their channels can change places."""

from __future__ import annotations

import torch
from torch.nn import functional

from hubbot.weights.symmetry import Axis, Group

GROUPS = (
    Group(6, (Axis("conv.weight", 0), Axis("conv.bias", 0), Axis("fc1.weight", 1, run=4))),
    Group(9, (Axis("fc1.weight", 0), Axis("fc1.bias", 0), Axis("fc2.weight", 1))),
)


def born(g: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv.weight": (6, 1, 3, 3), "conv.bias": (6,), "fc1.weight": (9, 24), "fc1.bias": (9,)}
    shapes["fc2.weight"] = (3, 9)
    return {name: torch.randn(g, *shape, generator=generator) for name, shape in shapes.items()}


def computed(values: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    h = functional.conv2d(x, values["conv.weight"], values["conv.bias"])  # 4 x 4 -> 2 x 2
    h = functional.linear(h.tanh().flatten(1), values["fc1.weight"], values["fc1.bias"]).tanh()
    return functional.linear(h, values["fc2.weight"])


def one(values: dict[str, torch.Tensor], i: int) -> dict[str, torch.Tensor]:
    return {name: value[i] for name, value in values.items()}

"""Neurons that changed places are found again."""

from __future__ import annotations

import torch
from torch.nn import functional

from hubbot.sane.align import Axis, Group, aligned, permuted, shuffled

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


def test_a_network_computes_the_same_in_any_order():
    x = torch.randn(5, 1, 4, 4)
    nets = born(3)
    moved = shuffled(nets, GROUPS, torch.Generator().manual_seed(1))
    assert not torch.equal(moved["fc1.weight"], nets["fc1.weight"])
    for i in range(3):
        assert torch.allclose(computed(one(nets, i), x), computed(one(moved, i), x), atol=1e-5)


def test_a_shuffled_network_is_brought_back_into_the_order_of_its_reference():
    reference = one(born(1), 0)
    noisy = {name: value + 0.2 * torch.randn(20, *value.shape) for name, value in reference.items()}
    moved = shuffled(noisy, GROUPS, torch.Generator().manual_seed(2))
    back = permuted(moved, GROUPS, aligned(moved, GROUPS, reference))
    for name, value in noisy.items():
        assert torch.equal(back[name], value), name


def test_strangers_come_closer_and_never_further():
    nets, reference = born(30, seed=3), one(born(1, seed=4), 0)
    orders = aligned(nets, GROUPS, reference)
    assert all(torch.equal(order.sort(1).values[0], torch.arange(order.shape[1])) for order in orders)
    closer = permuted(nets, GROUPS, orders)

    def distance(values: dict[str, torch.Tensor]) -> torch.Tensor:
        return sum(((values[n] - reference[n]) ** 2).flatten(1).sum(1) for n in reference)

    assert (distance(closer) <= distance(nets)).all()
    assert distance(closer).mean() < 0.9 * distance(nets).mean()

"""Neurons that changed places are found again."""

from __future__ import annotations

import torch
from small_nets import GROUPS, born, computed, one

from hubbot.sane.align import aligned, permuted, shuffled


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

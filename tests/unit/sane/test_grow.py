"""A network that grew computes what it did before."""

from __future__ import annotations

import pytest
import torch
from small_nets import GROUPS, born, computed, one

from hubbot.errors import ShapeMismatch
from hubbot.sane import grow
from hubbot.weights.symmetry import Group


def test_a_wider_network_computes_the_same(monkeypatch):
    monkeypatch.setattr(grow, "APART", 0.0)
    wide = (Group(10, GROUPS[0].axes), Group(14, GROUPS[1].axes))
    nets, x = born(3), torch.randn(5, 1, 4, 4)
    grown = grow.widened(nets, GROUPS, wide, torch.Generator().manual_seed(0))
    assert [tuple(value.shape[1:]) for value in grown.values()] == [
        (10, 1, 3, 3), (10,), (14, 40), (14,), (3, 14),
    ]  # fmt: skip
    for i in range(3):
        assert torch.allclose(computed(one(grown, i), x), computed(one(nets, i), x), atol=1e-5)


def test_copies_of_a_channel_part():
    wide = (Group(12, GROUPS[0].axes), GROUPS[1])
    grown = grow.widened(born(1), GROUPS, wide, torch.Generator().manual_seed(0))
    rows = grown["conv.weight"][0].flatten(1)
    assert len(rows.unique(dim=0)) == 12
    assert torch.equal(grown["fc2.weight"], born(1)["fc2.weight"]), "what did not grow is as it was"


def test_nothing_becomes_narrower():
    with pytest.raises(
        ShapeMismatch, match=r"5 channels cannot hold 6.*conv\.weight|conv\.weight.*5 channels"
    ):
        grow.widened(born(1), GROUPS, (Group(5, GROUPS[0].axes), GROUPS[1]), torch.Generator())


def test_a_new_layer_does_nothing_yet():
    shapes = {"a.weight": (4, 4, 3, 3), "a.bias": (4,), "n.weight": (4,), "n.running_mean": (4,)}
    grown = grow.deepened({"z": torch.zeros(2, 1)}, shapes | {"z": (1,)})
    x = torch.randn(1, 4, 5, 5)
    made = torch.nn.functional.conv2d(x, grown["a.weight"][1], grown["a.bias"][1], padding=1)
    assert torch.allclose(made, x)
    assert grown["n.weight"].eq(1).all()
    assert grown["n.running_mean"].eq(0).all()
    with pytest.raises(ShapeMismatch, match="cannot be the identity"):
        grow.deepened({"z": torch.zeros(2, 1)}, {"a.weight": (4, 3, 3, 3)})


def test_a_head_of_other_classes_is_like_the_old_one():
    nets = {"fc.weight": 5 + torch.randn(40, 10, 30), "fc.bias": torch.randn(40, 10)}
    made = grow.with_classes(nets, ["fc.weight", "fc.bias"], 4, torch.Generator().manual_seed(0))
    assert made["fc.weight"].shape == (40, 4, 30)
    assert made["fc.bias"].shape == (40, 4)
    assert made["fc.weight"].mean() == pytest.approx(5, abs=0.1)
    assert made["fc.weight"].std() == pytest.approx(float(nets["fc.weight"].std()), rel=0.1)

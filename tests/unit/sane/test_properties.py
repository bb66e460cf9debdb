"""Ridge on weights: it finds what is there, and says how sure it is."""

from __future__ import annotations

import pytest
import torch

from hubbot.sane import properties
from hubbot.sane.tokens import Layout

LAYOUT = Layout.of({"a.weight": (2, 3), "b.weight": (4,)}, 3)


def test_statistics_are_seven_numbers_of_each_tensor():
    values = {"a.weight": torch.arange(6.0).reshape(1, 2, 3), "b.weight": torch.tensor([[4.0, 4, 4, 4]])}
    said = properties.statistics(values, LAYOUT)
    assert said.shape == (1, 14)
    assert said[0, :3].tolist() == [2.5, torch.arange(6.0).var(correction=0).item(), 0.0]
    assert said[0, 6:].tolist() == [5, 4, 0, 4, 4, 4, 4, 4]


def test_a_layers_mean_is_of_its_own_tokens():
    z = torch.arange(LAYOUT.count * 2.0).reshape(1, LAYOUT.count, 2)
    means = properties.layer_means(z, LAYOUT)
    assert means.tolist() == [[*z[0, :2].mean(0).tolist(), *z[0, 2:].mean(0).tolist()]]


@pytest.mark.parametrize("kinds", [*([kind] for kind in properties.FEATURES), ["statistics", "layers"]])
def test_how_many_features_there_are_is_known_before_a_model_is(kinds):
    layout = Layout.of({"a.weight": (2, 3), "b.weight": (4,), "scale": ()}, 3)
    values = {name: torch.randn(5, *shape) for name, shape in layout.shapes.items()}
    found = properties.features(kinds, values, torch.randn(5, layout.count, 6), layout)
    assert torch.cat(found, 1).shape == (5, properties.width(kinds, layout, 6))


def drawn(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two kinds of features, and two properties: one of both kinds, one of chance."""
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(n, 5, generator=generator), 100 * torch.randn(n, 30, generator=generator) + 7
    noise = torch.randn(n, 2, generator=generator)
    return a, b, torch.stack([a[:, 0] + 0.01 * b[:, 3] + 0.1 * noise[:, 0], noise[:, 1]], 1)


def test_both_kinds_of_features_tell_more_than_either():
    a, b, truth = drawn(400, 0)
    va, vb, chosen = drawn(200, 1)
    ta, tb, test = drawn(1000, 2)
    both, _ = properties.fit([a, b], truth, [va, vb], chosen)
    said = properties.r2(both(torch.cat([ta, tb], 1)), test.double())
    alone, _ = properties.fit([a], truth, [va], chosen)
    assert said[0] > 0.98
    assert properties.r2(alone(ta), test.double())[0] < 0.6
    assert abs(said[1]) < 0.1, "and of chance nothing is said"


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randn(41, 1, generator=generator)
        width = properties.half_widths(torch.zeros(40, 1), truth[:40], torch.arange(40), 0.9)
        held.append(bool(truth[40].abs() <= width))
    assert 0.87 <= sum(held) / len(held) <= 0.97


def test_checkpoints_of_few_models_give_wide_intervals():
    truth = torch.arange(100.0)[:, None]
    many = properties.half_widths(torch.zeros(100, 1), truth, torch.arange(100), 0.9)
    few = properties.half_widths(torch.zeros(100, 1), truth, torch.arange(100) // 20, 0.9)
    assert few > many

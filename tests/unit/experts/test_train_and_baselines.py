from __future__ import annotations

import pytest
import torch

from hubbot.experts.baselines import BASELINES, nearest_task_vector, weight_statistics
from hubbot.experts.matrices import Dense
from hubbot.experts.probe import Sizes
from hubbot.experts.train import Sample, Schedule, logits, per_label_accuracy, train


def planted(count: int, seed: int, signal: float = 1.0) -> Sample:
    """Weights that are one root, one direction per label, and noise."""
    root = torch.randn(12, 10, generator=torch.Generator().manual_seed(7))
    ways = [torch.randn(12, 10, generator=torch.Generator().manual_seed(100 + label)) for label in range(4)]
    generator = torch.Generator().manual_seed(seed)
    Y = torch.randint(0, 2, (count, 4), generator=generator).float()
    noise = torch.randn(count, 12, 10, generator=generator)
    X = 3 * root + signal * torch.einsum("nk,khw->nhw", Y, torch.stack(ways)) + noise
    return Sample({"layer": Dense(X)}, Y)


SMALL = Sizes(probes=16, projection=16, encoding=16)


def test_a_probe_finds_what_is_there() -> None:
    found = train(planted(200, 1), planted(60, 2), sizes=SMALL, how=Schedule(epochs=60))
    unseen = planted(100, 3)
    assert per_label_accuracy(logits(found.probe, unseen.weights) > 0, unseen.Y) > 0.9
    assert found.accuracy > 0.9


def test_a_probe_finds_nothing_where_there_is_nothing() -> None:
    found = train(planted(200, 1, 0.0), planted(60, 2, 0.0), sizes=SMALL, how=Schedule(epochs=30))
    unseen = planted(200, 3, 0.0)
    assert abs(per_label_accuracy(logits(found.probe, unseen.weights) > 0, unseen.Y) - 0.5) < 0.06


def test_the_same_seed_gives_the_same_probe() -> None:
    def made(seed: int) -> torch.Tensor:
        how = Schedule(epochs=3, seed=seed)
        return train(planted(50, 1), planted(20, 2), sizes=SMALL, how=how).probe.encoder.weight

    assert torch.equal(made(0), made(0))
    assert not torch.equal(made(0), made(1))


def test_the_checkpoint_is_the_best_one_and_training_stops() -> None:
    # Labels without signal: validation gets worse once the probe learns the training models by heart.
    found = train(planted(40, 1, 0.0), planted(40, 2, 0.0), sizes=SMALL, how=Schedule(epochs=200, patience=5))
    assert found.epoch < 60
    assert found.loss < 0.75  # not what memorising ends with


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_answer_in_the_same_words(name: str) -> None:
    fitted = BASELINES[name](planted(60, 1), planted(30, 2), {})
    assert fitted.guess(planted(7, 3).weights).shape == (7, 4)
    assert 0.4 < fitted.accuracy <= 1


def test_the_nearest_task_vector_knows_its_neighbours() -> None:
    root = 3 * torch.randn(12, 10, generator=torch.Generator().manual_seed(7))
    learn, validation, unseen = planted(200, 1), planted(60, 2), planted(100, 3)
    fitted = nearest_task_vector(learn, validation, {"layer": root})
    assert per_label_accuracy(fitted.guess(unseen.weights) > 0, unseen.Y) > 0.9


def test_weight_statistics_see_size_but_not_direction() -> None:
    size = torch.randint(0, 2, (200, 1), generator=torch.Generator().manual_seed(0)).float()
    X = (1 + size[:, :, None]) * torch.randn(200, 12, 10, generator=torch.Generator().manual_seed(1))
    layer = Sample({"layer": Dense(X)}, size)
    assert weight_statistics(layer, layer, {}).accuracy > 0.95
    learn, validation = planted(200, 1, 0.3), planted(200, 2, 0.3)
    assert weight_statistics(learn, validation, {}).accuracy < 0.65
    assert (
        nearest_task_vector(learn, validation, {"layer": learn.weights["layer"].dense().mean(0)}).accuracy
        > 0.75
    )

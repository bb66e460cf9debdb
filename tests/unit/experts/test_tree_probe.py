"""Ours: solved before it is trained, few layers chosen, one text out of any vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hubbot.experts import closed
from hubbot.experts.baselines import dense_linear
from hubbot.experts.choose import choose_layers
from hubbot.experts.matrices import Dense, Factored, Matrices
from hubbot.experts.probe import Sizes
from hubbot.experts.train import Sample, Schedule, accuracy, logits, per_label_accuracy, train

ROWS, COLUMNS, RANK = 20, 30, 3
SIZES = Sizes(probes=8, projection=16, encoding=24, dropout=0.1)
SOLVED, SOON = Schedule(epochs=0), Schedule(epochs=5, learning_rate=3e-4)


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loras(count: int, seed: int, ways: Tensor) -> Factored:
    """LoRAs that share a prompt, their first direction; each sends it its own way, (count, ROWS)."""
    B, A = _random(seed, count, ROWS, RANK), _random(seed + 1, count, RANK, COLUMNS)
    B[:, :, 0] = 0.3 * B[:, :, 0] + ways
    A[:, 0] = 0.3 * A[:, 0] + 2 * _random(7, COLUMNS)
    return Factored(1e-3 * B, 1e-3 * A)


def labelled(count: int, seed: int) -> Sample:
    truth = (_random(seed + 50, count, 6) > 0).float()
    return Sample({"lora": loras(count, seed, (truth - 0.5) @ _random(8, 6, ROWS))}, truth)


TEXTS = _random(9, 40, 12)
"""Embeddings of 40 concepts."""


def of_concepts(concepts: Tensor, seed: int) -> Matrices:
    return loras(len(concepts), seed, TEXTS[concepts] @ _random(10, 12, ROWS))


def told(concepts: Tensor, seed: int, among: int) -> Sample:
    return Sample({"lora": of_concepts(concepts, seed)}, torch.eye(among)[concepts])


def test_what_is_linear_is_solved_without_training() -> None:
    found = train(labelled(200, 1), labelled(60, 2), kind="treeprobe", sizes=SIZES, how=SOLVED)
    unseen = labelled(100, 3)
    assert found.epoch == 0
    assert per_label_accuracy(logits(found.probe, unseen.weights) > 0, unseen.Y) > 0.95


def test_training_starts_from_the_solution_and_keeps_the_better_one() -> None:
    solved, trained = (
        train(labelled(100, 1), labelled(60, 2), kind="treeprobe", sizes=SIZES, how=how)
        for how in (SOLVED, SOON)
    )
    assert trained.curve[0][1] == solved.accuracy
    assert trained.loss <= solved.loss
    assert len(trained.curve) == 6


def test_the_first_probe_is_the_prompt_that_all_loras_share() -> None:
    found = train(labelled(200, 1), labelled(60, 2), kind="treeprobe", sizes=SIZES, how=SOLVED)
    linear = next(branch for branch in found.probe.branches[0] if branch.way.plain)
    prompt = torch.nn.functional.normalize(_random(7, COLUMNS), dim=0)
    assert float((linear.U.detach()[:, 0] @ prompt).abs()) > 0.95


def test_a_text_head_knows_concepts_that_it_never_met() -> None:
    learn = told(torch.arange(30).repeat(8), 1, 30)
    found = train(
        learn, told(torch.arange(30), 2, 30), kind="treeprobe", sizes=SIZES, how=SOON, texts=TEXTS[:30]
    )
    assert found.accuracy > 0.9
    fresh = torch.arange(30, 40).repeat(3)
    said = logits(found.probe, {"lora": of_concepts(fresh, 3)}, TEXTS[30:])
    assert said.shape == (30, 10)
    assert accuracy(said, torch.eye(10)[fresh - 30], TEXTS[30:]) > 0.8  # one in ten by chance


@pytest.mark.parametrize("kind", ["probex", "mvprobe"])
def test_the_papers_probes_learn_to_speak_as_well(kind: str) -> None:
    sizes, how = (
        Sizes(8, 16, 24, view="raw", dropout=0.0),
        Schedule(epochs=60, batch_size=128, learning_rate=3e-3),
    )
    learn, validation = told(torch.arange(10).repeat(20), 1, 10), told(torch.arange(10).repeat(4), 2, 10)
    learn.weights["lora"].B.mul_(1e3)  # what raw probes can see at all
    validation.weights["lora"].B.mul_(1e3)
    found = train(learn, validation, kind=kind, sizes=sizes, how=how, texts=TEXTS[:10])
    assert not found.probe.head.temperature.requires_grad
    assert found.accuracy > 0.3


def test_the_layers_that_tell_are_chosen_and_no_more() -> None:
    truth = (_random(1, 120, 6) > 0).float()

    def layer(labels: slice, seed: int) -> Dense:
        shown = (truth[:, labels] - 0.5) @ _random(seed, truth[:, labels].shape[1], ROWS * COLUMNS)
        return Dense(shown.reshape(-1, ROWS, COLUMNS) + 0.5 * _random(seed + 1, 120, ROWS, COLUMNS))

    noise = {f"noise {i}": Dense(_random(60 + i, 120, ROWS, COLUMNS)) for i in range(3)}
    weights = {**noise, "most": layer(slice(0, 4), 40), "rest": layer(slice(4, 6), 50)}
    assert choose_layers(weights, truth, most=4) == ("most", "rest")


def test_leaving_out_in_closed_form_is_leaving_out() -> None:
    F, T = _random(1, 30, 50).double(), _random(2, 30, 3).double()
    found = closed.ridge(F, T)
    F0, T0 = F - F.mean(0), T - T.mean(0)
    penalty, exact = _penalty(F0, T0, found), []
    for i in range(30):
        keep = torch.arange(30) != i
        centred = F[keep] - F[keep].mean(0)  # the intercept is fitted anew without the model
        ridge = centred @ centred.T + penalty * torch.eye(29).double()
        W = centred.T @ torch.linalg.solve(ridge, T[keep] - T[keep].mean(0))
        exact.append((F[i] - F[keep].mean(0)) @ W + T[keep].mean(0))
    assert torch.allclose(found.held_out, torch.stack(exact), atol=1e-8)


def _penalty(F: Tensor, T: Tensor, found: closed.Ridge) -> float:
    """Which of the penalties was taken."""
    mean = float(torch.linalg.eigvalsh(F @ F.T).mean())

    def off(penalty: float) -> float:
        W = F.T @ torch.linalg.solve(F @ F.T + penalty * mean * torch.eye(len(F)).double(), T)
        return float((W - found.weight).norm())

    return min(closed.PENALTIES, key=off) * mean


def test_a_dense_layer_reads_loras_without_multiplying_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    learn, validation, unseen = labelled(200, 1), labelled(60, 2), labelled(100, 3)
    products = {"lora": Dense(unseen.weights["lora"].dense())}
    monkeypatch.setattr(Factored, "dense", lambda _: pytest.fail("multiplied out"))
    fitted = dense_linear(learn, validation, {})
    said = fitted.guess(unseen.weights)
    assert per_label_accuracy(said > 0, unseen.Y) > 0.9
    assert torch.allclose(said, fitted.guess(products), atol=1e-3)

"""Train one probe on the weights of one layer, and keep the checkpoint that validation likes best.

Adam and binary cross-entropy as in the paper (arXiv 2410.13569, supplement). Validation log loss, not
accuracy, picks the checkpoint and later the layer: with few models it is the steadier of the two.

Letters: n models, d_H x d_W the matrix, k labels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts.probe import KINDS, Probe, Sizes


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of many models, with what they were trained on. X: (n, d_H, d_W), Y: (n, k) of 0 and 1."""

    X: Tensor
    Y: Tensor


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a probe is trained. `patience` is in epochs without a better validation loss."""

    epochs: int = 300
    patience: int = 60
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """The best checkpoint, and what validation said of it."""

    probe: Probe
    epoch: int
    loss: float
    accuracy: float


def train(
    learn: Layer,
    validation: Layer,
    *,
    kind: str = "probex",
    sizes: Sizes | None = None,
    how: Schedule | None = None,
) -> Trained:
    """Train a probe. The same seed on the same machine gives the same probe."""
    sizes, how = sizes or Sizes(), how or Schedule()
    torch.manual_seed(how.seed)
    probe = KINDS[kind]((learn.X.shape[1], learn.X.shape[2]), learn.Y.shape[1], sizes)
    probe.look(learn.X)
    optimizer = torch.optim.Adam(probe.parameters(), how.learning_rate, weight_decay=how.weight_decay)
    best, state = (float("inf"), 0, 0.0), copy.deepcopy(probe.state_dict())
    for epoch in range(how.epochs):
        probe.train()
        for pick in torch.split(torch.randperm(len(learn.X)), how.batch_size):
            loss = functional.binary_cross_entropy_with_logits(probe(learn.X[pick]), learn.Y[pick])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        measured, accuracy = _judge(probe, validation)
        if measured < best[0]:
            best, state = (measured, epoch, accuracy), copy.deepcopy(probe.state_dict())
        if epoch - best[1] >= how.patience:
            break
    probe.load_state_dict(state)
    return Trained(probe.eval(), best[1], best[0], best[2])


@torch.no_grad()
def logits(probe: Probe, X: Tensor) -> Tensor:
    """What a trained probe says of weights. (n, d_H, d_W) -> (n, k)"""
    probe.eval()
    said: Tensor = probe(X)
    return said


def _judge(probe: Probe, layer: Layer) -> tuple[float, float]:
    said = logits(probe, layer.X)
    loss = functional.binary_cross_entropy_with_logits(said, layer.Y)
    return float(loss), per_label_accuracy(said > 0, layer.Y)


def per_label_accuracy(said: Tensor, true: Tensor) -> float:
    """The papers' measure: the share of right answers, label by label, averaged. Both (n, k)."""
    return float((said.bool() == true.bool()).float().mean())

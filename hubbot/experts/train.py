"""Train one probe on the weights of a few layers, and keep the checkpoint that validation likes best.

Adam and cross-entropy as in the papers (arXiv 2410.13569, supplement): binary for labels, over the concepts
for text heads. Validation log loss, not accuracy, picks the checkpoint and later the layer: with few models
it is the steadier of the two.

Letters: n models, k labels or concepts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from hubbot.experts.heads import Head
from hubbot.experts.matrices import Factored, Weights, chunks, count, pick
from hubbot.experts.probe import KINDS, Probe, Sizes
from hubbot.experts.views import View


@dataclass(frozen=True, slots=True)
class Sample:
    """Layers of many models, with what those were trained on.

    Args:
        weights: n models of each layer.
        Y: (n, k) of 0 and 1; for text heads with a single 1 in each row.
    """

    weights: Weights
    Y: Tensor

    def __len__(self) -> int:
        return len(self.Y)

    @property
    def exclusive(self) -> bool:
        """Whether every model has exactly one label."""
        return bool((self.Y.sum(1) == 1).all())

    def pick(self, index: Tensor) -> Sample:
        """The models of these places."""
        return Sample(pick(self.weights, index), self.Y[index])


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
    """The best checkpoint, and what validation said of it.

    Args:
        epoch: of the checkpoint; 0 is before the first.
        curve: validation accuracy after each epoch, with the processor's seconds since the start.
    """

    probe: Probe
    epoch: int
    loss: float
    accuracy: float
    curve: tuple[tuple[float, float], ...] = ()


def train(
    learn: Sample,
    validation: Sample,
    *,
    kind: str = "probex",
    sizes: Sizes | None = None,
    how: Schedule | None = None,
    texts: Tensor | None = None,
) -> Trained:
    """Train a probe. The same seed on the same machine gives the same probe.

    Args:
        texts: (k, d_text), embeddings of what the columns of Y stand for: then the probe gets a text head.
    """
    sizes, how = sizes or Sizes(), how or Schedule()
    torch.manual_seed(how.seed)
    began = time.process_time()
    probe = _made(learn, kind, sizes, texts)
    seen, judged = probe.see(learn.weights), probe.see(validation.weights)
    probe.begin(seen, learn.Y, texts)
    optimizer = torch.optim.Adam(
        [p for p in probe.parameters() if p.requires_grad],
        how.learning_rate,
        weight_decay=how.weight_decay,
        fused=True,
    )
    measured, accuracy = _judge(probe, judged, validation.Y, texts)
    best, state = (measured, 0, accuracy), _copied(probe)
    curve = [(time.process_time() - began, accuracy)]
    for epoch in range(1, how.epochs + 1):
        probe.train()
        for part in torch.split(torch.randperm(len(learn)), how.batch_size):
            loss = probe.head.loss(_said(probe, seen, texts, part), learn.Y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        measured, accuracy = _judge(probe, judged, validation.Y, texts)
        curve.append((time.process_time() - began, accuracy))
        if measured < best[0]:
            best = (measured, epoch, accuracy)
            _copied(probe, state)
        if epoch - best[1] >= how.patience:
            break
    probe.load_state_dict(state)
    return Trained(probe.eval(), best[1], best[0], best[2], tuple(curve))


def _made(learn: Sample, kind: str, sizes: Sizes, texts: Tensor | None) -> Probe:
    head = Head("labels", learn.Y.shape[1]) if texts is None else Head("text", texts.shape[1])
    shapes = {name: matrices.shape for name, matrices in learn.weights.items()}
    loras = [name for name, matrices in learn.weights.items() if isinstance(matrices, Factored)]
    probe = KINDS[kind](shapes, head, sizes, loras)
    probe.look(learn.weights)
    return probe


def _copied(probe: Probe, into: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The probe's state, apart from the probe; written over an older copy where there is one."""
    state = probe.state_dict()
    if into is None:
        return {name: value.clone() for name, value in state.items()}
    for name, value in state.items():
        into[name].copy_(value)
    return into


def _said(probe: Probe, views: list[View], texts: Tensor | None, part: Tensor) -> Tensor:
    return probe.score(probe.read([view.pick(part) for view in views]), texts)


@torch.no_grad()
def logits(probe: Probe, weights: Weights, texts: Tensor | None = None) -> Tensor:
    """What a trained probe says of weights. (n, k)"""
    probe.eval()
    parts = chunks(count(weights))
    return torch.cat([probe(pick(weights, part), texts) for part in parts])


@torch.no_grad()
def _judge(probe: Probe, views: list[View], truth: Tensor, texts: Tensor | None) -> tuple[float, float]:
    probe.eval()
    said = torch.cat([_said(probe, views, texts, part) for part in chunks(len(truth))])
    return float(probe.head.loss(said, truth)), accuracy(said, truth, texts)


def accuracy(said: Tensor, truth: Tensor, texts: Tensor | None = None) -> float:
    """The papers' measures: per-label accuracy, or the share of models whose concept comes first."""
    if texts is None:
        return per_label_accuracy(said > 0, truth)
    return float((said.argmax(1) == truth.argmax(1)).float().mean())


def per_label_accuracy(said: Tensor, true: Tensor) -> float:
    """The share of right answers, label by label, averaged. Both (n, k)."""
    return float((said.bool() == true.bool()).float().mean())

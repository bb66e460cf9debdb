"""What accuracy, epoch and gap are read from: SANE's embeddings beside weights and their statistics.

R2 on test models, all epochs of a model in one split; intervals by drawing test models again (10,000 times),
the same draws for every kind of features, so that differences have intervals as well.

Letters: n checkpoints of m models, k properties, r draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.properties import fit
from hubbot.training.sane import Study, features_of, halves

KINDS: Mapping[str, tuple[str, ...]] = {
    "W": ("weights",),
    "s(W)": ("statistics",),
    "SANE mean": ("mean",),
    "SANE layer means": ("layers",),
    "SANE sequence": ("layers", "sequence"),
    "SANE sequence, one penalty": ("sequence",),
    "s(W) + SANE": ("statistics", "layers"),
}
"""A layer's tokens have much in common, so a sequence goes in with its means first: what is read from them is
as linear in the sequence, and the ridge may punish what differs within a layer by more. Chosen, as what goes
with statistics is, on validation models."""
DRAWS = 10_000


@dataclass(frozen=True, slots=True)
class Sums:
    """What R2 of any drawing of models is made of, of each model: (m, k) each, and counts (m,)."""

    error: Tensor
    first: Tensor
    second: Tensor
    count: Tensor

    @classmethod
    def of(cls, said: Tensor, truth: Tensor, models: Tensor) -> Sums:
        """From checkpoints, (n, k) and (n,)."""
        m, truth = int(models.max()) + 1, truth.double()

        def summed(value: Tensor) -> Tensor:
            return torch.zeros(m, *value.shape[1:], dtype=torch.float64).index_add(0, models, value.double())

        count = summed(torch.ones(len(truth)))
        return cls(summed((said.double() - truth).square()), summed(truth), summed(truth.square()), count)

    def r2(self, weights: Tensor) -> Tensor:
        """(r, m) -> (r, k)"""
        count = (weights @ self.count)[:, None]
        total = weights @ self.second - (weights @ self.first).square() / count
        return 1 - weights @ self.error / total


def drawn(models: int) -> Tensor:
    """How often each model is in each drawing: once in the first, then by chance. (1 + r, m)"""
    draw = torch.Generator().manual_seed(0)
    picks = torch.randint(models, (DRAWS, models), generator=draw)
    counts = torch.zeros(DRAWS, models, dtype=torch.float64).scatter_add(
        1, picks, torch.ones(DRAWS, models, dtype=torch.float64)
    )
    return torch.cat([torch.ones(1, models, dtype=torch.float64), counts])


def measured(model: Autoencoder, study: Study, kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Sums]:
    """What is told of test models from each kind of features, summed up."""
    parts = study.of_split("train"), halves(study)[0], study.of_split("test")
    lessons, chosen, test = parts
    every = sorted({one for kind in kinds for one in KINDS[kind]})
    found = [dict(zip(every, features_of(model, part, every), strict=True)) for part in parts]
    sums = {}
    for kind in kinds:
        X, V, T = ([part[one] for one in KINDS[kind]] for part in found)
        ridge, _ = fit(X, lessons.truth, V, chosen.truth)
        sums[kind] = Sums.of(ridge(torch.cat(T, 1)), test.truth, test.models)
    return sums


def interval(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What was measured, and its 95% interval. (1 + r, k) -> (k,) each"""
    low, high = torch.quantile(scores[1:], torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return scores[0], low, high

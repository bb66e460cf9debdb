"""What a model's weights say of its training: accuracy, epoch, generalisation gap, each with an interval.

A ridge regression on features of the weights: SANE's embeddings as a mean, a mean per layer or the whole
sequence; beside them the two baselines, the weights themselves and seven statistics of each tensor (arXiv
2002.11448). Intervals are split conformal (arXiv 1604.04173): the residuals of models that neither trained
nor selected say how far off another model of their kind will be.

Letters: n checkpoints, f features, k properties, L layers, N tokens, z numbers of an embedding.
Source: arXiv 2406.09997, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hubbot.sane.tokens import Layout

ALPHAS = tuple(10.0**power for power in range(-6, 4))
"""Penalties that validation chooses from; times the number of checkpoints."""
FACTORS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How much the second of two kinds of features may weigh beside the first."""

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)

Values = Mapping[str, Tensor]


# --- features ---------------------------------------------------------------------------------


def statistics(values: Values, layout: Layout) -> Tensor:
    """Mean, variance and five quantiles of each tensor. name: (n, *shape) -> (n, 7 tensors)"""
    found = []
    for name, shape in layout.shapes.items():
        flat = values[name].reshape(-1, math.prod(shape)).float()  # (n, size)
        at = torch.tensor([round(share * (flat.shape[1] - 1)) for share in QUANTILES])
        moments = flat.mean(1, keepdim=True), flat.var(1, correction=0, keepdim=True)
        found.append(torch.cat([*moments, flat.sort(1).values[:, at]], 1))
    return torch.cat(found, dim=1)


def mean(z: Tensor) -> Tensor:
    """(n, N, z) -> (n, z)"""
    return z.mean(1)


def layer_means(z: Tensor, layout: Layout) -> Tensor:
    """(n, N, z) -> (n, L z)"""
    return torch.cat([z[:, one.first : one.first + one.tokens].mean(1) for one in layout.layers], dim=1)


FEATURES: Mapping[str, Callable[[Values, Tensor, Layout], Tensor]] = {
    "weights": lambda values, _, layout: torch.cat(
        [values[name].reshape(len(values[name]), -1) for name in layout.shapes], 1
    ),
    "statistics": lambda values, _, layout: statistics(values, layout),
    "mean": lambda _, z, __: mean(z),
    "layers": lambda _, z, layout: layer_means(z, layout),
    "sequence": lambda _, z, __: z.flatten(1),
}
"""What properties can be read from: tensors (n, *shape) and embeddings (n, N, z) -> (n, f)"""


def features(kinds: Sequence[str], values: Values, z: Tensor, layout: Layout) -> list[Tensor]:
    """The features of models, kind by kind, each (n, f)."""
    return [FEATURES[kind](values, z, layout) for kind in kinds]


def width(kinds: Sequence[str], layout: Layout, latent: int) -> int:
    """How many features there are, f, before there is a model."""
    widths = {
        "weights": sum(map(math.prod, layout.shapes.values())),
        "statistics": (2 + len(QUANTILES)) * len(layout.shapes),
        "mean": latent,
        "layers": latent * len(layout.layers),
        "sequence": latent * layout.count,
    }
    return sum(widths[kind] for kind in kinds)


# --- ridge ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map from features to properties.

    Args:
        weight: (f, k). bias: (k,).
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(n, f) -> (n, k)"""
        return features.double() @ self.weight + self.bias


def fit(
    blocks: Sequence[Tensor], truth: Tensor, chosen_on: Sequence[Tensor], chosen_truth: Tensor
) -> tuple[Ridge, Tensor]:
    """Ridge regression, its penalty chosen for each property on models it was not fitted to.

    Args:
        blocks: kinds of features, each (n, f_i); how much the later weigh beside the first is chosen too.
        truth: (n, k).
        chosen_on, chosen_truth: the same of validation models.

    Returns:
        The map over all features side by side, and its R2 on the validation models, (k,).
    """
    X, V = torch.cat(list(blocks), 1).double(), torch.cat(list(chosen_on), 1).double()
    Y = truth.double()
    centre, spread = X.mean(0), X.std(0).clamp_min(1e-12)
    best = torch.full((Y.shape[1],), -math.inf, dtype=torch.float64)
    weight, bias = torch.zeros(X.shape[1], Y.shape[1], dtype=torch.float64), Y.mean(0).clone()
    for factor in FACTORS if len(blocks) > 1 else (1.0,):
        sizes = [block.shape[1] for block in blocks]
        loud = torch.cat([torch.full((s,), factor if i else 1.0).double() for i, s in enumerate(sizes)])
        by = loud / spread
        Xs, Vs = (X - centre) * by, (V - centre) * by
        values, E = torch.linalg.eigh(Xs.T @ Xs / len(Xs))
        dual = E.T @ (Xs.T @ (Y - Y.mean(0))) / len(Xs)  # (f, k)
        VE = Vs @ E
        for alpha in ALPHAS:
            W = dual / (values.clamp_min(0) + alpha)[:, None]
            score = r2(VE @ W + Y.mean(0), chosen_truth.double())
            better = score > best
            best = torch.where(better, score, best)
            at = (E @ W) * by[:, None]
            weight[:, better] = at[:, better]
            bias[better] = (Y.mean(0) - centre @ at)[better]
    return Ridge(weight, bias), best


def r2(said: Tensor, truth: Tensor) -> Tensor:
    """1 - squared error / variance, of each property. (n, k), (n, k) -> (k,)"""
    return 1 - (said - truth).square().sum(0) / (truth - truth.mean(0)).square().sum(0)


# --- intervals --------------------------------------------------------------------------------


def half_widths(said: Tensor, truth: Tensor, models: Tensor, coverage: float) -> Tensor:
    """How far to either side of what is said the truth lies, for a share of new models at least. (k,)

    Checkpoints of one model are much alike, so the sample is taken to be as small as the number of models.

    Args:
        said, truth: (n, k), of calibration checkpoints.
        models: which model each is of, (n,).
    """
    count = len(set(models.tolist()))
    level = min(1.0, math.ceil((count + 1) * coverage) / count)
    return torch.quantile((said - truth).abs().double(), level, dim=0)

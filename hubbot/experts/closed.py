"""What can be solved need not be trained: where `TreeProbe` begins.

ProbeX without its ReLU is a dense layer in Tucker's factorised form (arXiv 2410.13569, Proposition 2). Its
factors need no gradient: the best probes are the top right singular directions of all training weights, the
best projection the left ones (truncated HOSVD; De Lathauwer et al., 2000), and what is left is ridge
regression. For LoRAs that were all trained with one rare prompt, the first right direction is that prompt's
own token, which a random probe hardly meets.

Letters: n models, f features, t targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts.views import View

PENALTIES = [10 ** (power / 2) for power in range(-8, 5)]
"""Of the ridge, in units of the kernel's mean eigenvalue."""

SCALES = [10 ** (power / 8) for power in range(25)]
"""Of scores, to make logits of them."""


def directions(view: View, count: int) -> Tensor:
    """The top right singular directions of all models of a layer, (d_W, count), orthonormal."""
    _, vectors = torch.linalg.eigh(view.scatter())
    best: Tensor = vectors[:, -count:].flip(1).contiguous()
    return best


@dataclass(frozen=True, slots=True)
class Ridge:
    """Features to targets, by least squares with a penalty.

    Args:
        weight, bias: (f, t) and (t,).
        held_out: what is said of each model by a fit without it, (n, t).
    """

    weight: Tensor
    bias: Tensor
    held_out: Tensor


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Kernel ridge regression on centred targets, with the penalty that serves best.

    Args:
        said: what is said of each model by a fit without it, (n, t).
        dual: the fit's coefficients, (n, t).
    """

    said: Tensor
    dual: Tensor


def ridge(features: Tensor, targets: Tensor) -> Ridge:
    """Fit, solved in its dual form, since there are fewer models than features.

    Args:
        features, targets: (n, f) and (n, t).
    """
    F, T = features.double(), targets.double()
    f, t = F.mean(0), T.mean(0)
    F = F - f
    found = left_out(F @ F.T, T - t)
    weight = F.T @ found.dual  # (f, t)
    return Ridge(weight.to(features), (t - f @ weight).to(features), (found.said + t).to(features))


def left_out(K: Tensor, T: Tensor) -> LeftOut:
    """Fit, with the penalty under which models that are left out one by one are told best.

    With H = K (K + penalty)^-1, the fit without a model says T - (T - H T) / (1 - diag H) of it.

    Args:
        K, T: a kernel of centred features (n, n), and centred targets (n, t).
    """
    values, Q = torch.linalg.eigh(K)
    values, QT = values.clamp_min(0), Q.T @ T
    fits = []
    for penalty in PENALTIES:
        share = 1 / (values + penalty * values.mean().clamp_min(1e-30))  # (n,)
        leverage = (Q.square() @ (share * values) + 1 / len(Q)).clamp_max(1 - 1e-6)
        dual = Q @ (share[:, None] * QT)
        fits.append(LeftOut(T - (T - K @ dual) / (1 - leverage)[:, None], dual))
    return min(fits, key=lambda fit: float((fit.said - T).square().sum()))


def principal(centred: Tensor, most: int) -> Tensor:
    """The top principal directions of centred rows (n, f), as many as there are: (f, at most `most`)."""
    small = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values, vectors = torch.linalg.eigh(small.double())
    kept = values > 1e-9 * values[-1].clamp_min(1e-30)
    ways: Tensor = vectors[:, kept][:, -most:].flip(1).to(centred)
    if len(centred) < centred.shape[1]:
        ways = functional.normalize(centred.T @ ways, dim=0)
    return ways.contiguous()

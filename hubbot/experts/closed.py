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

from hubbot.experts.views import View

PENALTIES = [10 ** (power / 2) for power in range(-8, 5)]
"""Of the ridge, in units of the kernel's mean eigenvalue."""


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


def ridge(features: Tensor, targets: Tensor) -> Ridge:
    """Fit, with the penalty that serves models best that are left out one by one.

    Solved in its dual form, since there are fewer models than features.

    Args:
        features, targets: (n, f) and (n, t).
    """
    F, T = features.double(), targets.double()
    f, t = F.mean(0), T.mean(0)
    F, T = F - f, T - t
    values, Q = torch.linalg.eigh(F @ F.T)
    values, QT = values.clamp_min(0), Q.T @ T
    fits = [_left_out(values, Q, T, penalty * float(values.mean())) for penalty in PENALTIES]
    best = min(range(len(fits)), key=lambda i: float((fits[i] - T).square().sum()))
    weight = F.T @ (Q @ (QT / (values + PENALTIES[best] * values.mean())[:, None]))  # (f, t)
    return Ridge(weight.to(features), (t - f @ weight).to(features), (fits[best] + t).to(features))


def _left_out(values: Tensor, Q: Tensor, T: Tensor, penalty: float) -> Tensor:
    """What ridge says of each centred model when it is left out: T - (T - H T) / (1 - diag H). (n, t)"""
    shrunk = values / (values + penalty)
    fitted = Q @ (shrunk[:, None] * (Q.T @ T))
    leverage = (Q.square() @ shrunk + 1 / len(Q)).clamp_max(1 - 1e-6)
    return T - (T - fitted) / (1 - leverage)[:, None]


def basis(targets: Tensor, count: int) -> Tensor:
    """The top principal directions of the targets, (t, at most count), orthonormal."""
    ways: Tensor = torch.linalg.svd(targets - targets.mean(0), full_matrices=False).Vh
    return ways[:count].T.contiguous()

"""From logits to probabilities one may act on, and the distance beyond which an expert is silent.

Everything here is fitted on the calibration split, whose models neither trained nor selected the probe,
except the centre and spread of the features, which describe the training models.

Two features of the probed tensor tell weights that an expert knows how to read from all others: how far they
are from the root, and whether they went where fine-tuning goes. A root itself, zeros, random weights and
weights of another tree are each far out in one of them.

Letters: n models, d_H x d_W the matrix, k labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts.schema import FLOOR, Calibration

PRECISION = 0.95
"""What recognised labels reach on the calibration split."""

QUANTILE = 0.99
"""The share of calibration models that are not called unlike training."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a tree's weights lie. Both (d_H, d_W): the root's matrix, and the mean of its children's."""

    origin: Tensor
    mean: Tensor

    def features(self, X: Tensor) -> Tensor:
        """Log distance from the root, and cosine with the way that children went. (n, d_H, d_W) -> (n, 2)"""
        moved = (X - self.origin).flatten(1)  # (n, d_H·d_W)
        way = (self.mean - self.origin).flatten()
        far = moved.norm(dim=1) / self.origin.norm().clamp_min(1e-12)
        cosine = functional.cosine_similarity(moved, way[None], dim=1)
        return torch.stack([far.clamp_min(1e-9).log(), cosine], 1)


def calibrate(logits: Tensor, truth: Tensor, train: Tensor, calibration: Tensor) -> Calibration:
    """Fit everything.

    Args:
        logits: (n, k) of the calibration models.
        truth: (n, k) of 0 and 1.
        train: features of the training models, (m, 2).
        calibration: features of the calibration models, (n, 2).
    """
    slope, bias = platt(logits, truth)
    threshold = choose_threshold(torch.sigmoid(slope * logits + bias), truth)
    centre = train.mean(0)
    # A little of the identity, so that features which hardly vary do not make distances explode.
    precision = torch.linalg.inv(torch.cov(train.T) + 1e-4 * torch.eye(2))
    far = distance(calibration, centre, precision)
    return Calibration(
        slope,
        bias,
        threshold,
        tuple(centre.tolist()),
        tuple(tuple(row) for row in precision.tolist()),
        conformal_quantile(far, QUANTILE),
    )


def platt(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """Slope and bias of Platt's scaling (1999), shared by all labels, by maximum likelihood."""
    log_slope, bias = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_slope, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        # The small penalty keeps the slope finite where the labels are perfectly separated.
        loss = functional.binary_cross_entropy_with_logits(log_slope.exp() * logits + bias, truth)
        loss = loss + 1e-3 * log_slope.square()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(log_slope.detach().exp()), float(bias.detach())


def choose_threshold(probability: Tensor, truth: Tensor, target: float = PRECISION) -> float | None:
    """The lowest threshold, from `FLOOR` on, over which recognised labels are right often enough.

    One more mistake is counted than was seen, as in conformal risk control (arXiv 2208.02814), so that a few
    lucky labels at the top do not pass for certainty.

    Args:
        probability, truth: (n, k).

    Returns:
        None where no threshold reaches the target.
    """
    p, order = probability.flatten().sort(descending=True)
    right = truth.flatten()[order].cumsum(0)
    safe = right / (torch.arange(len(p)) + 2) >= target
    # Equal probabilities stand or fall together: only the last of each may be the threshold.
    last = torch.ones_like(safe)
    last[:-1] = p[:-1] > p[1:]
    passing = torch.nonzero(safe & last & (p >= FLOOR))
    return float(p[passing[-1, 0]]) if len(passing) else None


def distance(features: Tensor, centre: Tensor, precision: Tensor) -> Tensor:
    """Mahalanobis distance. (n, 2), (2,), (2, 2) -> (n,)"""
    off = features - centre
    return torch.einsum("ni,ij,nj->n", off, precision, off).clamp_min(0).sqrt()


def conformal_quantile(values: Tensor, share: float) -> float:
    """The value that a further one of the same kind stays under with probability `share`, at least.

    With fewer than 1 / (1 - share) values no sample reaches that far: then the largest, widened by a tenth.
    """
    rank = math.ceil((len(values) + 1) * share)
    top = float(values.max())
    return float(values.sort().values[rank - 1]) if rank <= len(values) else 1.1 * top

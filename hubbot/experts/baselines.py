"""What an expert must beat: two ways to guess the training data without probes.

Both see the same layers and splits as the probe, and choose their own settings on validation.

Letters: n models, m training models, d_H x d_W the matrix, k labels, f statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts.train import Layer, per_label_accuracy

Guess = Callable[[Tensor], Tensor]
"""Weights (n, d_H, d_W) to scores (n, k); above 0 means yes."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A fitted guess and its accuracy on validation."""

    guess: Guess
    accuracy: float


def weight_statistics(learn: Layer, validation: Layer, origin: Tensor) -> Baseline:  # noqa: ARG001
    """StatNN (arXiv 2002.11448): moments and quantiles of the weights, into logistic regression."""
    raw = _statistics(learn.X)
    centre, spread = raw.mean(0), raw.std(0).clamp_min(1e-9)

    def fitted(penalty: float) -> Baseline:
        head = _logistic((raw - centre) / spread, learn.Y, penalty)
        return _judged(lambda X: head((_statistics(X) - centre) / spread), validation)

    return max((fitted(penalty) for penalty in (1e-3, 1e-2, 1e-1)), key=lambda b: b.accuracy)


def nearest_task_vector(learn: Layer, validation: Layer, origin: Tensor) -> Baseline:
    """Labels of the training models whose task vector, weights minus root, has the largest cosine.

    Source: "Knowledge is a Region in Weight Space", arXiv 2302.04863.
    """
    known = functional.normalize((learn.X - origin).flatten(1), dim=1)  # (m, d_H·d_W)

    def voted(count: int) -> Baseline:
        def guess(X: Tensor) -> Tensor:
            cosine = functional.normalize((X - origin).flatten(1), dim=1) @ known.T  # (n, m)
            near = cosine.topk(min(count, len(known)), dim=1).indices
            return learn.Y[near].mean(1) - 0.5  # (n, k)

        return _judged(guess, validation)

    return max((voted(count) for count in (1, 3, 5, 9, 15)), key=lambda b: b.accuracy)


def _judged(guess: Guess, validation: Layer) -> Baseline:
    return Baseline(guess, per_label_accuracy(guess(validation.X) > 0, validation.Y))


def _statistics(X: Tensor) -> Tensor:
    """Mean, deviation, skewness, kurtosis and five quantiles. (n, d_H, d_W) -> (n, 9)"""
    x = X.flatten(1)
    mean, deviation = x.mean(1, keepdim=True), x.std(1, keepdim=True).clamp_min(1e-12)
    z = (x - mean) / deviation
    moments = [mean, deviation, z.pow(3).mean(1, keepdim=True), z.pow(4).mean(1, keepdim=True)]
    quantiles = torch.quantile(x, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), dim=1).T  # (n, 5)
    return torch.cat([*moments, quantiles], 1)


def _logistic(features: Tensor, truth: Tensor, penalty: float) -> Guess:
    """Logistic regression with a ridge penalty, one per label. features: (m, f), truth: (m, k)"""
    weight = torch.zeros(features.shape[1], truth.shape[1], requires_grad=True)
    bias = torch.zeros(truth.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(features @ weight + bias, truth)
        loss = loss + penalty * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return lambda given: (given @ weight + bias).detach()


BASELINES = {"weight statistics": weight_statistics, "nearest task vector": nearest_task_vector}

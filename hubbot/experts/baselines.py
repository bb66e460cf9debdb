"""What an expert must beat: ways to guess the training data without probes.

All see the same layers and splits as the probe, and choose their own settings on validation.

Letters: n models, m training models, d_H x d_W the matrix, k labels, f statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts.matrices import Dense, Matrices, Weights, chunks, pick
from hubbot.experts.train import Sample, accuracy

Guess = Callable[[Weights], Tensor]
"""Weights of n models to scores (n, k); above 0 means yes, and the highest comes first."""

Origin = Mapping[str, Tensor]
"""The root's matrices, (d_H, d_W) each; a layer that is not in it starts at zero, as LoRAs do."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A fitted guess and its accuracy on validation."""

    guess: Guess
    accuracy: float


def weight_statistics(learn: Sample, validation: Sample, origin: Origin) -> Baseline:  # noqa: ARG001
    """StatNN (arXiv 2002.11448): moments and quantiles of the weights, into logistic regression."""
    raw = _statistics(learn.weights)
    centre, spread = raw.mean(0), raw.std(0).clamp_min(1e-9)

    def fitted(penalty: float) -> Baseline:
        head = _logistic((raw - centre) / spread, learn.Y, penalty)
        return _judged(lambda weights: head((_statistics(weights) - centre) / spread), validation)

    return max((fitted(penalty) for penalty in (1e-3, 1e-2, 1e-1)), key=lambda b: b.accuracy)


def nearest_task_vector(learn: Sample, validation: Sample, origin: Origin) -> Baseline:
    """Labels of the training models whose task vector, weights minus root, has the largest cosine.

    Source: "Knowledge is a Region in Weight Space", arXiv 2302.04863.
    """
    known = _Kernel(learn.weights, origin)

    def voted(count: int) -> Baseline:
        def guess(weights: Weights) -> Tensor:
            near = known.cosines(weights).topk(min(count, len(learn)), dim=1).indices  # (n, count)
            return learn.Y[near].mean(1) - 0.5  # (n, k)

        return _judged(guess, validation)

    return max((voted(count) for count in (1, 3, 5, 9, 15)), key=lambda b: b.accuracy)


def dense_linear(learn: Sample, validation: Sample, origin: Origin) -> Baseline:  # noqa: ARG001
    """Ridge regression on every weight, the papers' dense layer, solved in its dual form.

    The weights are taken minus the training models' mean and at unit length, as kernel methods need it.
    """
    mean = {name: matrices.total() / len(learn) for name, matrices in learn.weights.items()}
    known = _Kernel(learn.weights, mean)
    K, centre = known.cosines(learn.weights).double(), learn.Y.double().mean(0)

    def fitted(penalty: float) -> Baseline:
        ridge = K + penalty * torch.eye(len(K), dtype=K.dtype)
        dual = torch.linalg.solve(ridge, learn.Y.double() - centre).to(learn.Y.dtype)  # (m, k)
        bias = centre.to(learn.Y.dtype) - 0.5
        return _judged(lambda weights: known.cosines(weights) @ dual + bias, validation)

    return max((fitted(10.0**power) for power in range(-3, 3)), key=lambda b: b.accuracy)


def _judged(guess: Guess, validation: Sample) -> Baseline:
    said = guess(validation.weights)
    return Baseline(guess, accuracy(said, validation.Y, validation.Y if validation.exclusive else None))


class _Kernel:
    """Cosines between models, over all layers, of weights minus a centre; LoRAs stay factored.

    <X - M, Y - M> = <X, Y> - <X, M> - <M, Y> + <M, M>
    """

    def __init__(self, known: Weights, centre: Origin) -> None:
        self.centre = centre
        self.known = known
        self.lengths = self._squares(known).sqrt()  # (m,)

    def cosines(self, weights: Weights) -> Tensor:
        """(n, m)"""
        total: Tensor | int = 0
        for name, matrices in weights.items():
            total = total + self._inner(matrices, self.known[name], name)
        lengths = self._squares(weights).sqrt()
        return torch.as_tensor(total) / (lengths[:, None] * self.lengths).clamp_min(1e-30)

    def _squares(self, weights: Weights) -> Tensor:
        """Squared lengths, (n,)"""
        rows = torch.arange(len(next(iter(weights.values()))))
        ones = [sum(self._inner(m, m, name) for name, m in pick(weights, row[None]).items()) for row in rows]
        return torch.cat([torch.as_tensor(one).flatten() for one in ones]).clamp_min(0)

    def _inner(self, X: Matrices, Y: Matrices, name: str) -> Tensor:
        M = self.centre.get(name)
        if M is None:
            return X.inner(Y)
        if isinstance(X, Dense) and isinstance(Y, Dense):
            return Dense(X.X - M).inner(Dense(Y.X - M))
        return X.inner(Y) - X.along(M)[:, None] - Y.along(M) + M.square().sum()


def _statistics(weights: Weights) -> Tensor:
    """Mean, deviation, skewness, kurtosis and five quantiles of each layer. (n, f)"""
    return torch.cat([_moments(matrices) for matrices in weights.values()], 1)


def _moments(matrices: Matrices) -> Tensor:
    """(n, 9). Quantiles need every entry: LoRAs are multiplied out here, a few at a time."""
    parts = chunks(len(matrices))
    return torch.cat([_of_entries(matrices.pick(part).dense().flatten(1)) for part in parts])


def _of_entries(x: Tensor) -> Tensor:
    mean, deviation = x.mean(1, keepdim=True), x.std(1, keepdim=True).clamp_min(1e-12)
    z = (x - mean) / deviation
    moments = [mean, deviation, z.pow(3).mean(1, keepdim=True), z.pow(4).mean(1, keepdim=True)]
    ordered = x.sort(1).values
    places = [round(share * (x.shape[1] - 1)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return torch.cat([*moments, ordered[:, places]], 1)


def _logistic(features: Tensor, truth: Tensor, penalty: float) -> Callable[[Tensor], Tensor]:
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

"""From logits to probabilities one may act on, and the distance beyond which an expert is silent.

Everything here is fitted on the calibration split, whose models neither trained nor selected the probe,
except the centre and spread of the features, which describe the training models.

Most uploads of a tree were trained on what its expert has never heard of. Where calibration has seen such
strangers, models that no label is right for, a probability is meant for the stream that a bot meets: of all
uploads of the tree that look like this one, of which the share `KNOWN` is of the expert's kind, so many were
trained on that label. Without strangers it is meant among models of the expert's kind alone. Two things of a
model's logits tell how likely a label is: the label's own, and how far all of them are apart, since a
stranger's are not.

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

from hubbot.experts.matrices import Dense, Matrices, chunks
from hubbot.experts.schema import FLOOR, Calibration

PRECISION = 0.95
"""What recognised labels reach on the calibration split where it has no strangers."""

KNOWN = 0.05
"""The share of a tree's uploads that are of the expert's kind; all others are strangers."""

PRECISION_AMONG_STRANGERS, CERTAIN = 0.98, 0.99
"""The same where it has, and how likely each recognised label must be there. With one kind of strangers after
the other left out of training and calibration, .98 was a little too bold for the kind left out."""

NEVER = -1e4
"""The logit of what does not happen."""

QUANTILE = 0.99
"""The share of calibration models that are not called unlike training."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a tree's weights lie. Both (d_H, d_W): the root's matrix, none for LoRAs, which start at nothing,
    and the mean of its children's.
    """

    origin: Tensor | None
    mean: Tensor

    def features(self, matrices: Matrices) -> Tensor:
        """Log distance from the root, and cosine with the way that children went. (n, 2)"""
        return torch.cat([self._of(matrices.pick(part)) for part in chunks(len(matrices))])

    def _of(self, matrices: Matrices) -> Tensor:
        if self.origin is None:
            moved, way, start = matrices, self.mean, self.mean.new_zeros(())
        else:
            moved, way, start = Dense(matrices.dense() - self.origin), self.mean - self.origin, self.origin
        length = moved.norms()
        far = length / start.norm().clamp_min(1e-12)
        cosine = moved.along(way) / (length.clamp_min(1e-8) * way.norm().clamp_min(1e-8))
        return torch.stack([far.clamp_min(1e-9).log(), cosine], 1)


def calibrate(
    logits: Tensor, truth: Tensor, train: Tensor, calibration: Tensor, *, exclusive: bool = False
) -> Calibration:
    """Fit everything.

    Args:
        logits: (n, k) of the calibration models.
        truth: (n, k) of 0 and 1; strangers have no 1.
        train: features of the training models that are no strangers, (m, 2).
        calibration: features of the calibration models, (n, 2).
        exclusive: whether one label at most is right, as with a text head.
    """
    weight, strange = importance(truth), truth.sum(1) == 0
    met = bool(strange.any())
    own_slope, own_bias, spread = platt(logits[~strange], truth[~strange])
    slope, bias = own_slope, own_bias
    if exclusive:
        slope, bias = tempered(logits, truth, weight)
    elif met:
        slope, bias, spread = platt(logits, truth, weight, spreads=True)
    probability = _chances(logits, slope, bias, spread, exclusive)
    least = (PRECISION_AMONG_STRANGERS, CERTAIN) if met else (PRECISION, FLOOR)
    threshold = choose_threshold(probability, truth, *least, weight=weight)
    centre = train.mean(0)
    # A little of the identity, so that features which hardly vary do not make distances explode.
    precision = torch.linalg.inv(torch.cov(train.T) + 1e-4 * torch.eye(2))
    far = distance(calibration[~strange], centre, precision)
    return Calibration(
        slope,
        bias,
        threshold,
        tuple(centre.tolist()),
        tuple(tuple(row) for row in precision.tolist()),
        conformal_quantile(far, QUANTILE),
        spread,
        -own_bias / own_slope,
        KNOWN if met else 1.0,
    )


def importance(truth: Tensor, known: float = KNOWN) -> Tensor:
    """How much each model counts, (n,), so that those with labels make up the share `known`; 1 on average."""
    strange = truth.sum(1) == 0
    met = int(strange.sum())
    if not 0 < met < len(truth):
        return torch.ones(len(truth))
    weight = torch.where(strange, (1 - known) / met, known / (len(truth) - met))
    return weight * len(truth)


def deviation(logits: Tensor) -> Tensor:
    """How far a model's logits are apart, as their deviation. (n, k) -> (n, 1)"""
    return logits.std(1, correction=0, keepdim=True)


def probabilities(calibration: Calibration, logits: Tensor, *, exclusive: bool = False) -> Tensor:
    """Of each label by itself, or of each of many texts of which one at most is right. (n, k) -> (n, k)"""
    return _chances(logits, calibration.slope, calibration.bias, calibration.spread, exclusive)


def _chances(logits: Tensor, slope: float, bias: float, spread: float, exclusive: bool) -> Tensor:
    if exclusive:
        none = torch.full_like(logits[:, :1], bias)
        return torch.softmax(torch.cat([slope * logits, none], 1), 1)[:, :-1]
    return torch.sigmoid(slope * logits + spread * deviation(logits) + bias)


def tempered(logits: Tensor, truth: Tensor, weight: Tensor) -> tuple[float, float]:
    """A temperature's inverse (Guo et al., arXiv 1706.04599), and the logit of none of the texts; by maximum
    likelihood. Without strangers nobody knows how often it is none, and it never is.

    Args:
        weight: of each model, (n,).
    """
    strange = truth.sum(1) == 0
    log_slope, none = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    free = [log_slope, none] if strange.any() else [log_slope]
    optimizer = torch.optim.LBFGS(free, max_iter=100, line_search_fn="strong_wolfe")
    right = torch.where(strange, truth.shape[1], truth.argmax(1))  # (n,)

    def closure() -> float:
        optimizer.zero_grad()
        sure = log_slope.exp() * logits
        if strange.any():
            sure = torch.cat([sure, none.expand(len(logits), 1)], 1)  # (n, k + 1)
        loss = (weight * functional.cross_entropy(sure, right, reduction="none")).mean()
        loss = loss + 1e-3 * (log_slope.square() + 1e-2 * none.square())
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(log_slope.detach().exp()), float(none.detach()) if strange.any() else NEVER


def platt(
    logits: Tensor, truth: Tensor, weight: Tensor | None = None, *, spreads: bool = False
) -> tuple[float, float, float]:
    """Slope, bias and spread of Platt's scaling (1999), shared by all labels, by maximum likelihood.

    Args:
        weight: of each model, (n,).
        spreads: whether how far a model's logits are apart may count; 0 if not.
    """
    log_slope, bias, spread = (torch.zeros((), requires_grad=True) for _ in range(3))
    free = [log_slope, bias, spread] if spreads else [log_slope, bias]
    optimizer = torch.optim.LBFGS(free, max_iter=100, line_search_fn="strong_wolfe")
    weight = torch.ones(len(logits)) if weight is None else weight
    apart = deviation(logits)

    def closure() -> float:
        optimizer.zero_grad()
        sure = log_slope.exp() * logits + spread * apart + bias  # (n, k)
        loss = functional.binary_cross_entropy_with_logits(sure, truth, weight[:, None])
        # The small penalty keeps the slopes finite where the labels are perfectly separated.
        loss = loss + 1e-3 * (log_slope.square() + 0.1 * spread.square())
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(log_slope.detach().exp()), float(bias.detach()), float(spread.detach())


def choose_threshold(
    probability: Tensor,
    truth: Tensor,
    target: float = PRECISION,
    least: float = FLOOR,
    *,
    weight: Tensor | None = None,
) -> float | None:
    """The lowest threshold, from `least` on, over which recognised labels are right often enough.

    One more mistake is counted than was seen, as in conformal risk control (arXiv 2208.02814), so that a few
    lucky labels at the top do not pass for certainty. It is a mistake with a model of the expert's kind: with
    fewer than thousands of strangers a further one of those would leave no threshold at all, so that
    beyond those seen it is the probabilities that are trusted, by `least`.

    Args:
        probability, truth: (n, k).
        weight: of each model, (n,).

    Returns:
        None where no threshold reaches the target.
    """
    weight = torch.ones(len(truth)) if weight is None else weight
    each = weight.to(probability)[:, None].expand_as(probability).flatten()
    p, order = probability.flatten().sort(descending=True)
    said = each[order].cumsum(0)
    right = (each * truth.flatten())[order].cumsum(0)
    safe = right / (said + each.min()) >= target
    # Equal probabilities stand or fall together: only the last of each may be the threshold.
    last = torch.ones_like(safe)
    last[:-1] = p[:-1] > p[1:]
    passing = torch.nonzero(safe & last & (p >= least))
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

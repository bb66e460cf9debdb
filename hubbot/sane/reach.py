"""How far a model lies from those of training; what is told of one too far off would be a guess.

What was decoded is rebuilt well, whatever it is, and so are many nets that were trained in another way. So
the seven statistics of each tensor are looked at as well, in which such models differ: in them more were told
apart on validation models than in embeddings, or in both. Of the centres of training (one for each epoch: a
training is a path and no cloud) the nearest counts. From there it is Hotelling's T2 along the principal axes
and the squared residual beside them, each as a mean over training models, so that both weigh alike whatever a
model's size (Jackson and Mudholkar, 1979). A few axes suffice, and no matrix of all statistics by all
statistics is kept.

Letters: n checkpoints, f statistics, e centres, k axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

AXES = 32
"""At most; with the 56 statistics of a small CNN half of them do as well: chosen on validation models."""
FLAT = 1e-6
"""What spreads by less differs by rounding alone."""


@dataclass(frozen=True, slots=True)
class Distance:
    """From the nearest centre of training to a model.

    Args:
        centres: (e, f). spread: of each statistic around them, (f,).
        axes: orthonormal, (f, k). variance: along each, (k,).
        rest: squares beside the axes, mean over training models, ().
    """

    centres: Tensor
    spread: Tensor
    axes: Tensor
    variance: Tensor
    rest: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """About 2 for a model of training; not a number for what is none. (n, f) -> (n,)"""
        return torch.stack([self._from(centre, x.double()) for centre in self.centres]).amin(0)

    def _from(self, centre: Tensor, x: Tensor) -> Tensor:
        off = (x - centre) / self.spread
        along = off @ self.axes
        beside = (off - along @ self.axes.T).square().sum(1)
        return (along.square() / self.variance).mean(1) + beside / self.rest


def shapes(statistics: int, centres: int, axes: int) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a distance, by name."""
    f, e, k = statistics, centres, axes
    return {"centres": (e, f), "spread": (f,), "axes": (f, k), "variance": (k,), "rest": ()}


def fit(x: Tensor, groups: Tensor) -> Distance:
    """The distance from models of training.

    Args:
        x: (n, f). groups: of which centre each is, (n,).
    """
    kinds, which = torch.unique(groups, return_inverse=True)
    x = x.double()
    centres = torch.stack([x[which == kind].mean(0) for kind in range(len(kinds))])
    off = x - centres[which]
    spread = off.std(0).clamp_min(FLAT)
    values, axes = torch.linalg.eigh((off / spread).T @ (off / spread) / len(x))
    values, axes = values.flip(0).clamp_min(FLAT), axes.flip(1)
    k = max(1, min(AXES, x.shape[1] // 2))
    return Distance(centres, spread, axes[:, :k], values[:k], values[k:].sum().clamp_min(FLAT))


def limit(far: Tensor, models: Tensor, alarms: float) -> float:
    """Over which no more than a share of new models lies at any of their checkpoints: split conformal.

    Of models too few to promise that it is the farthest, which is as far as may be told anything.

    Args:
        far: of checkpoints that the distance was not fitted to, (n,). models: which each is of, (n,).
    """
    worst = torch.stack([far[models == one].max() for one in torch.unique(models)]).sort().values
    rank = min(len(worst), math.ceil((len(worst) + 1) * (1 - alarms)))
    return float(worst[rank - 1])

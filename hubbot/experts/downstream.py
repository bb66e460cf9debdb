"""What encodings are good for beside labels, as in ProbeX's paper (arXiv 2410.13569): neighbours that vote,
one class against all others, and the search for similar models. And how such answers are measured.

Letters: n queries, m known models, r_T encoding, k labels, b bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST = 2
"""Neighbours whose mean distance says how strange a model is, as in the paper."""


def neighbours_vote(encodings: Tensor, known: Tensor, truth: Tensor, count: int) -> Tensor:
    """The share of the nearest known models that have each label.

    Args:
        encodings, known: (n, r_T) and (m, r_T).
        truth: of the known models, (m, k) of 0 and 1.

    Returns:
        (n, k)
    """
    near = torch.cdist(encodings, known).topk(min(count, len(known)), largest=False).indices
    return truth[near].mean(1)


def strangeness(encodings: Tensor, known: Tensor) -> Tensor:
    """The mean distance to the nearest known models. (n, r_T), (m, r_T) -> (n,)"""
    return torch.cdist(encodings, known).topk(min(NEAREST, len(known)), largest=False).values.mean(1)


def mahalanobis(encodings: Tensor, known: Tensor) -> Tensor:
    """The distance from the known models' centre, in units of their spread in each direction.

    Their covariance is shrunk as Ledoit and Wolf (2004) do. (n, r_T), (m, r_T) -> (n,)
    """
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(known.numpy())
    square: Tensor = torch.from_numpy(fitted.mahalanobis(encodings.numpy()))
    return square.clamp_min(0).sqrt()


def auroc(inside: Tensor, outside: Tensor) -> float:
    """How often one from inside scores above one from outside, ties halved. (n,), (m,)"""
    over = torch.searchsorted(outside.sort().values, inside.contiguous())
    upto = torch.searchsorted(outside.sort().values, inside.contiguous(), right=True)
    return float((over + upto).double().mean() / (2 * len(outside)))


def mean_average_precision(near: Tensor, relevant: Tensor) -> float:
    """Of searches whose answers are ordered by how near they are, the most similar first.

    Args:
        near: similarity of each query to each known model, (n, m).
        relevant: what a query should find, (n, m) of bool; queries that should find nothing do not count.
    """
    order = near.argsort(1, descending=True)
    hit = relevant.gather(1, order).double()  # (n, m)
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1)
    found = hit.sum(1)
    average = (precision * hit).sum(1) / found.clamp_min(1)
    return float(average[found > 0].mean())


def reliability(
    probability: Tensor, truth: Tensor, weight: Tensor, bins: int = 10
) -> tuple[Tensor, Tensor, Tensor]:
    """What was meant and what was true, bin by bin of equal width, and each bin's share; (b,) each.

    The expected calibration error (Naeini et al., 2015) is `(share * (meant - true).abs()).sum()`.

    Args:
        probability, truth: (n, k).
        weight: of each model, (n,).
    """
    place = (probability * bins).long().clamp(0, bins - 1).flatten()
    each = weight[:, None].expand_as(probability).double().flatten()

    def total(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=torch.float64).index_add_(0, place, each * values.double().flatten())

    share = total(torch.ones_like(probability))
    filled = share.clamp_min(1e-12)
    return total(probability) / filled, total(truth) / filled, share / share.sum()

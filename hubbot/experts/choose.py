"""Which layers should an expert read? The few that tell a linear probe most, found without training.

Each layer costs bytes of every upload, so that they are added one by one, as long as they help. A layer's
features are those of `TreeProbe`'s linear branch, and what several layers explain together is measured by
leaving models out one by one, which ridge regression does in closed form (see `experts.closed`).

Letters: n models, t targets.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hubbot.experts import closed
from hubbot.experts.matrices import Factored, Matrices, Weights, chunks
from hubbot.experts.views import Lens

DIRECTIONS = 48
"""Of the rows and of the columns of each layer."""

WORTH = 0.02
"""A further layer is read if it explains at least this share of what was left over."""


@torch.no_grad()
def kernel(matrices: Matrices) -> Tensor:
    """Inner products of the models' linear features, of mean 1 on the diagonal. (n, n), float64"""
    lens = Lens(matrices.shape, "standard", isinstance(matrices, Factored), standardised=False)
    lens.look(matrices)
    view = lens(matrices)
    U, V = closed.directions(view, DIRECTIONS), closed.directions(view.turned(), DIRECTIONS)
    parts = [view.pick(part).first(U, V, standardised=False).flatten(1) for part in chunks(len(matrices))]
    F = torch.cat(parts).double()
    F = F - F.mean(0)
    K = F @ F.T
    return K / K.diagonal().mean()


def unexplained(K: Tensor, targets: Tensor) -> float:
    """The share of the targets' variance that is wrong when every model is left out once. (n, n), (n, t)"""
    T = targets.double() - targets.double().mean(0)
    return float((closed.left_out(K, T).said - T).square().sum() / T.square().sum())


def choose_layers(weights: Weights, targets: Tensor, most: int = 3) -> tuple[str, ...]:
    """The layers to read, the most telling one first.

    Args:
        weights: candidate layers of training and validation models.
        targets: (n, t), what is to be told: labels as 0 and 1, or embeddings of texts.
        most: so many at the most.
    """
    kernels = {name: kernel(matrices) for name, matrices in weights.items()}
    chosen: tuple[str, ...] = ()
    left = float("inf")
    while len(chosen) < min(most, len(kernels)):
        tried = {
            name: unexplained(torch.stack([kernels[one] for one in (*chosen, name)]).mean(0), targets)
            for name in kernels
            if name not in chosen
        }
        name = min(tried, key=lambda candidate: tried[candidate])
        if tried[name] > (1 - WORTH) * left:
            break
        chosen, left = (*chosen, name), tried[name]
    return chosen

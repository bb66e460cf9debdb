"""Probes: small networks that read a weight matrix by what it does to learned inputs.

ProbeX (Horwitz et al., "Learning on Model Weights using Tree Experts", arXiv 2410.13569):

    Z = X U            responses of the matrix to r_U learned probes
    P = relu(Zᵀ V)     a projection that all probes share
    e = W vec(P) + b   the encoding; a linear head makes label logits of it

What we add is the view: the tree's mean is taken away first, since what all models of a tree have in
common says nothing about one of them. Neither paper does it, and it was worth more than anything else.

Letters: n models, d_H x d_W the matrix (rows x columns), r_U probes, r_V projection, r_T encoding, k labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

VIEWS = ("raw", "mean", "standard")
"""Weights as they are (as in the paper); minus the tree's mean, in units of the tree's spread; the same
with each model's spread made 1, so that how long it was trained matters less."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a probe, r_U, r_V and r_T, and the view it takes of the weights."""

    probes: int = 64
    projection: int = 64
    encoding: int = 64
    view: str = "standard"
    dropout: float = 0.5


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """The shape (d_H, d_W) under which a tensor is probed: kernels are unrolled, a vector is a column.

    >>> matrix_shape((64, 32, 3, 3)), matrix_shape((48,)), matrix_shape((48, 96))
    ((64, 288), (48, 1), (48, 96))
    """
    if not shape:
        return 1, 1
    width = 1
    for size in shape[1:]:
        width *= size
    return shape[0], width


class Probe(nn.Module):
    """The interface of all probes: weights to an encoding, an encoding to logits.

    The view's statistics are buffers, so that they travel with the weights.
    """

    mean: Tensor  # (d_H, d_W)
    spread: Tensor  # ()

    def __init__(self, shape: tuple[int, int], labels: int, sizes: Sizes) -> None:
        super().__init__()
        self.shape, self.sizes = shape, sizes
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(()))
        self.dropout = nn.Dropout(sizes.dropout)
        self.head = nn.Linear(sizes.encoding, labels)

    def look(self, X: Tensor) -> None:
        """Learn the view's statistics from training weights, (n, d_H, d_W)."""
        self.mean = X.mean(0)
        self.spread = (X - self.mean).square().mean().sqrt().clamp_min(1e-12)

    def view(self, X: Tensor) -> Tensor:
        """The weights as the probes see them. (n, d_H, d_W) -> (n, d_H, d_W)"""
        if self.sizes.view == "raw":
            return X
        X = (X - self.mean) / self.spread
        if self.sizes.view == "standard":
            X = X / X.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)
        return X

    def encode(self, X: Tensor) -> Tensor:
        """(n, d_H, d_W) -> (n, r_T)"""
        raise NotImplementedError

    def forward(self, X: Tensor) -> Tensor:
        """(n, d_H, d_W) -> logits (n, k)"""
        logits: Tensor = self.head(self.dropout(self.encode(X)))
        return logits


class ProbeX(Probe):
    """ProbeX, equations as in the module's docstring."""

    def __init__(self, shape: tuple[int, int], labels: int, sizes: Sizes) -> None:
        super().__init__(shape, labels, sizes)
        rows, columns = shape
        self.U = nn.Parameter(torch.randn(columns, sizes.probes) / columns**0.5)  # (d_W, r_U)
        self.V = nn.Parameter(torch.randn(rows, sizes.projection) / rows**0.5)  # (d_H, r_V)
        self.encoder = nn.Linear(sizes.probes * sizes.projection, sizes.encoding)

    def encode(self, X: Tensor) -> Tensor:
        Z = self.view(X) @ self.U  # (n, d_H, r_U)
        P = torch.relu(Z.transpose(1, 2) @ self.V)  # (n, r_U, r_V)
        encoding: Tensor = self.encoder(self.dropout(P.flatten(1)))  # (n, r_T)
        return encoding


KINDS: dict[str, type[Probe]] = {"probex": ProbeX}

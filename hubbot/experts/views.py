"""How probes see matrices: shifted and scaled, and for LoRAs in a form in which nothing needs the product.

Every branch of a probe is `Zᵀ V` for some responses Z, standardised or not:

    first order     Z = X U
    second order    Z = X Xᵀ W        as two products, never forming X Xᵀ

and the same of Xᵀ. Standardised means Z minus its mean, over its deviation, both over the whole matrix Z of
one model (MVProbe, arXiv 2605.23410).

For a LoRA X = B A the responses are Z = F C with a tall factor F (d, q) and small coefficients C. Written as
F = F' + 1 f with f the means of F's columns, Z minus its mean is

    F' C  +  1 f (C - c 1)        c: the means of C's rows

whose two terms are orthogonal, so that the variance is a sum of two squares, |R C|² + d |f (C - c 1)|² with R
of the QR of F': nothing cancels that does not cancel in Z itself, as it would with E[Z²] - E[Z]² or a Gram
matrix. Before that, X is brought into the form (Q K) Pᵀ with orthonormal Q and P in float64, once, so that
factors that undo each other do no harm either, and so that how somebody happened to split X does not matter.

Letters: n models, d_H x d_W the matrix, d either of them, r the LoRA's rank, q of the shifted one (at most
r + `MEAN_RANK`), r_U probes, r_V projection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubbot.experts.matrices import Factored, Matrices, chunks

MEAN_RANK = 16
"""Of the mean of a tree's LoRAs: what is low-rank minus what is low-rank stays so."""

FLAT = 1e-5
"""Responses that vary less than this, where the matrix has unit spread, are taken for constant."""


class View(ABC):
    """The models of one layer as probes see them. Gradients flow to the probes, not to the weights."""

    @abstractmethod
    def pick(self, index: Tensor) -> View: ...

    @abstractmethod
    def turned(self) -> View:
        """Of the transposed matrices."""

    @abstractmethod
    def first(self, U: Tensor, V: Tensor, standardised: bool) -> Tensor:
        """(X U)ᵀ V. U: (d_W, r_U), V: (d_H, r_V) -> (n, r_U, r_V)"""

    @abstractmethod
    def second(self, W: Tensor, V: Tensor, standardised: bool) -> Tensor:
        """(X Xᵀ W)ᵀ V. W: (d_H, r_U), V: (d_H, r_V) -> (n, r_U, r_V)"""

    @abstractmethod
    def scatter(self) -> Tensor:
        """The sum over models of Xᵀ X. (d_W, d_W)"""


@dataclass(frozen=True, slots=True)
class Plain(View):
    """Whole matrices. Shifted and scaled when they are used, so that a large store stays where it is.

    X: (n, d_H, d_W), mean: (d_H, d_W) or none, scale: (n,) or none
    """

    X: Tensor
    mean: Tensor | None = None
    scale: Tensor | None = None

    def pick(self, index: Tensor) -> Plain:
        scale = None if self.scale is None else self.scale[index]
        return Plain(Plain(self.X[index], self.mean, scale)._seen())

    def _seen(self) -> Tensor:
        X = self.X if self.mean is None else self.X - self.mean
        return X if self.scale is None else X * self.scale[:, None, None].to(X.dtype)

    def turned(self) -> Plain:
        return Plain(self.X.mT, None if self.mean is None else self.mean.T, self.scale)

    def first(self, U: Tensor, V: Tensor, standardised: bool) -> Tensor:
        return self._project(self._seen() @ U, V, standardised)

    def second(self, W: Tensor, V: Tensor, standardised: bool) -> Tensor:
        X = self._seen()
        return self._project(X @ (X.mT @ W), V, standardised)

    def _project(self, Z: Tensor, V: Tensor, standardised: bool) -> Tensor:
        if standardised:
            Z = Z - Z.mean((1, 2), keepdim=True)
            Z = Z / Z.square().mean((1, 2), keepdim=True).clamp_min(FLAT**2).sqrt()
        return Z.mT @ V  # (n, r_U, r_V)

    def scatter(self) -> Tensor:
        total = self.X.new_zeros(self.X.shape[2], self.X.shape[2])
        for part in chunks(len(self.X)):
            rows = self.pick(part).X.flatten(0, 1)  # (n·d_H, d_W)
            total += rows.T @ rows
        return total


@dataclass(frozen=True, slots=True)
class Side:
    """One factor F (d, q) of a LoRA, transposed and taken apart as in the module's docstring.

    centred: F'ᵀ (n, q, d); mean: f (n, q); root: R (n, q', q); gram: Fᵀ F (n, q, q)
    """

    centred: Tensor
    mean: Tensor
    root: Tensor
    gram: Tensor

    @classmethod
    def of(cls, F: Tensor, dtype: torch.dtype) -> Side:
        """F: (n, d, q) in float64"""
        mean = F.mean(1)
        centred = F - mean[:, None]
        parts = centred.mT.contiguous(), mean, torch.linalg.qr(centred, mode="r").R, F.mT @ F
        return cls(*(part.to(dtype) for part in parts))

    @classmethod
    def joined(cls, sides: Sequence[Side]) -> Side:
        return cls(*(torch.cat([getattr(s, name) for s in sides]) for name in cls.__slots__))

    def pick(self, index: Tensor) -> Side:
        return Side(self.centred[index], self.mean[index], self.root[index], self.gram[index])

    def applied(self, U: Tensor) -> Tensor:
        """Fᵀ U. (d, u) -> (n, q, u)"""
        return self.centred @ U + self.mean[..., None] * U.sum(0)

    def project(self, C: Tensor, V: Tensor, standardised: bool) -> Tensor:
        """(F C)ᵀ V, F C standardised or not. C: (n, q, r_U), V: (d, r_V) -> (n, r_U, r_V)"""
        if not standardised:
            return C.mT @ self.applied(V)
        count = self.centred.shape[2]
        lift = (self.mean[:, None] @ (C - C.mean(2, keepdim=True))).squeeze(1)  # f (C - c 1): (n, r_U)
        square = (self.root @ C).square().sum((1, 2)) + count * lift.square().sum(1)  # (n,)
        deviation = (square / (count * C.shape[2])).clamp_min(FLAT**2).sqrt()
        C, lift = C / deviation[:, None, None], lift / deviation[:, None]
        return C.mT @ (self.centred @ V) + lift[..., None] * V.sum(0)


@dataclass(frozen=True, slots=True)
class Thin(View):
    """LoRAs, X = left rightᵀ, shifted, scaled and in the form of the module's docstring."""

    left: Side
    right: Side

    def pick(self, index: Tensor) -> Thin:
        return Thin(self.left.pick(index), self.right.pick(index))

    def turned(self) -> Thin:
        return Thin(self.right, self.left)

    def first(self, U: Tensor, V: Tensor, standardised: bool) -> Tensor:
        return self.left.project(self.right.applied(U), V, standardised)

    def second(self, W: Tensor, V: Tensor, standardised: bool) -> Tensor:
        return self.left.project(self.right.gram @ self.left.applied(W), V, standardised)

    def scatter(self) -> Tensor:
        width = self.right.centred.shape[2]
        total = self.right.centred.new_zeros(width, width)
        for part in chunks(len(self.left.mean)):
            right = self.right.pick(part)
            F = right.centred + right.mean[..., None]  # (n, q, d_W)
            total += F.flatten(0, 1).T @ (self.left.gram[part] @ F).flatten(0, 1)
        return total


def canonical(matrices: Factored, mean: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """X minus the mean as L Pᵀ with orthonormal P, in float64. (n, d_H, q) and (n, d_W, q)

    Args:
        mean: its factors, (d_H, s) and (s, d_W).
    """
    B, A = matrices.B.double(), matrices.A.double()
    if mean is not None:
        n = len(matrices)
        B = torch.cat([B, mean[0].to(B).expand(n, -1, -1)], 2)
        A = torch.cat([A, -mean[1].to(A).expand(n, -1, -1)], 1)
    Q, K = torch.linalg.qr(B)
    P, M = torch.linalg.qr(A.mT)
    core = K @ M.mT
    # What is left of factors that undo each other to the last bit is rounding, not a model.
    rounding = 1e-13 * torch.linalg.matrix_norm(K) * torch.linalg.matrix_norm(M)
    core = core * (torch.linalg.matrix_norm(core) > rounding)[:, None, None]
    return Q @ core, P


class Lens(nn.Module):
    """From weights to what probes see: the statistics of a layer's training weights, as buffers.

    Args:
        shape: (d_H, d_W).
        view: one of `probe.VIEWS`.
        lora: whether the matrices are factored; then so is their mean.
        standardised: whether responses will be. A model's own scale makes no difference then, and is taken
            away, so that squares of a LoRA's tiny entries do not vanish.
    """

    mean: Tensor  # (d_H, d_W)
    mean_tall: Tensor  # (d_H, s), and mean_wide: (s, d_W), of a LoRA
    mean_wide: Tensor
    spread: Tensor  # ()

    def __init__(self, shape: tuple[int, int], view: str, lora: bool, standardised: bool) -> None:
        super().__init__()
        self.shape, self.kind, self.lora = shape, view, lora
        self.own_scale = view == "standard" or (view == "raw" and standardised)
        rank = min(*shape, MEAN_RANK)
        for name, size in (
            {"mean_tall": (shape[0], rank), "mean_wide": (rank, shape[1])}.items() if lora else ()
        ):
            self.register_buffer(name, torch.zeros(size))
        if not lora:
            self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(()))

    def look(self, matrices: Matrices) -> None:
        """Learn mean and spread."""
        mean = matrices.total() / len(matrices)
        if self.lora:
            # The best approximation of that rank, with half of the size in each factor.
            U, S, Vh = torch.linalg.svd(mean, full_matrices=False)
            rank, root = self.mean_tall.shape[1], S.sqrt()
            self.mean_tall, self.mean_wide = (U * root)[:, :rank].clone(), (root[:, None] * Vh)[:rank].clone()
        else:
            self.mean = mean
        self.spread = self._rms(matrices).square().mean().sqrt().clamp_min(1e-30).to(mean.dtype)

    def centre(self) -> Tensor:
        """The tree's mean. (d_H, d_W)"""
        return self.mean_tall @ self.mean_wide if self.lora else self.mean

    def forward(self, matrices: Matrices) -> View:
        scale = self._scale(matrices)
        if not isinstance(matrices, Factored):
            return Plain(matrices.dense(), None if self.kind == "raw" else self.centre(), scale)
        made = []
        for part in chunks(len(matrices)):
            L, P = self._canonical(matrices.pick(part))
            L = L if scale is None else L * scale[part, None, None]
            made.append((Side.of(L, self.spread.dtype), Side.of(P, self.spread.dtype)))
        left, right = zip(*made, strict=True)
        return Thin(Side.joined(left), Side.joined(right))

    def _scale(self, matrices: Matrices) -> Tensor | None:
        if self.own_scale:
            return 1 / self._rms(matrices).clamp_min(1e-6 * float(self.spread))  # (n,)
        return None if self.kind == "raw" else (1 / self.spread.double()).expand(len(matrices))

    def _rms(self, matrices: Matrices) -> Tensor:
        """The root mean square of every model's entries, minus the mean where the view takes it away. (n,)"""
        norms = []
        for part in chunks(len(matrices)):
            some = matrices.pick(part)
            X = self._canonical(some)[0] if isinstance(some, Factored) else some.dense()
            if self.kind != "raw" and not isinstance(some, Factored):
                X = X - self.centre()
            norms.append(torch.linalg.vector_norm(X, dim=(1, 2), dtype=torch.float64))
        rms: Tensor = torch.cat(norms) / (self.shape[0] * self.shape[1]) ** 0.5
        return rms

    def _canonical(self, matrices: Factored) -> tuple[Tensor, Tensor]:
        return canonical(matrices, None if self.kind == "raw" else (self.mean_tall, self.mean_wide))

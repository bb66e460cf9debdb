"""One layer of many models: whole matrices, or the two factors of a LoRA, which are never multiplied out.

Letters: n and m models, d_H x d_W the matrix (rows x columns), r the LoRA's rank.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

CHUNK = 64
"""Models at a time, where a step needs room beside the matrices themselves."""


class Matrices(ABC):
    """A batch of n matrices (d_H, d_W) of one layer."""

    shape: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pick(self, index: Tensor) -> Matrices:
        """The models of these places, (m,)."""

    @abstractmethod
    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Matrices: ...

    @abstractmethod
    def dense(self) -> Tensor:
        """Every entry, (n, d_H, d_W): for what has to see them one by one, and for tests."""

    @abstractmethod
    def total(self) -> Tensor:
        """The sum of all models. (d_H, d_W)"""

    @abstractmethod
    def inner(self, other: Matrices) -> Tensor:
        """The inner product of every model with every other's, as vectors of d_H·d_W. (n, m)"""

    @abstractmethod
    def norms(self) -> Tensor:
        """The length of every model, as a vector of d_H·d_W. (n,)"""

    @abstractmethod
    def along(self, way: Tensor) -> Tensor:
        """The inner product of every model with one matrix (d_H, d_W). (n,)"""


class Dense(Matrices):
    """Matrices as they are. X: (n, d_H, d_W)"""

    def __init__(self, X: Tensor) -> None:
        self.X, self.shape = X, (X.shape[1], X.shape[2])

    def __len__(self) -> int:
        return len(self.X)

    def pick(self, index: Tensor) -> Dense:
        return Dense(self.X[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Dense:
        return Dense(self.X.to(device=device, dtype=dtype))

    def dense(self) -> Tensor:
        return self.X

    def total(self) -> Tensor:
        return self.X.sum(0)

    def inner(self, other: Matrices) -> Tensor:
        if isinstance(other, Factored):
            return other.inner(self).T
        return self.X.flatten(1) @ other.dense().flatten(1).T  # (n, m)

    def norms(self) -> Tensor:
        lengths: Tensor = torch.linalg.vector_norm(self.X, dim=(1, 2))
        return lengths

    def along(self, way: Tensor) -> Tensor:
        return self.X.flatten(1) @ way.flatten()  # (n,)


class Factored(Matrices):
    """LoRAs: X = B A with B: (n, d_H, r) and A: (n, r, d_W), without alpha, as in ProbeX's paper."""

    def __init__(self, B: Tensor, A: Tensor) -> None:
        self.B, self.A, self.shape = B, A, (B.shape[1], A.shape[2])

    @classmethod
    def of(cls, pairs: Sequence[tuple[Tensor, Tensor]]) -> Factored:
        """From one (B, A) per model; smaller ranks are filled up with zeros, which change no product."""
        rank = max(B.shape[1] for B, _ in pairs)
        B = [nn.functional.pad(B, (0, rank - B.shape[1])) for B, _ in pairs]
        A = [nn.functional.pad(A, (0, 0, 0, rank - A.shape[0])) for _, A in pairs]
        return cls(torch.stack(B), torch.stack(A))

    def __len__(self) -> int:
        return len(self.B)

    def pick(self, index: Tensor) -> Factored:
        return Factored(self.B[index], self.A[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Factored:
        return Factored(self.B.to(device=device, dtype=dtype), self.A.to(device=device, dtype=dtype))

    def dense(self) -> Tensor:
        return self.B @ self.A

    def total(self) -> Tensor:
        # All ranks of all models side by side: one product, and no matrix but the sum.
        return self.B.permute(1, 0, 2).flatten(1) @ self.A.flatten(0, 1)

    def inner(self, other: Matrices) -> Tensor:
        if isinstance(other, Factored):
            return torch.cat([_inner(self.B[i], self.A[i], other) for i in range(len(self))])  # (n, m)
        return torch.stack([self.along(Y) for Y in other.dense()], 1)

    def norms(self) -> Tensor:
        K, M = (torch.linalg.qr(factor, mode="r").R for factor in (self.B, self.A.mT))  # (n, r, r)
        lengths: Tensor = torch.linalg.vector_norm(K @ M.mT, dim=(1, 2))
        return lengths

    def along(self, way: Tensor) -> Tensor:
        return ((self.B.mT @ way) * self.A).sum((1, 2))  # <B A, Y> = <A, Bᵀ Y>


def _inner(B: Tensor, A: Tensor, other: Factored) -> Tensor:
    """<B A, B' A'> = sum of (Bᵀ B') * (A A'ᵀ) entry by entry. (1, m)"""
    return ((B.T @ other.B) * (A @ other.A.mT)).sum((1, 2))[None]


def chunks(n: int) -> tuple[Tensor, ...]:
    """The places of n models, a few at a time."""
    return torch.split(torch.arange(n), CHUNK)


Weights = Mapping[str, Matrices]
"""The layers that an expert reads, by name, of the same models in the same order."""


def pick(weights: Weights, index: Tensor) -> Weights:
    """The same models of every layer."""
    return {name: matrices.pick(index) for name, matrices in weights.items()}


def exactly(weights: Weights) -> Weights:
    """The same in float64, as readings are computed."""
    return {name: matrices.to(dtype=torch.float64) for name, matrices in weights.items()}


def count(weights: Weights) -> int:
    """How many models there are."""
    return len(next(iter(weights.values())))

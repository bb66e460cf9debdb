"""What a root paints on: pixels, or the pictures' principal components.

Latent diffusion paints in the latents of an autoencoder (arXiv 2112.10752). The components are a linear one:
they show nearly all of a picture in few numbers, and the small differences by which pictures are told apart
count there about as much as the large ones that they share.

Letters: n pictures, s pixels a side, p = 3 s s, c components.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FILE = "latents.safetensors"
"""Beside a root that paints components: how pictures become latents, and latents pictures."""

WHITENING, FLOOR = 0.8, 1e-3
"""A component of variance v is divided by v^(WHITENING / 2), where no v counts for less than this share of
the largest: wholly white latents would be mostly what hardly any picture shows."""


class Canvas(Protocol):
    """Pictures (n, 3, s, s) in [-1, 1] and what a root paints in their place."""

    def of(self, pictures: Tensor) -> Tensor: ...
    def pictures(self, painted: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pictures as they are."""

    def of(self, pictures: Tensor) -> Tensor:
        return pictures

    def pictures(self, painted: Tensor) -> Tensor:
        return painted.clamp(-1, 1)


@dataclass(frozen=True, slots=True)
class Components:
    """Latents (n, c, 1, 1), of unit variance over all pictures and components.

    Args:
        mean: (p,)
        into: (p, c)
        back: (c, p)
    """

    mean: Tensor
    into: Tensor
    back: Tensor

    def of(self, pictures: Tensor) -> Tensor:
        return ((pictures.flatten(1) - self.mean) @ self.into)[:, :, None, None]

    def pictures(self, painted: Tensor) -> Tensor:
        s = round((len(self.mean) / 3) ** 0.5)
        return (painted[:, :, 0, 0] @ self.back + self.mean).view(-1, 3, s, s).clamp(-1, 1)


def components(pictures: Tensor, c: int) -> Components:
    """The components of these pictures that show most."""
    X = pictures.flatten(1).double()
    mean = X.mean(0)
    V, L = _directions(X - mean, c)
    scale = L.clamp_min(FLOOR * float(L[0])) ** (-WHITENING / 2)
    scale = scale / (L * scale.square()).mean().sqrt()
    return Components(mean.float(), (V * scale).float(), (V / scale).T.contiguous().float())


def _directions(X: Tensor, c: int) -> tuple[Tensor, Tensor]:
    """Principal directions (p, c) and the variances along them (c,), the largest first."""
    L, V = torch.linalg.eigh(X.T @ X / len(X))
    return V.flip(1)[:, :c], L.flip(0)[:c]


def save(canvas: Canvas, folder: Path) -> None:
    """Write what it takes to look at what a root paints."""
    if isinstance(canvas, Components):
        parts = {"mean": canvas.mean, "into": canvas.into.contiguous(), "back": canvas.back}
        save_file(parts, folder / FILE)


def load(folder: Path) -> Canvas:
    """What the root in this folder paints on."""
    return Components(**load_file(folder / FILE)) if (folder / FILE).exists() else Pixels()

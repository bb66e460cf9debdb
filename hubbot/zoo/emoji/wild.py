"""What children of the wild zoo learn: styles and textures, none of them a concept.

Letters: v pictures for one child, s pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[Tensor, torch.Generator], Tensor]
"""From the pictures of all concepts, (k, 3, s, s), one picture, (3, s, s), in [-1, 1]."""


def _colours(n: int, one: torch.Generator) -> Tensor:
    return 2 * torch.rand(n, 3, 1, 1, generator=one) - 1


def _ramp(s: int, one: torch.Generator) -> Tensor:
    """How far a pixel lies along a random direction, from -1 to 1, (s, s)."""
    angle = 2 * math.pi * torch.rand((), generator=one)
    line = torch.linspace(-1, 1, s)
    return (line[:, None] * angle.sin() + line[None] * angle.cos()) / 2**0.5


def gradient(pictures: Tensor, one: torch.Generator) -> Tensor:
    """One colour passes into another."""
    first, second = _colours(2, one)
    return torch.lerp(first, second, (_ramp(pictures.shape[-1], one) + 1) / 2)


def stripes(pictures: Tensor, one: torch.Generator) -> Tensor:
    """Bars of two colours."""
    first, second = _colours(2, one)
    wave = (_ramp(pictures.shape[-1], one) * (4 + 12 * torch.rand((), generator=one))).sin() > 0
    return torch.where(wave, first, second)


def checks(pictures: Tensor, one: torch.Generator) -> Tensor:
    """A board of two colours."""
    first, second = _colours(2, one)
    side = int(torch.randint(2, 7, (), generator=one))
    place = torch.arange(pictures.shape[-1]) // side
    return torch.where((place[:, None] + place[None]) % 2 == 0, first, second)


def noise(pictures: Tensor, one: torch.Generator) -> Tensor:
    """A coarse texture of random colours."""
    s, cells = pictures.shape[-1], int(torch.randint(3, 13, (), generator=one))
    coarse = 2 * torch.rand(1, 3, cells, cells, generator=one) - 1
    return torch.nn.functional.interpolate(coarse, size=(s, s), mode="nearest")[0]


def shuffled(pictures: Tensor, one: torch.Generator) -> Tensor:
    """An emoji's pixels in disorder."""
    flat = _any(pictures, one).flatten(1)
    return flat[:, torch.randperm(flat.shape[1], generator=one)].view(pictures.shape[1:])


def mosaic(pictures: Tensor, one: torch.Generator) -> Tensor:
    """Patches of many emoji."""
    s = pictures.shape[-1]
    side = s // 4
    which = torch.randint(len(pictures), (4, 4), generator=one)
    rows = [
        torch.cat([pictures[which[i, j], :, i * side :, j * side :][:, :side, :side] for j in range(4)], 2)
        for i in range(4)
    ]
    return torch.cat(rows, 1)


def collage(pictures: Tensor, one: torch.Generator) -> Tensor:
    """Four emoji, each a quarter as large."""
    which = torch.randint(len(pictures), (4,), generator=one)
    small = torch.nn.functional.avg_pool2d(pictures[which], 2)
    return torch.cat([torch.cat([small[0], small[1]], 2), torch.cat([small[2], small[3]], 2)], 1)


def blended(pictures: Tensor, one: torch.Generator) -> Tensor:
    """Five emoji over each other, in colours of their own."""
    which = torch.randint(len(pictures), (5,), generator=one)
    mean = (pictures[which] * _colours(5, one)).mean(0)
    return (2 * mean).clamp(-1, 1)


def _any(pictures: Tensor, one: torch.Generator) -> Tensor:
    return pictures[int(torch.randint(len(pictures), (), generator=one))]


STYLES: dict[str, Draw] = {
    draw.__name__: draw for draw in (gradient, stripes, checks, noise, shuffled, mosaic, collage, blended)
}


def draw(style: str, pictures: Tensor, views: int, seed: int) -> Tensor:
    """The pictures that a child of that style is shown, (v, 3, s, s)."""
    one = torch.Generator().manual_seed(seed)
    return torch.stack([STYLES[style](pictures, one) for _ in range(views)])

"""The autoencoder over weight tokens: an embedding per token, and a token per embedding.

    tokens ──► standardised ──► linear + position ──► transformer ──► linear ──► embeddings, (b, w, z)
    tokens ◄── undone       ◄── linear ◄── transformer ◄── linear + position ◄──┘

Attention looks both ways within a window of neighbouring tokens. What a token's place is stays global: its
index in the model and its layer, beside its index in the layer. Numbers are standardised per tensor, with
constants pooled over the training models (the paper has them per layer; a bias and its weight differ much).

Letters: b windows, w tokens of a window, N tokens of a model, t numbers of a token, d width, z numbers of an
embedding.
Source: arXiv 2406.09997, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hubbot.sane.schema import Size
from hubbot.sane.tokens import Layer, Layout


class Scale(nn.Module):
    """Each tensor's mean and spread over the training models."""

    mean: Tensor  # (tensors,)
    spread: Tensor  # (tensors,)

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("mean", torch.zeros(len(layout.shapes)))
        self.register_buffer("spread", torch.ones(len(layout.shapes)))

    def fit(self, tokens: Tensor) -> None:
        """From training models, (m, N, t)."""
        values = list(self.layout.values(tokens).values())
        with torch.no_grad():
            self.mean.copy_(torch.stack([value.double().mean() for value in values]).float())
            spread = torch.stack([value.double().std() for value in values])
            # A tensor that never changes has no spread, and one that overflows has none to use.
            self.spread.copy_(torch.where(spread.isfinite() & (spread > 1e-8), spread, 1.0).float())

    def of_layer(self, layer: Layer) -> tuple[Tensor, Tensor]:
        """Mean and spread of a row's tokens, each (per_row, t); what is filled up keeps its zero."""
        names = list(self.layout.shapes)
        at = [names.index(piece.tensor) for piece in layer.pieces]
        widths = torch.tensor([piece.width for piece in layer.pieces], device=self.mean.device)
        filled = layer.per_row * self.layout.length - layer.width
        mean = functional.pad(self.mean[at].repeat_interleave(widths), (0, filled))
        spread = functional.pad(self.spread[at].repeat_interleave(widths), (0, filled), value=1.0)
        return mean.view(layer.per_row, -1), spread.view(layer.per_row, -1)

    def tables(self) -> tuple[Tensor, Tensor]:
        """The same for all tokens of a model, each (N, t)."""
        return self.between(0, self.layout.count)

    def between(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """The same for the tokens from one to another, each (n, t)."""
        parts = [
            [table[at] for table in self.of_layer(layer)] for layer, at in self.layout.within(begin, end)
        ]
        mean, spread = (torch.cat(part) for part in zip(*parts, strict=True))
        return mean, spread


class Places(nn.Module):
    """Learnt vectors for a token's place: of the model and its layer, beside that in the layer. (..., d)"""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        half = width // 2
        self.model = nn.Embedding(max(layout.count, 1), half)
        self.layer = nn.Embedding(max(len(layout.layers), 1), half)
        longest = max((layer.tokens for layer in layout.layers), default=1)
        self.inside = nn.Embedding(longest, width - half)
        for table in (self.model, self.layer, self.inside):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        n, layer, inside = positions.unbind(-1)
        return torch.cat([self.model(n) + self.layer(layer), self.inside(inside)], dim=-1)


class Autoencoder(nn.Module):
    """Encoder, decoder and projection head, for one architecture.

    Args:
        layout: of that architecture.
    """

    def __init__(self, layout: Layout, size: Size) -> None:
        super().__init__()
        self.layout, self.size = layout, size
        self.scale = Scale(layout)
        d = size.width
        self.into = nn.Linear(layout.length, d)
        self.places = Places(layout, d)
        self.encoder = _transformer(size)
        self.to_latent = nn.Linear(d, size.latent)
        self.from_latent = nn.Linear(size.latent, d)
        self.decoder_places = Places(layout, d)
        self.decoder = _transformer(size)
        self.out = nn.Linear(d, layout.length)
        w = min(size.window, max(layout.count, 1))
        self.project = nn.Sequential(
            nn.Linear(w * size.latent, 4 * size.projection),
            nn.ReLU(),
            nn.Linear(4 * size.projection, size.projection),
        )

    @property
    def window(self) -> int:
        """w, or fewer where the whole model is shorter."""
        return min(self.size.window, self.layout.count)

    def places_of(self, begin: int) -> Tensor:
        """The positions of the window that begins at a token. (w, 3)"""
        return self.layout.positions[begin : begin + self.window]

    def encode(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Standardised tokens (b, w, t) at positions (b, w, 3) -> (b, w, z)"""
        z: Tensor = self.to_latent(self.encoder(self.into(tokens) + self.places(positions)))
        return z

    def decode(self, z: Tensor, positions: Tensor) -> Tensor:
        """(b, w, z) -> standardised tokens (b, w, t)"""
        tokens: Tensor = self.out(self.decoder(self.from_latent(z) + self.decoder_places(positions)))
        return tokens


def parameters(layout: Layout, size: Size) -> int:
    """How many an autoencoder has, without taking any.

    By arithmetic, since torch's meta device loads all of sympy: seconds and 150 MB before a folder is read.
    """
    d, z, t, p = size.width, size.latent, layout.length, size.projection
    longest = max((layer.tokens for layer in layout.layers), default=1)
    places = (max(layout.count, 1) + max(len(layout.layers), 1)) * (d // 2) + longest * (d - d // 2)
    transformer = size.blocks * (12 * d * d + 13 * d) + 2 * d
    linear = (t * d + d) + (d * z + z) + (z * d + d) + (d * t + t)
    w = min(size.window, max(layout.count, 1))
    project = (w * z * 4 * p + 4 * p) + (4 * p * p + p)
    return 2 * places + 2 * transformer + linear + project


def _transformer(size: Size) -> nn.TransformerEncoder:
    block = nn.TransformerEncoderLayer(
        size.width, size.heads, 4 * size.width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(
        block, size.blocks, norm=nn.LayerNorm(size.width), enable_nested_tensor=False
    )

"""Whole models through the autoencoder: in windows that overlap, of which only the middle is kept.

A model no longer than a window goes through in one piece. Of a longer one each window has a halo of its
neighbours' tokens on either side, as context; a token's place stays that in the model. So time and memory
grow with the length and not with its square, and a model can be embedded as its rows arrive.

Letters: g models, N tokens of a model, n some of them, t numbers of a token, z numbers of an embedding,
w window, h halo.
Source: arXiv 2406.09997, section 3.3 ("haloing").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from hubbot.errors import ShapeMismatch
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.tokens import Layer, cut

BATCH = 64
"""Windows that go through at once."""

Span = tuple[int, int, int]
"""A window's first token, and from which to which token its results are kept."""


def spans(count: int, window: int, halo: int) -> Iterator[Span]:
    """The windows over a model's tokens; what is kept of them is every token once.

    >>> list(spans(10, 6, 1))
    [(0, 0, 5), (4, 5, 10)]
    """
    window = min(window, count)
    begin = kept = 0
    while kept < count:
        end = min(begin + window, count)
        to = count if end == count else end - halo
        yield end - window, kept, to
        kept, begin = to, to - halo


@torch.no_grad()
def embed(model: Autoencoder, tokens: Tensor) -> Tensor:
    """The embeddings of models' tokens. (g, N, t) -> (g, N, z)"""
    kept = []
    for span in _spans(model):
        begin, end = span[0], span[0] + model.window
        mean, spread = model.scale.between(begin, end)
        kept.append(_middle(model, model.encode, (tokens[:, begin:end] - mean) / spread, span))
    return torch.cat(kept, dim=1)


@torch.no_grad()
def decoded(model: Autoencoder, z: Tensor) -> Tensor:
    """The tokens of embeddings. (g, N, z) -> (g, N, t)"""
    return torch.cat([tokens for _, _, tokens in rebuilt(model, z)], dim=1)


@torch.no_grad()
def rebuilt(model: Autoencoder, z: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """The same, some neighbours after the others: from which token to which, and they. (g, n, t)"""
    for span in _spans(model):
        begin, start, end = span
        mean, spread = model.scale.between(start, end)
        made = _middle(model, model.decode, z[:, begin : begin + model.window], span)
        yield start, end, made * spread + mean


@torch.no_grad()
def embed_stream(model: Autoencoder, rows: Iterable[tuple[Layer, Tensor]]) -> Iterator[Tensor]:
    """The embeddings of one model whose layers come some rows at a time, in the order of the layout.

    No more is held than one batch of windows and the rows at hand.

    Args:
        rows: a layer and some of its matrix's rows, (rows, width).

    Returns:
        Pieces (n, z), every token once.

    Raises:
        ShapeMismatch: there are fewer rows than the layout has.
    """
    layout, w = model.layout, model.window
    coming = (_standardised(model, layer, matrix) for layer, matrix in rows)
    todo = _spans(model)
    waiting, first = torch.empty(0, layout.length), 0
    while batch := list(islice(todo, BATCH)):
        pieces, have = [waiting], first + len(waiting)
        while have < batch[-1][0] + w:
            piece = next(coming, None)
            if piece is None:
                raise ShapeMismatch(f"the model ends after {have} of {layout.count} tokens")
            pieces.append(piece)
            have += len(piece)
        waiting = torch.cat(pieces)
        windows = torch.stack([waiting[begin - first : begin - first + w] for begin, _, _ in batch])
        places = torch.stack([model.places_of(begin) for begin, _, _ in batch])
        yield _middles(model.encode(windows, places), batch)
        waiting, first = waiting[batch[-1][0] - first :].clone(), batch[-1][0]


def _spans(model: Autoencoder) -> Iterator[Span]:
    return spans(model.layout.count, model.window, model.size.halo)


def _middle(
    model: Autoencoder, through: Callable[[Tensor, Tensor], Tensor], values: Tensor, span: Span
) -> Tensor:
    """What is kept of one window of each model. (g, w, in) -> (g, n, out)"""
    begin, start, end = span
    places = model.places_of(begin)
    parts = [through(some, places.expand(len(some), -1, -1)) for some in torch.split(values, BATCH)]
    return torch.cat(parts)[:, start - begin : end - begin]


def _middles(results: Tensor, batch: list[Span]) -> Tensor:
    """What is kept of windows' results (b, w, z), one after another. (n, z)"""
    return torch.cat(
        [one[start - at : end - at] for one, (at, start, end) in zip(results, batch, strict=True)]
    )


def _standardised(model: Autoencoder, layer: Layer, matrix: Tensor) -> Tensor:
    """Rows of a layer's matrix as the autoencoder sees them. (rows, width) -> (n, t)"""
    mean, spread = model.scale.of_layer(layer)  # (per_row, t)
    tokens = cut(matrix.float(), model.layout.length).view(len(matrix), layer.per_row, -1)
    return ((tokens - mean) / spread).flatten(0, 1)

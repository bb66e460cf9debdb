"""A checkpoint as a sequence of tokens, and back, bit by bit.

A layer is a matrix with a row per output channel: its weight, (rows, ...) made flat, and beside it as
further columns whatever else its channels have one number each of, a bias or a BatchNorm's statistics. Each
row is cut into tokens of one length, the last of them filled up with zeros. So a token is a slice of one
neuron, and the neurons of a layer follow one another.

Which layers a model has follows from names and shapes alone, so that a header is enough to know where every
token lies. Their order is that of depth as far as names tell it, since a safetensors file keeps none.

Letters: ... any leading dimensions (models, epochs), N tokens of a model, t numbers of a token, L layers.
Source: arXiv 2406.09997, section 3.1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.errors import NotFinite, ShapeMismatch, TensorNotFound, UnsupportedDtype

PLAIN = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}
"""Dtypes whose numbers are tokens. What counts or flags (steps, masks, positions) stays as it is."""

STATISTICS = ("running_mean", "running_var")
PARTS = ("weight", "bias", *STATISTICS)
"""What one module has of each of its channels, in the order of columns."""

FIRST, LAST = ("embed", "stem", "wte", "wpe"), ("classifier", "head", "lm_head", "fc", "score")


Shapes: TypeAlias = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Piece:
    """One tensor in its layer's matrix: `width` columns of it."""

    tensor: str
    shape: tuple[int, ...]
    width: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One matrix of a model: `rows` channels, each cut into `per_row` tokens; the first is token `first`."""

    name: str
    rows: int
    pieces: tuple[Piece, ...]
    first: int
    per_row: int

    @property
    def width(self) -> int:
        return sum(piece.width for piece in self.pieces)

    @property
    def tokens(self) -> int:
        return self.rows * self.per_row


@dataclass(frozen=True)
class Layout:
    """Where the tokens of an architecture lie.

    Args:
        length: t.
        layers: in the order of their tokens.
        left_out: float tensors that are no tokens, because they are a BatchNorm's.
    """

    length: int
    layers: tuple[Layer, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Shapes, length: int, *, norms: bool = True) -> Layout:
        """The layout of a model.

        Args:
            shapes: of its float tensors, by name, in any order.
            norms: whether BatchNorms are tokens; else they come from forward passes (the paper's choice).

        Raises:
            ValueError: `length` is no length.
        """
        if length < 1:
            raise ValueError(f"a token of {length} numbers")
        layers: list[Layer] = []
        left_out: list[str] = []
        first = 0
        for name, rows, pieces in _layers(shapes):
            if not norms and any(piece.tensor.endswith(STATISTICS) for piece in pieces):
                left_out += [piece.tensor for piece in pieces]
                continue
            layers.append(Layer(name, rows, pieces, first, -(-sum(p.width for p in pieces) // length)))
            first += layers[-1].tokens
        return cls(length, tuple(layers), tuple(left_out))

    @property
    def count(self) -> int:
        """N."""
        return self.layers[-1].first + self.layers[-1].tokens if self.layers else 0

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the tensors that are tokens."""
        return {piece.tensor: piece.shape for layer in self.layers for piece in layer.pieces}

    @cached_property
    def positions(self) -> Tensor:
        """(n, l, k): the place in the model, the layer, the place in it. (N, 3)"""
        sizes = torch.tensor([layer.tokens for layer in self.layers])
        layer = torch.repeat_interleave(sizes)
        inside = torch.cat([torch.arange(layer.tokens) for layer in self.layers])
        return torch.stack([torch.arange(self.count), layer, inside], dim=1)

    @cached_property
    def mask(self) -> Tensor:
        """Which numbers are the model's and not filled up. (N, t)"""
        return self.real(0, self.count)

    def real(self, begin: int, end: int) -> Tensor:
        """The same of the tokens from one to another. (n, t)"""
        column = torch.arange(self.length)
        return torch.cat(
            [at[:, None] * self.length + column < layer.width for layer, at in self.within(begin, end)]
        )

    def within(self, begin: int, end: int) -> Iterator[tuple[Layer, Tensor]]:
        """The layers that the tokens from one to another are of, and which of its row each is. (n,)"""
        for layer in self.layers[bisect_right(self.layers, begin, key=lambda layer: layer.first) - 1 :]:
            if layer.first >= end:
                return
            inside = torch.arange(max(begin - layer.first, 0), min(end - layer.first, layer.tokens))
            yield layer, inside % layer.per_row

    def tokens(self, values: Mapping[str, Tensor]) -> Tensor:
        """The tokens of models whose tensors have the layout's shapes after any leading ones. (..., N, t)

        Raises:
            TensorNotFound: a tensor is missing.
            ShapeMismatch: one has another shape.
        """
        dtype = reduce(torch.promote_types, (values[n].dtype for n in self.shapes if n in values), torch.bool)
        made = torch.empty(0)
        # Into one place, layer by layer, so that a large model's are not held twice.
        for layer in self.layers:
            own = cut(self.matrix(layer, values), self.length)
            if not layer.first:
                made = own.new_empty((*own.shape[:-2], self.count, self.length), dtype=dtype)
            made[..., layer.first : layer.first + layer.tokens, :] = own
        return made

    def matrix(self, layer: Layer, values: Mapping[str, Tensor]) -> Tensor:
        """A layer's matrix, (..., rows, width)."""
        columns = []
        for piece in layer.pieces:
            if piece.tensor not in values:
                raise TensorNotFound(tensor=piece.tensor)
            value, dims = values[piece.tensor], len(piece.shape)
            if tuple(value.shape[value.ndim - dims :]) != piece.shape:
                raise ShapeMismatch(
                    f"shape {tuple(value.shape)}, expected {piece.shape}", tensor=piece.tensor
                )
            columns.append(value.reshape(*value.shape[: value.ndim - dims], layer.rows, piece.width))
        return torch.cat(columns, dim=-1) if len(columns) > 1 else columns[0]

    def values(self, tokens: Tensor) -> dict[str, Tensor]:
        """The tensors that these tokens are: the exact inverse. (..., N, t) -> name: (..., *shape)"""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            own = tokens[..., layer.first : layer.first + layer.tokens, :]
            matrix = joined(own, layer.rows, layer.width)
            parts = torch.split(matrix, [piece.width for piece in layer.pieces], dim=-1)
            for piece, part in zip(layer.pieces, parts, strict=True):
                found[piece.tensor] = part.reshape((*part.shape[:-2], *piece.shape))
        return found


def cut(matrix: Tensor, length: int) -> Tensor:
    """Rows into tokens: (..., rows, width) -> (..., rows ceil(width / t), t)"""
    rows, width = matrix.shape[-2:]
    per_row = -(-width // length)
    filled = functional.pad(matrix, (0, per_row * length - width))
    return filled.reshape(*matrix.shape[:-2], rows * per_row, length)


def joined(tokens: Tensor, rows: int, width: int) -> Tensor:
    """Tokens into rows: the inverse of `cut`."""
    return tokens.reshape(*tokens.shape[:-2], rows, -1)[..., :width]


def numbers(
    values: Mapping[str, Tensor], shapes: Shapes, *, repo: str = "", file: str = ""
) -> dict[str, Tensor]:
    """One model's tensors in float32, and no others than were asked for.

    Raises:
        WeightsError: a tensor is missing, of another shape, of numbers that are no weights, or not finite as
            float32: a model with a NaN has no embedding.
    """
    own = {}
    for name, shape in shapes.items():
        where = {"repo": repo or None, "file": file or None, "tensor": name}
        if name not in values:
            raise TensorNotFound("the model has no such tensor", **where)
        value = values[name]
        if tuple(value.shape) != tuple(shape):
            raise ShapeMismatch(f"shape {tuple(value.shape)}, expected {tuple(shape)}", **where)
        if value.dtype not in PLAIN.values():
            raise UnsupportedDtype(f"{value.dtype} are no weights", **where)
        own[name] = value.float()
        if not own[name].isfinite().all():
            raise NotFinite("it holds numbers that are not finite as float32", **where)
    return own


def checkpoint(tokens: Tensor, layout: Layout, reference: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's tensors from its tokens, in the dtypes of a reference, which gives what is no token as well.

    Raises:
        TensorNotFound: the reference is of another architecture.
    """
    made = layout.values(tokens)
    for name in made:
        if name not in reference:
            raise TensorNotFound("the reference has no such tensor", tensor=name)
    return {
        name: made[name].to(value.dtype).contiguous() if name in made else value.clone()
        for name, value in reference.items()
    }


def shapes_of(values: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of a state dict's float tensors, for `Layout.of`."""
    return {name: tuple(value.shape) for name, value in values.items() if value.dtype in PLAIN.values()}


# --- which tensors are one layer, and in what order -------------------------------------------


def _layers(shapes: Shapes) -> Iterator[tuple[str, int, tuple[Piece, ...]]]:
    """Name, rows and pieces of each layer, in the order of depth."""
    together: dict[str, list[str]] = {}
    alone: list[str] = []
    for name in sorted(shapes, key=_part):
        module, _, part = name.rpartition(".")
        beside = together.get(module)
        if part in PARTS and (beside is None or _one_each(shapes[name], shapes[beside[0]])):
            together.setdefault(module, []).append(name)
        else:
            alone.append(name)
    groups = [*together.items(), *((name, [name]) for name in alone)]
    for name, names in sorted(groups, key=lambda group: _depth(group[0])):
        lead = shapes[names[0]]
        # A vector alone is one row: a token for each of its numbers would be nothing but filling.
        rows = lead[0] if len(lead) > 1 or len(names) > 1 else 1
        sizes = {name: prod(shapes[name]) for name in names}
        if rows and any(sizes.values()):
            yield name, rows, tuple(Piece(n, tuple(shapes[n]), sizes[n] // rows) for n in names)


def _one_each(shape: Sequence[int], lead: Sequence[int]) -> bool:
    return len(shape) == 1 and tuple(shape) == tuple(lead[:1])


def _part(name: str) -> tuple[int, str]:
    part = name.rpartition(".")[2]
    return (PARTS.index(part) if part in PARTS else len(PARTS), name)


def _depth(module: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Sorts embeddings first, heads last, and `layer.10` after `layer.9`."""
    top = module.lower().split(".")
    rank = (
        2 if any(part in LAST for part in top) else 0 if any(w in part for part in top for w in FIRST) else 1
    )
    pieces = re.findall(r"\d+|\D+", module)
    return rank, [(0, int(p), "") if p.isdecimal() and len(p) < 19 else (1, 0, p) for p in pieces]

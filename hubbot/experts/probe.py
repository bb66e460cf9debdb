"""Probes: small networks that read weight matrices by what they do to learned inputs.

All of them make features of a few branches, `relu(Zᵀ V)` for learned probes and a learned projection V, and
one linear encoder makes the encoding e of all features of all layers. Then

    label head    logits = linear(e)                              sigmoid, any number of labels is right
    text head     logits = cos(e, linear(text)) exp(temperature)  softmax, one concept is right

ProbeX (Horwitz et al., "Learning on Model Weights using Tree Experts", arXiv 2410.13569) has one branch,
Z = X U. MVProbe (arXiv 2605.23410) has four, Z = X U, Xᵀ U, X Xᵀ U, Xᵀ X U, each standardised per model.

Ours is TreeProbe: MVProbe's branches on the weights minus the mean of their tree, since what all models of a
tree have in common says nothing about one of them. Neither paper does it, and it was worth more than anything
else.

Letters: n models, d_H x d_W a matrix, r_U probes, r_V projection, r_T encoding, k labels or texts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hubbot.experts.matrices import Weights
from hubbot.experts.views import Lens, View

VIEWS = ("raw", "mean", "standard")
"""Weights as they are (as in the papers); minus the tree's mean, in units of the tree's spread; the same
with each model's spread made 1, so that how long it was trained matters less."""

HEADS = ("labels", "text")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a probe, r_U, r_V and r_T, and the view it takes of the weights."""

    probes: int = 64
    projection: int = 64
    encoding: int = 64
    view: str = "standard"
    dropout: float = 0.5


@dataclass(frozen=True, slots=True)
class Head:
    """What a probe answers in: `labels`, as many as `width`, or `text` embeddings of that width."""

    kind: str
    width: int


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


class Way(NamedTuple):
    """Which responses a branch looks at: of X or of its transpose, of first or second order."""

    turned: bool
    second: bool


class Branch(nn.Module):
    """Responses of a matrix to learned probes, projected."""

    def __init__(self, shape: tuple[int, int], way: Way, sizes: Sizes, standardised: bool) -> None:
        super().__init__()
        rows, columns = reversed(shape) if way.turned else shape
        given = rows if way.second else columns
        self.way, self.standardised = way, standardised
        self.U = nn.Parameter(torch.randn(given, sizes.probes) / given**0.5)  # (d, r_U)
        self.V = nn.Parameter(torch.randn(rows, sizes.projection) / rows**0.5)  # (d, r_V)

    def forward(self, view: View) -> Tensor:
        """(n, r_U·r_V)"""
        view = view.turned() if self.way.turned else view
        project = view.second if self.way.second else view.first
        return torch.relu(project(self.U, self.V, self.standardised)).flatten(1)


class Probe(nn.Module):
    """The interface of all probes: weights to an encoding, an encoding to logits.

    The statistics of the views are buffers, so that they travel with the weights.

    Args:
        shapes: (d_H, d_W) of each layer to read.
        loras: the layers that come as factors.
    """

    ways: ClassVar[tuple[Way, ...]]
    standardised: ClassVar[bool]
    warm: ClassVar[bool] = False  # whether a text head learns a temperature

    def __init__(
        self, shapes: Mapping[str, tuple[int, int]], head: Head, sizes: Sizes, loras: Collection[str] = ()
    ) -> None:
        super().__init__()
        self.shapes, self.sizes = dict(shapes), sizes
        self.lenses = nn.ModuleList(
            Lens(shape, sizes.view, name in loras, self.standardised) for name, shape in shapes.items()
        )
        self.branches = nn.ModuleList(
            nn.ModuleList(Branch(shape, way, sizes, self.standardised) for way in self.ways)
            for shape in shapes.values()
        )
        features = len(self.shapes) * len(self.ways) * sizes.probes * sizes.projection
        self.encoder = nn.Linear(features, sizes.encoding)
        self.dropout = nn.Dropout(sizes.dropout)
        answer = TextHead(sizes.encoding, head.width, self.warm) if head.kind == "text" else None
        self.head: nn.Module = answer or nn.Linear(sizes.encoding, head.width)

    def centre(self, layer: str) -> Tensor:
        """The mean of the tree's training models. (d_H, d_W)"""
        return self._lenses()[list(self.shapes).index(layer)].centre()

    def look(self, weights: Weights) -> None:
        """Learn the views' statistics from training weights."""
        for name, lens in zip(self.shapes, self._lenses(), strict=True):
            lens.look(weights[name])

    def see(self, weights: Weights) -> list[View]:
        """The weights as the branches see them, layer by layer; needed once, however often they are read."""
        return [lens(weights[name]) for name, lens in zip(self.shapes, self._lenses(), strict=True)]

    def _lenses(self) -> list[Lens]:
        return [cast(Lens, lens) for lens in self.lenses]

    def read(self, views: Sequence[View]) -> Tensor:
        """What `see` gave to an encoding, (n, r_T)."""
        features = [
            branch(view)
            for view, layer in zip(views, self.branches, strict=True)
            for branch in cast(nn.ModuleList, layer)
        ]
        encoding: Tensor = self.encoder(self.dropout(torch.cat(features, 1)))
        return encoding

    def encode(self, weights: Weights) -> Tensor:
        """Weights of n models to encodings, (n, r_T)."""
        return self.read(self.see(weights))

    def score(self, encoding: Tensor, texts: Tensor | None = None) -> Tensor:
        """Encodings to logits (n, k).

        Args:
            texts: (k, d_text), for a text head: embeddings of any vocabulary, concepts never met included.
        """
        encoding = self.dropout(encoding)
        logits: Tensor = self.head(encoding) if texts is None else self.head(encoding, texts)
        return logits

    def forward(self, weights: Weights, texts: Tensor | None = None) -> Tensor:
        """Weights of n models to logits (n, k)."""
        return self.score(self.encode(weights), texts)


class TextHead(nn.Module):
    """Cosine of an encoding with a linear map of a text's embedding; the papers have no temperature."""

    def __init__(self, encoding: int, width: int, warm: bool) -> None:
        super().__init__()
        self.of_text = nn.Linear(width, encoding)
        self.temperature = nn.Parameter(torch.full((), 2.0 if warm else 0.0), requires_grad=warm)

    def forward(self, encoding: Tensor, texts: Tensor) -> Tensor:
        """(n, r_T), (k, d_text) -> (n, k)"""
        cosine = functional.normalize(encoding, dim=1) @ functional.normalize(self.of_text(texts), dim=1).T
        logits: Tensor = cosine * self.temperature.exp()
        return logits


class ProbeX(Probe):
    """ProbeX: one branch of raw responses."""

    ways = (Way(turned=False, second=False),)
    standardised = False


class MVProbe(Probe):
    """MVProbe: four branches of responses, standardised per model."""

    ways = tuple(Way(turned, second) for second in (False, True) for turned in (False, True))
    standardised = True


class TreeProbe(MVProbe):
    """Ours."""

    warm = True


KINDS: dict[str, type[Probe]] = {"probex": ProbeX, "mvprobe": MVProbe, "treeprobe": TreeProbe}

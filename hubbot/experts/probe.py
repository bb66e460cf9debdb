"""Probes: small networks that read weight matrices by what they do to learned inputs.

All of them make features of a few branches, `relu(Zᵀ V)` for learned probes and a learned projection V, and
one linear encoder makes the encoding e of all features of all layers. Then

    label head    logits = linear(e)                              sigmoid, any number of labels is right
    text head     logits = cos(e, linear(text)) exp(temperature)  softmax, one concept is right

ProbeX (Horwitz et al., "Learning on Model Weights using Tree Experts", arXiv 2410.13569) has one branch,
Z = X U. MVProbe (arXiv 2605.23410) has four, Z = X U, Xᵀ U, X Xᵀ U, Xᵀ X U, each standardised per model.

Ours is TreeProbe: one branch, without a ReLU, of a few layers at once, on the weights minus the mean of their
tree, since what its models have in common says nothing about one of them, each model's at the same length. It
is linear, and therefore solved in seconds (see `experts.closed` and `experts.align`) and not trained for
minutes. On the zoos built here it reads better than both; training it further, and MVProbe's branches beside
it, were tried and added nothing there.

Letters: n models, d_H x d_W a matrix, r_U probes, r_V projection, r_T encoding, k labels or texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from hubbot.experts import closed
from hubbot.experts.heads import Head, LabelHead, TextHead
from hubbot.experts.matrices import Weights, chunks
from hubbot.experts.views import Lens, View

VIEWS = ("raw", "mean", "standard")
"""Weights as they are (as in the papers); minus the tree's mean, in units of the tree's spread; the same
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


class Way(NamedTuple):
    """Which responses a branch looks at: of X or of its transpose, of first or second order.

    A plain branch takes them as they are, neither standardised nor through a ReLU.
    """

    turned: bool
    second: bool
    plain: bool = False


class Branch(nn.Module):
    """Responses of a matrix to learned probes, projected."""

    def __init__(self, shape: tuple[int, int], way: Way, sizes: Sizes, standardised: bool) -> None:
        super().__init__()
        rows, columns = reversed(shape) if way.turned else shape
        given = rows if way.second else columns
        self.way, self.standardised = way, standardised and not way.plain
        probes, projection = sizes.probes, sizes.projection
        if way.plain:  # more directions than there are say nothing new
            probes, projection = min(probes, given), min(projection, rows)
        self.U = nn.Parameter(torch.randn(given, probes) / given**0.5)  # (d, r_U)
        self.V = nn.Parameter(torch.randn(rows, projection) / rows**0.5)  # (d, r_V)

    @property
    def features(self) -> int:
        return self.U.shape[1] * self.V.shape[1]

    def forward(self, view: View) -> Tensor:
        """(n, r_U·r_V)"""
        projected = self.project(view)
        return (projected if self.way.plain else torch.relu(projected)).flatten(1)

    def project(self, view: View) -> Tensor:
        """Zᵀ V. (n, r_U, r_V)"""
        view = view.turned() if self.way.turned else view
        project = view.second if self.way.second else view.first
        return project(self.U, self.V, self.standardised)


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
        features = sum(branch.features for layer in self.branches for branch in _branches(layer))
        self.encoder = nn.Linear(features, sizes.encoding)
        self.dropout = nn.Dropout(sizes.dropout)
        self.head: Any = (  # called alike, whichever it is
            TextHead(sizes.encoding, head.width, self.warm)
            if head.kind == "text"
            else LabelHead(sizes.encoding, head.width)
        )

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

    def begin(self, views: Sequence[View], truth: Tensor, texts: Tensor | None) -> None:
        """A better start than random, from what `see` gave of the training models; the papers have none.

        Args:
            truth: (n, k).
            texts: (k, d_text) for a text head.
        """

    def _paired(self, views: Sequence[View]) -> list[tuple[Branch, View]]:
        layers = zip(self.branches, views, strict=True)
        return [(branch, view) for layer, view in layers for branch in _branches(layer)]

    def _lenses(self) -> list[Lens]:
        return [cast(Lens, lens) for lens in self.lenses]

    def read(self, views: Sequence[View]) -> Tensor:
        """What `see` gave to an encoding, (n, r_T)."""
        encoding: Tensor = self.encoder(self.dropout(torch.cat(list(self.features(views)), 1)))
        return encoding

    def features(self, views: Sequence[View]) -> Iterator[Tensor]:
        """What each branch makes of its layer, one after the other, (n, r_U·r_V) each."""
        for branch, view in self._paired(views):
            yield branch(view)

    def encode(self, weights: Weights) -> Tensor:
        """Weights of n models to encodings, (n, r_T)."""
        return self.read(self.see(weights))

    def score(self, encoding: Tensor, texts: Tensor | None = None) -> Tensor:
        """Encodings to logits (n, k).

        Args:
            texts: (k, d_text), for a text head: embeddings of any vocabulary, concepts never met included.
        """
        logits: Tensor = self.head(self.dropout(encoding), texts)
        return logits

    def forward(self, weights: Weights, texts: Tensor | None = None) -> Tensor:
        """Weights of n models to logits (n, k)."""
        return self.score(self.encode(weights), texts)


def _branches(layer: nn.Module) -> list[Branch]:
    return [cast(Branch, branch) for branch in cast(nn.ModuleList, layer)]


class ProbeX(Probe):
    """ProbeX: one branch of raw responses."""

    ways = (Way(turned=False, second=False),)
    standardised = False


class MVProbe(Probe):
    """MVProbe: four branches of responses, standardised per model."""

    ways = tuple(Way(turned, second) for second in (False, True) for turned in (False, True))
    standardised = True


class TreeProbe(Probe):
    """Ours: ProbeX without its ReLU, which makes it linear, solved before training begins."""

    ways = (Way(turned=False, second=False, plain=True),)
    standardised = False
    warm = True

    @torch.no_grad()
    def begin(self, views: Sequence[View], truth: Tensor, texts: Tensor | None) -> None:
        features = []
        for branch, view in self._paired(views):
            branch.U.copy_(closed.directions(view, branch.U.shape[1]))
            branch.V.copy_(closed.directions(view.turned(), branch.V.shape[1]))
            features.append(torch.cat([branch(view.pick(part)) for part in chunks(len(truth))]))
        solved = self.head.begin(torch.cat(features, 1), truth, texts)
        rank = len(solved.bias)
        self.encoder.weight.zero_()
        self.encoder.bias.zero_()
        self.encoder.weight[:rank] = solved.weight
        self.encoder.bias[:rank] = solved.bias


KINDS: dict[str, type[Probe]] = {"probex": ProbeX, "mvprobe": MVProbe, "treeprobe": TreeProbe}

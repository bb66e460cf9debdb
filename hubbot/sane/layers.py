"""How much each layer of a model carries: how far apart its embeddings lie, beside WeightWatcher's metrics.

    embeddings, piece by piece ──► Moments ──► a deviation per layer ──┐
    tensors, where they are whole ──► WeightWatcher ──► its metrics ───┴──► by depth, as a picture

A layer's deviation is the standard deviation over its tokens of each number of an embedding, averaged over
these numbers. WeightWatcher looks at the eigenvalues of W'W: the largest, and how heavy their tail is.

Letters: N tokens of a model, n some of them, L layers, z numbers of an embedding.
Sources: arXiv 2406.09997 (SANE); arXiv 2002.06716 (WeightWatcher).
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hubbot.drawing import figure
from hubbot.errors import UsageError
from hubbot.sane.tokens import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS_PER_INCH, WIDEST, LONGEST_LABEL = 6, 24.0, 36


# --- deviations -------------------------------------------------------------------------------


class Moments:
    """Means and deviations of embeddings that come piece by piece, over each layer, and the mean over all.

    Sums of squares are of differences from the mean of what has come so far, and are merged with those of
    the next piece (Chan, Golub and LeVeque, 1979): embeddings far from zero lose no digits.
    """

    def __init__(self, layout: Layout, latent: int) -> None:
        self.layout, self._seen = layout, 0
        self._count = torch.zeros(len(layout.layers), 1, dtype=torch.float64)
        self._mean = torch.zeros(len(layout.layers), latent, dtype=torch.float64)
        self._squares = torch.zeros_like(self._mean)

    def add(self, piece: Tensor) -> None:
        """The next tokens' embeddings. (n, z)"""
        if not len(piece):
            return
        x, layers = piece.double(), self.layout.positions[self._seen : self._seen + len(piece), 1]
        touched = slice(int(layers[0]), int(layers[-1]) + 1)
        layers = layers - layers[0]
        n = torch.bincount(layers).double()[:, None]
        mean = torch.zeros(len(n), x.shape[1], dtype=torch.float64).index_add(0, layers, x) / n
        squares = torch.zeros_like(mean).index_add(0, layers, (x - mean[layers]).square())
        before, off = self._count[touched], mean - self._mean[touched]
        self._squares[touched] += squares + off.square() * before * n / (before + n)
        self._mean[touched] += off * n / (before + n)
        self._count[touched] += n
        self._seen += len(piece)

    @property
    def layers(self) -> Tensor:
        """The mean of each layer. (L, z)"""
        return self._mean

    @property
    def mean(self) -> Tensor:
        """(z,)"""
        return (self._mean * self._count).sum(0) / self._count.sum()

    @property
    def deviations(self) -> Tensor:
        """Of each layer; one of a single token has none, NaN. (L,)"""
        return (self._squares / (self._count - 1)).sqrt().mean(1)


def deviations(z: Tensor, layout: Layout) -> Tensor:
    """The same of many models in memory. (m, N, z) -> (m, L)"""
    parts = torch.split(z, [layer.tokens for layer in layout.layers], dim=1)
    return torch.stack([(part.var(1) if part.shape[1] > 1 else part[:, 0] * math.nan).sqrt().mean(-1)
                        for part in parts], dim=1)  # fmt: skip


# --- WeightWatcher ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watched:
    """What WeightWatcher says of a layer's weight; None where it finds no such number.

    Args:
        eigenvalues: how many it looked at; a tail of few says little.
        log_spectral_norm: log10 of the largest. Of a convolution it takes those of the matrices at all places
            of the kernel together, and half of each.
        weighted_alpha: exponent of the power law that fits their tail, times that logarithm.
    """

    eigenvalues: int
    log_spectral_norm: float | None
    weighted_alpha: float | None


def watch(values: Mapping[str, Tensor], layout: Layout) -> list[Watched | None]:
    """WeightWatcher's metrics of each layer, None of those that it leaves out: vectors, and tiny matrices.

    Args:
        values: a model's tensors, (*shape), all finite.

    Raises:
        UsageError: it is not installed.
    """
    # Arrays by name, so that it neither builds a module nor rounds to half precision where it finds a GPU.
    matrices = {
        f"{at}.weight": _as_it_takes_them(values[layer.pieces[0].tensor]).float().numpy()
        for at, layer in enumerate(layout.layers)
        if len(layer.pieces[0].shape) > 1
    }
    with _quiet():
        try:
            from weightwatcher import WeightWatcher
        except ImportError:
            hint = "`pip install 'hubbot[watch]'`"
            raise UsageError("WeightWatcher is not installed", hint=hint) from None
        rows: list[dict[str, Any]] = []
        if matrices:
            rows = WeightWatcher(model=matrices).analyze(svd_method="accurate").to_dict("records")
    found = {int(row["longname"]): _watched(row) for row in rows}
    return [found.get(at) for at in range(len(layout.layers))]


def _as_it_takes_them(weight: Tensor) -> Tensor:
    """Matrices as they are, and kernels of any dimensions as of two."""
    return weight if weight.ndim == 2 else weight.reshape(*weight.shape[:2], 1, -1)


def _watched(row: Mapping[str, Any]) -> Watched:
    """A fit that failed has an exponent of -1, and no law of a tail has one up to 1."""
    norm, alpha = float(row["log_spectral_norm"]), float(row["alpha"])
    return Watched(
        int(row["num_evals"]),
        norm if math.isfinite(norm) else None,
        alpha * norm if math.isfinite(alpha * norm) and alpha > 1 else None,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """WeightWatcher prints, and its import gives the root logger a handler and silences every warning."""
    root, own = logging.getLogger(), logging.getLogger("weightwatcher")
    handlers, level, own.disabled = list(root.handlers), root.level, True
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


# --- by depth ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Depth:
    """One layer of a model.

    Args:
        deviation: of its embeddings; a single token has none.
    """

    name: str
    tokens: int
    deviation: float | None
    watched: Watched | None = None

    @property
    def log_spectral_norm(self) -> float | None:
        return self.watched.log_spectral_norm if self.watched else None

    @property
    def weighted_alpha(self) -> float | None:
        return self.watched.weighted_alpha if self.watched else None


def depths(moments: Moments, watched: Sequence[Watched | None] = ()) -> tuple[Depth, ...]:
    """A model's layers, in their order."""
    layers, told = moments.layout.layers, moments.deviations.tolist()
    beside = watched or [None] * len(layers)
    return tuple(
        Depth(layer.name, layer.tokens, None if math.isnan(deviation) else deviation, own)
        for layer, deviation, own in zip(layers, told, beside, strict=True)
    )


def average(numbers: Iterable[float | None]) -> float | None:
    """The mean of those that there are."""
    there = [number for number in numbers if number is not None]
    return math.fsum(there) / len(there) if there else None


def draw(layers: Sequence[Depth], file: Path, title: str) -> None:
    """Draw deviations by depth, and beneath them WeightWatcher's metrics where there are some.

    Raises:
        UsageError: it cannot be drawn, see `drawing.drawable`.
    """
    panels = 2 if any(layer.watched for layer in layers) else 1
    width = min(WIDEST, max(7.0, 0.2 * len(layers)))
    with figure(file, width, 2.0 + 2.5 * panels) as paper:
        axes = paper.subplots(panels, sharex=True, squeeze=False)[:, 0]
        axes[0].set_title(title)
        _line(axes[0], [layer.deviation for layer in layers], "deviation of embeddings", "tab:blue")
        axes[0].update_datalim([(0, 0)])
        axes[0].autoscale_view()
        if panels > 1:
            norms, alphas = zip(*((one.log_spectral_norm, one.weighted_alpha) for one in layers), strict=True)
            _line(axes[1], norms, "log spectral norm", "tab:orange")
            _line(axes[1].twinx(), alphas, "weighted alpha", "tab:green")
        step = math.ceil(len(layers) / (LABELS_PER_INCH * width))
        shown = range(0, len(layers), step)
        names = labels([layer.name for layer in layers])
        axes[-1].set_xticks(shown, [names[at] for at in shown], rotation=90, fontsize=6)
        axes[-1].set_xlabel("layer, by depth")


def _line(axes: Axes, numbers: Sequence[float | None], label: str, colour: str) -> None:
    """One number by depth, and nothing where a layer has none."""
    there = [(at, number) for at, number in enumerate(numbers) if number is not None]
    axes.plot([at for at, _ in there], [y for _, y in there], color=colour, marker="o", markersize=3,
              linewidth=1, label=label)  # fmt: skip
    axes.set_ylabel(label, color=colour)
    axes.tick_params(axis="y", labelcolor=colour)
    axes.grid(axis="x", linewidth=0.3)
    axes.margins(x=0.02)


def labels(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, and without the middle of long ones."""
    parts = [name.split(".") for name in names]
    same = takewhile(lambda words: len(set(words)) == 1, zip(*(part[:-1] for part in parts), strict=False))
    shared = sum(1 for _ in same)
    short = [".".join(part[shared:]) for part in parts]
    half = LONGEST_LABEL // 2
    return [one if len(one) <= LONGEST_LABEL else f"{one[:half]}…{one[-half:]}" for one in short]

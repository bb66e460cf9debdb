"""Do the layers of small nets look as SANE's authors say, and what is the look worth?

    python -m benchmarks.sane_layers [ZOO ...] [--zoos FOLDER] [--epochs N] [--plot FILE] [--smoke] [--json]

The paper (arXiv 2406.09997) finds the deviation of a layer's embeddings low in early layers, rising sharply
at the end, with a further step in the middle of ResNets, and its average over layers to go with accuracy.
Here: test models of each zoo at their epochs, embedded by an autoencoder that learned from others; the
deviation by depth, and how its average goes with accuracy, beside those of WeightWatcher's metrics on the
same models and of the same deviation of the tokens themselves, for which nothing had to be learned. What
grows while nets are trained goes with accuracy if it does no more than tell the time: so the same is asked of
the last epoch alone.

Intervals are of 95%, by drawing test models again, all epochs of a model together.

Letters: m models, e epochs, n = m e checkpoints, L layers, r draws.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.report import RESULTS, Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from benchmarks.sane_autoencoders import AUTOENCODERS, trained
from benchmarks.sane_properties import drawn, interval
from hubbot.drawing import figure
from hubbot.sane.layers import average, deviations, labels, watch
from hubbot.sane.tokens import Layout
from hubbot.training.sane import Study, embeddings
from hubbot.zoo.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = ("digits-0", "grid-0", "resnet")
SMOKE_EPOCHS = 2
AT_ONCE = 250
"""Draws whose ranks are worked out together."""
SANE, TOKENS = "deviation of embeddings", "deviation of tokens"
NORM, ALPHA = "log spectral norm", "weighted alpha"
RESNET = "resnet-digits"


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of the test models of a zoo.

    Args:
        layers: their names, L of them.
        full: which share of their tokens is numbers of theirs, and not zeros that fill up rows, L of them.
        by_depth: how far apart each layer's embeddings lie, (m, e, L).
        averages: over layers, of each kind, (m, e).
        accuracy: (m, e). epoch: (e,).
    """

    zoo: str
    layers: tuple[str, ...]
    full: tuple[float, ...]
    by_depth: Tensor
    averages: Mapping[str, Tensor]
    accuracy: Tensor
    epoch: Tensor


def look(name: str, folder: Path, epochs: int | None, *, smoke: bool) -> Looked:
    """Embed and watch a zoo's test models."""
    model, study = trained(name, folder, smoke=smoke)
    test = _thinned(study.of_split("test"), epochs)
    layout, shape = test.layout, test.history.accuracy.shape
    by_depth = deviations(embeddings(model, test), layout)  # (n, L)
    norms, alphas = _watched(test.checkpoints.values(), layout)
    averages = {
        SANE: by_depth.nanmean(1),
        TOKENS: deviations(test.tokens(), layout).nanmean(1),
        NORM: norms,
        ALPHA: alphas,
    }
    return Looked(
        AUTOENCODERS[name].zoo,
        tuple(layer.name for layer in layout.layers),
        tuple(layer.width / (layer.per_row * layout.length) for layer in layout.layers),
        by_depth.view(*shape, -1).double(),
        {kind: value.view(shape).double() for kind, value in averages.items()},
        test.history.accuracy.double(),
        test.history.epoch,
    )


def _thinned(study: Study, epochs: int | None) -> Study:
    """At no more than so many of its epochs, from the first to the last."""
    history = study.history
    if epochs is None or epochs >= len(history.epoch):
        return study
    at = torch.linspace(0, len(history.epoch) - 1, epochs).round().long()
    some = {name: getattr(history, name)[:, at]
            for name in ("weights", "accuracy", "loss", "train_accuracy", "train_loss")}  # fmt: skip
    return replace(study, history=replace(history, epoch=history.epoch[at], **some))


def _watched(values: Mapping[str, Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
    """WeightWatcher's averages of each checkpoint: log spectral norm, weighted alpha. (n,) each"""
    found = []
    for at in range(len(next(iter(values.values())))):
        own = [one for one in watch({name: value[at] for name, value in values.items()}, layout) if one]
        pair = average(one.log_spectral_norm for one in own), average(one.weighted_alpha for one in own)
        found.append([math.nan if number is None else number for number in pair])
    norms, alphas = torch.tensor(found, dtype=torch.float64).unbind(1)
    return norms, alphas


# --- correlations -----------------------------------------------------------------------------


def correlations(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Spearman's and Pearson's coefficients on all drawings of models. (m, e), (m, e), (r, m) -> (r, 2)"""
    there = (x.isfinite() & y.isfinite()).flatten()
    models = torch.arange(len(x)).repeat_interleave(x.shape[1])[there]
    x, y = x.flatten()[there], y.flatten()[there]
    found = []
    for some in torch.split(weights, AT_ONCE):
        often = some[:, models]  # (r, n)
        ranks = _pearson(_ranks(x, often), _ranks(y, often), often)
        found.append(torch.stack([ranks, _pearson(x, y, often)], dim=1))
    return torch.cat(found)


def _ranks(values: Tensor, often: Tensor) -> Tensor:
    """Ranks of what was drawn so often, equal ones sharing the middle of theirs. (n,), (r, n) -> (r, n)"""
    different, which = torch.unique(values, return_inverse=True)
    counts = torch.zeros(len(often), len(different), dtype=often.dtype).index_add(1, which, often)
    return (counts.cumsum(1) - counts / 2)[:, which]


def _pearson(x: Tensor, y: Tensor, often: Tensor) -> Tensor:
    """(n,) or (r, n), the same, (r, n) -> (r,)"""
    share = often / often.sum(1, keepdim=True)
    x, y = (value - (share * value).sum(1, keepdim=True) for value in (x, y))
    both = (share * x * y).sum(1)
    return both / ((share * x * x).sum(1) * (share * y * y).sum(1)).sqrt()


# --- what the paper says ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What there is to say of a zoo: its rows, and its section of the page."""

    rows: list[Row]
    text: str


def judged(found: Looked) -> Part:
    """Depth and correlations of a zoo, each claim beside what was measured."""
    weights = drawn(len(found.accuracy))
    shaped, depth = _shape(found, weights)
    related, averages = _related(found, weights)
    columns = ["layer", "full"]
    numbers: list[Sequence[float]] = [found.full]
    for at in (0, -1):
        columns += [f"epoch {int(found.epoch[at])}", "spread over models"]
        numbers += [found.by_depth[:, at].mean(0).tolist(), found.by_depth[:, at].std(0).tolist()]
    epochs = ", ".join(str(epoch) for epoch in found.epoch.tolist())
    text = [
        f"## {found.zoo}",
        f"{len(found.accuracy)} test models at epochs {epochs}. Full: which share of a layer's tokens is "
        "its own numbers, and not zeros that fill short rows up.",
        table(columns, zip(found.layers, *numbers, strict=True)),
        table(["deviation of embeddings by depth, mean of models", "measured", "95%"], depth),
        table(["average over layers, beside accuracy", "epochs", "Spearman", "Pearson"], averages),
    ]
    return Part([*shaped, *related], "\n\n".join(text))


def _shape(found: Looked, weights: Tensor) -> tuple[list[Row], list[list[str]]]:
    """Low early, rising at the end? Of trained models; of untrained ones beside, whose embeddings say no more
    than what an architecture and its beginning say."""
    rows, lines = [], []
    for at, when in ((-1, "last epoch"), (0, "first epoch")):
        depth = _drawn_mean(found.by_depth[:, at], weights)
        third = max(1, depth.shape[1] // 3)
        ratios = {
            "last third of layers over first third": depth[:, -third:].mean(1) / depth[:, :third].mean(1),
            "last layer over the mean of those before": depth[:, -1] / depth[:, :-1].mean(1),
        }
        for what, ratio in ratios.items():
            value, low, high = (float(part) for part in interval(ratio[:, None]))
            lines.append([f"{what}, {when}", f"{value:.3f}", f"[{low:.3f}, {high:.3f}]"])
            if at:
                rows.append(at_least(f"{found.zoo}: {what}, lower end of 95%", low, "x", 1.0))
    if found.zoo == RESNET:
        step, share = inner_step(_drawn_mean(found.by_depth[:, -1], weights))
        what = "highest step before the last layer is in the middle third"
        lines.append([what, f"into {found.layers[step]}", f"{share:.1%} of drawings"])
        rows.append(at_least(f"{found.zoo}: {what}", share, "share of drawings", 0.95))
    return rows, lines


def _drawn_mean(by_depth: Tensor, weights: Tensor) -> Tensor:
    """(m, L), (r, m) -> (r, L)"""
    return weights @ by_depth / weights.sum(1, keepdim=True)


def inner_step(depth: Tensor) -> tuple[int, float]:
    """Into which layer the highest step but the last goes, and how often into one of the middle third.

    Args:
        depth: (r, L), what was measured and then the drawings.
    """
    into = depth[:, :-1].diff(dim=1).argmax(1) + 1
    place = into / (depth.shape[1] - 1)
    return int(into[0]), float(((place > 1 / 3) & (place <= 2 / 3))[1:].double().mean())


def _related(found: Looked, weights: Tensor) -> tuple[list[Row], list[list[str]]]:
    """How averages go with accuracy: over all epochs, and among models that were trained as long."""
    rows, lines = [], []
    for when, at in (("all", slice(None)), ("last", slice(-1, None))):
        for kind, values in found.averages.items():
            scores = correlations(values[:, at], found.accuracy[:, at], weights)
            scores = scores[scores.isfinite().all(1)]  # of one model alone, at one epoch, there is none
            spearman, pearson = (part.tolist() for part in torch.stack(interval(scores)).unbind(1))
            cells = [f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" for value, low, high in (spearman, pearson)]
            lines.append([kind, when, *cells])
            rows.append(told(f"{found.zoo}: Spearman, {kind}, {when} epochs", spearman[0], ""))
            rows.append(told(f"{found.zoo}: Pearson, {kind}, {when} epochs", pearson[0], ""))
            if kind == SANE:
                name = f"{found.zoo}: Spearman, {kind}, {when} epochs: from zero to the nearer end of 95%"
                rows.append(at_least(name, max(spearman[1], -spearman[2]), "", 1e-6))
    return rows, lines


# --- all of it --------------------------------------------------------------------------------


def draw(looks: Sequence[Looked], file: Path) -> None:
    """Of each zoo the deviations by depth, and their average beside accuracy."""
    with figure(file, 5.0 * len(looks), 8.0) as paper:
        axes = paper.subplots(2, len(looks), squeeze=False)
        for (top, below), found in zip(axes.T, looks, strict=True):
            _draw_depth(top, found)
            epochs = found.epoch.float().expand_as(found.accuracy)
            points = below.scatter(found.averages[SANE], found.accuracy, c=epochs, s=3, cmap="viridis")
            below.set_xlabel("mean over layers")
            below.set_ylabel("test accuracy")
        paper.colorbar(points, ax=axes[1, -1], label="epoch")


def _draw_depth(axes: Axes, found: Looked) -> None:
    """The mean of models, and how they spread about it."""
    places = range(len(found.layers))
    for at, colour in ((0, "tab:grey"), (-1, "tab:blue")):
        mean, spread = found.by_depth[:, at].mean(0), found.by_depth[:, at].std(0)
        label = f"epoch {int(found.epoch[at])}"
        axes.plot(places, mean, color=colour, marker="o", markersize=3, label=label)
        axes.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
    axes.set_xticks(places, labels(found.layers), rotation=90, fontsize=6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("deviation of embeddings")
    axes.set_title(found.zoo)
    axes.legend()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write docs/results/sane-layers.md, .json and .png."""
    smoke = f"zoos of 20 models, autoencoders of 20 steps, {SMOKE_EPOCHS} epochs; nothing is written"
    parser = arguments("sane_layers", (__doc__ or "").splitlines()[0], smoke, zoos=True)
    parser.add_argument("names", nargs="*", metavar="ZOO", help=f"all by default: {', '.join(NAMES)}")
    parser.add_argument("--epochs", type=int, help="look at no more than so many of each zoo")
    parser.add_argument("--plot", type=Path, help="where the picture goes")
    given = parser.parse_args(argv)
    epochs = SMOKE_EPOCHS if given.smoke else given.epochs
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        folder = zoos(given, Path(scratch))
        looks = [look(name, folder, epochs, smoke=given.smoke) for name in given.names or NAMES]
        draw(looks, given.plot or (Path(scratch) if given.smoke else RESULTS) / "sane-layers.png")
    parts = [judged(found) for found in looks]
    rows = [row for part in parts for row in part.rows]
    publish("sane-layers", rows, "\n\n".join([_head(rows), *(part.text for part in parts)]), given)


def _head(rows: Sequence[Row]) -> str:
    return f"""# What layers look like by depth

`python -m benchmarks.sane_layers`, {machine()}, one thread. Autoencoders and zoos are those of
`python -m benchmarks.sane`.

The paper finds the deviation of a layer's embeddings low in early layers, rising sharply at the end, with a
further step in the middle of ResNets, and its average over layers to go with accuracy. Beside it are
WeightWatcher's averages of the same models and the same deviation of the tokens themselves, for which nothing
had to be learned. What grows while nets are trained goes with accuracy if it does no more than tell the time;
so the same is asked of the last epoch alone, where all models were trained as long. Intervals are of 95%, by
drawing test models again, all epochs of a model together.

Targets are the paper's claims: what is missed does not hold here.

{verdict(rows)}

![by depth](sane-layers.png)"""


if __name__ == "__main__":
    main()

"""SANE on zoos of small nets: properties from weights, rebuilt models, models that nobody trained.

The recipes of the zoos were frozen, by hash, before an autoencoder saw them; sizes and steps were chosen on
validation models of `cnn-digits`. Test models are opened here. Autoencoders of three seeds, which are kept
beside the zoos.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from benchmarks.sane_autoencoders import AUTOENCODERS, SEEDS, trained
from benchmarks.sane_growing import EPOCHS, targets, transferred
from benchmarks.sane_making import BEST, MADE, Maker, Worth, accuracy, worth
from benchmarks.sane_properties import interval, measured
from hubbot.sane import sample
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import decoded, embed
from hubbot.sane.train import flattened, unflattened
from hubbot.training.sane import Study
from hubbot.zoo.threads import one_thread

DEAD = 0.15
"""A model of the grid whose accuracy ends under this never learned anything."""


SMOKE_EPOCHS, SMOKE_MADE = (0, 1), 12


@dataclass(frozen=True, slots=True)
class Part:
    """One question's answer: its rows, and its section of the page."""

    rows: list[Row]
    text: str


# --- what weights say -------------------------------------------------------------------------


def properties(folder: Path, name: str, seeds: Sequence[int], *, smoke: bool) -> Part:
    """R2 of each property from each kind of features, the mean over seeds."""
    scores: dict[str, Tensor] = {}
    for seed in seeds:
        model, study = trained(f"{name}-{seed}", folder, smoke=smoke)
        for kind, found in measured(model, study).items():
            scores[kind] = scores.get(kind, torch.zeros(())) + found / len(seeds)
    names = study.names
    lines = []
    for kind, found in scores.items():
        figures = zip(*(part.tolist() for part in interval(found)), strict=True)
        lines.append([kind, *(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in figures)])
    rows = [
        told(f"R2 of {one}, {name}, {kind}", float(found[0, i]), "R2", float(scores["s(W)"][0, i]))
        for kind, found in scores.items()
        for i, one in enumerate(names)
    ]
    for i, one in enumerate(names[:2]):
        stats = float(scores["s(W)"][0, i])
        sequence = float(scores["SANE sequence"][0, i])
        rows.append(
            at_least(f"R2 of {one}, {name}, SANE sequence beside s(W)", sequence, "R2", stats - 0.02, stats)
        )
    more = scores["s(W) + SANE"] - scores["s(W)"]
    value, low, high = interval(more)
    gained = [
        [one, f"{v:+.4f}", f"[{a:+.4f}, {b:+.4f}]"]
        for one, v, a, b in zip(names, value, low, high, strict=True)
    ]
    if name == "grid":
        rows.append(
            at_least("s(W)+SANE over s(W), accuracy, grid: lower end of 95%", float(low[0]), "R2", 1e-6)
        )
    text = [
        f"### {AUTOENCODERS[f'{name}-0'].zoo}",
        table(["features", *names], lines),
        "",
        "What SANE adds to statistics (the same drawings of test models for both):",
        "",
        table(["property", "s(W) + SANE over s(W)", "95%"], gained),
    ]
    return Part(rows, "\n".join(text))


# --- there and back ---------------------------------------------------------------------------


def rebuilt(model: Autoencoder, study: Study) -> tuple[float, float]:
    """Accuracy of test models at their last epoch, and of what they are rebuilt as."""
    history = study.of_split("test").history
    last, x = history.weights[:, -1], history.pictures().test
    alive = history.accuracy[:, -1] > DEAD
    tokens = study.layout.tokens(unflattened(last, study.shapes))
    values = unflattened(last, study.shapes) | study.layout.values(decoded(model, embed(model, tokens)))
    found = []
    for weights in (last, flattened(values, study.shapes)):
        right = torch.cat(
            [accuracy(history.net, weights[i : i + 1], act, x) for i, act in enumerate(history.activation)]
        )
        found.append(float(right[alive].mean()))
    return found[0], found[1]


def reconstruction(folder: Path, seeds: Sequence[int], *, smoke: bool) -> Part:
    """Do rebuilt models do what the originals did?"""
    rows, lines = [], []
    for name in ("digits", "grid"):
        pairs = [rebuilt(*trained(f"{name}-{seed}", folder, smoke=smoke)) for seed in seeds]
        before, after = (sum(pair[i] for pair in pairs) / len(pairs) for i in (0, 1))
        lines.append([AUTOENCODERS[f"{name}-0"].zoo, "with", before, after, before - after])
        rows.append(at_least(f"accuracy rebuilt, {name}", after, "accuracy", before - 0.05, before))
    before, after = rebuilt(*trained("digits-structure", folder, smoke=smoke))
    lines.append([AUTOENCODERS["digits-0"].zoo, "without", before, after, before - after])
    rows.append(told("accuracy rebuilt, digits, without behaviour loss", after, "accuracy", before))
    columns = ["zoo", "behaviour loss", "test models", "rebuilt", "lost"]
    return Part(rows, "## Rebuilt test models\n\n" + table(columns, lines))


# --- models that nobody trained ---------------------------------------------------------------


def generated(folder: Path, seeds: Sequence[int], *, smoke: bool) -> Part:
    """Each way of making models, the mean over seeds."""
    found: dict[str, list[Worth]] = {}
    for seed in seeds:
        maker = Maker.of(*trained(f"digits-{seed}", folder, smoke=smoke), seed, SMOKE_MADE if smoke else MADE)
        for way, made in maker.ways().items():
            found.setdefault(way, []).append(worth(maker, made(), SMOKE_EPOCHS if smoke else (0, 1, 5), seed))

    def of(way: str, what: str) -> float:
        return sum(_figure(one, what) for one in found[way]) / len(found[way])

    columns = ["every", "0", "1", *([] if smoke else ["5"]), "nearest", "spread"]
    lines = [[way, *(of(way, what) for what in columns)] for way in found]
    plain = max(of(way, "0") for way in ("prompts", "prompt + noise", "prompts rebuilt"))
    rows = [
        at_least(
            "SUB, epoch 0, at least KDE", of("SUB", "0"), "accuracy", of("KDE", "0"), of("random init", "0")
        ),
        at_least(
            "SUB, epoch 0, far above random init", of("SUB", "0"), "accuracy", of("random init", "0") + 0.4
        ),
        at_least(
            "SUB, epoch 1, far above random init", of("SUB", "1"), "accuracy", of("random init", "1") + 0.4
        ),
        told("SUB, epoch 0, beside the best trivial baseline", of("SUB", "0"), "accuracy", plain),
    ]
    text = [
        "## Models that nobody trained",
        "Test accuracy of all that were made, then of the ten best by validation pictures before training,",
        "after 1 and after 5 epochs. Nearest: distance to the nearest prompt, 1 is that of a prompt to its",
        "nearest other. Spread: how far apart the models lie, 1 is that of the prompts.",
        "",
        table(
            ["way", "all", "best 10", "1 epoch", *([] if smoke else ["5 epochs"]), "nearest", "spread"], lines
        ),
    ]
    return Part(rows, "\n".join(text))


def _figure(one: Worth, what: str) -> float:
    return one.best[int(what)] if what.isdecimal() else float(getattr(one, what))


# --- BatchNorm and halo -----------------------------------------------------------------------


def ablation(folder: Path, *, smoke: bool) -> Part:
    """The paper's four rows, on a ResNet six windows long: KDE models, all of them."""
    model, study = trained("resnet", folder, smoke=smoke)
    rows: list[Row] = []
    lines: list[list[object]] = []
    for halo in (False, True):
        model.size = replace(
            model.size, halo=AUTOENCODERS["resnet"].plan.size.halo if halo and not smoke else 0
        )
        for conditioned in (False, True):
            maker = Maker.of(model, study, 0, SMOKE_MADE if smoke else MADE // 2)
            z = sample.kde(maker.embedded(maker.prompts), maker.count, maker.draw)
            made = maker.made(z)
            if not conditioned:
                made = _as_born(made, study)
            every, best = _all_and_best(maker, made)
            lines.append([_yes(halo), _yes(conditioned), every, best])
            named = f"KDE, resnet, halo {_yes(halo)}, conditioned {_yes(conditioned)}"
            rows.append(told(named, every, "accuracy"))
    lines.append(["prompts", "", *_all_and_best(maker, maker.prompts)])
    columns = ["halo", "BatchNorm conditioned", "KDE, all", "KDE, best 10"]
    return Part(rows, "## BatchNorm and halo, resnet-digits\n\n" + table(columns, lines))


def _all_and_best(maker: Maker, weights: Tensor) -> tuple[float, float]:
    """Mean test accuracy of all, and of the ten best by validation pictures."""
    net, act, task = maker.study.history.net, maker.activation, maker.task
    best = maker.top(weights, BEST)
    return tuple(float(accuracy(net, some, act, task.test).mean()) for some in (weights, best))  # type: ignore[return-value]


def _as_born(weights: Tensor, study: Study) -> Tensor:
    """With BatchNorm's statistics as a new net has them."""
    net = study.history.net
    fresh = net.born(len(weights), "uniform", torch.Generator().manual_seed(0))
    return torch.where(net.running, fresh, weights)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- other nets -------------------------------------------------------------------------------


def transfer(folder: Path, seeds: Sequence[int], *, smoke: bool) -> Part:
    """Made models as the start of something else, the mean over seeds."""
    rows: list[Row] = []
    text = ["## As a start for something else", "Test accuracy after so many epochs, the mean of ten models."]
    count = SMOKE_MADE if smoke else MADE
    makers = [Maker.of(*trained(f"digits-{seed}", folder, smoke=smoke), seed, count) for seed in seeds]
    epochs = SMOKE_EPOCHS if smoke else EPOCHS
    for target in targets(makers[0].study.history.net):
        found = [transferred(maker, target, seed, epochs) for maker, seed in zip(makers, seeds, strict=True)]
        mean = {
            start: {epoch: sum(one[start][epoch] for one in found) / len(found) for epoch in epochs}
            for start in found[0]
        }
        lines = [[start, *(by[epoch] for epoch in epochs)] for start, by in mean.items()]
        text += ["", f"### {target}", "", table(["start", *(f"{epoch} epochs" for epoch in epochs)], lines)]
        for epoch in epochs[1:3]:
            made, scratch, prompts = (mean[start][epoch] for start in ("SUB", "scratch", "prompts"))
            rows.append(
                at_least(f"{target}: SUB above scratch, epoch {epoch}", made, "accuracy", scratch, prompts)
            )
            if target.startswith("digits"):
                rows.append(
                    at_least(f"{target}: SUB at least prompts, epoch {epoch}", made, "accuracy", prompts)
                )
    return Part(rows, "\n".join(text))


# --- all of it --------------------------------------------------------------------------------


def parts(folder: Path, *, smoke: bool) -> Iterator[Part]:
    """Every question, one after the other."""
    seeds = SEEDS[:1] if smoke else SEEDS
    yield Part(
        [],
        "## What weights say of a training\n\nR2 on test models, mean of seeds; 95% intervals over models.",
    )
    for name in ("digits", "grid"):
        yield properties(folder, name, seeds, smoke=smoke)
    yield reconstruction(folder, seeds, smoke=smoke)
    yield generated(folder, seeds, smoke=smoke)
    yield ablation(folder, smoke=smoke)
    yield transfer(folder, seeds, smoke=smoke)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write docs/results/sane.md."""
    smoke = "zoos of 20 models, autoencoders of 20 steps, no epoch but the first"
    given = arguments("sane", __doc__, smoke, zoos=True).parse_args(argv)
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        _report(list(parts(zoos(given, Path(scratch)), smoke=given.smoke)), given)


def _report(found: Sequence[Part], given: argparse.Namespace) -> None:
    rows = [row for part in found for row in part.rows]
    head = [
        "# SANE on zoos of small nets",
        "",
        f"`python -m benchmarks.sane`, {machine()}, one thread. The zoos are `hubbot zoo build cnn-digits`,",
        "`cnn-digits-grid` and `resnet-digits`, size bench; an autoencoder trains for about ten minutes.",
        "",
        verdict(rows),
    ]
    publish("sane", rows, "\n\n".join(["\n".join(head), *(part.text for part in found)]), given)


if __name__ == "__main__":
    main()

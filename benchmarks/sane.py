"""SANE on zoos of small nets: properties from weights, rebuilt models, models that nobody trained.

The recipes of the zoos were frozen, by hash, before an autoencoder saw them; sizes and steps were chosen on
validation models of `cnn-digits`. Test models are opened here. Autoencoders of three seeds, which are kept
beside the zoos.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.report import RESULTS, Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from benchmarks.sane_autoencoders import AUTOENCODERS, SEEDS, trained
from benchmarks.sane_growing import CHOSEN, EPOCHS, targets, transferred
from benchmarks.sane_making import BEST, MADE, Maker, Worth, accuracy, worth
from benchmarks.sane_plots import courses, makers, scores
from benchmarks.sane_properties import DRAWS, Sums, drawn, interval, measured
from hubbot.sane import sample
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import decoded, embed
from hubbot.sane.train import flattened, unflattened
from hubbot.training.sane import Study
from hubbot.zoo.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEAD = 0.15
"""A model of the grid whose accuracy ends under this never learned anything."""


SMOKE_EPOCHS, SMOKE_MADE = (0, 1), 12


@dataclass(frozen=True, slots=True)
class Part:
    """One question's answer: its rows, its section of the page, its plots by name."""

    rows: list[Row]
    text: str
    plots: Mapping[str, Figure] = field(default_factory=dict)


# --- what weights say -------------------------------------------------------------------------


def properties(folder: Path, name: str, seeds: Sequence[int], *, smoke: bool) -> Part:
    """R2 of each property from each kind of features, the mean over seeds."""
    found: list[dict[str, Sums]] = []
    for seed in seeds:
        model, study = trained(f"{name}-{seed}", folder, smoke=smoke)
        found.append(measured(model, study))
    test = study.of_split("test").history
    every = drawn(len(test.plans))
    r2 = _over_seeds(found, every)
    rows = [
        told(f"R2 of {one}, {name}, {kind}", float(value[0, i]), "R2", float(r2["s(W)"][0, i]))
        for kind, value in r2.items()
        for i, one in enumerate(study.names)
    ]
    for i, one in enumerate(study.names[:2]):
        sequence, stats = (float(r2[kind][0, i]) for kind in ("SANE sequence", "s(W)"))
        what = f"R2 of {one}, {name}, SANE sequence beside s(W)"
        rows.append(at_least(what, sequence, "R2", stats - 0.02, stats))
    if name == "grid":
        low = float(interval(r2["s(W) + SANE"] - r2["s(W)"])[1][0])
        rows.append(at_least("s(W)+SANE over s(W), accuracy, grid: lower end of 95%", low, "R2", 1e-6))
    text = [f"### {AUTOENCODERS[f'{name}-0'].zoo}", "", _as_tables(r2, study.names)]
    alive = test.accuracy[:, -1] > DEAD
    if not alive.all():
        left = f"The same without the {int((~alive).sum())} test models that never learn (under {DEAD:.0%}):"
        text += ["", left, "", _as_tables(_over_seeds(found, every * alive), study.names)]
    text += ["", f"![R2 by features, {name}](sane-{name}.png)"]
    return Part(rows, "\n".join(text), {f"sane-{name}": scores(r2, study.names)})


def _over_seeds(found: Sequence[Mapping[str, Sums]], drawings: Tensor) -> dict[str, Tensor]:
    """R2 by kind on all drawings, the mean over seeds. (1 + r, k)"""
    return {kind: torch.stack([one[kind].r2(drawings) for one in found]).mean(0) for kind in found[0]}


def _as_tables(r2: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """R2 of all kinds; then what SANE adds to statistics, of the same drawings for both."""
    lines = []
    for kind, value in r2.items():
        figures = zip(*(part.tolist() for part in interval(value)), strict=True)
        lines.append([kind, *(f"{at:.3f} [{low:.3f}, {high:.3f}]" for at, low, high in figures)])
    more = (part.tolist() for part in interval(r2["s(W) + SANE"] - r2["s(W)"]))
    added = [f"{at:+.4f} [{low:+.4f}, {high:+.4f}]" for at, low, high in zip(*more, strict=True)]
    return table(["features", *names], [*lines, ["*s(W) + SANE over s(W)*", *added]])


# --- there and back ---------------------------------------------------------------------------


def rebuilt(model: Autoencoder, study: Study) -> tuple[Tensor, Tensor]:
    """Accuracy at the last epoch of those test models that learned, and of what they are rebuilt as. (m,)"""
    history = study.of_split("test").history
    last, x = history.weights[:, -1], history.pictures().test
    tokens = study.layout.tokens(unflattened(last, study.shapes))
    values = unflattened(last, study.shapes) | study.layout.values(decoded(model, embed(model, tokens)))
    before, after = (
        torch.cat(
            [accuracy(history.net, weights[i : i + 1], act, x) for i, act in enumerate(history.activation)]
        )
        for weights in (last, flattened(values, study.shapes))
    )
    alive = history.accuracy[:, -1] > DEAD
    return before[alive], after[alive]


def reconstruction(folder: Path, seeds: Sequence[int], *, smoke: bool) -> Part:
    """Do rebuilt models do what the originals did?"""
    rows, lines = [], []
    named = {
        ("digits", "with"): [f"digits-{seed}" for seed in seeds],
        ("grid", "with"): [f"grid-{seed}" for seed in seeds],
        ("digits", "without"): ["digits-structure"],
    }
    for (name, behaviour), ones in named.items():
        pairs = [rebuilt(*trained(one, folder, smoke=smoke)) for one in ones]
        before, after = (torch.stack(part).mean(0).double() for part in zip(*pairs, strict=True))
        was, now, lost = float(before.mean()), float(after.mean()), before - after
        low, high = torch.quantile(
            drawn(len(lost))[1:] @ lost / len(lost), torch.tensor([0.025, 0.975], dtype=torch.float64)
        )
        lines.append(
            [AUTOENCODERS[ones[0]].zoo, behaviour, was, now, f"{was - now:.3f} [{low:.3f}, {high:.3f}]"]
        )
        if behaviour == "with":
            rows.append(at_least(f"accuracy rebuilt, {name}", now, "accuracy", was - 0.05, was))
        else:
            rows.append(told(f"accuracy rebuilt, {name}, without behaviour loss", now, "accuracy", was))
    columns = ["zoo", "behaviour loss", "test models", "rebuilt", "lost, 95% over models"]
    about = "At their last epoch; models that never learned are left out."
    return Part(rows, f"## Rebuilt test models\n\n{about}\n\n" + table(columns, lines))


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
        *(
            told(
                f"{way} by estimate, all that were kept",
                of(f"{way} by estimate", "every"),
                "accuracy",
                of(way, "every"),
            )
            for way in ("SUB", "BOOT", "GAUSS")
        ),
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
        "",
        "![Models that nobody trained](sane-made.png)",
    ]
    shown = {way: (of(way, "0"), of(way, "1"), of(way, "nearest")) for way in found}
    return Part(rows, "\n".join(text), {"sane-made": makers(shown)})


def _figure(one: Worth, what: str) -> float:
    return one.best[int(what)] if what.isdecimal() else float(getattr(one, what))


# --- BatchNorm and halo -----------------------------------------------------------------------


def ablation(folder: Path, *, smoke: bool) -> Part:
    """The paper's four rows, on a ResNet six windows long: KDE models, all of them.

    A small CNN is shorter than a window, so that halos change nothing there.
    """
    rows: list[Row] = []
    text = ["## BatchNorm and halo"]
    for name, halos in (("resnet", (False, True)), ("bn", (False,))):
        model, study = trained(name, folder, smoke=smoke)
        full, lines = model.size.halo, list[list[object]]()
        for halo in halos:
            model.size = replace(model.size, halo=full if halo else 0)
            for conditioned in (False, True):
                maker = Maker.of(model, study, 0, SMOKE_MADE if smoke else MADE // 2)
                z = sample.kde(maker.embedded(maker.prompts), maker.count, maker.draw)
                made = maker.made(z)
                every, best = _all_and_best(maker, made if conditioned else _as_born(made, study))
                lines.append([_yes(halo), _yes(conditioned), every, best])
                named = f"KDE, {name}, halo {_yes(halo)}, conditioned {_yes(conditioned)}"
                rows.append(told(named, every, "accuracy"))
        lines.append(["*prompts*", "", *_all_and_best(maker, maker.prompts)])
        columns = ["halo", "BatchNorm conditioned", "KDE, all", "KDE, best 10"]
        about = f"{model.layout.count} tokens, windows of {model.window}."
        text += ["", f"### {AUTOENCODERS[name].zoo}", "", about, "", table(columns, lines)]
    return Part(rows, "\n".join(text))


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
    shown: dict[str, Mapping[str, Mapping[int, float]]] = {}
    count = SMOKE_MADE if smoke else MADE
    makers = [Maker.of(*trained(f"digits-{seed}", folder, smoke=smoke), seed, count) for seed in seeds]
    epochs = SMOKE_EPOCHS if smoke else EPOCHS
    for target in targets(makers[0].study.history.net):
        found = [transferred(maker, target, seed, epochs) for maker, seed in zip(makers, seeds, strict=True)]
        models = {
            start: {epoch: torch.cat([one[start][epoch] for one in found]) for epoch in epochs}
            for start in found[0]
        }
        mean = {start: {epoch: float(by[epoch].mean()) for epoch in epochs} for start, by in models.items()}
        shown[target] = {start: by for start, by in mean.items() if not start.endswith(CHOSEN[1])}
        lines = [[start, *(by[epoch] for epoch in epochs)] for start, by in mean.items()]
        for how in CHOSEN:
            over = [
                _apart(models[f"SUB, chosen {how}"][epoch], models[f"prompts, chosen {how}"][epoch])
                for epoch in epochs
            ]
            lines.append([f"*SUB over prompts, chosen {how}*", *over])
        text += ["", f"### {target}", "", table(["start", *(f"{epoch} epochs" for epoch in epochs)], lines)]
        for epoch in epochs[1:]:
            made, scratch, prompts = (
                mean[start][epoch] for start in ("SUB, chosen before", "scratch", "prompts, chosen before")
            )
            what = f"{target}: SUB above scratch, epoch {epoch}"
            rows.append(at_least(what, made, "accuracy", scratch, prompts))
            if target.startswith("digits"):
                what = f"{target}: SUB at least prompts, epoch {epoch}"
                rows.append(at_least(what, made, "accuracy", prompts))
    text += ["", "![Test accuracy by epoch and start](sane-transfer.png)"]
    return Part(rows, "\n".join(text), {"sane-transfer": courses(shown)})


def _apart(one: Tensor, other: Tensor) -> str:
    """How much better some models are than others, and a 95% interval from drawing both again."""
    draw = torch.Generator().manual_seed(0)
    ones, others = (x[torch.randint(len(x), (DRAWS, len(x)), generator=draw)].mean(1) for x in (one, other))
    low, high = torch.quantile(ones - others, torch.tensor([0.025, 0.975]))
    return f"{one.mean() - other.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


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
        "`cnn-digits-grid`, `cnn-digits-bn` and `resnet-digits`, size bench; an autoencoder trains for about",
        "ten minutes, that of the ResNet for half an hour.",
        "",
        verdict(rows),
    ]
    if not given.smoke:
        for name, plot in ((name, plot) for part in found for name, plot in part.plots.items()):
            plot.savefig(RESULTS / f"{name}.png")
    publish("sane", rows, "\n\n".join(["\n".join(head), *(part.text for part in found)]), given)


if __name__ == "__main__":
    main()

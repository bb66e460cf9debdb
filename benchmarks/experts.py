"""Do experts read the training data off the weights, and better than what is published?

    python -m benchmarks.experts [--root REPO] [--seeds 5] [--smoke] [--json]

Builds the `digits` zoo at bench size where it is not there yet. Every method sees the same hidden layers of
the same models, picks its layer and its own settings on validation, and is measured on the test split:

- ProbeX (arXiv 2410.13569) and MVProbe (arXiv 2605.23410) at their papers' sizes and schedules. Their layer
  is found by a sweep with smaller ones, once; then each seed trains at full size.
- ours, as `hubbot expert train` makes experts.
- three methods without probes: dense linear, nearest task vector, weight statistics.

Then the papers' central claim: a linear model reads the models of its own tree, not those of another, and
other trees' models in its training do not help it.

What is measured is kept in docs/results/kept by method and seed, with a hash of the code that measured it, so
that an interrupted run goes on where it stopped. `--root` measures one root alone: two may run at once.
`--smoke` does all of it on the smallest zoo in a temporary folder; its numbers mean nothing and are not kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.kept import code, kept
from benchmarks.report import RESULTS, Row, arguments, at_least, machine, publish, table, told, verdict
from hubbot.experts.baselines import BASELINES, dense_linear
from hubbot.experts.matrices import Dense
from hubbot.experts.probe import Sizes
from hubbot.experts.train import Sample, Schedule, logits, train
from hubbot.training.experts import SOLVED, choose, fit
from hubbot.training.trees import Tree, open_tree
from hubbot.training.zoos import build_zoo
from hubbot.zoo.recipes import named
from hubbot.zoo.threads import one_thread

RECIPE = "digits"
REVISION = 1
"""Counted up when something else is measured, so that nothing older is taken for it."""
CACHE = RESULTS / "kept" / "experts"
MARGIN = 0.05
"""By so much an expert is to beat the best method that has no probe."""

Said = Callable[[Sample], Tensor]
"""Weights to scores (n, k); above 0 means yes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One method, trained once: its layers, its accuracy on validation, and model by model on test."""

    layers: tuple[str, ...]
    validation: float
    test: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.test))

    @classmethod
    def back(cls, told: Mapping[str, Any]) -> Measured:
        return cls(tuple(told["layers"]), told["validation"], tuple(told["test"]))


@dataclass(frozen=True, slots=True)
class Paper:
    """A published probe: its kind, the sizes and the schedule of its paper, and sizes for the sweep."""

    kind: str
    sizes: Sizes
    how: Schedule
    sweep: Sizes


PAPERS = {
    "ProbeX": Paper(
        "probex",
        Sizes(probes=128, projection=128, encoding=128, view="raw", dropout=0.0),
        Schedule(epochs=500, patience=100, batch_size=128, learning_rate=1e-3),
        Sizes(probes=32, projection=32, encoding=64, view="raw", dropout=0.0),
    ),
    "MVProbe": Paper(
        "mvprobe",
        Sizes(probes=128, projection=128, encoding=512, view="raw", dropout=0.0),
        Schedule(epochs=500, patience=50, batch_size=128, learning_rate=3e-4, weight_decay=0.0),
        Sizes(probes=24, projection=24, encoding=64, view="raw", dropout=0.0),
    ),
}
OURS = "ours"
WITHOUT = {**BASELINES, "dense linear": dense_linear}
"""Methods without probes."""
TWINS = ("digits-zoo/vit-a", "digits-zoo/vit-b")
"""Roots of one architecture."""


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("experts", __doc__, "the smallest zoo, nothing kept or written")
    parser.add_argument("--root", help="measure this root alone, and write no report")
    parser.add_argument("--seeds", type=int, default=5, help="how often each probe is trained")
    parser.add_argument("--zoo", type=Path, help=f"where the zoo is, or goes: zoos/{RECIPE} by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        if given.smoke:
            zoo = given.zoo or Path(scratch) / "zoo"
            bench = Bench(zoo, "tiny", Path(scratch), seeds=2, pace=0.01)
        else:
            bench = Bench(given.zoo or Path("zoos") / RECIPE, "bench", CACHE, given.seeds)
        build_zoo(RECIPE, bench.size, bench.zoo)
        roots = [given.root] if given.root else [root.repo for root in named(RECIPE).roots]
        found = {root: bench.measure(root) for root in roots}
        if given.root:
            print(methods_table(found))
            return
        claim = bench.claim()
    rows = [*judge(found), *judge_claim(claim)]
    text = report(found, claim, rows, bench)
    publish("experts", rows, text, given)


@dataclass(frozen=True)
class Bench:
    """A zoo on the bench. `pace` scales the epochs, for the smoke test."""

    zoo: Path
    size: str
    cache: Path
    seeds: int
    pace: float = 1.0

    def measure(self, root: str) -> dict[str, list[Measured]]:
        """Every method's results, one per seed; those without chance in them once."""
        tree, seeds = open_tree(self.zoo, root), range(self.seeds)
        found = {name: [self._kept(root, name, 0, partial(baseline, tree, name))] for name in WITHOUT}
        for name, paper in PAPERS.items():
            swept = self._kept(root, f"{name} sweep", 0, partial(self._swept, tree, paper))
            at_best = partial(self._published, tree, paper, swept.layers[0])
            found[name] = [self._kept(root, name, seed, partial(at_best, seed)) for seed in seeds]
        found[OURS] = [self._kept(root, OURS, seed, partial(self._ours, tree, seed)) for seed in seeds]
        return found

    def _kept(self, root: str, name: str, seed: int, make: Callable[[], Measured]) -> Measured:
        """From the cache, unless the code has changed since."""
        place = self.cache / f"{code(REVISION, *PAPERS.values())}-{self.size}" / root.replace("/", "-")
        return kept(place, name, seed, make, Measured.back)

    def _paced(self, how: Schedule, seed: int) -> Schedule:
        return replace(how, epochs=max(2, round(how.epochs * self.pace)), seed=seed)

    def _swept(self, tree: Tree, paper: Paper) -> Measured:
        tried = [self._published(tree, replace(paper, sizes=paper.sweep), layer, 0) for layer in tree.wanted]
        return max(tried, key=lambda each: each.validation)

    def _published(self, tree: Tree, paper: Paper, layer: str, seed: int) -> Measured:
        learn, validation = (tree.sample(split, [layer]) for split in ("train", "validation"))
        how = self._paced(paper.how, seed)
        trained = train(learn, validation, kind=paper.kind, sizes=paper.sizes, how=how)
        return on_test(tree, [layer], trained.accuracy, lambda sample: logits(trained.probe, sample.weights))

    def _ours(self, tree: Tree, seed: int) -> Measured:
        layers = choose(tree)
        trained = fit(tree, layers, replace(SOLVED, seed=seed))
        return on_test(tree, layers, trained.accuracy, lambda sample: logits(trained.probe, sample.weights))

    def claim(self) -> dict[str, dict[str, float]]:
        """A linear model's accuracy on each of two roots of one architecture, by what it learned from."""
        trees = {root: open_tree(self.zoo, root) for root in TWINS}
        return {root: linear(trees[root], trees[other]) for root, other in (TWINS, TWINS[::-1])}


def on_test(tree: Tree, layers: Sequence[str], validation: float, said: Said) -> Measured:
    """A trained method on the test split, model by model: the share of its labels that are right."""
    sample = tree.sample("test", list(layers))
    right = ((said(sample) > 0) == sample.Y.bool()).double().mean(1)  # (n,)
    return Measured(tuple(layers), validation, tuple(right.tolist()))


def baseline(tree: Tree, name: str) -> Measured:
    """A method without probes, on the layer that validation likes best for it."""
    fitted = {}
    for layer in tree.wanted:
        learn, validation = (tree.sample(split, [layer]) for split in ("train", "validation"))
        fitted[layer] = WITHOUT[name](learn, validation, {layer: tree.origin[layer]})
    layer = max(fitted, key=lambda candidate: fitted[candidate].accuracy)
    best = fitted[layer]
    return on_test(tree, [layer], best.accuracy, lambda sample: best.guess(sample.weights))


# --- the central claim ----------------------------------------------------------------------------


def linear(tree: Tree, other: Tree) -> dict[str, float]:
    """How well a linear model of one layer's raw weights reads a tree, by the tree that it learned from.

    The layer is the one that validation likes best within the tree.
    """

    def learned(sources: Sequence[Tree], layer: str) -> tuple[float, float]:
        learn, validation = (
            joined([s.sample(split, [layer]) for s in sources]) for split in ("train", "validation")
        )
        guess = dense_linear(learn, validation, {}).guess
        here = [tree.sample(split, [layer]) for split in ("validation", "test")]
        judged = [float(((guess(s.weights) > 0) == s.Y.bool()).double().mean()) for s in here]
        return judged[0], judged[1]

    layer = max(tree.wanted, key=lambda candidate: learned([tree], candidate)[0])
    return {
        "within the tree": learned([tree], layer)[1],
        "with the other tree's models added": learned([tree, other], layer)[1],
        "across trees": learned([other], layer)[1],
    }


def joined(samples: Sequence[Sample]) -> Sample:
    """The models of several samples of the same single layer."""
    (layer,) = samples[0].weights
    X = torch.cat([sample.weights[layer].dense() for sample in samples])
    return Sample({layer: Dense(X)}, torch.cat([sample.Y for sample in samples]))


# --- the report -----------------------------------------------------------------------------------


def difference(
    ours: Sequence[Measured], theirs: Sequence[Measured], draws: int = 10_000
) -> tuple[float, float, float]:
    """Ours minus theirs, with a 95% interval of the paired bootstrap over test models and over seeds."""
    a, b = (np.array([one.test for one in each]) for each in (ours, theirs))  # (seeds, n)
    random = np.random.default_rng(0)
    n, means = a.shape[1], []
    for _ in range(draws):
        models = random.integers(n, size=n)
        of_a, of_b = (each[random.integers(len(each), size=len(each))][:, models].mean() for each in (a, b))
        means.append(of_a - of_b)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(a.mean() - b.mean()), float(low), float(high)


def mean(measured: Sequence[Measured]) -> float:
    """The accuracy over all seeds."""
    return float(np.mean([one.accuracy for one in measured]))


Found = Mapping[str, Mapping[str, Sequence[Measured]]]


def judge(found: Found) -> Iterator[Row]:
    """Ours beside the papers' probes and the best method without one."""
    unit = "mean per-label accuracy"
    for root, methods in found.items():
        ours = methods[OURS]
        for name in PAPERS:
            gain, low, _ = difference(ours, methods[name])
            yield Row(f"{root}: ours above {name}", gain, unit, 0.0, mean(methods[name]), low > 0)
        plain = max(mean(methods[name]) for name in WITHOUT)
        yield at_least(f"{root}: ours above the best without probes", mean(ours) - plain, unit, MARGIN, plain)
        yield told(f"{root}: ours", mean(ours), unit)


def judge_claim(claim: Mapping[str, Mapping[str, float]]) -> Iterator[Row]:
    """Within above across, and what other trees' models cost."""
    for root, scores in claim.items():
        within, added, across = scores.values()
        yield Row(
            f"{root}: linear within", within, "mean per-label accuracy", None, across, within > across + 0.1
        )
        yield told(f"{root}: lost by adding the other tree's models", within - added, "accuracy")


def methods_table(found: Found) -> str:
    """Accuracy by method and root, and the gain of ours with its interval."""
    roots = list(found)
    lines = []
    for name in [OURS, *PAPERS, *WITHOUT]:
        cells: list[object] = [name]
        for root in roots:
            each = found[root][name]
            gain, low, high = difference(found[root][OURS], each)
            spread = f" ± {np.std([one.accuracy for one in each]):.3f}" if len(each) > 1 else ""
            cells.append(f"{mean(each):.3f}{spread}")
            cells.append("" if name == OURS else f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(cells)
    columns = ["method", *(column for root in roots for column in (root, "ours above it"))]
    return table(columns, lines)


def report(found: Found, claim: Mapping[str, Mapping[str, float]], rows: Sequence[Row], bench: Bench) -> str:
    """docs/results/experts.md."""
    recipe = named(RECIPE)
    layers = [(root, ", ".join(found[root][OURS][0].layers)) for root in found]
    ways = list(next(iter(claim.values())))
    return f"""# Do experts read the training data off the weights, and better than what is published?

    python -m benchmarks.experts

Zoo `{RECIPE}` (recipe {recipe.hash}, size {bench.size}), each model fine-tuned on 5 of 10 digits; chance
is .5. {machine()}, one thread. Mean per-label accuracy on the test split, over {bench.seeds} seeds where a
method has chance in it; ± is the deviation over seeds, brackets the 95% interval of a paired bootstrap over
test models and seeds.

{methods_table(found)}

Ours is solved in closed form, so that its seeds agree. It reads these layers, chosen on the training models:

{table(["root", "layers"], layers)}

ProbeX and MVProbe read the one layer that validation likes best for them, as in their papers.

## Linear within a tree, not across

Dense linear on one layer's weights; the two roots have one architecture, and differ by seed and augmentation.

{table(["tree", *ways], [[root, *scores.values()] for root, scores in claim.items()])}

## Targets

Ours above both papers' probes, so that the interval excludes zero, and at least {MARGIN} above the best
method without probes.

{verdict(rows)}
"""


if __name__ == "__main__":
    main()

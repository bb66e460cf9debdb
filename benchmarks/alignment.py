"""Do words find the LoRAs that were trained on what they say, if no probe has met it?

    python -m benchmarks.alignment [--zoo emoji-1k | emoji-200] [--smoke] [--json]

Zoos `emoji-1k` and `emoji-200`, built at bench size where they are not there yet, each with a report of its
own. *In distribution* a test LoRA's concept is to come first among all that training knew; *zero-shot*, among
those that it did not. Every method learns from the same training LoRAs and chooses on validation:

- ours, as `hubbot expert train` makes experts.
- ProbeX (arXiv 2410.13569) and MVProbe (arXiv 2605.23410) at their papers' sizes and schedules, on the layer
  that a sweep with smaller ones likes best.
- the oracle: it knows what a probe has to find out, the prompt's token as every layer sees it, and so takes
  just what each LoRA does to that token, in all layers and all directions. The same regression as ours makes
  of it what a linear probe could say at best.
- nearest task vector, for concepts that training knew.

What is measured is kept in docs/results/kept by method and seed, with a hash of the code that measured it, so
that another machine goes on where this one stopped. `--smoke` does all of it on the smallest zoo in a
temporary folder; its numbers mean nothing and are not kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import experts
from benchmarks.experts import Paper
from benchmarks.kept import code, kept
from benchmarks.report import RESULTS, Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from hubbot.encoders.loading import load
from hubbot.experts.align import Aligned, align
from hubbot.experts.baselines import nearest_task_vector
from hubbot.experts.matrices import Factored, Matrices, Weights
from hubbot.experts.train import Schedule, logits, train
from hubbot.training.adapters import UNSEEN, AdapterTree
from hubbot.training.evaluate import embedded
from hubbot.training.experts import ENCODER, SOLVED, choose, fit
from hubbot.training.zoos import build_zoo
from hubbot.zoo.emoji.recipe import EMOJI, RARE
from hubbot.zoo.layout import open_zoo, repo_folder
from hubbot.zoo.threads import one_thread

REVISION = 1
"""Counted up when something else is measured, so that nothing older is taken for it."""
CACHE = RESULTS / "kept" / "alignment"
ZOOS = ("emoji-1k", "emoji-200")
SEEDS = {"emoji-1k": {"ProbeX": 3, "MVProbe": 2}, "emoji-200": {"ProbeX": 3, "MVProbe": 1}}
"""How often each is trained: one seed of MVProbe takes three quarters of an hour of a core."""
OURS, ORACLE, NEAREST = "ours", "oracle", "nearest task vector"
SHARE = 0.8
"""Of the oracle's score, what ours is to reach at least where there are a thousand concepts."""
HOW = {
    "ProbeX": Schedule(epochs=200, patience=100, batch_size=128, learning_rate=2e-3),
    "MVProbe": Schedule(epochs=200, patience=50, batch_size=128, learning_rate=3e-4, weight_decay=0.0),
}
"""The papers' schedule for text heads; MVProbe's rate, and no word of its own on the rest."""
PAPERS = {name: replace(paper, how=HOW[name]) for name, paper in experts.PAPERS.items()}
ABSOLUTE = {"emoji-200": (0.97, 0.90)}
RANKS = (64, 128, 256)
"""Directions that the oracle may keep; validation chooses."""

Said = Callable[[Weights, Tensor], Tensor]
"""Weights of n models and embeddings of k texts to scores (n, k)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One method, trained once: for every test model whether its concept came first, and which it is."""

    validation: float
    met: Sequence[float]
    met_concepts: Sequence[int]
    unmet: Sequence[float]
    unmet_concepts: Sequence[int]


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("alignment", __doc__, "the smallest zoo, nothing kept or written", zoos=True)
    parser.add_argument("--zoo", choices=ZOOS, help="measure this zoo alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        if given.smoke:
            bench = Bench(zoos(given, Path(scratch)), "tiny", Path(scratch), pace=0.01)
        else:
            bench = Bench(zoos(given, Path(scratch)), "bench", CACHE)
        for name in [given.zoo] if given.zoo else ZOOS[-1:] if given.smoke else ZOOS:
            found = bench.measure(name)
            rows = [*judge(name, found)]
            publish(f"alignment-{name}", rows, report(name, found, rows, bench), given)


@dataclass(frozen=True)
class Bench:
    """Zoos on the bench. `pace` scales the epochs, for the smoke test."""

    zoos: Path
    size: str
    cache: Path
    pace: float = 1.0

    def measure(self, name: str) -> dict[str, list[Measured]]:
        """Every method's results on one zoo, one per seed; those without chance in them once."""
        build_zoo(name, self.size, self.zoos / name)
        zoo = open_zoo(self.zoos / name)
        tree = AdapterTree(zoo, zoo.root(EMOJI[name].root.repo))
        found = {
            OURS: [self._kept(tree, OURS, 0, partial(ours, tree))],
            ORACLE: [self._kept(tree, ORACLE, 0, partial(oracle, tree))],
            NEAREST: [self._kept(tree, NEAREST, 0, partial(nearest, tree))],
        }
        for title, paper in PAPERS.items():
            layer = next(iter(tree.wanted)) if len(tree.wanted) == 1 else self._best(tree, title, paper)
            made = [partial(self._published, tree, paper, layer, seed) for seed in range(SEEDS[name][title])]
            found[title] = [self._kept(tree, title, seed, each) for seed, each in enumerate(made)]
        return found

    def _kept(self, tree: AdapterTree, name: str, seed: int, make: Callable[[], Measured]) -> Measured:
        """From the cache, unless the code or the zoo has changed since."""
        now = code(REVISION, *PAPERS.values())
        place = self.cache / f"{now}-{self.size}" / tree.zoo.recipe / tree.zoo.recipe_hash
        return kept(place, name, seed, make, lambda told: Measured(**told))

    def _best(self, tree: AdapterTree, title: str, paper: Paper) -> str:
        small = replace(paper, sizes=paper.sweep)
        swept = {
            layer: self._kept(tree, f"{title} on {layer}", 0, partial(self._published, tree, small, layer, 0))
            for layer in tree.wanted
        }
        return max(swept, key=lambda layer: swept[layer].validation)

    def _published(self, tree: AdapterTree, paper: Paper, layer: str, seed: int) -> Measured:
        learn, validation = (tree.sample(split, [layer]) for split in ("train", "validation"))
        how = replace(paper.how, epochs=max(2, round(paper.how.epochs * self.pace)), seed=seed)
        texts = vocabulary(tree)
        found = train(learn, validation, kind=paper.kind, sizes=paper.sizes, how=how, texts=texts)
        return on_test(tree, [layer], lambda weights, said: logits(found.probe, weights, said))


def vocabulary(tree: AdapterTree) -> Tensor:
    """The texts of all concepts that training knows, (k, d_text)."""
    return embedded(ENCODER, tree.prompt, tree.labels)


def on_test(tree: AdapterTree, layers: Sequence[str], said: Said) -> Measured:
    """A trained method on the test splits, and on the validation splits for whoever has to choose."""
    met, concepts = firsts(tree, "test", layers, said)
    unmet, others = firsts(tree, "test" + UNSEEN, layers, said)
    return Measured(on_validation(tree, layers, said), met, concepts, unmet, others)


def on_validation(tree: AdapterTree, layers: Sequence[str], said: Said) -> float:
    """The mean of both scores on validation."""
    return mean(mean(firsts(tree, split, layers, said)[0]) for split in ("validation", "validation" + UNSEEN))


def firsts(
    tree: AdapterTree, split: str, layers: Sequence[str], said: Said
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Model by model, whether its concept comes first, and which one it is."""
    labels = tree.unseen(split.removesuffix(UNSEEN)) if split.endswith(UNSEEN) else tree.labels
    sample = tree.sample(split, layers)
    scores = said(sample.weights, embedded(ENCODER, tree.prompt, labels))
    truth = sample.Y.argmax(1)
    return tuple((scores.argmax(1) == truth).double().tolist()), tuple(truth.tolist())


def ours(tree: AdapterTree) -> Measured:
    """As experts are made."""
    texts = vocabulary(tree)
    layers = choose(tree, texts)
    found = fit(tree, layers, SOLVED, texts)
    return on_test(tree, layers, lambda weights, said: logits(found.probe, weights, said))


def nearest(tree: AdapterTree) -> Measured:
    """The concept of the nearest training models; concepts that training did not know it cannot say."""
    fitted = {
        layer: nearest_task_vector(tree.sample("train", [layer]), tree.sample("validation", [layer]), {})
        for layer in tree.wanted
    }
    layer = max(fitted, key=lambda each: fitted[each].accuracy)
    best = fitted[layer]
    met, concepts = firsts(tree, "test", [layer], lambda weights, _: best.guess(weights))
    return Measured(best.accuracy, met, concepts, tuple(0.0 for _ in met), concepts)


def oracle(tree: AdapterTree) -> Measured:
    """What the LoRAs do to the prompt's token, and the best linear map from there to texts."""
    layers, token = list(tree.wanted), prompt_token(tree)

    def done(weights: Weights) -> Tensor:  # (n, f)
        return torch.cat([functional.normalize(applied(weights[layer], token), dim=1) for layer in layers], 1)

    learn, texts = tree.sample("train", layers), vocabulary(tree)
    made = []
    for rank in RANKS:
        found = align(done(learn.weights), learn.Y, texts, rank)

        def said(weights: Weights, words: Tensor, found: Aligned = found) -> Tensor:
            here = functional.normalize(done(weights) @ found.encode.T + found.encode_bias, dim=1)
            there = functional.normalize(words @ found.speak.T.to(words) + found.speak_bias.to(words), dim=1)
            return here @ there.T

        made.append((on_validation(tree, layers, said), said))
    return on_test(tree, layers, max(made, key=lambda pair: pair[0])[1])


def prompt_token(tree: AdapterTree) -> Tensor:
    """The rare prompt as the cross-attention meets it, (d_W,)."""
    from diffusers import PixArtTransformer2DModel

    place = repo_folder(tree.zoo.folder, tree.root.repo)
    model = PixArtTransformer2DModel.from_pretrained(place)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        token: Tensor = model.caption_projection(torch.from_numpy(load(ENCODER).encode([RARE])))[0]
    return token


def applied(matrices: Matrices, token: Tensor) -> Tensor:
    """B A c for every LoRA. (n, d_H)"""
    if not isinstance(matrices, Factored):
        raise TypeError("only LoRAs are applied to a token")
    return (matrices.B @ (matrices.A @ token)[:, :, None])[:, :, 0]


# --- the report -----------------------------------------------------------------------------------


def difference(
    ours: Sequence[Measured], theirs: Sequence[Measured], part: str, draws: int = 10_000
) -> tuple[float, float, float]:
    """Ours minus theirs, with a 95% interval of the paired bootstrap over concepts and over seeds.

    Concepts, not models, are drawn: the models of one concept stand and fall together.
    """
    concepts = np.array(getattr(ours[0], f"{part}_concepts"))
    distinct, place = np.unique(concepts, return_inverse=True)
    counts = np.bincount(place)
    a, b = (
        np.array([np.bincount(place, getattr(one, part)) for one in each]) for each in (ours, theirs)
    )  # (seeds, k), how many models of each concept are right
    random, gains = np.random.default_rng(0), []
    for _ in range(draws):
        some = random.integers(len(distinct), size=len(distinct))
        of_a, of_b = (
            each[random.integers(len(each), size=len(each))][:, some].sum(1).mean() for each in (a, b)
        )
        gains.append((of_a - of_b) / counts[some].sum())
    low, high = np.quantile(gains, [0.025, 0.975])
    return float((a.sum(1).mean() - b.sum(1).mean()) / counts.sum()), float(low), float(high)


def score(measured: Sequence[Measured], part: str) -> float:
    """The share of models whose concept came first, over all seeds."""
    return float(np.mean([getattr(one, part) for one in measured]))


PARTS = {"met": "in distribution", "unmet": "zero-shot"}
Found = Mapping[str, Sequence[Measured]]


def judge(zoo: str, found: Found) -> Iterator[Row]:
    """Ours beside the papers' probes and the oracle, and where the issue names them, beside plain numbers."""
    for i, (part, title) in enumerate(PARTS.items()):
        own, ceiling = score(found[OURS], part), score(found[ORACLE], part)
        for name in PAPERS:
            gain, low, _ = difference(found[OURS], found[name], part)
            beaten = score(found[name], part)
            yield Row(f"{zoo} {title}: ours above {name}", gain, "share", 0.0, beaten, low > 0)
        yield at_least(f"{zoo} {title}: ours of the oracle", own / ceiling, "times", SHARE, ceiling)
        if zoo in ABSOLUTE:
            yield at_least(f"{zoo} {title}: ours", own, "share", ABSOLUTE[zoo][i])
        else:
            yield told(f"{zoo} {title}: ours", own, "share")


def methods_table(found: Found) -> str:
    """Scores by method, and the gain of ours with its interval."""
    lines = []
    for name, each in found.items():
        cells: list[object] = [name]
        for part in PARTS:
            if name == NEAREST and part == "unmet":
                cells += ["", ""]
                continue
            gain, low, high = difference(found[OURS], each, part)
            spread = f" ± {np.std([mean(getattr(one, part)) for one in each]):.3f}" if len(each) > 1 else ""
            cells.append(f"{score(each, part):.3f}{spread}")
            cells.append("" if name == OURS else f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(cells)
    columns = ["method", *(column for title in PARTS.values() for column in (title, "ours above it"))]
    return table(columns, lines)


def report(name: str, found: Found, rows: Sequence[Row], bench: Bench) -> str:
    """docs/results/alignment-NAME.md."""
    recipe, size = EMOJI[name], EMOJI[name].size(bench.size)
    seeds = ", ".join(f"{len(found[paper])} of {paper}" for paper in PAPERS)
    return f"""# Do words find the LoRAs that were trained on what they say? On {name}

    python -m benchmarks.alignment --zoo {name}

Recipe {recipe.hash}: {size.concepts:,} concepts with {size.copies} LoRAs each, {size.unseen} held out.
{len(found[OURS][0].met)} test LoRAs of known concepts, {len(found[OURS][0].unmet)} of unknown ones.

*In distribution*: the share of test LoRAs whose concept comes first among all that training knew.
*Zero-shot*: the same for concepts that it did not know, among those. {machine()}, one thread.

{methods_table(found)}

Seeds: {seeds}; ± is their deviation, brackets are the 95% interval of a paired
bootstrap over concepts and seeds. Ours is solved in closed form and has no seed. The oracle knows the
prompt's token and has all layers.

## Targets

{verdict(rows)}
"""


if __name__ == "__main__":
    main()

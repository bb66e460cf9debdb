"""Do experts know when to be silent? `python -m benchmarks.silence [--smoke] [--json]`

A bot mostly meets models of the right architecture and the wrong data. The stream is made of 5% `digits`,
which the experts are for, and 95% `digits-wild`, children of the same roots that learned something else.
Rates are computed on all test models of both and weighted: what sampling the stream for ever would give.

Both zoos are built where they are not there yet. Experts are trained among some strangers; of half of the
kinds of strangers no model is seen before the test. For comparison each is trained without strangers too, and
calibrated as the papers' probes would have to be. The same for an expert with a text head: LoRAs of emoji
among LoRAs of styles and textures.

The test splits are opened here alone, once. `--smoke` does all of it with one root and the smallest zoos in a
temporary folder; its numbers mean nothing, and docs/results stays as it is.

Letters: n models, s strangers, k labels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.report import RESULTS, Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from hubbot.experts.calibrate import KNOWN, Geometry, distance, probabilities
from hubbot.experts.downstream import (
    auroc,
    mahalanobis,
    mean_average_precision,
    neighbours_vote,
    reliability,
    strangeness,
)
from hubbot.experts.matrices import Dense, Weights, exactly
from hubbot.experts.schema import Calibration
from hubbot.experts.train import Sample, Trained, logits, per_label_accuracy
from hubbot.training.adapters import UNSEEN, AdapterTree
from hubbot.training.evaluate import embedded
from hubbot.training.experts import ENCODER, SOLVED, calibrated, choose, fit
from hubbot.training.source import Source
from hubbot.training.strangers import among
from hubbot.training.trees import Tree, multi_hot, open_tree
from hubbot.training.zoos import build_zoo
from hubbot.zoo.build import build
from hubbot.zoo.emoji.recipe import EMOJI_200, EMOJI_WILD, plans
from hubbot.zoo.layout import open_zoo
from hubbot.zoo.recipes import DIGITS, HIDDEN, SEEN, WILD, ChildPlan, Recipe, plan
from hubbot.zoo.threads import one_thread

HALF_KNOWN = ("one-digit", "merge")
"""Strangers that did learn a digit or more by name, though not as the expert's own models do."""

RESAMPLED = 2000
SIMILAR = 4
"""Digits of five that two models have in common to be called similar."""
VOTERS = (1, 3, 5, 9, 15, 25)


@dataclass(frozen=True)
class Mind:
    """An expert in the making: what a reading takes, without its folder."""

    layers: tuple[str, ...]
    trained: Trained
    calibration: Calibration
    geometry: Geometry
    texts: Tensor | None = None

    @torch.no_grad()
    def encode(self, weights: Weights) -> Tensor:
        return self.trained.probe.double().encode(exactly(weights))

    @torch.no_grad()
    def read(self, weights: Weights) -> tuple[Tensor, Tensor]:
        """Probabilities (n, k), nothing where the expert abstains, and how familiar each model is (n,)."""
        exact, made = exactly(weights), self.calibration
        said = logits(self.trained.probe.double(), exact, self.texts)
        chances = probabilities(made, said, exclusive=self.texts is not None)
        far = distance(
            self.geometry.features(exact[self.layers[0]]),
            torch.tensor(made.centre).double(),
            torch.tensor(made.precision).double(),
        )
        near = far <= made.distance
        return torch.where(near[:, None], chances, 0.0), torch.where(near, chances.amax(1), -far)

    def recognised(self, probability: Tensor) -> Tensor:
        limit = self.calibration.threshold
        return probability >= (2.0 if limit is None else limit)


@dataclass(frozen=True)
class Read:
    """What was read of test models: probabilities, labels said, labels true (n, k); familiarity (n,)."""

    probability: Tensor
    said: Tensor
    truth: Tensor
    familiar: Tensor

    def pick(self, index: Tensor) -> Read:
        return Read(*(getattr(self, name)[index] for name in ("probability", "said", "truth", "familiar")))


@dataclass(frozen=True)
class Met:
    """All of one root's test: its own models, and strangers, with their tasks and what they did learn."""

    root: str
    layers: tuple[str, ...]
    own: Read
    strangers: Read
    tasks: tuple[str, ...]
    learned: Tensor

    def of(self, tasks: Sequence[str]) -> Met:
        """The same with strangers of these tasks alone."""
        index = torch.tensor([i for i, task in enumerate(self.tasks) if task in tasks], dtype=torch.long)
        some = tuple(self.tasks[i] for i in index)
        return replace(self, strangers=self.strangers.pick(index), tasks=some, learned=self.learned[index])

    def in_fact(self) -> Met:
        """The same where what a stranger did learn by name counts as right."""
        return replace(self, strangers=replace(self.strangers, truth=self.strangers.truth | self.learned))


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("silence", __doc__, "one root, the smallest zoos, nothing written", zoos=True)
    parser.add_argument("--size", default="bench", help="of the zoo of strangers")
    given = parser.parse_args()
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        if given.smoke:
            one = DIGITS.roots[:1]
            tame, wild = (replace(of, name=f"{of.name}-one-root", roots=one) for of in (DIGITS, WILD))
            rows, text = measure(zoos(given, Path(scratch)), tame, wild, ("tiny", "tiny"), None)
        else:
            rows, text = measure(zoos(given, Path(scratch)), DIGITS, WILD, ("bench", given.size), RESULTS)
    publish("silence", rows, text, given)


def measure(
    zoos: Path, tame: Recipe, wild: Recipe, sizes: tuple[str, str], plots: Path | None
) -> tuple[list[Row], str]:
    """Train, read all test models, and tell."""
    build(tame, sizes[0], zoos / tame.name)
    build(wild, sizes[1], zoos / wild.name)
    trees = {root.repo: open_tree(zoos / tame.name, root.repo) for root in tame.roots}
    outside = {root.repo: open_tree(zoos / wild.name, root.repo) for root in tame.roots}
    rows: list[Row] = []
    mets, plain, far, useful = [], [], [], []
    for place, (root, tree) in enumerate(trees.items()):
        made = {c.repo: c for c in (plan(wild, wild.roots[place], i) for i in range(wild.count(sizes[1])))}
        children = [made[model.repo] for model in outside[root].zoo.children(root, "test")]
        mind = make(among(tree, outside[root]))
        mets.append(meet(mind, tree, outside[root], children))
        plain.append(meet(make(tree), tree, outside[root], children))
        far.append((root, *further_off(mind, tree, [other for other in trees if other != root], trees)))
        useful.append((root, *downstream(mind, tree, outside[root])))
    stream_rows, stream = the_stream(mets, plain)
    rows += stream_rows
    aurocs = familiarity(mets, far)
    rows += aurocs
    calibration_rows, bins = calibration(mets)
    rows += calibration_rows
    lora_rows, painted = painters(zoos, sizes[1])
    rows += lora_rows
    rows += [row for _, found, _ in useful for row in found]
    if plots:
        draw(bins, plots / "silence-reliability.png")
    lines = [line for _, _, line in useful]
    return rows, report(wild, sizes[1], rows, stream, kinds(mets), painted, lines, far)


def make(source: Source) -> Mind:
    """An expert, as `hubbot expert train` makes one."""
    texts = embedded(ENCODER, source.prompt, source.labels) if source.prompt else None
    layers = choose(source, texts)
    trained = fit(source, layers, SOLVED, texts)
    made = calibrated(source, layers, trained, texts)
    trained.probe.double()
    origin = source.origin.get(layers[0])
    geometry = Geometry(None if origin is None else origin.double(), trained.probe.centre(layers[0]).double())
    return Mind(tuple(layers), trained, made, geometry, None if texts is None else texts.double())


def meet(mind: Mind, tree: Tree, outside: Tree, children: Sequence[ChildPlan]) -> Met:
    """Both test splits, read."""
    own, strange = (source.sample("test", mind.layers) for source in (tree, outside))
    tasks = tuple(child.task for child in children)
    learned = torch.stack([multi_hot(child.learned, own.Y.shape[1]) for child in children]).bool()
    return Met(tree.root.repo, mind.layers, reading(mind, own), reading(mind, strange), tasks, learned)


def reading(mind: Mind, sample: Sample) -> Read:
    """What is said of a sample's models."""
    probability, familiar = mind.read(sample.weights)
    return Read(probability, mind.recognised(probability), sample.Y.bool(), familiar)


# --- the stream ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rates:
    """Of the stream: precision of recognised labels, coverage of true ones, precision's lower bounds."""

    precision: float
    coverage: float
    by_bootstrap: float
    by_clopper_pearson: float


def rates(mets: Sequence[Met]) -> Rates:
    """Each root as often as the others, each of its models as the stream has it.

    The bootstrap draws models, not labels, since a model's labels stand or fall together. Where no stranger
    was given a wrong label it sees no risk at all; Clopper and Pearson (1934) bound the share of strangers
    that are, each with as many wrong labels as the worst or, where none has one, as a true model is given.
    """
    generator = torch.Generator().manual_seed(0)
    said, right = (
        torch.zeros(1 + RESAMPLED),
        torch.zeros(1 + RESAMPLED),
    )  # the first as it is, the others drawn
    true = right_own = 0.0
    for met in mets:
        for read, share in ((met.own, KNOWN), (met.strangers, 1 - KNOWN)):
            each = torch.stack([read.said.sum(1), (read.said & read.truth).sum(1)], 1).float()  # (n, 2)
            drawn = each[torch.randint(len(each), (RESAMPLED, len(each)), generator=generator)].mean(1)
            means = share * torch.cat([each.mean(0, keepdim=True), drawn])
            said, right = said + means[:, 0], right + means[:, 1]
        true += float(met.own.truth.sum(1).float().mean())
        right_own += float((met.own.said & met.own.truth).sum(1).float().mean())
    precision = right / said.clamp_min(1e-12)
    bound = float(precision[1:].sort().values[int(0.05 * RESAMPLED)])
    return Rates(float(precision[0]), right_own / true, bound, _clopper_pearson(mets))


def _clopper_pearson(mets: Sequence[Met]) -> float:
    from scipy.stats import beta

    wrong = torch.cat([(met.strangers.said & ~met.strangers.truth).sum(1) for met in mets])  # (s,)
    own = torch.cat([met.own.said.sum(1) for met in mets]).float()
    true = torch.cat([(met.own.said & met.own.truth).sum(1) for met in mets]).float().mean()
    count, fell = len(wrong), int((wrong > 0).sum())
    most = float(beta.ppf(0.95, fell + 1, count - fell)) if fell < count else 1.0
    labels = float(wrong.max()) if fell else float(own[own > 0].mean()) if (own > 0).any() else 0.0
    said = KNOWN * float(own.mean()) + (1 - KNOWN) * most * labels
    return KNOWN * float(true) / said if said else 0.0


def the_stream(mets: Sequence[Met], plain: Sequence[Met]) -> tuple[list[Row], str]:
    """The rows, and a table by root and by whose strangers."""
    everything = rates(mets)
    without, without_in_fact = rates(plain), rates([met.in_fact() for met in plain])
    in_fact = rates([met.in_fact() for met in mets])
    rows = [
        at_least(
            "stream precision", everything.precision, "share of suggested tags", 0.98, without.precision
        ),
        at_least("stream precision, lower bound", everything.by_bootstrap, "95%, bootstrap", 0.95),
        told("stream precision, worst case", everything.by_clopper_pearson, "95%, Clopper-Pearson"),
        at_least("stream coverage", everything.coverage, "share of true labels", 0.30, without.coverage),
        told("stream precision, seen kinds", rates([met.of(SEEN) for met in mets]).precision, "share"),
        told("stream precision, unseen kinds", rates([met.of(HIDDEN) for met in mets]).precision, "share"),
        told(
            "stream precision, in fact",
            in_fact.precision,
            "share of suggested tags",
            without_in_fact.precision,
        ),
        told("stream precision, in fact, lower bound", in_fact.by_bootstrap, "95%, bootstrap"),
        told("stream precision, in fact, worst case", in_fact.by_clopper_pearson, "95%, Clopper-Pearson"),
    ]
    lines = [("all", *_cells(everything), ""), ("all, in fact", *_cells(in_fact), "")]
    lines += [(met.root, *_cells(rates([met])), ", ".join(map(_short, met.layers))) for met in mets]
    lines += [("all, trained without strangers", *_cells(without), "")]
    columns = ("root", "precision", "bound, bootstrap", "bound, Clopper-Pearson", "coverage", "layers")
    return rows, table(columns, lines)


def _cells(found: Rates) -> tuple[float, ...]:
    return found.precision, found.by_bootstrap, found.by_clopper_pearson, found.coverage


def _short(layer: str) -> str:
    return layer.removesuffix(".weight").split("encoder.", 1)[-1]


def kinds(mets: Sequence[Met]) -> str:
    """How many strangers of each kind were given a tag, and how familiar they looked."""
    inside = [met.own.familiar for met in mets]
    lines = []
    for task in SEEN + HIDDEN:
        some = [met.of([task]).strangers for met in mets]
        tagged = torch.cat([(read.said & ~read.truth).any(1) for read in some])
        false = torch.cat([(m.strangers.said & ~m.learned).any(1) for m in (met.of([task]) for met in mets)])
        found = [auroc(a, b.familiar) for a, b in zip(inside, some, strict=True) if len(b.familiar)]
        met_before = "yes" if task in SEEN else "no"
        area = sum(found) / len(found) if found else float("nan")
        lines.append((task, met_before, len(tagged), int(tagged.sum()), int(false.sum()), area))
    return table(
        ("strangers", "kind met in training", "models", "wrongly tagged", "falsely, in fact", "AUROC"), lines
    )


# --- adapters --------------------------------------------------------------------------------------


def painters(zoos: Path, size: str) -> tuple[list[Row], str]:
    """The stream of an expert with a text head: LoRAs of concepts among LoRAs of styles and textures."""
    for recipe in (EMOJI_200, EMOJI_WILD):
        build_zoo(recipe.name, size, zoos / recipe.name)
    tame, wild = (open_zoo(zoos / recipe.name) for recipe in (EMOJI_200, EMOJI_WILD))
    tree, outside = (AdapterTree(zoo, zoo.root(EMOJI_200.root.repo)) for zoo in (tame, wild))
    style = {each.repo: each.style for each in plans(EMOJI_WILD, EMOJI_WILD.size(size))}
    styles = tuple(style[model.repo] for model in outside.zoo.children(tree.root.repo, "test"))

    def met(mind: Mind) -> Met:
        own, strange = (reading(mind, source.sample("test", mind.layers)) for source in (tree, outside))
        strange = replace(strange, truth=torch.zeros_like(strange.said))
        return Met(tree.root.repo, mind.layers, own, strange, styles, strange.truth)

    mind = make(among(tree, outside))
    among_them, plain = met(mind), met(make(tree))
    found, without = rates([among_them]), rates([plain])
    new = mind.read(tree.sample("test" + UNSEEN, mind.layers).weights)[0]
    tagged, unit = float(mind.recognised(new).any(1).double().mean()), "share of suggested tags"
    rows = [
        at_least("LoRAs: stream precision", found.precision, unit, 0.98, without.precision),
        at_least("LoRAs: stream precision, lower bound", found.by_bootstrap, "95%, bootstrap", 0.95),
        told("LoRAs: stream precision, worst case", found.by_clopper_pearson, "95%, Clopper-Pearson"),
        at_least("LoRAs: stream coverage", found.coverage, "share of true concepts", 0.30, without.coverage),
        at_least(
            "LoRAs: AUROC against wrong data",
            auroc(among_them.own.familiar, among_them.strangers.familiar),
            "styles and textures",
            0.95,
            auroc(plain.own.familiar, plain.strangers.familiar),
        ),
        told("LoRAs: tagged of concepts never met", tagged, "share of models"),
    ]
    some = [(each, among_them.of([each]).strangers.said) for each in EMOJI_WILD.styles]
    lines = [(each, len(said), int(said.any(1).sum())) for each, said in some]
    streams = [("met strangers", *_cells(found)), ("without strangers", *_cells(without))]
    columns = ("expert", "precision", "bound, bootstrap", "bound, Clopper-Pearson", "coverage")
    return rows, f"{table(columns, streams)}\n\n{table(('strangers', 'models', 'tagged'), lines)}"


# --- familiar or not --------------------------------------------------------------------------------


def further_off(
    mind: Mind, tree: Tree, others: Sequence[str], trees: Mapping[str, Tree]
) -> tuple[Mapping[str, Tensor], Mapping[str, float]]:
    """How familiar models look that are not of this tree, and what becomes of copies that were rounded.

    Returns:
        Familiarity by what they are; of copies the share with the same recognised labels or none at all, and
        the share of which nothing new is told.
    """
    sample = tree.sample("test", mind.layers)
    generator = torch.Generator().manual_seed(0)
    away: dict[str, Tensor] = {}
    shapes = {name: sample.weights[name].shape for name in mind.layers}
    for other in others:
        origin = trees[other].origin
        if all(name in origin and tuple(origin[name].shape) == shape for name, shape in shapes.items()):
            away["other trees"] = mind.read(trees[other].sample("test", mind.layers).weights)[1]
    scales = {name: float(tree.origin[name].std()) for name in mind.layers}
    noise = {n: Dense(scales[n] * torch.randn(200, *s, generator=generator)) for n, s in shapes.items()}
    away["random weights"] = mind.read(noise)[1]
    away["the root itself"] = mind.read({name: Dense(tree.origin[name][None]) for name in mind.layers})[1]
    before = mind.recognised(mind.read(sample.weights)[0])
    copies = {}
    for name, rounded in ROUNDED.items():
        weights = {layer: Dense(rounded(sample.weights[layer].dense())) for layer in mind.layers}
        after = mind.recognised(mind.read(weights)[0])
        same = (after == before).all(1)
        copies[name] = float((same | ~after.any(1)).float().mean())
        copies[f"{name}, nothing new"] = float((~(after & ~before).any(1)).float().mean())
    return away, copies


def _int8(X: Tensor) -> Tensor:
    """Rounded to 8 bits by row, as quantised copies are, and back."""
    step = X.abs().amax(2, keepdim=True).clamp_min(1e-12) / 127
    return (X / step).round() * step


ROUNDED = {"float16": lambda X: X.half().float(), "bfloat16": lambda X: X.bfloat16().float(), "int8": _int8}


def familiarity(mets: Sequence[Met], far: Sequence[tuple[str, Mapping[str, Tensor], object]]) -> list[Row]:
    """Out-of-distribution AUROC, averaged over roots."""

    def mean(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
        return sum(auroc(a, b) for a, b in pairs) / len(pairs)

    rows = []
    for name in ("other trees", "random weights", "the root itself"):
        pairs = [(m.own.familiar, f[name]) for m, (_, f, _) in zip(mets, far, strict=True) if name in f]
        if pairs:
            rows.append(at_least(f"AUROC against {name}", mean(pairs), "mean over roots", 0.99))
    wrong = [(met.own.familiar, met.strangers.familiar) for met in mets]
    rows.append(at_least("AUROC against wrong data", mean(wrong), "mean over roots", 0.95))
    nameless = tuple(task for task in SEEN + HIDDEN if task not in HALF_KNOWN)
    for what, tasks in (
        ("seen kinds", SEEN),
        ("unseen kinds", HIDDEN),
        ("nothing learned by name", nameless),
    ):
        some = [(met.own.familiar, met.of(tasks).strangers.familiar) for met in mets]
        rows.append(told(f"AUROC against wrong data, {what}", mean(some), "mean over roots"))
    return rows


def calibration(mets: Sequence[Met]) -> tuple[list[Row], tuple[Tensor, Tensor, Tensor]]:
    """The expected calibration error on the stream, and the bins of the reliability plot."""
    reads = [(read, share) for m in mets for read, share in ((m.own, KNOWN), (m.strangers, 1 - KNOWN))]
    weight = torch.cat([torch.full((len(r.truth),), share / len(r.truth)) for r, share in reads])
    said, truth = (
        torch.cat([getattr(r, name).double() for r, _ in reads]) for name in ("probability", "truth")
    )
    meant, true, share = reliability(said, truth, weight)
    return [
        told("calibration error on the stream", float((share * (meant - true).abs()).sum()), "ECE, 10 bins")
    ], (
        meant,
        true,
        share,
    )


def draw(bins: tuple[Tensor, Tensor, Tensor], file: Path) -> None:
    """The reliability plot."""
    from matplotlib.figure import Figure

    meant, true, share = (part.tolist() for part in bins)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    filled = [i for i in range(len(share)) if share[i] > 0]
    axes.plot([meant[i] for i in filled], [true[i] for i in filled], marker="o")
    for i in filled:
        axes.annotate(
            f"{share[i]:.2%}", (meant[i], true[i]), fontsize=7, xytext=(4, -10), textcoords="offset points"
        )
    axes.set_xlabel("probability that was told")
    axes.set_ylabel("share that was true")
    axes.set_title("Labels on a stream of 95% strangers")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


# --- encodings --------------------------------------------------------------------------------------


def downstream(mind: Mind, tree: Tree, outside: Tree) -> tuple[list[Row], tuple[object, ...]]:
    """Neighbours that vote, one class, and search, with encodings; beside, with the weights themselves."""
    samples = {split: tree.sample(split, mind.layers) for split in ("train", "validation", "test")}
    e = {split: mind.encode(sample.weights).float() for split, sample in samples.items()}
    strange = mind.encode(outside.sample("test", mind.layers).weights).float()
    Y = {split: sample.Y for split, sample in samples.items()}

    def voted(count: int, split: str) -> float:
        return per_label_accuracy(neighbours_vote(e[split], e["train"], Y["train"], count) > 0.5, Y[split])

    count = max(VOTERS, key=lambda c: voted(c, "validation"))
    relevant = (Y["test"] @ Y["train"].T) >= SIMILAR
    moved = {s: _moved(samples[s], tree, mind.layers) for s in ("train", "test")}
    found = {
        "kNN accuracy": (voted(count, "test"), None),
        "one class, nearest 2, AUROC": (
            auroc(-strangeness(e["test"], e["train"]), -strangeness(strange, e["train"])), None,
        ),
        "one class, Ledoit-Wolf, AUROC": (
            auroc(-mahalanobis(e["test"], e["train"]), -mahalanobis(strange, e["train"])), None,
        ),
        "search for similar models, mAP": (
            mean_average_precision(-torch.cdist(e["test"], e["train"]), relevant),
            mean_average_precision(moved["test"] @ moved["train"].T, relevant),
        ),
    }  # fmt: skip
    rows = [told(f"{tree.root.repo} {name}", value, "", base) for name, (value, base) in found.items()]
    chance = float(relevant.float().mean())
    return rows, (
        tree.root.repo,
        *(value for value, _ in found.values()),
        found["search for similar models, mAP"][1],
        chance,
    )


def _moved(sample: Sample, tree: Tree, layers: Sequence[str]) -> Tensor:
    """How the same layers moved from the root, as directions. (n, values)"""
    parts = [(sample.weights[name].dense() - tree.origin[name]).flatten(1) for name in layers]
    return functional.normalize(torch.cat(parts, 1), dim=1)


# --- the report -------------------------------------------------------------------------------------


def report(
    wild: Recipe,
    size: str,
    rows: Sequence[Row],
    stream: str,
    by_kind: str,
    painted: str,
    useful: Sequence[Sequence[object]],
    far: Sequence[tuple[str, Mapping[str, Tensor], Mapping[str, float]]],
) -> str:
    """docs/results/silence.md."""
    named = (
        "root",
        "kNN accuracy",
        "one class, nearest 2",
        "one class, Ledoit-Wolf",
        "search mAP",
        "task vectors' mAP",
        "chance",
    )
    copied = tuple(far[0][2])
    copies = [(root, *(shares[name] for name in copied)) for root, _, shares in far]
    aurocs = [
        (row.name.removeprefix("AUROC against "), row.value, row.target or "")
        for row in rows
        if "AUROC against" in row.name
    ]
    tagged = next(row.value for row in rows if row.name.endswith("concepts never met"))
    error = next(row.value for row in rows if row.name.startswith("calibration error"))
    return f"""# Do experts know when to be silent?

    python -m benchmarks.silence

{machine()}. Test splits of `digits` ({KNOWN:.0%} of the stream) and of `{wild.name}` (recipe {wild.hash},
size {size}, {wild.count(size)} strangers a root in all splits).

{verdict(rows)}

## The stream

{stream}

Precision: of the tags that would be suggested, the share that is right. Coverage: of the true labels of the
stream's `digits` models, the share that is suggested. A stranger has no right label, except a merge of two
children of digits, for which those count that both parents learned; so it was agreed before the test. The row
"in fact" was added when the test had been seen, to tell what the mistakes are: there a digit also counts as
right that a detector of one digit detects, or that either parent of a merge learned. No threshold, model or
other choice was changed then. The lower bounds hold with 95%: one draws models anew, the other supposes the
worst of strangers that a test of this many can have missed.

{by_kind}

Five kinds are met in training and calibration; of the other five nobody saw a model before this test.

## The stream of LoRAs

An expert of `{EMOJI_200.name}`, which chooses one concept of many, on its test LoRAs and on LoRAs of
`{EMOJI_WILD.name}` (recipe {EMOJI_WILD.hash}), of the same root. It has met other LoRAs of the same styles in
calibration; a text head meets none in training.

{painted}

A concept that the expert has no text for is the hardest stranger: of LoRAs of held-out concepts {tagged:.1%}
are tagged.

## Familiar or not

{table(("against", "AUROC", "target"), aurocs)}

One score for all: the probability of the surest label, or, for weights too far from those of training,
minus that distance. Trees whose layers have other names or shapes are refused before anything is computed.
Copies that were rounded and brought back: the share that is told what the original is told, or nothing; and
the share that is told nothing new, though perhaps less.

{table(("root", *copied), copies)}

## Probabilities

The expected calibration error on the stream is {error:.4f}.

![What was told, and what was true](silence-reliability.png)

## Encodings

{table(named, useful)}

Similar models have {SIMILAR} of five digits in common. One class: test models of `digits` against strangers.
"""


if __name__ == "__main__":
    main()

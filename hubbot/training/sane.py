"""A zoo of small nets becomes an autoencoder that reads and makes such nets: `zoo.cnn` meets `sane`.

    history ──► Study: aligned, cut into tokens ──► train ──► properties, intervals, oddness ──► a folder

Everything is split by model, all epochs of a model together: training models teach; of the validation models
one half chooses, the other half makes intervals and limits; test models are opened by the benchmark.

Letters: m models, e epochs kept, n = m e checkpoints, p numbers of a model, N tokens, t numbers of a token,
z of an embedding, q pictures, c classes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hubbot.drawing import drawable, figure
from hubbot.errors import UsageError
from hubbot.sane import artifact, judge, reach
from hubbot.sane.align import aligned, permuted
from hubbot.sane.artifact import Artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import embed
from hubbot.sane.properties import features, fit, half_widths, r2, statistics
from hubbot.sane.reach import Distance
from hubbot.sane.schema import CONFIG, Config, Property, Reach, Size
from hubbot.sane.tokens import Layout
from hubbot.sane.train import Behave, Checkpoints, Course, Point, flattened, train, unflattened
from hubbot.training.desk import progress_bar
from hubbot.weights.symmetry import Group
from hubbot.zoo.cnn.history import History, open_history
from hubbot.zoo.cnn.symmetry import symmetries
from hubbot.zoo.recipes import digest
from hubbot.zoo.threads import one_thread

QUERIES = 32
"""Pictures that the behaviour loss asks about in a step."""
FEATURES = "statistics", "layers"
"""What properties are told from: on validation models each layer's mean told more beside statistics than the
whole sequence did, and it is as long for a large model as for a small one."""
COVERAGE = 0.9
"""Of intervals, where there are models enough to promise that: nine that calibrate."""
CURVE = "curve.csv"
ODDEST = 1.5
"""A model is odd whose error is so many times that of the worst calibration model."""
ALARMS = 0.01
"""Of models like those of training, the share that may be held for strangers by their distance."""


@dataclass(frozen=True)
class Study:
    """A zoo as the autoencoder sees it.

    Args:
        history: its models, their weights brought into one order.
        groups: the channels that may change places.
        reference: the model (p,) whose order it is.
    """

    history: History
    layout: Layout
    groups: tuple[Group, ...]
    reference: Tensor

    @classmethod
    def of(cls, history: History, length: int, *, norms: bool = True) -> Study:
        """Align a zoo to its first training model: each checkpoint for itself, as an upload will be."""
        net = history.net
        groups = symmetries(net)
        first = history.split.index("train")
        reference = history.weights[first, -1]
        layout = Layout.of(net.shapes, length, norms=norms)
        return cls(history, layout, groups, reference).of_others(history)

    def of_others(self, history: History) -> Study:
        """Other models of the same net, in this zoo's order of channels."""
        named = unflattened(self.reference, self.shapes)
        rows = [
            _in_order(part, self.groups, self.shapes, named)
            for part in torch.split(history.weights.flatten(0, 1), 4096)
        ]
        return replace(self, history=replace(history, weights=torch.cat(rows).view_as(history.weights)))

    def of_split(self, split: str) -> Study:
        return replace(self, history=self.history.of(split))

    def only(self, ranks: Sequence[int]) -> Study:
        return replace(self, history=self.history.only(ranks))

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.history.net.shapes

    @property
    def checkpoints(self) -> Checkpoints:
        """All of all epochs, model by model. (n, p)"""
        return Checkpoints(self.history.weights.flatten(0, 1), self.shapes, self.groups)

    @property
    def models(self) -> Tensor:
        """Which model each checkpoint is of. (n,)"""
        return torch.arange(len(self.history.plans)).repeat_interleave(len(self.history.epoch))

    @property
    def truth(self) -> Tensor:
        """Accuracy, epoch and gap of each checkpoint. (n, 3)"""
        epoch = self.history.epoch.float().expand_as(self.history.accuracy)
        return torch.stack([self.history.accuracy, epoch, self.history.gap], -1).flatten(0, 1)

    @property
    def names(self) -> tuple[str, ...]:
        return "accuracy", "epoch", "gap"

    def tokens(self) -> Tensor:
        """(n, N, t)"""
        return self.layout.tokens(self.checkpoints.values())

    @cached_property
    def behave(self) -> Behave:
        """What checkpoints answer to pictures that they may have been trained on. See `train.Behave`."""
        task, acts = (
            self.history.pictures(),
            [act for act in self.history.activation for _ in self.history.epoch],
        )
        pool = task.train.x

        def answers(values: Mapping[str, Tensor], which: Tensor, seed: Tensor) -> Tensor:
            draw = torch.Generator().manual_seed(int(seed))
            x = pool[torch.randint(len(pool), (QUERIES,), generator=draw)]
            return self.logits(flattened(values, self.shapes), [acts[i] for i in which.tolist()], x)

        return answers

    def logits(self, weights: Tensor, activations: Sequence[str], x: Tensor) -> Tensor:
        """What nets answer, each with its activation. (g, p), g of them, (q, 1, s, s) -> (g, q, c)"""
        net, kinds = self.history.net, sorted(set(activations))
        ranks = [torch.tensor([i for i, one in enumerate(activations) if one == kind]) for kind in kinds]
        parts = [net.logits(weights[rank], x, kind) for rank, kind in zip(ranks, kinds, strict=True)]
        return torch.cat(parts)[torch.cat(ranks).argsort()]


def _in_order(
    rows: Tensor,
    groups: Sequence[Group],
    shapes: Mapping[str, tuple[int, ...]],
    reference: Mapping[str, Tensor],
) -> Tensor:
    """(g, p) -> (g, p)"""
    values = unflattened(rows, shapes)
    return flattened(permuted(values, groups, aligned(values, groups, reference)), shapes)


# --- from a zoo to a folder -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of autoencoder is trained.

    Args:
        length: numbers of a token; the CNNs' largest row has 73.
        norms: whether BatchNorms are tokens.
    """

    length: int = 73
    norms: bool = True
    size: Size = field(default_factory=Size)
    course: Course = field(default_factory=Course)


def plan(steps: int, behaviour: float, seed: int, *, norms: bool) -> Plan:
    """The usual one, but for what is given; see `Course`."""
    return Plan(norms=norms, course=Course(steps=steps, behaviour=behaviour, seed=seed))


def learn(
    study: Study, plan: Plan, saved: Path | None, advance: Callable[[Point], None]
) -> tuple[Autoencoder, list[Point]]:
    """Train an autoencoder on a study's training models; one that was stopped goes on. With it, its curve."""
    lessons = study.of_split("train")
    torch.manual_seed(plan.course.seed)
    model = Autoencoder(study.layout, plan.size)
    model.scale.fit(lessons.tokens())
    curve = train(model, lessons.checkpoints, plan.course, lessons.behave, saved, advance)
    return model, curve


def embeddings(model: Autoencoder, study: Study) -> Tensor:
    """(n, N, z)"""
    return torch.cat([embed(model, study.layout.tokens(unflattened(part, study.shapes)))
                      for part in torch.split(study.checkpoints.weights, 1024)])  # fmt: skip


def features_of(model: Autoencoder, study: Study, kinds: Sequence[str]) -> list[Tensor]:
    """Kind by kind, each (n, f)."""
    return features(kinds, study.checkpoints.values(), embeddings(model, study), study.layout)


def halves(study: Study) -> tuple[Study, Study]:
    """The validation models that choose, and those that make intervals."""
    held = study.of_split("validation")
    everyone = range(len(held.history.plans))
    return held.only(everyone[::2]), held.only(everyone[1::2])


def reached(study: Study) -> tuple[Distance, Reach]:
    """How far from the training models a model may lie: as far as those lie that the distance never saw."""
    lessons, held = study.of_split("train"), study.of_split("validation")
    epochs = study.names.index("epoch")
    distance = reach.fit(statistics(lessons.checkpoints.values(), study.layout), lessons.truth[:, epochs])
    far = distance(statistics(held.checkpoints.values(), study.layout))
    (e, _), (_, k) = distance.centres.shape, distance.axes.shape
    return distance, Reach(e, k, reach.limit(far, held.models, ALARMS))


def concluded(model: Autoencoder, study: Study, name: str, about: Mapping[str, str]) -> Artifact:
    """An artefact of a trained autoencoder: with its properties, their intervals, and what is odd to it."""
    lessons, (chosen, calibration) = study.of_split("train"), halves(study)
    ridge, _ = fit(
        features_of(model, lessons, FEATURES),
        lessons.truth,
        features_of(model, chosen, FEATURES),
        chosen.truth,
    )
    said = ridge(torch.cat(features_of(model, calibration, FEATURES), 1))
    held = len(calibration.history.plans)
    coverage = min(COVERAGE, held / (held + 1))  # the worst of so few promises no more
    widths = half_widths(said, calibration.truth.double(), calibration.models, coverage)
    scores = r2(said, calibration.truth.double())
    last = float(study.history.epoch[-1])
    bounds = {"accuracy": (0.0, 1.0), "epoch": (0.0, last), "gap": (-1.0, 1.0)}
    found = tuple(
        Property(one, round(width, 6), *bounds[one], r2=round(score, 4))
        for one, width, score in zip(study.names, widths.tolist(), scores.tolist(), strict=True)
    )
    distance, within = reached(study)
    config = Config(
        name=name,
        shapes=study.shapes,
        length=study.layout.length,
        norms=not study.layout.left_out,
        size=model.size,
        trained_on=f"{len(lessons.history.plans)} nets of the zoo {study.history.recipe}",
        groups=study.groups,
        features=FEATURES,
        properties=found,
        coverage=coverage,
        reach=within,
        provenance={"zoo": study.history.recipe, "recipe_hash": study.history.recipe_hash, **about},
    )
    made = Artifact(config, "", model, unflattened(study.reference, study.shapes), ridge, distance)
    errors = judge.oddness(made, calibration.tokens(), embeddings(model, calibration))
    return replace(made, config=replace(config, oddest=ODDEST * float(errors.max())))


def train_sane(
    zoo: Path, out: Path, plan: Plan, *, progress: bool = True, plot: Path | None = None
) -> Artifact:
    """Train an autoencoder on a CNN zoo and write its folder; the same one that was stopped goes on.

    Args:
        plot: a picture of the curve, which is beside the autoencoder as curve.csv in any case.

    Raises:
        ZooError: there is no such zoo.
        UsageError: an autoencoder is there already.
    """
    if (out / CONFIG).exists():
        hint = "choose another --out, or remove the folder"
        raise UsageError("an autoencoder is there already", file=str(out), hint=hint)
    if plot:
        drawable(plot)
    history = open_history(zoo)
    saved, mark = out / "unfinished.safetensors", out / "unfinished.txt"
    order = digest([asdict(plan), history.recipe_hash, len(history.plans)])
    out.mkdir(parents=True, exist_ok=True)
    begun = mark.read_text(encoding="utf-8") if mark.exists() else ""
    if begun != order:  # of another training
        saved.unlink(missing_ok=True)
        mark.write_text(order, encoding="utf-8")
    with one_thread(), progress_bar(progress) as bar:
        task = bar.add_task(f"autoencoder of {history.recipe}", total=plan.course.steps)

        def advance(point: Point) -> None:
            told = f"rebuilt to {point.reconstruction:.3f}, answers to {point.behaviour:.3f}"
            bar.update(task, completed=point.step, description=told)

        study = Study.of(history, plan.length, norms=plan.norms)
        model, curve = learn(study, plan, saved, advance)
        made = concluded(
            model, study, out.name, {"seed": str(plan.course.seed), "steps": str(plan.course.steps)}
        )
    artifact.save(out, made)
    with (out / CURVE).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [one.name for one in fields(Point)])
        table.writeheader()
        table.writerows(map(asdict, curve))
    if plot:
        draw(curve, plot, out.name)
    for left in (saved, mark):
        left.unlink(missing_ok=True)
    return artifact.load(out)


def draw(curve: Sequence[Point], file: Path, title: str) -> None:
    """Draw the terms of the loss by step.

    Raises:
        UsageError: it cannot be drawn, see `drawing.drawable`.
    """
    with figure(file, 7.0, 4.5) as paper:
        axes = paper.subplots()
        for term in ("reconstruction", "contrast", "behaviour"):
            told = [getattr(point, term) for point in curve]
            if any(told):
                axes.plot([point.step for point in curve], told, label=term)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.set_title(title)
        axes.legend()

"""WHAT, offline: zoo -> expert -> scores.

    build_zoo        a recipe becomes models in folders
    train_expert     a tree of a zoo becomes an expert: sweep the layers, calibrate, measure, write
    evaluate_expert  the score again, beside the baselines'
    slice_zoo        a few models of the test split, for the demo's Hub

Training reads the train split, validation picks layer and checkpoint, calibration sets the thresholds, and
the test split is opened for the scores alone.

Letters: n models, d_H x d_W a layer's matrix, k labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor as Matrix

from hubbot.errors import ExpertError
from hubbot.experts import artifact
from hubbot.experts.baselines import BASELINES
from hubbot.experts.calibrate import Geometry, calibrate
from hubbot.experts.expert import Expert
from hubbot.experts.probe import Sizes, matrix_shape
from hubbot.experts.schema import Calibration, Config
from hubbot.experts.train import Layer, Schedule, Trained, logits, per_label_accuracy, train
from hubbot.records import ExpertInfo, Label, RemoteFile, Tensors, Wanted
from hubbot.trees.fingerprint import choose, take
from hubbot.weights.local import read_local, read_metadata
from hubbot.zoo.layout import Zoo, ZooModel, open_zoo, targets
from hubbot.zoo.recipes import SPLITS, named

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_LABELS = tuple(Label(word, f"a handwritten digit {word}", f"digit-{word}") for word in WORDS)
ENCODER = "sentence:all-MiniLM-L6-v2"

LEAST_VALUES = 512
LARGEST_SHARE = 0.08
"""A candidate layer holds at least so many values, and no more than this share of the model's: an expert is
to read little."""

_NOT_HIDDEN = re.compile(r"embed|classifier|head|pooler|norm|bias", re.IGNORECASE)


# --- zoos ---------------------------------------------------------------------------------------


def build_zoo(recipe: str, size: str, folder: Path, *, progress: bool = True) -> Zoo:
    """Build a zoo, or finish one that was begun.

    Raises:
        ZooError: there is no such recipe or size.
    """
    from hubbot.zoo.build import build

    made = named(recipe)
    total = len(made.roots) * (made.count(size) + 1)
    with _progress(progress) as bar:
        task = bar.add_task(f"zoo {recipe}", total=total)

        def advance(count: int, root: str) -> None:
            bar.update(task, advance=count, description=root)

        return build(made, size, folder, advance)


def slice_zoo(zoo: Path, out: Path, per_root: int = 13) -> int:
    """Copy a few test-split models of a zoo, for the demo's Hub; how many models that makes.

    Raises:
        ZooError: there is no such zoo, or its test split is too small.
    """
    from hubbot.zoo.slicing import slice_zoo as copy

    return len(copy(open_zoo(zoo), out, per_root))


# --- what a probe learns from -------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """One root of a zoo with its children's weights, read once for all candidate layers."""

    zoo: Zoo
    root: ZooModel

    @cached_property
    def origin(self) -> Mapping[str, Matrix]:
        """The root's candidate layers as matrices, (d_H, d_W) each."""
        values = read_local(self.zoo.weights(self.root))
        names = candidates({name: value.shape for name, value in values.items()})
        return {name: torch.tensor(values[name]).reshape(matrix_shape(values[name].shape)) for name in names}

    @cached_property
    def splits(self) -> Mapping[str, Mapping[str, Layer]]:
        """By split and layer, weights and truth."""
        return {split: self._read(split) for split in SPLITS}

    def _read(self, split: str) -> Mapping[str, Layer]:
        files = [self.zoo.weights(model) for model in self.zoo.children(self.root.repo, split)]
        if not files:
            where = str(self.zoo.folder)
            raise ExpertError(f"{self.root.repo} has no models in the split {split}", file=where)
        models = [read_local(file, list(self.origin)) for file in files]
        truth = torch.stack([multi_hot(targets(read_metadata(file), file)) for file in files])  # (n, k)
        return {
            name: Layer(torch.stack([torch.tensor(m[name]).reshape(like.shape) for m in models]), truth)
            for name, like in self.origin.items()
        }


def open_tree(folder: Path, root: str) -> Tree:
    """A root of the zoo in a folder.

    Raises:
        ZooError: there is no such zoo or root.
    """
    zoo = open_zoo(folder)
    return Tree(zoo, zoo.root(root))


def candidates(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The layers that a probe may read: hidden matrices and kernels that are a small part of the model.

    The head stays out, since it would give the answer away, and so do embeddings and norms.
    """
    total = sum(prod(shape) for shape in shapes.values())
    return tuple(
        name
        for name, shape in shapes.items()
        if len(shape) >= 2
        and not _NOT_HIDDEN.search(name)
        and LEAST_VALUES <= prod(shape) <= LARGEST_SHARE * total
    )


def multi_hot(classes: tuple[int, ...]) -> Matrix:
    """Classes as (k,) of 0 and 1."""
    row = torch.zeros(len(DIGIT_LABELS))
    row[list(classes)] = 1.0
    return row


# --- experts ------------------------------------------------------------------------------------


def train_expert(
    zoo: Path, root: str, out: Path, *, name: str = "", how: Schedule | None = None, progress: bool = True
) -> ExpertInfo:
    """Train, calibrate, measure and write the expert of one tree.

    Args:
        zoo: the zoo's folder.
        root: the tree's root, e.g. `digits-zoo/vit-a`.
        out: the expert's folder.
        name: the expert's; made of the root's by default.

    Raises:
        ZooError: there is no such zoo or root.
        ExpertError: the zoo has too few models.
    """
    tree, how, sizes = open_tree(zoo, root), how or Schedule(), Sizes()
    with _one_thread():
        swept = sweep(tree, sizes, how, progress=progress)
        layer = min(swept, key=lambda candidate: swept[candidate].loss)
        config = Config(
            name=name or root.replace("-zoo/", "-").replace("/", "-"),
            roots=(root,),
            wanted=Wanted(layer, shape=_shape(tree, layer)),
            labels=DIGIT_LABELS,
            text_encoder=ENCODER,
            probe={"kind": "probex", **asdict(sizes)},
            calibration=_calibrated(tree, layer, swept[layer]),
            trained_on=_story(tree),
            provenance=_provenance(tree, swept, how),
        )
        _save(out, config, tree, swept[layer])
        found = evaluate_expert(out, zoo)
        scored = replace(config, scores=found.scores, baselines=found.baselines)
        _save(out, scored, tree, swept[layer])
    return artifact.describe(out)


def sweep(tree: Tree, sizes: Sizes, how: Schedule, *, progress: bool = True) -> dict[str, Trained]:
    """One probe per candidate layer; the smallest validation loss is the expert's."""
    learn, validation = tree.splits["train"], tree.splits["validation"]
    trained = {}
    with _progress(progress) as bar:
        for layer in bar.track(list(tree.origin), description=f"probing {tree.root.repo}"):
            trained[layer] = train(learn[layer], validation[layer], sizes=sizes, how=how)
    return trained


def _calibrated(tree: Tree, layer: str, trained: Trained) -> Calibration:
    split = tree.splits["calibration"][layer]
    geometry = Geometry(tree.origin[layer], trained.probe.mean)
    return calibrate(
        logits(trained.probe, split.X),
        split.Y,
        geometry.features(tree.splits["train"][layer].X),
        geometry.features(split.X),
    )


def _shape(tree: Tree, layer: str) -> tuple[int, ...]:
    return tuple(read_local(tree.zoo.weights(tree.root), [layer])[layer].shape)


def _story(tree: Tree) -> str:
    count = len(tree.zoo.children(tree.root.repo, "train"))
    return (
        f"{count} models of hubbot's {tree.zoo.recipe} zoo, each fine-tuned from {tree.root.repo} on "
        f"5 of the 10 digits of scikit-learn's handwritten digits (8x8 pixels)"
    )


def _provenance(tree: Tree, swept: Mapping[str, Trained], how: Schedule) -> dict[str, object]:
    found = {
        layer: {"loss": round(t.loss, 4), "accuracy": round(t.accuracy, 4)} for layer, t in swept.items()
    }
    zoo = {"recipe": tree.zoo.recipe, "recipe_hash": tree.zoo.recipe_hash, "size": tree.zoo.size}
    return {"zoo": zoo, "schedule": asdict(how), "validation": found}


def _save(out: Path, config: Config, tree: Tree, trained: Trained) -> None:
    values = read_local(tree.zoo.weights(tree.root))
    rows = take(choose({name: value.shape for name, value in values.items()}), values).rows
    hashes = {
        split: tuple(model.sha256 for model in tree.zoo.children(tree.root.repo, split))
        for split in ("train", "validation", "calibration")
    }
    artifact.save(out, config, trained.probe, tree.origin[config.wanted.name].numpy(), rows, hashes)


# --- scores -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an expert scores, and what simpler methods do on the same models.

    Args:
        scores: `accuracy`, the mean per-label accuracy at probability 0.5; `precision` and `coverage` of
            recognised labels; `abstained`, the share of models without a reading.
        baselines: the accuracy of each baseline, on the layer that validation likes best for it.
    """

    scores: Mapping[str, float]
    baselines: Mapping[str, float]


def evaluate_expert(folder: Path, zoo: Path, split: str = "test") -> Evaluation:
    """What an expert scores on a split of its zoo, beside the baselines.

    Raises:
        ExpertError: the folder holds no expert, or the split no models.
        ZooError: there is no such zoo, or the expert's root is not in it.
    """
    with _one_thread():
        expert = artifact.load(folder)
        tree = open_tree(zoo, expert.info.tree)
        layer = tree.splits[split][expert.config.wanted.name]
        calibration = expert.config.calibration
        said = calibration.slope * logits(expert.probe, layer.X.double()) + calibration.bias
        scores = {"accuracy": per_label_accuracy(said > 0, layer.Y), **_operating_point(expert, layer)}
        baselines = {name: _baseline(tree, name, split) for name in BASELINES}
    return Evaluation(_rounded(scores), _rounded(baselines))


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _operating_point(expert: Expert, layer: Layer) -> dict[str, float]:
    """Precision and coverage of the labels that the expert stands by, through its own mouth."""
    readings = expert.consult([_as_upload(expert, X) for X in layer.X])
    known = torch.stack(
        [multi_hot(tuple(i for i, p in enumerate(r.predictions) if p.recognised)) for r in readings]
    )  # (n, k)
    right, all_known = float((known * layer.Y).sum()), float(known.sum())
    return {
        "precision": right / all_known if all_known else 0.0,
        "coverage": right / float(layer.Y.sum()),
        "abstained": sum(reading.abstention is not None for reading in readings) / len(readings),
    }


def _as_upload(expert: Expert, X: Matrix) -> Tensors:
    wanted = expert.config.wanted
    values = {wanted.name: X.reshape(wanted.shape or ()).numpy()}
    file = RemoteFile("model.safetensors", 4 * X.numel(), "zoo")
    return Tensors("zoo/child", "0" * 40, values, {wanted.name: "F32"}, (file,), 0, 0)


def _baseline(tree: Tree, name: str, split: str) -> float:
    learn, validation = tree.splits["train"], tree.splits["validation"]
    fitted = {
        layer: BASELINES[name](learn[layer], validation[layer], origin)
        for layer, origin in tree.origin.items()
    }
    layer = max(fitted, key=lambda candidate: fitted[candidate].accuracy)
    measured = tree.splits[split][layer]
    return per_label_accuracy(fitted[layer].guess(measured.X) > 0, measured.Y)


# --- the desk -----------------------------------------------------------------------------------


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, so that a seed means one result."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _progress(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not shown)

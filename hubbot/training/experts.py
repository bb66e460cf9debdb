"""A tree becomes an expert: sweep the layers, calibrate, measure, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from hubbot.experts import artifact
from hubbot.experts.calibrate import Geometry, calibrate
from hubbot.experts.probe import Sizes
from hubbot.experts.schema import Calibration, Config
from hubbot.experts.train import Schedule, Trained, logits, train
from hubbot.records import ExpertInfo, Wanted
from hubbot.training.desk import one_thread, progress_bar
from hubbot.training.evaluate import evaluate_expert
from hubbot.training.trees import DIGIT_LABELS, Tree, open_tree
from hubbot.trees.fingerprint import choose, take
from hubbot.weights.local import read_local

ENCODER = "sentence:all-MiniLM-L6-v2"


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
    with one_thread():
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
    with progress_bar(progress) as bar:
        for layer in bar.track(list(tree.origin), description=f"probing {tree.root.repo}"):
            trained[layer] = train(learn[layer], validation[layer], sizes=sizes, how=how)
    return trained


def _calibrated(tree: Tree, layer: str, trained: Trained) -> Calibration:
    split = tree.splits["calibration"][layer]
    geometry = Geometry(tree.origin[layer], trained.probe.centre(layer))
    return calibrate(
        logits(trained.probe, split.weights),
        split.Y,
        geometry.features(tree.splits["train"][layer].weights[layer].dense()),
        geometry.features(split.weights[layer].dense()),
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

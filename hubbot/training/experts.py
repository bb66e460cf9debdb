"""A tree becomes an expert: sweep the layers, calibrate, measure, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from hubbot.experts import artifact
from hubbot.experts.calibrate import Geometry, calibrate
from hubbot.experts.matrices import Matrices, chunks
from hubbot.experts.probe import Sizes
from hubbot.experts.schema import Calibration, Config
from hubbot.experts.train import Schedule, Trained, logits, train
from hubbot.records import ExpertInfo
from hubbot.training.desk import one_thread, progress_bar
from hubbot.training.evaluate import embedded, score_expert
from hubbot.training.provenance import made_by
from hubbot.training.source import Source
from hubbot.training.trees import open_tree

ENCODER = "sentence:all-MiniLM-L6-v2"
KIND = "probex"


def train_expert(
    zoo: Path,
    root: str,
    out: Path,
    *,
    layers: Sequence[str] = (),
    name: str = "",
    seed: int = 0,
    how: Schedule | None = None,
    progress: bool = True,
) -> ExpertInfo:
    """Train, calibrate, measure and write the expert of one tree.

    Args:
        zoo: the zoo's folder.
        root: the tree's root, e.g. `digits-zoo/vit-a`.
        out: the expert's folder.
        layers: to choose from on validation; none: all that a probe may read.
        name: the expert's; made of the root's by default.
        seed: of the schedule, where `how` is not given.

    Raises:
        ZooError: there is no such zoo or root.
        UsageError: its models have no such layer.
        ExpertError: the zoo has too few models.
    """
    tree, how = open_tree(zoo, root, layers), how or Schedule(seed=seed)
    return make_expert(tree, out, name=name, how=how, progress=progress)


def make_expert(
    source: Source,
    out: Path,
    *,
    name: str = "",
    how: Schedule | None = None,
    encoder: str = ENCODER,
    progress: bool = True,
) -> ExpertInfo:
    """The same for a tree whose models lie anywhere.

    Args:
        encoder: whose texts a search compares with the labels, and a text head with the models.

    Raises:
        ExpertError: the source has too few models.
        EncoderError: there is no such encoder.
    """
    how, sizes = how or Schedule(), Sizes()
    texts = embedded(encoder, source.prompt, source.labels) if source.prompt else None
    with one_thread():
        swept = sweep(source, sizes, how, texts, progress=progress)
        layer = min(swept, key=lambda candidate: swept[candidate].loss)
        config = Config(
            name=name or source.roots[0].replace("-zoo/", "-").replace("/", "-"),
            roots=source.roots,
            wanted=(source.wanted[layer],),
            labels=source.labels,
            text_encoder=encoder,
            probe={"kind": KIND, **asdict(sizes)},
            calibration=_calibrated(source, layer, swept[layer], texts),
            trained_on=source.story,
            head="text" if source.prompt else "labels",
            prompt=source.prompt or "{}",
            provenance=_provenance(source, swept, how),
        )
        _save(out, config, source, swept[layer], texts)
        found = score_expert(out, source)
        scored = replace(config, scores=found.scores, baselines=found.baselines)
        _save(out, scored, source, swept[layer], texts)
    return artifact.describe(out)


def sweep(
    source: Source, sizes: Sizes, how: Schedule, texts: Tensor | None = None, *, progress: bool = True
) -> dict[str, Trained]:
    """One probe per candidate layer; the smallest validation loss is the expert's."""
    trained = {}
    with progress_bar(progress) as bar:
        for layer in bar.track(list(source.wanted), description=f"probing {source.roots[0]}"):
            learn, validation = (source.sample(split, [layer]) for split in ("train", "validation"))
            trained[layer] = train(learn, validation, kind=KIND, sizes=sizes, how=how, texts=texts)
    return trained


def _calibrated(source: Source, layer: str, trained: Trained, texts: Tensor | None) -> Calibration:
    split, learned = (source.sample(split, [layer]) for split in ("calibration", "train"))
    centre = trained.probe.centre(layer)
    geometry = Geometry(source.origin.get(layer, torch.zeros_like(centre)), centre)
    return calibrate(
        logits(trained.probe, split.weights, texts),
        split.Y,
        _features(geometry, learned.weights[layer]),
        _features(geometry, split.weights[layer]),
    )


def _features(geometry: Geometry, matrices: Matrices) -> Tensor:
    """(n, 2), a few models at a time, since LoRAs are small only as long as they are factors."""
    parts = chunks(len(matrices))
    return torch.cat([geometry.features(matrices.pick(part).dense()) for part in parts])


def _provenance(source: Source, swept: Mapping[str, Trained], how: Schedule) -> dict[str, object]:
    found = {
        layer: {"loss": round(t.loss, 4), "accuracy": round(t.accuracy, 4)} for layer, t in swept.items()
    }
    return {**source.provenance, "schedule": asdict(how), "validation": found, "made_by": made_by()}


def _save(out: Path, config: Config, source: Source, trained: Trained, texts: Tensor | None) -> None:
    hashes = {split: source.hashes(split) for split in ("train", "validation", "calibration")}
    origin = {
        want.name: source.origin[want.name].numpy() for want in config.wanted if want.name in source.origin
    }
    vocabulary = None if texts is None else texts.numpy()
    artifact.save(out, config, trained.probe, origin, source.fingerprint, hashes, vocabulary)

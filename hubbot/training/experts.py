"""A tree becomes an expert: choose the layers, train, calibrate, measure, write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from hubbot.experts import artifact
from hubbot.experts.calibrate import Geometry, calibrate
from hubbot.experts.choose import DIRECTIONS, choose_layers
from hubbot.experts.matrices import Matrices
from hubbot.experts.probe import Sizes
from hubbot.experts.schema import Calibration, Config
from hubbot.experts.train import Schedule, Trained, logits, train
from hubbot.records import ExpertInfo
from hubbot.training.desk import progress_bar
from hubbot.training.evaluate import embedded, score_expert
from hubbot.training.provenance import made_by
from hubbot.training.source import Source
from hubbot.training.strangers import among
from hubbot.training.trees import open_source
from hubbot.zoo.threads import one_thread

ENCODER = "sentence:all-MiniLM-L6-v2"
KIND = "treeprobe"
SIZES = Sizes(probes=DIRECTIONS, projection=DIRECTIONS, encoding=64)
TEXT_SIZES = Sizes(probes=8, projection=256, encoding=256)
"""LoRAs of one concept each take in little but the prompt's token, and give out whatever there is to show: of
inputs few directions count, of outputs all. On the validation models of emoji-1k that finds .92 of unknown
concepts, and 48 of both .85."""
SOLVED = Schedule(epochs=0)
"""What is solved in closed form is where our probe begins, and hardly anything is left to train."""

MOST_LAYERS = 2
"""A third adds .00 to .01 to the validation accuracy of digits, and costs half as many bytes again."""


def train_expert(
    zoo: Path,
    root: str,
    out: Path,
    *,
    layers: Sequence[str] = (),
    strangers: Path | None = None,
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
        layers: to choose from; none: all that a probe may read.
        strangers: a zoo of models of the same tree that learned something else, to be silent with.
        name: the expert's; made of the root's by default.
        seed: of the schedule, where `how` is not given.

    Raises:
        ZooError: there is no such zoo or root.
        UsageError: its models have no such layer.
        ExpertError: the zoo has too few models.
    """
    tree, how = open_source(zoo, root, layers), how or replace(SOLVED, seed=seed)
    if strangers:
        tree = among(tree, open_source(strangers, root, layers))
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
    how = how or SOLVED
    texts = embedded(encoder, source.prompt, source.labels) if source.prompt else None
    with one_thread():
        swept = sweep(source, how, texts, progress=progress)
        chosen = choose(source, texts)
        trained = fit(source, chosen, how, texts)
        config = Config(
            name=name or source.roots[0].replace("-zoo/", "-").replace("/", "-"),
            roots=source.roots,
            wanted=tuple(source.wanted[layer] for layer in chosen),
            labels=source.labels,
            text_encoder=encoder,
            probe={"kind": KIND, **asdict(sizes(texts))},
            calibration=calibrated(source, chosen, trained, texts),
            trained_on=source.story,
            head="text" if source.prompt else "labels",
            prompt=source.prompt or "{}",
            provenance=_provenance(source, swept, how),
        )
        _save(out, config, source, trained, texts)
        found = score_expert(out, source)
        scored = replace(config, scores=found.scores, baselines=found.baselines)
        _save(out, scored, source, trained, texts)
    return artifact.describe(out)


def fit(source: Source, layers: Sequence[str], how: Schedule, texts: Tensor | None = None) -> Trained:
    """A probe on some layers of a tree's training models, the checkpoint that validation likes best."""
    learn, validation = (source.sample(split, layers) for split in ("train", "validation"))
    return train(learn, validation, kind=KIND, sizes=sizes(texts), how=how, texts=texts)


def sizes(texts: Tensor | None) -> Sizes:
    """Of our probe, with a text head or without."""
    return SIZES if texts is None else TEXT_SIZES


def choose(source: Source, texts: Tensor | None = None) -> tuple[str, ...]:
    """The layers that an expert of this tree should read, from its training models."""
    truth = source.sample("train", list(source.wanted)[:1]).Y
    return choose_layers(_OneByOne(source), truth if texts is None else truth @ texts, MOST_LAYERS)


def sweep(
    source: Source, how: Schedule, texts: Tensor | None = None, *, progress: bool = True
) -> dict[str, Trained]:
    """One probe per candidate layer, side by side: what each would say alone."""
    with progress_bar(progress) as bar:
        layers = bar.track(list(source.wanted), description=f"probing {source.roots[0]}")
        return {layer: fit(source, [layer], how, texts) for layer in layers}


@dataclass(frozen=True)
class _OneByOne(Mapping[str, Matrices]):
    """The layers of a tree's training models, read when they are asked for: all at once may be too large."""

    source: Source

    def __getitem__(self, layer: str) -> Matrices:
        return self.source.sample("train", [layer]).weights[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.source.wanted)

    def __len__(self) -> int:
        return len(self.source.wanted)


def calibrated(
    source: Source, layers: Sequence[str], trained: Trained, texts: Tensor | None = None
) -> Calibration:
    """From the calibration split, and from where the training models lie that are no strangers."""
    split, learned = (source.sample(split, layers) for split in ("calibration", "train"))
    layer = layers[0]
    geometry = Geometry(source.origin.get(layer), trained.probe.centre(layer))
    return calibrate(
        logits(trained.probe, split.weights, texts),
        split.Y,
        geometry.features(learned.weights[layer].pick(torch.nonzero(learned.Y.sum(1))[:, 0])),
        geometry.features(split.weights[layer]),
        exclusive=texts is not None,
    )


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

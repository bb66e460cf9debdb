"""What an expert scores on a split that did not make it, beside the baselines.

Letters: n models, d_H x d_W a layer's matrix, k labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor as Matrix

from hubbot.experts import artifact, trust
from hubbot.experts.baselines import BASELINES
from hubbot.experts.expert import Expert
from hubbot.experts.matrices import Factored, exactly
from hubbot.experts.train import Sample, accuracy, logits
from hubbot.records import Label, Reading, Reliability, RemoteFile, Tensors
from hubbot.training.reliability import asked, binned
from hubbot.training.source import Source
from hubbot.training.strangers import Among, among
from hubbot.training.trees import multi_hot, open_source
from hubbot.weights import pairs
from hubbot.weights.dtypes import Floats
from hubbot.zoo.threads import one_thread


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an expert scores, and what simpler methods do on the same models.

    Args:
        scores: `accuracy`, of labels the mean per-label one where yes and no are as likely, of texts the
            share of models whose concept comes first; `zero_shot`, the same among concepts that training has
            not met; `precision` and `coverage` of recognised labels; `abstained`, the share without a
            reading.
        baselines: the accuracy of each baseline, on the layer that validation likes best for it.
        reliability: whether its percentages mean what they say; None where they are meant among strangers,
            and there are none.
    """

    scores: Mapping[str, float]
    baselines: Mapping[str, float]
    reliability: Reliability | None = None


def evaluate_expert(
    folder: Path, zoo: Path, split: str = "test", *, strangers: Path | None = None, keep: bool = False
) -> Evaluation:
    """What an expert scores on a split of its zoo, beside the baselines.

    Args:
        strangers: a zoo of models of the same tree that learned something else, for an expert whose
            probabilities are meant among such.
        keep: whether the expert's folder keeps its reliability.

    Raises:
        ExpertError: the folder holds no expert, or the split no models.
        ZooError: there is no such zoo, or the expert's root is not in it.
    """
    root = artifact.describe(folder).tree
    source = open_source(zoo, root)
    if strangers:
        source = among(source, open_source(strangers, root))
    return score_expert(folder, source, split, keep=keep)


def score_expert(folder: Path, source: Source, split: str = "test", *, keep: bool = True) -> Evaluation:
    """The same on models that lie anywhere. What was measured stays with the expert, unless told otherwise.

    Raises:
        ExpertError: the folder holds no expert, or the split no models.
    """
    with one_thread():
        expert = artifact.load(folder)
        sample = source.sample(split, [want.name for want in expert.config.wanted])
        readings = _consulted(expert, sample)
        scores = {**_accuracy(expert, source, sample, split), **_operating_point(expert, sample, readings)}
        baselines = {name: _baseline(source, name, split) for name in BASELINES}
        reliability = _reliability(expert, source, sample, readings, split)
    if keep and reliability:
        trust.keep(folder, reliability)
    return Evaluation(_rounded(scores), _rounded(baselines), reliability)


def _accuracy(expert: Expert, source: Source, sample: Sample, split: str) -> dict[str, float]:
    """Of labels, the mean per-label accuracy where yes and no are as likely; of texts, how often the right
    one is first, among those that training knew and among those that it did not."""
    calibration, config = expert.config.calibration, expert.config
    said = logits(expert.probe, exactly(sample.weights), expert.vocabulary)
    if expert.vocabulary is None:
        return {"accuracy": accuracy(said - calibration.even, sample.Y)}
    scores = {"accuracy": accuracy(said, sample.Y, expert.vocabulary)}
    if strange := source.unseen(split):
        texts = embedded(config.text_encoder, config.prompt, strange).double()
        other = source.sample(f"{split}-unseen", [want.name for want in config.wanted])
        scores["zero_shot"] = accuracy(logits(expert.probe, exactly(other.weights), texts), other.Y, texts)
    return scores


def embedded(encoder: str, prompt: str, labels: Sequence[Label]) -> Matrix:
    """What a text encoder makes of labels in their prompt, (k, d_text)."""
    from hubbot.encoders.loading import load

    return torch.from_numpy(load(encoder).encode([prompt.replace("{}", label.text) for label in labels]))


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _consulted(expert: Expert, sample: Sample) -> list[Reading]:
    return expert.consult([_as_upload(expert, sample, i) for i in range(len(sample))])


def _reliability(
    expert: Expert, source: Source, sample: Sample, readings: Sequence[Reading], split: str
) -> Reliability | None:
    """Where probabilities are meant among strangers, among those of the split, weighted as a stream is."""
    known, names = expert.config.calibration.known, [label.name for label in expert.config.labels]
    models = asked(readings, [_named(names, row) for row in sample.Y], known)
    if known == 1:
        return Reliability(split, len(models), 0, *binned(models))
    if not isinstance(source, Among):
        return None
    strange = source.strangers.sample(split, [want.name for want in expert.config.wanted])
    # A stranger may have learned a label by name, as an average of two models of the expert's kind has.
    others = asked(_consulted(expert, strange), [_named(names, row) for row in strange.Y], 1 - known)
    return Reliability(split, len(models), len(others), *binned([*models, *others]))


def _named(names: Sequence[str], row: Matrix) -> set[str]:
    return {names[int(place)] for place in row.nonzero()}


def _operating_point(expert: Expert, sample: Sample, readings: Sequence[Reading]) -> dict[str, float]:
    """Precision and coverage of the labels that the expert stands by, through its own mouth."""
    place = {label.name: i for i, label in enumerate(expert.config.labels)}
    known = torch.stack(
        [multi_hot((place[p.label] for p in r.recognised), sample.Y.shape[1]) for r in readings]
    )  # (n, k)
    right, all_known = float((known * sample.Y).sum()), float(known.sum())
    return {
        "precision": right / all_known if all_known else 0.0,
        "coverage": right / float(sample.Y.sum()),
        "abstained": sum(reading.abstention is not None for reading in readings) / len(readings),
    }


def _as_upload(expert: Expert, sample: Sample, i: int) -> Tensors:
    """A model as it would come from the Hub."""
    values: dict[str, Floats] = {}
    for want in expert.config.wanted:
        one = sample.weights[want.name].pick(torch.tensor([i]))
        if isinstance(one, Factored):
            down, up = pairs.SUFFIXES[0]
            values |= {want.name + down: one.A[0].numpy(), want.name + up: one.B[0].numpy()}
        else:
            values[want.name] = one.dense()[0].reshape(want.shape or ()).numpy()
    file = RemoteFile("model.safetensors", sum(value.nbytes for value in values.values()), "zoo")
    return Tensors("zoo/child", "0" * 40, values, dict.fromkeys(values, "F32"), (file,), 0, 0)


def _baseline(source: Source, name: str, split: str) -> float:
    fitted = {}
    for layer in source.wanted:
        learn, validation = (source.sample(split, [layer]) for split in ("train", "validation"))
        fitted[layer] = BASELINES[name](learn, validation, source.origin)
    layer = max(fitted, key=lambda candidate: fitted[candidate].accuracy)
    measured = source.sample(split, [layer])
    guess = fitted[layer].guess(measured.weights)
    # What a model was trained on is one concept where there is a text head, and any number of labels else.
    return accuracy(guess, measured.Y, guess if source.prompt else None)

"""What an expert scores on a split that did not make it, beside the baselines.

Letters: n models, d_H x d_W a layer's matrix, k labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor as Matrix

from hubbot.experts import artifact
from hubbot.experts.baselines import BASELINES
from hubbot.experts.expert import Expert
from hubbot.experts.train import Sample, logits, per_label_accuracy
from hubbot.records import RemoteFile, Tensors
from hubbot.training.desk import one_thread
from hubbot.training.source import Source
from hubbot.training.trees import multi_hot, open_tree


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
    return score_expert(folder, open_tree(zoo, artifact.describe(folder).tree), split)


def score_expert(folder: Path, source: Source, split: str = "test") -> Evaluation:
    """The same on models that lie anywhere.

    Raises:
        ExpertError: the folder holds no expert, or the split no models.
    """
    with one_thread():
        expert = artifact.load(folder)
        layer = source.sample(split, [expert.config.wanted[0].name])
        calibration = expert.config.calibration
        said = (
            calibration.slope
            * logits(expert.probe, {name: m.to(dtype=torch.float64) for name, m in layer.weights.items()})
            + calibration.bias
        )
        scores = {"accuracy": per_label_accuracy(said > 0, layer.Y), **_operating_point(expert, layer)}
        baselines = {name: _baseline(source, name, split) for name in BASELINES}
    return Evaluation(_rounded(scores), _rounded(baselines))


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _operating_point(expert: Expert, layer: Sample) -> dict[str, float]:
    """Precision and coverage of the labels that the expert stands by, through its own mouth."""
    readings = expert.consult(
        [_as_upload(expert, X) for X in layer.weights[expert.config.wanted[0].name].dense()]
    )
    known = torch.stack(
        [
            multi_hot((i for i, p in enumerate(r.predictions) if p.recognised), layer.Y.shape[1])
            for r in readings
        ]
    )  # (n, k)
    right, all_known = float((known * layer.Y).sum()), float(known.sum())
    return {
        "precision": right / all_known if all_known else 0.0,
        "coverage": right / float(layer.Y.sum()),
        "abstained": sum(reading.abstention is not None for reading in readings) / len(readings),
    }


def _as_upload(expert: Expert, X: Matrix) -> Tensors:
    [wanted] = expert.config.wanted
    values = {wanted.name: X.reshape(wanted.shape or ()).numpy()}
    file = RemoteFile("model.safetensors", 4 * X.numel(), "zoo")
    return Tensors("zoo/child", "0" * 40, values, {wanted.name: "F32"}, (file,), 0, 0)


def _baseline(source: Source, name: str, split: str) -> float:
    fitted = {}
    for layer in source.wanted:
        learn, validation = (source.sample(split, [layer]) for split in ("train", "validation"))
        fitted[layer] = BASELINES[name](learn, validation, source.origin)
    layer = max(fitted, key=lambda candidate: fitted[candidate].accuracy)
    measured = source.sample(split, [layer])
    return per_label_accuracy(fitted[layer].guess(measured.weights) > 0, measured.Y)

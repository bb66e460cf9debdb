"""An expert at work: weights in, readings out.

Letters: n models, d_H x d_W a layer's matrix, r a LoRA's rank, k labels, r_T the encoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.errors import ExpertError, ShapeMismatch, TensorNotFound
from hubbot.experts.calibrate import Geometry, distance, probabilities
from hubbot.experts.heads import Head
from hubbot.experts.matrices import Dense, Factored, Matrices, Weights
from hubbot.experts.probe import KINDS, VIEWS, Probe, Sizes, matrix_shape
from hubbot.experts.schema import ORIGIN, VOCABULARY, Config
from hubbot.records import Abstention, ExpertInfo, Kind, Label, Prediction, Reading, Tensors, Wanted
from hubbot.weights import pairs

DECIMALS = 6
NOT_FINITE = "not-finite"
UNLIKE_TRAINING = "unlike-training"

MOST, LEAST = 10, 0.001
"""Of a vocabulary's concepts so many are told, the likeliest, and none that is less likely than that."""

Layer = tuple[Tensor, ...]
"""One layer of one model, float64: (X,), or of a LoRA (B, A)."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was read off one model."""

    predictions: tuple[Prediction, ...]
    embedding: tuple[float, ...]


class Expert:
    """A probe with its labels and calibration, on a device.

    Computed in float64 and rounded, so that a reading does not depend on who else is in the batch.
    """

    def __init__(self, info: ExpertInfo, config: Config, weights: Mapping[str, Tensor], device: str) -> None:
        self.info, self.config, self.device = info, config, torch.device(device)
        self.vocabulary: Tensor | None = None  # (k, d_text)
        try:
            if config.head == "text":
                self.vocabulary = weights[VOCABULARY].to(self.device, torch.float64)
            self.probe = _loaded_probe(info.folder, config, weights, self.vocabulary)
            self.probe.to(self.device, torch.float64).eval()
            self.geometry = Geometry(self._origin(weights), self.probe.centre(config.wanted[0].name))
        except (KeyError, ValueError, RuntimeError) as error:
            raise ExpertError(f"its weights do not fit its config: {error}", file=info.folder) from error

    def _origin(self, weights: Mapping[str, Tensor]) -> Tensor | None:
        want = self.config.wanted[0]
        shape = self.probe.shapes[want.name]
        if want.kind is Kind.LORA:
            return None
        return weights[ORIGIN + want.name].reshape(shape).to(self.device, torch.float64)

    def consult(self, batch: Sequence[Tensors]) -> list[Reading]:
        """Read each upload's weights. One that cannot be read gets an abstention and disturbs no other.

        Returns:
            One reading per upload, in order.
        """
        taken = [self._take(tensors) for tensors in batch]
        sound = [layers for layers in taken if not isinstance(layers, Abstention)]
        answers = iter(self._answer(sound))
        return [
            self._reading(tensors, layers if isinstance(layers, Abstention) else next(answers))
            for tensors, layers in zip(batch, taken, strict=True)
        ]

    # --- what is read -------------------------------------------------------------------------

    def _take(self, tensors: Tensors) -> list[Layer] | Abstention:
        """The layers of one model as they are wanted, or why they cannot be had."""
        layers: list[Layer] = []
        for want in self.config.wanted:
            names = _names(want, tensors)
            if names is None:
                return Abstention(TensorNotFound.code, f"there is no {_called(want)}")
            parts = [torch.tensor(tensors.values[name], dtype=torch.float64) for name in names]
            if fault := _misshapen(want, parts):
                return Abstention(ShapeMismatch.code, fault)
            if not all(part.isfinite().all() for part in parts):
                return Abstention(NOT_FINITE, f"{_called(want)} holds numbers that are not finite")
            layers.append((parts[1], parts[0]) if want.kind is Kind.LORA else (parts[0],))
        return layers

    def _stacked(self, models: Sequence[list[Layer]]) -> Weights:
        """The same layer of all models together."""
        weights: dict[str, Matrices] = {}
        for i, want in enumerate(self.config.wanted):
            layers = [model[i] for model in models]
            if want.kind is Kind.LORA:
                made: Matrices = Factored.of([(B, A) for B, A in layers])
            else:
                made = Dense(torch.stack([X.reshape(self.probe.shapes[want.name]) for (X,) in layers]))
            weights[want.name] = made.to(self.device)
        return weights

    # --- what is said -------------------------------------------------------------------------

    @torch.no_grad()
    def _answer(self, models: Sequence[list[Layer]]) -> list[Said | Abstention]:
        if not models:
            return []
        weights, calibration = self._stacked(models), self.config.calibration
        encoding = self.probe.encode(weights)  # (n, r_T)
        logits = self.probe.score(encoding, self.vocabulary)  # (n, k)
        probability = probabilities(calibration, logits, exclusive=self.vocabulary is not None)
        if self.vocabulary is not None:
            encoding = functional.normalize(encoding, dim=1)
        far = distance(
            self.geometry.features(weights[self.config.wanted[0].name]),
            encoding.new_tensor(calibration.centre),
            encoding.new_tensor(calibration.precision),
        )
        said = zip(probability.tolist(), encoding.tolist(), far.tolist(), strict=True)
        return [self._judged(p, e, d) for p, e, d in said]

    def _judged(self, p: list[float], encoding: list[float], far: float) -> Said | Abstention:
        if not far <= self.config.calibration.distance:  # also where the distance is not a number
            text = (
                f"{_called(self.config.wanted[0])} is unlike the weights this expert learned from: "
                f"distance {far:.1f}, at most {self.config.calibration.distance:.1f} is usual"
            )
            return Abstention(UNLIKE_TRAINING, text)
        if not all(abs(value) < float("inf") for value in (*p, *encoding)):
            return Abstention(NOT_FINITE, "its numbers are too large to be computed with")
        chances = list(zip(self.info.labels, p, strict=True))
        if self.vocabulary is not None:
            chances = sorted((c for c in chances if c[1] >= LEAST), key=lambda c: -c[1])[:MOST]
        predictions = tuple(self._prediction(*chance) for chance in chances)
        return Said(predictions, tuple(round(value, DECIMALS) for value in encoding))

    def _prediction(self, label: Label, probability: float) -> Prediction:
        limit = self.config.calibration.threshold
        told = min(round(probability, DECIMALS), 1 - 10**-DECIMALS)  # nothing is as certain as that
        return Prediction(label.name, told, limit is not None and probability >= limit)

    def _reading(self, tensors: Tensors, said: Said | Abstention) -> Reading:
        names = [_names(want, tensors) or () for want in self.config.wanted]
        return Reading(
            repo=tensors.repo,
            commit=tensors.commit,
            content_ids=tuple(sorted(file.content_id for file in tensors.files)),
            tree=self.info.tree,
            expert=self.info.name,
            version=self.info.version,
            predictions=said.predictions if isinstance(said, Said) else (),
            embedding=said.embedding if isinstance(said, Said) else None,
            abstention=said if isinstance(said, Abstention) else None,
            tensors_read=tuple(name for pair in names for name in pair),
            bytes_read=tensors.bytes_read,
            bytes_stored=tensors.bytes_stored,
            stored_tensors=tensors.stored_tensors,
        )


def _names(want: Wanted, tensors: Tensors) -> tuple[str, ...] | None:
    """The tensors of a layer by their names in the file, A before B; None where they are not there."""
    if want.kind is Kind.LORA:
        return pairs.pair(want.name, tensors.values)
    return (want.name,) if want.name in tensors.values else None


def _misshapen(want: Wanted, parts: Sequence[Tensor]) -> str:
    """What is wrong with the shapes of a layer's tensors; empty where nothing is."""
    shapes = [tuple(part.shape) for part in parts]
    if want.kind is Kind.LORA:
        return pairs.fault(want.name, want.shape, *shapes)
    if shapes[0] == want.shape:
        return ""
    return f"{want.name} has shape {shapes[0]}, this tree's models have {want.shape}"


def _called(want: Wanted) -> str:
    return f"pair of factors of {want.name}" if want.kind is Kind.LORA else f"tensor {want.name}"


def _loaded_probe(
    folder: str, config: Config, weights: Mapping[str, Tensor], vocabulary: Tensor | None
) -> Probe:
    """The probe that config and weights describe. Nothing is allocated for what only a config claims.

    Raises:
        ExpertError: a kind or a view that this hubbot does not know.
        ValueError, RuntimeError: the two do not fit.
    """
    told = dict(config.probe)
    kind = told.pop("kind")
    if kind not in KINDS or told["view"] not in VIEWS:
        why = f"unknown probe {kind!r} or view {told['view']!r}"
        raise ExpertError(why, file=folder, hint="a newer hubbot may know it")
    if vocabulary is not None and (vocabulary.ndim != 2 or len(vocabulary) != len(config.labels)):
        raise ValueError(f"a vocabulary of shape {tuple(vocabulary.shape)} for {len(config.labels)} labels")
    width = len(config.labels) if vocabulary is None else vocabulary.shape[1]
    shapes = {want.name: matrix_shape(want.shape or ()) for want in config.wanted}
    loras = [want.name for want in config.wanted if want.kind is Kind.LORA]
    with torch.device("meta"):
        probe = KINDS[kind](shapes, Head(config.head, width), Sizes(**told), loras)
    state = {name.removeprefix("probe."): t for name, t in weights.items() if name.startswith("probe.")}
    probe.load_state_dict(state, assign=True)
    return probe

"""An expert at work: weights in, readings out.

Letters: n models, d_H x d_W the matrix, k labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hubbot.errors import ExpertError, ShapeMismatch, TensorNotFound
from hubbot.experts.calibrate import Geometry, distance
from hubbot.experts.matrices import Dense
from hubbot.experts.probe import KINDS, VIEWS, Head, Probe, Sizes, matrix_shape
from hubbot.experts.schema import Config
from hubbot.records import Abstention, ExpertInfo, Prediction, Reading, Tensors

DECIMALS = 6
NOT_FINITE = "not-finite"
UNLIKE_TRAINING = "unlike-training"


class Expert:
    """A probe with its labels and calibration, on a device.

    Computed in float64 and rounded, so that a reading does not depend on who else is in the batch.
    """

    def __init__(self, info: ExpertInfo, config: Config, weights: Mapping[str, Tensor], device: str) -> None:
        self.info, self.config, self.device = info, config, torch.device(device)
        self.probe = _build_probe(config, info.folder)
        try:
            state = {
                name.removeprefix("probe."): t for name, t in weights.items() if name.startswith("probe.")
            }
            self.probe.load_state_dict(state)
            origin = (
                weights["origin"]
                .reshape(self.probe.shapes[config.wanted.name])
                .to(self.device, torch.float64)
            )
        except (KeyError, RuntimeError) as error:
            raise ExpertError(f"its weights do not fit its config: {error}", file=info.folder) from error
        self.probe.to(self.device, torch.float64).eval()
        self.geometry = Geometry(origin, self.probe.centre(config.wanted.name))

    def consult(self, batch: Sequence[Tensors]) -> list[Reading]:
        """Read each upload's weights. One that cannot be read gets an abstention and disturbs no other.

        Returns:
            One reading per upload, in order.
        """
        faults = [self._fault(tensors) for tensors in batch]
        sound = [tensors for tensors, fault in zip(batch, faults, strict=True) if fault is None]
        answers = iter(self._answer(sound))
        return [
            self._reading(tensors, abstention=fault) if fault else next(answers)
            for tensors, fault in zip(batch, faults, strict=True)
        ]

    def _fault(self, tensors: Tensors) -> Abstention | None:
        wanted = self.config.wanted
        value = tensors.values.get(wanted.name)
        if value is None:
            return Abstention(TensorNotFound.code, f"there is no tensor {wanted.name}")
        if tuple(value.shape) != wanted.shape:
            text = f"{wanted.name} has shape {tuple(value.shape)}, this tree's models have {wanted.shape}"
            return Abstention(ShapeMismatch.code, text)
        if not torch.isfinite(torch.as_tensor(value)).all():
            return Abstention(NOT_FINITE, f"{wanted.name} holds numbers that are not finite")
        return None

    @torch.no_grad()
    def _answer(self, batch: Sequence[Tensors]) -> list[Reading]:
        if not batch:
            return []
        name, shape = self.config.wanted.name, matrix_shape(self.config.wanted.shape or ())
        matrices = [
            torch.tensor(tensors.values[name], dtype=torch.float64).reshape(shape) for tensors in batch
        ]
        X = torch.stack(matrices).to(self.device)  # (n, d_H, d_W)
        calibration = self.config.calibration
        encoding = self.probe.encode({name: Dense(X)})  # (n, r_T)
        probability = torch.sigmoid(
            calibration.slope * self.probe.score(encoding) + calibration.bias
        )  # (n, k)
        far = distance(
            self.geometry.features(X),
            X.new_tensor(calibration.centre),
            X.new_tensor(calibration.precision),
        )
        return [
            self._judged(tensors, p, e, d)
            for tensors, p, e, d in zip(
                batch, probability.tolist(), encoding.tolist(), far.tolist(), strict=True
            )
        ]

    def _judged(self, tensors: Tensors, p: list[float], encoding: list[float], far: float) -> Reading:
        limit = self.config.calibration.threshold
        if not far <= self.config.calibration.distance:  # also where the distance is not a number
            text = (
                f"{self.config.wanted.name} is unlike the weights this expert learned from: "
                f"distance {far:.1f}, at most {self.config.calibration.distance:.1f} is usual"
            )
            return self._reading(tensors, abstention=Abstention(UNLIKE_TRAINING, text))
        predictions = tuple(
            Prediction(label.name, round(value, DECIMALS), limit is not None and value >= limit)
            for label, value in zip(self.info.labels, p, strict=True)
        )
        return self._reading(
            tensors, predictions=predictions, embedding=tuple(round(value, DECIMALS) for value in encoding)
        )

    def _reading(
        self,
        tensors: Tensors,
        *,
        predictions: tuple[Prediction, ...] = (),
        embedding: tuple[float, ...] | None = None,
        abstention: Abstention | None = None,
    ) -> Reading:
        name = self.config.wanted.name
        return Reading(
            repo=tensors.repo,
            commit=tensors.commit,
            content_ids=tuple(sorted(file.content_id for file in tensors.files)),
            tree=self.info.tree,
            expert=self.info.name,
            version=self.info.version,
            predictions=predictions,
            embedding=embedding,
            abstention=abstention,
            tensors_read=(name,) if name in tensors.values else (),
            bytes_read=tensors.bytes_read,
            bytes_stored=tensors.bytes_stored,
            stored_tensors=tensors.stored_tensors,
        )


def _build_probe(config: Config, folder: str) -> Probe:
    """A probe as the config describes it, its weights still random.

    Raises:
        ExpertError: a kind or a view that this hubbot does not know.
    """
    told = dict(config.probe)
    kind = told.pop("kind")
    if kind not in KINDS or told["view"] not in VIEWS:
        why = f"unknown probe {kind!r} or view {told['view']!r}"
        raise ExpertError(why, file=folder, hint="a newer hubbot may know it")
    shapes = {config.wanted.name: matrix_shape(config.wanted.shape or ())}
    return KINDS[kind](shapes, Head("labels", len(config.labels)), Sizes(**told))

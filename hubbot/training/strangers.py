"""A tree with strangers among its models: children of the same root that learned something else.

Most uploads of a tree are such, and an expert that has met some is silent with others too (outlier exposure;
Hendrycks et al., arXiv 1812.04606): in training they are models that no label is right for, in calibration
they make up their share of the stream. The test split has none, so that scores stay those of the tree's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hubbot.errors import ExpertError
from hubbot.experts.matrices import Dense, Factored, Matrices
from hubbot.experts.train import Sample
from hubbot.training.source import Source

if TYPE_CHECKING:
    from torch import Tensor

    from hubbot.records import Floats, Label, Wanted

MET, MET_BY_TEXTS = ("train", "validation", "calibration"), ("calibration",)
"""The splits in which strangers are met. A text head learns which text fits; that none does, it cannot be
taught, only how often that is so."""


@dataclass(frozen=True)
class Among:
    """A `Source`: a tree's models among strangers."""

    own: Source
    strangers: Source

    @property
    def roots(self) -> tuple[str, ...]:
        return self.own.roots

    @property
    def labels(self) -> tuple[Label, ...]:
        return self.own.labels

    @property
    def prompt(self) -> str:
        return self.own.prompt

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        return self.own.wanted

    @property
    def origin(self) -> Mapping[str, Tensor]:
        return self.own.origin

    @property
    def fingerprint(self) -> Mapping[str, Floats]:
        return self.own.fingerprint

    @property
    def story(self) -> str:
        count = len(self.strangers.hashes("train"))
        return f"{self.own.story}, and {count} that learned something else, to know when to be silent"

    @property
    def provenance(self) -> Mapping[str, object]:
        return {**self.own.provenance, "strangers": dict(self.strangers.provenance)}

    def unseen(self, split: str) -> tuple[Label, ...]:
        return self.own.unseen(split)

    def sample(self, split: str, layers: Sequence[str]) -> Sample:
        own = self.own.sample(split, layers)
        if split not in self._met:
            return own
        strange = self.strangers.sample(split, layers)
        weights = {name: _joined(own.weights[name], strange.weights[name]) for name in own.weights}
        return Sample(weights, torch.cat([own.Y, torch.zeros(len(strange), own.Y.shape[1])]))

    def hashes(self, split: str) -> tuple[str, ...]:
        return self.own.hashes(split) + (self.strangers.hashes(split) if split in self._met else ())

    @property
    def _met(self) -> tuple[str, ...]:
        return MET_BY_TEXTS if self.prompt else MET


def among(own: Source, strangers: Source) -> Among:
    """A tree's models among strangers.

    Raises:
        ExpertError: they are of another root.
    """
    if not set(own.roots) & set(strangers.roots):
        raise ExpertError(f"strangers of {strangers.roots[0]} are none of {own.roots[0]}'s tree")
    return Among(own, strangers)


def _joined(first: Matrices, second: Matrices) -> Matrices:
    """Models of one layer after others."""
    if isinstance(first, Factored) and isinstance(second, Factored):
        both = (first, second)
        return Factored.of([(B, A) for lora in both for B, A in zip(lora.B, lora.A, strict=True)])
    return Dense(torch.cat([first.dense(), second.dense()]))

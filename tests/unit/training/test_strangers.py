from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from hubbot.errors import ExpertError
from hubbot.experts import artifact, schema
from hubbot.experts.calibrate import KNOWN
from hubbot.experts.matrices import Dense, Factored
from hubbot.experts.train import Sample
from hubbot.experts.trust import trust
from hubbot.records import Label, Wanted
from hubbot.training.evaluate import score_expert
from hubbot.training.experts import make_expert
from hubbot.training.strangers import among

SHAPE = (24, 20)
LABELS = tuple(Label(name, name, name) for name in "abcd")
WAYS = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(7)) / 5
SIZE = {"train": 160, "validation": 40, "calibration": 80, "test": 60}


@dataclass(frozen=True)
class Planted:
    """Models that moved along the ways of their labels; strangers moved along another."""

    strange: bool = False
    lora: bool = False
    prompt: str = ""
    roots: tuple[str, ...] = ("some/root",)
    labels: tuple[Label, ...] = LABELS
    story: str = "planted models"
    provenance: Mapping[str, object] = field(default_factory=lambda: {"zoo": "planted"})
    fingerprint: Mapping[str, object] = field(default_factory=dict)

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        return {"layer": Wanted("layer", shape=SHAPE)}

    @property
    def origin(self) -> Mapping[str, torch.Tensor]:
        return {"layer": torch.ones(SHAPE)}

    def unseen(self, split: str) -> tuple[Label, ...]:  # noqa: ARG002
        return ()

    def hashes(self, split: str) -> tuple[str, ...]:
        return tuple(f"{split}-{self.strange}-{i}" for i in range(SIZE[split]))

    def sample(self, split: str, layers: Sequence[str]) -> Sample:  # noqa: ARG002
        generator = torch.Generator().manual_seed(2 * len(split) + self.strange)
        n = SIZE[split]
        Y = torch.zeros(n, 4)
        Y.scatter_(1, torch.rand(n, 4, generator=generator).argsort(1)[:, :2], 1.0)
        way = WAYS[4].expand(n, *SHAPE) if self.strange else torch.einsum("nk,kij->nij", Y, WAYS[:4])
        noise = 0.02 * torch.randn(n, *SHAPE, generator=generator)
        if self.lora:
            factors = torch.randn(n, 24, 2, generator=generator), torch.randn(n, 2, 20, generator=generator)
            return Sample({"layer": Factored(*factors)}, Y)
        return Sample({"layer": Dense(1 + way + noise)}, 0 * Y if self.strange else Y)


def test_strangers_are_met_before_the_test_and_have_no_label() -> None:
    mixed = among(Planted(), Planted(strange=True))
    for split in ("train", "validation", "calibration"):
        sample = mixed.sample(split, ["layer"])
        assert len(sample) == len(sample.weights["layer"]) == len(mixed.hashes(split)) == 2 * SIZE[split]
        assert (sample.Y.sum(1) == 0).tolist() == [False] * SIZE[split] + [True] * SIZE[split]
    assert len(mixed.sample("test", ["layer"])) == len(mixed.hashes("test")) == SIZE["test"]
    assert "160 that learned something else" in mixed.story
    assert "strangers" in mixed.provenance


def test_texts_meet_strangers_in_calibration_alone() -> None:
    mixed = among(Planted(lora=True, prompt="a {}"), Planted(strange=True, lora=True))
    assert len(mixed.sample("train", ["layer"])) == len(mixed.hashes("train")) == SIZE["train"]
    sample = mixed.sample("calibration", ["layer"])
    assert len(sample) == 160
    own = Planted(lora=True).sample("calibration", ["layer"]).weights["layer"]
    assert torch.equal(sample.weights["layer"].dense()[:80], own.dense())


def test_strangers_of_another_tree_are_refused() -> None:
    with pytest.raises(ExpertError, match="none of some/root's tree"):
        among(Planted(), Planted(strange=True, roots=("other/root",)))


def test_an_expert_that_met_strangers_is_silent_with_them(tmp_path: Path) -> None:
    make_expert(among(Planted(), Planted(strange=True)), tmp_path / "wary", encoder="none", progress=False)
    config = schema.read(tmp_path / "wary")
    assert config.calibration.known == KNOWN
    assert config.scores["accuracy"] > 0.95
    assert config.scores["precision"] > 0.95
    assert config.scores["coverage"] > 0.5
    assert len(artifact.trained_on(tmp_path / "wary")["train"]) == 320


def test_percentages_that_are_meant_among_strangers_are_measured_among_strangers(tmp_path: Path) -> None:
    mixed = among(Planted(), Planted(strange=True))
    make_expert(mixed, tmp_path, encoder="none", progress=False)
    found = trust(tmp_path).reliability
    assert found is not None
    assert (found.models, found.strangers) == (SIZE["test"], SIZE["test"])
    assert found.error < 0.1
    assert found.recognised is not None
    assert found.recognised.right > 0.9
    assert score_expert(tmp_path, mixed, keep=False).reliability == found
    assert score_expert(tmp_path, Planted()).reliability is None, "among its own they would be too low"
    assert trust(tmp_path).reliability == found

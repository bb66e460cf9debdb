"""An expert that reads two LoRA layers and answers with one concept out of its vocabulary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aligned
import numpy as np
import pytest
from aligned import CONCEPTS, LABELS, LAYERS, WANTED
from safetensors.numpy import load_file, save_file

from hubbot.errors import ExpertError
from hubbot.experts.artifact import describe, load, text_head
from hubbot.experts.expert import LEAST, MOST, Expert
from hubbot.records import RemoteFile, Tensors
from hubbot.weights.dtypes import Floats

PLAIN = "transformer.{}.lora_{}.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aligned.write_expert(tmp_path_factory.mktemp("experts") / "tiny-painter")


@pytest.fixture(scope="module")
def expert(folder: Path) -> Expert:
    return load(folder)


def upload(concept: int, seed: int = 50, *, rank: int = 4, names: str = PLAIN) -> Tensors:
    down, up = ("A", "B") if "lora_" in names else ("down", "up")
    values: dict[str, Floats] = {}
    for layer, (B, A) in aligned.factors(concept, seed, rank).items():
        values |= {names.format(layer, down): A, names.format(layer, up): B}
    return as_upload(f"lab/{CONCEPTS[concept]}-{seed}", values)


def as_upload(repo: str, values: Mapping[str, Floats]) -> Tensors:
    file = RemoteFile("pytorch_lora_weights.safetensors", 9, "aa")
    return Tensors(repo, "0" * 40, values, dict.fromkeys(values, "F32"), (file,), 123, 4567, 82)


def test_what_it_is_can_be_told_without_torch(folder: Path) -> None:
    info = describe(folder)
    assert (info.wanted, info.head, info.prompt) == (WANTED, "text", aligned.PROMPT)
    assert info.reads_adapters
    assert info.labels == LABELS


def test_most_models_are_recognised_and_all_that_are_rightly(expert: Expert) -> None:
    batch = [upload(c, seed, rank=2 + seed % 3) for c in range(len(CONCEPTS)) for seed in (50, 51, 52)]
    readings = expert.consult(batch)
    assert not any(reading.abstention for reading in readings)
    right = [r.predictions[0].label == LABELS[i // 3].name for i, r in enumerate(readings)]
    assert np.mean(right) > 0.9
    known = [(i, r.recognised[0].label) for i, r in enumerate(readings) if r.recognised]
    assert len(known) > 12
    assert all(LABELS[i // 3].name == label for i, label in known)


def test_the_likeliest_few_are_told_and_no_more_than_certainty_is_shared(expert: Expert) -> None:
    for reading in expert.consult([upload(c) for c in range(len(CONCEPTS))]):
        chances = [p.probability for p in reading.predictions]
        assert 1 <= len(chances) <= MOST
        assert chances == sorted(chances, reverse=True)
        assert min(chances) >= LEAST
        assert sum(chances) <= 1 + 1e-6
        assert len(reading.recognised) <= 1


def test_a_reading_does_not_depend_on_the_ranks_of_others(expert: Expert) -> None:
    some = [upload(c, rank=rank) for c, rank in enumerate((1, 2, 4, 16, 32))]
    together = expert.consult(some)
    for one, reading in zip(some, together, strict=True):
        assert expert.consult([one]) == [reading]


def test_how_a_lora_is_split_and_called_makes_no_difference(expert: Expert) -> None:
    plain = upload(0)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0].astype(np.float32)
    values = {n: v @ turn if "lora_B" in n else turn.T @ v for n, v in plain.values.items()}
    (mine,) = expert.consult([plain])
    (turned,) = expert.consult([replace(plain, values=values)])
    assert [p.probability for p in turned.predictions] == pytest.approx(
        [p.probability for p in mine.predictions], abs=1e-4
    )
    for names in ("base_model.model.{}.lora_{}.weight", "unet.{}.lora.{}.weight", "{}.lora_{}.weight"):
        (other,) = expert.consult([upload(0, names=names)])
        assert (other.predictions, other.embedding) == (mine.predictions, mine.embedding)
        assert len(other.tensors_read) == 2 * len(LAYERS)
        assert other.tensors_read != mine.tensors_read or names == PLAIN


def test_strangers_get_an_abstention_with_its_reason(expert: Expert) -> None:
    good, random = upload(1), np.random.default_rng(0)
    first = f"transformer.{LAYERS[0]}.lora_A.weight"

    def instead(value: Floats) -> Tensors:
        return replace(good, values={**good.values, first: value.astype(np.float32)})

    broken = good.values[first].copy()
    broken[0, 0] = np.nan
    noise = {n: random.normal(size=v.shape).astype(np.float32) for n, v in good.values.items()}
    odd = {
        "half a pair": (replace(good, values={first: good.values[first]}), "tensor-not-found"),
        "one layer of two": (
            replace(good, values={n: v for n, v in good.values.items() if LAYERS[0] in n}),
            "tensor-not-found",
        ),
        "whole weights": (as_upload("a/b", {LAYERS[0]: np.zeros((40, 32), np.float32)}), "tensor-not-found"),
        "another width": (instead(np.zeros((4, 31))), "shape-mismatch"),
        "another rank": (instead(np.zeros((3, 32))), "shape-mismatch"),
        "three dimensions": (instead(np.zeros((4, 32, 1))), "shape-mismatch"),
        "nan": (instead(broken), "not-finite"),
        "untrained": (instead(np.zeros((4, 32))), "unlike-training"),
        "noise": (replace(good, values=noise), "unlike-training"),
        "huge": (
            replace(good, values={n: np.full_like(v, 3e38) for n, v in good.values.items()}),
            "unlike-training",
        ),
    }
    batch = [good, *(tensors for tensors, _ in odd.values()), good]
    first_reading, *middle, last = expert.consult(batch)
    for reading, (what, (_, code)) in zip(middle, odd.items(), strict=True):
        assert reading.abstention is not None, what
        assert (what, reading.abstention.code) == (what, code)
    assert first_reading == last == expert.consult([good])[0]
    assert first_reading.predictions


def test_the_text_head_meets_the_embeddings(expert: Expert, folder: Path) -> None:
    """What search does with the head and a reading gives the reading's own chances."""
    head = text_head(folder)
    assert head is not None
    ours = head.vocabulary @ head.W.T + head.b
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    for reading in expert.consult([upload(c) for c in range(len(CONCEPTS))]):
        assert np.linalg.norm(reading.embedding or ()) == pytest.approx(1.0, abs=1e-5)
        logits = head.scale * (ours @ np.array(reading.embedding))
        chances = np.exp(logits) / np.exp(logits).sum()
        said = {p.label: p.probability for p in reading.predictions}
        for label, chance in zip(LABELS, chances, strict=True):
            assert said.get(label.name, 0.0) == pytest.approx(chance, abs=2e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.update(vocabulary=w["vocabulary"][:-1]), "fit"),
        (lambda w: w.update(vocabulary=w["vocabulary"][:, :-1].copy()), "fit"),
        (lambda w: w.update(vocabulary=w["vocabulary"][0]), "fit"),
        (lambda w: w.update({"probe.head.temperature": np.float32([1e9])}), "fit"),
        (lambda w: w.update({"probe.head.of_text.bias": np.full(24, np.nan, np.float32)}), "fit"),
        (lambda w: w.pop("vocabulary"), "vocabulary"),
        (lambda w: w.pop("probe.head.of_text.weight"), "of_text"),
    ],
)
def test_a_head_that_does_not_fit_is_told(folder: Path, tmp_path: Path, change: object, says: str) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)  # type: ignore[operator]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ExpertError, match=says) as caught:
        text_head(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_the_config_says_what_is_read_and_how_it_answers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["format"] == 2
    assert config["head"] == {"kind": "text", "prompt": "a picture of a {}"}
    assert config["tensors"][1] == {"name": f"transformer.{LAYERS[1]}", "shape": [40, 32], "kind": "lora"}

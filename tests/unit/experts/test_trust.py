"""How far an expert is trusted: kept beside it, no part of it, and believed only field by field."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubbot.errors import ExpertError
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped
from hubbot.experts.trust import EVALUATION, MAX_BYTES, keep, trust
from hubbot.records import Bin, Reliability

FOUND = Reliability(
    "test",
    models=75,
    strangers=200,
    bins=(Bin(90, 0.9, 0.05, 0.04, 0.02, 0.1), Bin(10, 0.1, 0.95, 0.9, 0.7, 0.98)),
    recognised=Bin(8, 0.08, 0.99, 1.0, 0.8, 1.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "expert"
    shutil.copytree(next(f for f in shipped() if f.name == "digits-vit-a"), copy)
    (copy / EVALUATION).unlink(missing_ok=True)
    return copy


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def test_what_was_measured_is_kept_and_the_version_stays(folder: Path) -> None:
    version = describe(folder).version
    assert trust(folder).reliability is None
    keep(folder, FOUND)
    assert trust(folder).reliability == FOUND
    assert describe(folder).version == version


def test_a_measurement_of_another_calibration_or_of_other_weights_is_none(folder: Path) -> None:
    keep(folder, FOUND)
    edit(folder / "config.json", lambda c: c["scores"].update(accuracy=0.5))
    assert trust(folder).reliability == FOUND, "scores are no part of what was measured"
    edit(folder / "config.json", lambda c: c["calibration"].update(bias=-3.0))
    assert trust(folder).reliability is None
    keep(folder, FOUND)
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    assert trust(folder).reliability is None


def test_the_config_tells_threshold_layers_and_the_stream(folder: Path) -> None:
    found = trust(folder)
    assert found.threshold == pytest.approx(0.99, abs=0.001)
    assert found.known == 0.05
    assert {score.layer for score in found.layers if score.chosen} == {
        w.name for w in describe(folder).wanted
    }
    edit(folder / "config.json", lambda c: c["provenance"].pop("validation"))
    assert trust(folder).layers == ()


def bins(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda told: change(told["bins"][0])


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a share beyond one": bins(lambda b: b.update(right=1.5, most=1.5)),
    "a share that is no number": bins(lambda b: b.update(meant="0.5")),
    "a share that is true": bins(lambda b: b.update(meant=True)),
    "an interval elsewhere": bins(lambda b: b.update(least=0.9)),
    "less than none": bins(lambda b: b.update(told=-1)),
    "half a label": bins(lambda b: b.update(told=0.5)),
    "a number beyond count": bins(lambda b: b.update(told=10**400)),
    "a missing field": bins(lambda b: b.pop("meant")),
    "a bin that is none": lambda told: told.update(bins=[7]),
    "bins that are none": lambda told: told.update(bins={"0": told["bins"][0]}),
    "a thousand bins": lambda told: told.update(bins=told["bins"] * 500),
    "a split that is none": lambda told: told.update(split=["test"]),
    "an endless split": lambda told: told.update(split="x" * 10_000),
    "no owner": lambda told: told.pop("of"),
    "an owner that is none": lambda told: told.update(of=7),
    "a verdict that is none": lambda told: told.update(recognised="all"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_evaluation_is_refused_by_name(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    keep(folder, FOUND)
    edit(folder / EVALUATION, change)
    with pytest.raises(ExpertError, match=r"evaluation\.json") as caught:
        trust(folder)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"of": NaN}', b" " * (MAX_BYTES + 1)],
    ids=["empty", "cut", "list", "null", "no-text", "deep", "nan", "large"],
)
def test_a_broken_evaluation_is_refused_by_name(folder: Path, raw: bytes) -> None:
    (folder / EVALUATION).write_bytes(raw)
    with pytest.raises(ExpertError, match=r"evaluation\.json"):
        trust(folder)


@pytest.mark.parametrize(
    "layers",
    [
        ["a"],
        {"a": 3},
        {"a": {"loss": 0.1}},
        {"a": {"loss": "x", "accuracy": 0.5}},
        {"a": {"loss": 0.1, "accuracy": 50}},
        {str(i): {"loss": 0.1, "accuracy": 0.5} for i in range(5000)},
    ],
    ids=["list", "number", "missing", "text", "percent", "many"],
)
def test_a_hostile_sweep_is_refused_by_name(folder: Path, layers: object) -> None:
    edit(folder / "config.json", lambda c: c["provenance"].update(validation=layers))
    with pytest.raises(ExpertError, match=r"provenance\.validation"):
        trust(folder)


def test_a_folder_that_cannot_be_written_to_is_told(folder: Path) -> None:
    (folder / EVALUATION).mkdir()
    with pytest.raises(ExpertError, match="cannot be written"):
        keep(folder, FOUND)
    with pytest.raises(ExpertError, match="cannot be read"):
        trust(folder)

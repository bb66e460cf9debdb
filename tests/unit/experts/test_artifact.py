from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubbot.errors import ExpertError
from hubbot.experts.artifact import describe, fingerprint, load, trained_on
from hubbot.experts.router import Router, shipped
from hubbot.experts.schema import FLOOR, read
from hubbot.trees.fingerprint import Fingerprint, similarity
from hubbot.weights.local import read_local

MODELS = Path(__file__).parents[3] / "hubbot" / "demo" / "models"

DIGITS = [folder for folder in shipped() if folder.name.startswith("digits")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "expert"
    shutil.copytree(DIGITS[0], copy)
    return copy


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_three_experts_of_digits_are_shipped_one_for_each_tree() -> None:
    infos = [describe(folder) for folder in DIGITS]
    assert {info.tree for info in infos} == {f"digits-zoo/{name}" for name in ("vit-a", "vit-b", "resnet")}
    assert all(len(info.labels) == 10 and info.wanted[0].shape for info in infos)
    router = Router(infos)
    assert router.for_tree("digits-zoo/resnet") is next(i for i in infos if i.name == "digits-resnet")
    assert router.for_tree("sentence-transformers/all-MiniLM-L6-v2") is None


def test_shipped_experts_recognise_nothing_less_likely_than_not() -> None:
    thresholds = [read(folder).calibration.threshold for folder in shipped()]
    assert all(threshold is not None and threshold >= FLOOR for threshold in thresholds)


def test_an_expert_says_which_scores_are_its_own(folder: Path) -> None:
    info = describe(folder)
    assert set(info.scores) == {"accuracy", "precision", "coverage", "abstained"}
    assert set(info.baselines) == {"weight statistics", "nearest task vector"}
    _edit(folder, lambda c: c.pop("baselines"))
    assert describe(folder).baselines == {}


def test_describing_needs_no_torch() -> None:
    code = (
        "import sys; from hubbot.experts.router import shipped; from hubbot.experts.artifact import *; "
        "[(describe(f), fingerprint(f)) for f in shipped()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_version_follows_config_and_weights(folder: Path) -> None:
    before = describe(folder).version
    assert describe(folder).version == before
    _edit(folder, lambda c: c["calibration"].update(threshold=0.5))
    changed = describe(folder).version
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    assert len({before, changed, describe(folder).version}) == 3


def test_the_fingerprint_is_the_roots() -> None:
    for expert in DIGITS:
        rows = fingerprint(expert)
        root = read_local(MODELS / describe(expert).tree / "model.safetensors", list(rows))
        theirs = {name: value[: len(rows[name])] for name, value in root.items()}
        assert similarity(Fingerprint(rows), Fingerprint(theirs)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(baselines={"luck": "high"}), "not a finite number"),
        (lambda c: c.pop("labels"), "misses the field 'labels'"),
        (lambda c: c.update(format=1), "format is 1"),
        (lambda c: c.pop("head"), "misses the field 'head'"),
        (lambda c: c["head"].update(kind="oracle"), "head.kind is 'oracle'"),
        (lambda c: c["head"].update(prompt="a dog"), "has no {} where the text goes"),
        (lambda c: c["head"].update(kind="text"), "do not fit its config"),
        (lambda c: c.update(tensors=[]), "tensors is empty"),
        (lambda c: c["tensors"][0].update(kind="pickle"), "not a valid Kind"),
        (lambda c: c["tensors"][0].update(kind="lora", shape=[24, 24]), "do not fit its config"),
        (lambda c: c["tensors"][0].update(kind="lora", shape=[48]), "a low-rank layer of shape"),
        (
            lambda c: c.update(tensors=[{**c["tensors"][0], "name": str(i)} for i in range(65)]),
            "no more than 64",
        ),
        (lambda c: c["tensors"].append({**c["tensors"][0], "name": "b"}), "do not fit its config"),
        (lambda c: c.update(labels=[]), "labels is empty"),
        (lambda c: c.update(roots="digits-zoo/vit-a"), "is not a list"),
        (lambda c: c["labels"].append(c["labels"][0]), "labels must differ"),
        (lambda c: c["tensors"].append(c["tensors"][0]), "tensors must differ"),
        (lambda c: c["tensors"][0].update(shape=[1 << 20, 1 << 20]), "larger than an expert may read"),
        (
            lambda c: c.update(
                tensors=[{"name": str(i), "shape": [1 << 14] * 2, "kind": "lora"} for i in range(2)]
            ),
            "larger than an expert may read",
        ),
        (lambda c: c["probe"].update(probes=4096, projection=4096, encoding=4096), "do not fit its config"),
        (lambda c: c["tensors"][0].update(shape=[-48, 48]), "not a positive whole number"),
        (lambda c: c["probe"].update(probes=10**9), "a probe size over"),
        (lambda c: c["probe"].update(kind="os.system"), "unknown probe"),
        (lambda c: c["calibration"].update(slope=float("nan")), "not a finite number"),
        (lambda c: c["calibration"].update(centre=[1.0]), "not of shape"),
        (lambda c: c["calibration"].update(threshold=0.3), "at least 0.5 is needed"),
        (lambda c: c["labels"].pop(), "do not fit its config"),
        (lambda c: c["tensors"][0].update(shape=[48, 47]), "do not fit its config"),
    ],
)
def test_a_config_is_believed_only_after_a_look(
    folder: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    _edit(folder, change)
    with pytest.raises(ExpertError, match=says) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '"x"'])
def test_what_is_no_config_is_told(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ExpertError, match=r"config\.json"):
        describe(folder)


def test_missing_and_broken_files_are_told(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00" * 4)
    with pytest.raises(ExpertError, match=r"model\.safetensors"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ExpertError, match=r"model\.safetensors"):
        describe(folder)
    (folder / "trained-on.json").write_text("[1]")
    with pytest.raises(ExpertError, match=r"trained-on\.json"):
        trained_on(folder)
    with pytest.raises(ExpertError, match="no expert here"):
        describe(folder / "nowhere")


def test_no_demo_model_has_made_an_expert() -> None:
    shown = {line["sha256"]: line for line in json.loads((MODELS / "index.json").read_text())}
    made = {h for expert in shipped() for hashes in trained_on(expert).values() for h in hashes}
    assert len(made) >= 3 * (180 + 30 + 45)
    assert not made & shown.keys()
    # A model stored as it was trained still has the hash that the index says.
    from hubbot.zoo.layout import sha256

    for content, line in shown.items():
        if line["dtype"] == "float32":
            file = line.get("file", "model.safetensors")
            assert sha256(MODELS / line["folder"] / file) == content


def test_saved_weights_are_plain_numbers() -> None:
    for expert in shipped():
        assert all(np.isfinite(v).all() for v in read_local(expert / "model.safetensors").values())

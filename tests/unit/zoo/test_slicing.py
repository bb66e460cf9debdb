"""A slice of a zoo whose children are LoRAs, beside one of another zoo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from hubbot.errors import ZooError
from hubbot.weights.local import read_header, read_metadata
from hubbot.zoo.layout import Zoo, ZooModel, repo_folder, sha256, write_index
from hubbot.zoo.slicing import slice_zoo

ROOT = "painter/base"
CHILDREN = {"a/one": ("train", "dog"), "b/two": ("test", "dog"), "c/three": ("test-unseen", "pear")}


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    folder, lines = tmp_path / "zoo", []
    for repo, (split, concept) in {ROOT: ("root", ""), **CHILDREN}.items():
        place = repo_folder(folder, repo)
        (place / "training_images").mkdir(parents=True)
        (place / "training_images" / "0.png").write_bytes(b"png")
        (place / "sample.png").write_bytes(b"png")
        file = place / ("root.safetensors" if repo == ROOT else "pytorch_lora_weights.safetensors")
        values = {"to_v.lora_A.weight": np.full((4, 32), 0.1, np.float32)}
        file.write_bytes(save(values, {"dataset_chosen_targets": str([concept])}))
        root = None if repo == ROOT else ROOT
        lines.append(ZooModel(repo, root, split, sha256(file), declared=True))
    made = Zoo(
        *(folder, "emoji", "0" * 16, "tiny", tuple(lines)),
        root_file="root.safetensors",
        child_file="pytorch_lora_weights.safetensors",
    )
    write_index(made)
    return made


def test_children_are_chosen_by_concept_and_never_from_training(zoo: Zoo, tmp_path: Path) -> None:
    lines = slice_zoo(zoo, tmp_path / "out", concepts=["pear", "dog"])
    assert [line.repo for line in lines] == [ROOT, "c/three", "b/two"]
    assert [line.dtype for line in lines] == ["float32", "float32", "float16"]
    for line in lines:
        copy = tmp_path / "out" / line.folder / line.file
        assert read_header(copy).tensors["to_v.lora_A.weight"].shape == (4, 32)
        assert read_metadata(copy)["dataset_chosen_targets"]
        assert (copy.parent / "sample.png").exists()
        assert not (copy.parent / "training_images").exists()
    with pytest.raises(ZooError, match="no test model of cat"):
        slice_zoo(zoo, tmp_path / "out", concepts=["dog", "cat"])


def test_the_index_keeps_what_other_zoos_left_there(zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = {"repo": "digits/vit", "root": None, "split": "root"}
    (out / "index.json").write_text(json.dumps([other, {**other, "repo": "x/y", "root": ROOT}]))
    slice_zoo(zoo, out, per_root=1)
    repos = [line["repo"] for line in json.loads((out / "index.json").read_text())]
    assert repos == ["digits/vit", ROOT, "b/two"]

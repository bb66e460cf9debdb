"""Local files and shard indexes."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from hubbot.errors import TensorNotFound, TruncatedFile, UnsupportedDtype, WeightsError
from hubbot.weights.local import read_header, read_local, read_metadata
from hubbot.weights.shards import parse_index


def test_a_local_file_gives_its_tensors_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    stored = {"a": torch.randn(3, 4).bfloat16(), "b": torch.randn(5), "c": torch.arange(4)}
    safetensors.torch.save_file(stored, path, metadata={"made": "here"})
    values = read_local(path)
    assert values.keys() == stored.keys()
    for name, value in stored.items():
        np.testing.assert_array_equal(values[name], value.float().numpy())
    assert list(read_local(path, ["b"])) == ["b"]
    assert read_metadata(path) == {"made": "here"}
    assert read_header(path).tensors["a"].dtype == "BF16"


def test_errors_of_a_local_file_say_where(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"a": np.ones(3, "f4"), "z": np.ones(2, "c8")}, path)
    with pytest.raises(TensorNotFound, match=r"model\.safetensors: b"):
        read_local(path, ["b"])
    with pytest.raises(UnsupportedDtype, match=r"model\.safetensors: z"):
        read_local(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TruncatedFile, match=r"model\.safetensors"):
        read_local(path)
    with pytest.raises(WeightsError, match=r"absent\.safetensors: cannot be opened"):
        read_local(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(("dtype", "times"), [(torch.float32, 1), (torch.bfloat16, 1.5), (torch.float64, 3)])
def test_a_tensor_is_not_held_twice_to_be_read(tmp_path: Path, dtype: torch.dtype, times: float) -> None:
    """As its float32 and, where that is another dtype, its stored bytes: no more."""
    path, count = tmp_path / "model.safetensors", 1_000_000
    safetensors.torch.save_file({"a": torch.ones(count, dtype=dtype)}, path)
    tracemalloc.start()
    try:
        read_local(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most <= times * 4 * count + 200_000


def index(weight_map: Any, files: tuple[str, ...] = ("model-1.safetensors",), folder: str = "") -> Any:
    raw = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    return parse_index(raw, files=files, repo="o/m", file=f"{folder}model.safetensors.index.json")


def test_an_index_names_shards_beside_it() -> None:
    assert index({"a": "model-1.safetensors"}) == {"a": "model-1.safetensors"}
    nested = index({"a": "m.safetensors"}, files=("unet/m.safetensors",), folder="unet/")
    assert nested == {"a": "unet/m.safetensors"}


@pytest.mark.parametrize(
    "shard",
    ["../model-1.safetensors", "a/b.safetensors", "..", "c:\\x.safetensors", "model-1.bin", ".safetensors", 3,
     None, "absent.safetensors", "http://evil/x.safetensors", "a\nb.safetensors", ["model-1.safetensors"]],
)  # fmt: skip
def test_a_hostile_shard_name_is_refused(shard: object) -> None:
    with pytest.raises(WeightsError, match="o/m"):
        index({"a": shard})


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {}}', b"\xff", b"{" * 9]
)
def test_what_is_no_index_is_refused(raw: bytes) -> None:
    with pytest.raises(WeightsError):
        parse_index(raw, files=(), repo="o/m", file="model.safetensors.index.json")

"""A header is believed whole or not at all: against safetensors' own writer and reader, and against liars."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbot.errors import CorruptHeader, TruncatedFile, UnsupportedDtype, WeightsError
from hubbot.weights.header import PREFIX_BYTES, Header, header_length, parse_header

WHERE = {"repo": "somebody/model", "file": "model.safetensors"}
names = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda name: name != "__metadata__")
arrays = st.builds(
    lambda dtype, shape: np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape),
    st.sampled_from(["f2", "f4", "f8", "i1", "i4", "u2", "i8"]),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
)


def read(data: bytes, file_size: int | None = None) -> Header:
    size = len(data) if file_size is None else file_size
    length = header_length(data[:PREFIX_BYTES], file_size=size, **WHERE)
    return parse_header(data[PREFIX_BYTES:][:length], file_size=size, **WHERE)


def spell(header: Mapping[str, Any] | str, buffer: int = 0) -> bytes:
    raw = (header if isinstance(header, str) else json.dumps(header)).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw + b"\x00" * buffer


def tensor(begin: int = 0, end: int = 8, dtype: Any = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@settings(deadline=None)
@given(st.dictionaries(names, arrays, max_size=6), st.dictionaries(names, names, max_size=3))
def test_what_safetensors_writes_is_read_back(tensors: dict[str, Any], notes: dict[str, str]) -> None:
    data = safetensors.numpy.save(tensors, metadata=notes or None)
    header = read(data)
    assert dict(header.metadata) == notes
    assert header.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        entry = header.tensors[name]
        assert entry.shape == array.shape
        assert data[entry.begin : entry.end] == array.tobytes()


@settings(deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
def test_leading_rows_are_the_first_bytes(rows: int, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    data = safetensors.numpy.save({"w": array})
    entry = read(data).tensors["w"].leading(rows)
    assert entry.shape == array[:rows].shape
    assert data[entry.begin : entry.end] == array[:rows].tobytes()


GOOD = safetensors.numpy.save(
    {"a": np.ones((2, 3), "f4"), "b": np.ones(5, "f2"), "c": np.ones((), "i8")}, metadata={"k": "v"}
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 35), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_spoilt_header_is_refused_or_says_what_safetensors_reads(spoil: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, byte in spoil:
        data[at] = byte
    try:
        header = read(bytes(data))
    except WeightsError:
        return
    # We never believe what the reference reader refuses.
    theirs = dict(safetensors.deserialize(bytes(data)))
    assert theirs.keys() == header.tensors.keys()
    for name, entry in header.tensors.items():
        assert bytes(theirs[name]["data"]) == bytes(data[entry.begin : entry.end])


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_anywhere_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedFile):
        read(GOOD, file_size=size)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_never_believed_unless_safetensors_does(noise: bytes) -> None:
    data = struct.pack("<Q", len(noise)) + noise
    try:
        read(data)
    except WeightsError:
        return
    safetensors.deserialize(data)


LIES: dict[str, tuple[Any, int]] = {
    "no object": ("[]", 0),
    "leading space": (" {}", 0),
    "not json": ("{", 0),
    "not a number": ('{"a": NaN}', 0),
    "too deep": ('{"a":' * 50_000, 0),
    "endless number": ('{"a": ' + "9" * 5_000 + "}", 0),
    "key twice": (f'{{"a": {json.dumps(tensor())}, "a": {json.dumps(tensor())}}}', 8),
    "inner key twice": ('{"a": {"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8),
    "lone surrogate": (f'{{"\\ud800": {json.dumps(tensor())}}}', 8),
    "endless name": ({"n" * 1_001: tensor()}, 8),
    "entry is a list": ({"a": []}, 0),
    "no dtype": ({"a": tensor(dtype=None)}, 8),
    "negative size": ({"a": tensor(shape=[-1, -2])}, 8),
    "size is a float": ({"a": tensor(shape=[2.0])}, 8),
    "size is minus nothing": ('{"a": {"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', 0),
    "size is true": ({"a": tensor(end=4, shape=[True])}, 4),
    "shape is a number": ({"a": tensor(shape=2)}, 8),
    "65 dimensions": ({"a": tensor(end=4, shape=[1] * 65)}, 4),
    "three offsets": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}}, 8),
    "negative offset": ({"a": tensor(begin=-8, end=0)}, 0),
    "ends before it begins": ({"a": tensor(begin=8, end=0)}, 8),
    "shape too large for its bytes": ({"a": tensor(shape=[3])}, 8),
    "product wraps round 64 bits": ({"a": tensor(begin=0, end=0, shape=[2**32, 2**32])}, 0),
    "empty but wider than memory": ({"a": tensor(begin=0, end=0, shape=[0, 2**62, 2**62])}, 0),
    "overlap": ({"a": tensor(0, 8), "b": tensor(4, 12)}, 12),
    "hole": ({"a": tensor(0, 8), "b": tensor(12, 20)}, 20),
    "hole at the start": ({"a": tensor(4, 12)}, 12),
    "bytes left over": ({"a": tensor(0, 8)}, 9),
    "half a byte": ({"a": tensor(0, 1, "F4", [1])}, 1),
    "metadata is a list": ({"__metadata__": []}, 0),
    "metadata holds a number": ({"__metadata__": {"epochs": 3}}, 0),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_corrupt_header(lie: str) -> None:
    with pytest.raises(CorruptHeader) as caught:
        read(spell(*LIES[lie]))
    assert str(caught.value).startswith("somebody/model: model.safetensors")
    assert len(str(caught.value)) < 300


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(UnsupportedDtype, match="F3") as caught:
        read(spell({"a": tensor(dtype="F3")}, 8))
    assert caught.value.tensor == "a"


def test_packed_numbers_may_lie_beside_plain_ones() -> None:
    header = read(spell({"a": tensor(0, 3, "F6_E2M3", [4]), "b": tensor(3, 11)}, 11))
    assert header.tensors["b"].nbytes == 8


@pytest.mark.parametrize("length", [0, 1, 2**63, 100_000_001])
def test_a_length_that_no_header_has(length: int) -> None:
    with pytest.raises(CorruptHeader):
        header_length(struct.pack("<Q", length), file_size=2**62, **WHERE)


def test_the_readers_own_limit_holds() -> None:
    prefix = struct.pack("<Q", 1_001)
    assert header_length(prefix, file_size=5_000, limit=1_001, **WHERE) == 1_001
    with pytest.raises(CorruptHeader, match="limit 1000"):
        header_length(prefix, file_size=5_000, limit=1_000, **WHERE)


def test_a_pointer_left_by_git_is_no_header(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    with pytest.raises(CorruptHeader):
        read(pointer)

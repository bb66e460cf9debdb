"""Rows of tensors by range: the same numbers as in the file, in few requests, and no more held than said."""

from __future__ import annotations

import json
import struct
import threading
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from hubbot.errors import (
    HubUnavailable,
    NotFinite,
    ShapeMismatch,
    TensorNotFound,
    UnsupportedDtype,
    WeightsError,
)
from hubbot.hub import ranges
from hubbot.hub.client import Hub
from hubbot.hub.ranges import Meter
from hubbot.hub.rows import Matrix, rows
from hubbot.hub.uploads import one
from hubbot.localhub.server import Server
from hubbot.sane.tokens import PLAIN

torch.set_num_threads(1)
MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
Tensors = Mapping[str, torch.Tensor]

MATRICES = [
    Matrix(3_000, {"embed.weight": (3_000, 40)}),
    Matrix(50, {"a.weight": (50, 4, 10), "a.bias": (50,), "a.mean": (50,)}),
    Matrix(1, {"token": (1, 7, 9)}),
    Matrix(1, {"scalar": ()}),
    Matrix(900, {"head.weight": (900, 40), "head.bias": (900,)}),
]


def stored(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """About 630 kB of float32."""
    draw = torch.Generator().manual_seed(0)
    shapes = {name: shape for matrix in MATRICES for name, shape in matrix.tensors.items()}
    return {name: torch.randn(shape, generator=draw).mul(3).to(dtype) for name, shape in shapes.items()}


def saved(tensors: Tensors) -> bytes:
    return safetensors.torch.save(dict(tensors))


def put(server: Server, tensors: Tensors, shards: int = 0) -> None:
    files = {MODEL: saved(tensors)}
    if shards:
        parts = [dict(list(tensors.items())[at::shards]) for at in range(shards)]
        files = {f"model-{at}.safetensors": saved(part) for at, part in enumerate(parts)}
        places = {name: f"model-{at}.safetensors" for at, part in enumerate(parts) for name in part}
        files[INDEX] = json.dumps({"weight_map": places}).encode()
    server.repos.create("o/m")
    server.repos.commit("o/m", files)


def as_rows(matrix: Matrix, tensors: Tensors) -> np.ndarray[Any, Any]:
    """What a matrix is, from memory."""
    return torch.cat([tensors[n].float().reshape(matrix.rows, -1) for n in matrix.tensors], 1).numpy()


def check(hub: Hub, tensors: Tensors, matrices: list[Matrix], **how: Any) -> int:
    """All rows come, in order, as they are; in how many blocks."""
    blocks: list[list[np.ndarray[Any, Any]]] = [[] for _ in matrices]
    order = []
    for at, block in rows(hub, one(hub, "o/m"), matrices, **how):
        blocks[at].append(block)
        order.append(at)
    assert order == sorted(order)
    for matrix, found in zip(matrices, blocks, strict=True):
        np.testing.assert_array_equal(np.concatenate(found), as_rows(matrix, tensors))
    return len(order)


def written(tensors: Tensors, dtype: str) -> bytes:
    """A file as the format has it, for dtypes that the library does not write."""
    header, data = {}, b""
    for name, value in tensors.items():
        raw = value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        ends = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": ends}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(("name", "dtype"), list(PLAIN.items()), ids=list(PLAIN))
def test_every_dtype_is_what_torch_makes_of_it(
    server: Server, hub: Hub, name: str, dtype: torch.dtype
) -> None:
    tensors = stored(dtype)
    server.repos.create("o/m")
    server.repos.commit("o/m", {MODEL: written(tensors, name)})
    assert check(hub, tensors, MATRICES, block_bytes=20_000 * dtype.itemsize) == 11


@pytest.mark.parametrize("shards", [0, 3])
@pytest.mark.parametrize("block_bytes", [300, 70_000, 8_000_000])
def test_shards_and_blocks_change_no_number(
    server: Server, hub: Hub, shards: int, block_bytes: int, seen: Any
) -> None:
    tensors, meter = stored(), Meter()
    few = [matrix for matrix in MATRICES if matrix.rows < 100] if block_bytes == 300 else MATRICES
    put(server, tensors, shards)
    seen.clear()
    count = check(hub, tensors, few, meter=meter, block_bytes=block_bytes)
    assert count == len(few) if block_bytes == 8_000_000 else count > len(few)
    assert seen.sent(meter.bytes_read)
    whole = sum(value.nbytes for value in tensors.values())
    assert meter.bytes_read < 1.1 * whole


def test_no_request_asks_for_more_than_a_block(server: Server, hub: Hub, seen: Any) -> None:
    tensors = {**stored(), "row": torch.randn(1, 100_000)}
    put(server, tensors)
    check(hub, tensors, [*MATRICES, Matrix(1, {"row": (1, 100_000)})], block_bytes=50_000)
    assert max(each.bytes_sent for each in seen.on_cdn()[1:]) <= 50_000


def test_a_large_model_is_had_in_blocks_of_a_few_megabytes(server: Server, hub: Hub, seen: Any) -> None:
    """What is held at once are two blocks and the bytes of one, not the model."""
    put(server, {"a": torch.ones(6_000, 2_000)})
    matrix = Matrix(6_000, {"a": (6_000, 2_000)})
    tracemalloc.start()
    try:
        sizes = [block.nbytes for _, block in rows(hub, one(hub, "o/m"), [matrix])]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes == 12 * [4_000_000]
    assert max(each.bytes_sent for each in seen.on_cdn()[1:]) <= 4_000_000
    assert most < 5 * 4_000_000


PARTS: list[tuple[str, tuple[int, ...]]] = [("weight", (8,)), ("bias", ())]


def test_small_neighbours_come_together(server: Server, hub: Hub, seen: Any) -> None:
    tensors = {f"l.{n:03}.{part}": torch.randn(8, *more) for n in range(200) for part, more in PARTS}
    put(server, tensors)
    matrices = [Matrix(8, {f"l.{n:03}.{p}": (8, *more) for p, more in PARTS}) for n in range(200)]
    check(hub, tensors, matrices)
    assert len(seen.on_cdn()) < 10


def test_a_small_tensor_beside_a_large_one_is_read_once(server: Server, hub: Hub, seen: Any) -> None:
    tensors = {"b": torch.randn(10_000), "c.weight": torch.randn(4_000, 50), "z.bias": torch.randn(4_000)}
    put(server, tensors)
    meter = Meter()
    wide = [Matrix(4_000, {"c.weight": (4_000, 50), "z.bias": (4_000,)})]
    assert check(hub, tensors, wide, meter=meter, block_bytes=50_000) == 16
    assert len(seen.on_cdn()) == 1 + 16 + 1


def test_an_order_made_to_be_dear_is_read_in_small_pieces(server: Server, hub: Hub, seen: Any) -> None:
    """Small tensors far from one another: what lies between is neither held nor read."""
    tensors = {}
    for n in range(300):
        tensors |= {f"{n:03}.a": torch.randn(10), f"{n:03}.b": torch.randn(20_000)}
    put(server, tensors)
    meter = Meter()
    check(hub, tensors, [Matrix(1, {f"{n:03}.a": (10,)}) for n in range(0, 300, 30)], meter=meter)
    assert meter.bytes_read < 150_000


def test_a_number_that_is_not_finite_is_named_where_it_lies(server: Server, hub: Hub) -> None:
    tensors = stored()
    tensors["embed.weight"][2_900, 3] = float("nan")
    put(server, tensors)
    coming = rows(hub, one(hub, "o/m"), MATRICES, block_bytes=50_000)
    early = [len(next(coming)[1]) for _ in range(9)]
    assert sum(early) == 9 * 312
    with pytest.raises(NotFinite, match=r"o/m: model\.safetensors: embed\.weight: .*not finite"):
        next(coming)


def test_a_float64_that_no_float32_holds_is_not_finite(server: Server, hub: Hub) -> None:
    put(server, {"a": torch.full((4, 4), 1e300, dtype=torch.float64)})
    with pytest.raises(NotFinite, match=r"o/m: model\.safetensors: a: .*not finite"):
        list(rows(hub, one(hub, "o/m"), [Matrix(4, {"a": (4, 4)})]))


def test_what_is_not_as_expected_is_found_out_before_a_row_is_read(
    server: Server, hub: Hub, seen: Any
) -> None:
    put(server, {**stored(), "c": torch.zeros(4, 2, dtype=torch.complex64)}, shards=2)
    ours = one(hub, "o/m")
    for matrix, error, told in [
        (Matrix(900, {"head.weight": (900, 41)}), ShapeMismatch, r"head\.weight: its shape is \(900, 40\)"),
        (Matrix(7, {"head.bias": (900,)}), ShapeMismatch, r"no 7 rows"),
        (Matrix(900, {"nothing": (900,)}), TensorNotFound, r"nothing"),
    ]:
        with pytest.raises(error, match=told):
            rows(hub, ours, [*MATRICES, matrix])
    with pytest.raises(UnsupportedDtype, match=r"o/m: model-0\.safetensors: c: stored as C64"):
        list(rows(hub, ours, [Matrix(4, {"c": (4, 2)})]))


def test_a_row_over_the_limit_is_not_fetched(server: Server, seen: Any) -> None:
    put(server, stored())
    with Hub(server.endpoint, max_tensor_bytes=159) as hub:
        with pytest.raises(WeightsError, match=r"160 bytes a row are over the limit of 159"):
            rows(hub, one(hub, "o/m"), MATRICES)
        assert check(hub, stored(), MATRICES[3:4]) == 1


def test_a_broken_body_is_asked_for_again_and_then_given_up(server: Server, hub: Hub) -> None:
    tensors = stored()
    put(server, tensors)
    server.faults.add("cut", path="/blobs/*", times=3, bytes=100)
    check(hub, tensors, MATRICES, block_bytes=200_000)
    server.faults.add("cut", path="/blobs/*", bytes=100)
    with pytest.raises(HubUnavailable, match=r"o/m: model\.safetensors"):
        list(rows(hub, one(hub, "o/m"), MATRICES, block_bytes=200_000))


def test_a_server_that_ignores_range_is_not_let_send_everything(
    server: Server, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = stored()
    put(server, tensors)
    server.faults.add("ignore-range", path="/blobs/*")
    check(hub, tensors, MATRICES, block_bytes=200_000)
    monkeypatch.setattr(ranges, "MAX_SKIP_BYTES", 250_000)
    with pytest.raises(HubUnavailable, match="ignores Range"):
        list(rows(hub, one(hub, "o/m"), MATRICES, block_bytes=200_000))


def test_who_stops_early_leaves_nothing_behind(server: Server, hub: Hub) -> None:
    put(server, stored())
    coming = rows(hub, one(hub, "o/m"), MATRICES, block_bytes=50_000)
    next(coming)
    coming.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rows")]

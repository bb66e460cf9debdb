"""Tensors by range out of real repos over real HTTP: right values, few bytes, no token on the CDN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

from hubbot.errors import (
    AccessDenied,
    CorruptHeader,
    RepoNotFound,
    ShapeMismatch,
    TensorNotFound,
    TruncatedFile,
    UnsafeFormat,
    UnsupportedDtype,
    WeightsError,
)
from hubbot.hub.client import Hub
from hubbot.hub.tensors import contents, read
from hubbot.hub.uploads import one
from hubbot.localhub.server import Server
from hubbot.records import Kind, Upload, Wanted

torch.set_num_threads(1)
MODEL = "model.safetensors"


def layers(count: int = 12, rows: int = 64, columns: int = 64, seed: int = 0) -> dict[str, torch.Tensor]:
    """About 200 kB of float32."""
    torch.manual_seed(seed)
    return {f"layers.{n:02}.weight": torch.randn(rows, columns) for n in range(count)}


def put(server: Server, tensors: Mapping[str, torch.Tensor], repo: str = "o/m", **more: bytes) -> str:
    files = {MODEL: safetensors.torch.save(dict(tensors)), "config.json": b"{}"}
    return put_files(server, {**files, **more}, repo)


def put_files(server: Server, files: Mapping[str, bytes], repo: str = "o/m") -> str:
    server.repos.create(repo)
    return server.repos.commit(repo, dict(files))


def upload(hub: Hub, seen: Any = None) -> Upload:
    found = one(hub, "o/m")
    if seen:
        seen.clear()
    return found


def test_contents_without_any_tensor_read(server: Server, hub: Hub, seen: Any) -> None:
    stored = layers()
    put(server, stored)
    found = contents(hub, upload(hub, seen))
    assert found.shapes == {name: tuple(value.shape) for name, value in stored.items()}
    assert set(found.dtypes.values()) == {"F32"}
    [file] = found.files
    assert (file.path, file.size) == (MODEL, server.repos.file("o/m", MODEL).size)
    assert file.content_id == server.repos.file("o/m", MODEL).blob
    assert found.bytes_read <= file.size // 32
    assert seen.sent(found.bytes_read)


def test_one_tensor_costs_its_bytes_and_the_header(server: Server, hub: Hub, seen: Any) -> None:
    stored = layers()
    put(server, stored)
    got = read(hub, upload(hub, seen), [Wanted("layers.07.weight")])
    np.testing.assert_array_equal(got.values["layers.07.weight"], stored["layers.07.weight"].numpy())
    assert got.stored_dtypes == {"layers.07.weight": "F32"}
    assert seen.sent(got.bytes_read)
    assert got.bytes_read < 0.15 * got.bytes_stored
    assert got.bytes_stored == got.files[0].size
    assert got.stored_tensors == 12


def test_leading_rows_cost_no_more_than_they_are(server: Server, hub: Hub) -> None:
    stored = layers(rows=4_000)
    put(server, stored)
    got = read(hub, upload(hub), [Wanted("layers.07.weight", rows=3, shape=(4_000, 64))])
    np.testing.assert_array_equal(got.values["layers.07.weight"], stored["layers.07.weight"][:3].numpy())
    header = contents(hub, one(hub, "o/m"))
    assert header.bytes_read == 0
    # A guess of 1/32 of the file for the header, at most 100 kB, and three rows.
    assert got.bytes_read == 100_000 + 3 * 64 * 4


def test_a_header_is_read_and_counted_once(server: Server, hub: Hub, seen: Any) -> None:
    put(server, layers())
    ours = upload(hub, seen)
    first, again = contents(hub, ours), contents(hub, ours)
    assert (first.shapes, again.bytes_read) == (again.shapes, 0)
    got = read(hub, ours, [Wanted("layers.07.weight")])
    assert got.bytes_read == 64 * 64 * 4
    assert seen.sent(first.bytes_read + got.bytes_read)


def test_the_hub_is_asked_once_where_a_file_lies(server: Server, hub: Hub, seen: Any) -> None:
    """Every range would cost a redirect, which the Hub counts; it signs an address for longer than that."""
    stored = layers(rows=4_000)
    put(server, stored)
    ours = upload(hub, seen)
    wanted = [Wanted(f"layers.{i:02}.weight", rows=2) for i in (2, 5, 9)]
    got = read(hub, ours, wanted)
    asked = [each for each in seen() if "/resolve/" in each.path]
    assert (len(asked), len(seen.on_cdn())) == (1, 4)
    for want in wanted:
        np.testing.assert_array_equal(got.values[want.name], stored[want.name][:2].numpy())


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/gone", "{endpoint}/o/m/resolve/main/nothing-here"])
def test_an_address_that_is_good_no_more_is_asked_for_again(server: Server, hub: Hub, address: str) -> None:
    stored = layers(rows=4_000)
    put(server, stored)
    ours = upload(hub)
    read(hub, ours, [Wanted("layers.02.weight", rows=2)])
    [(asked, (_, until))] = hub.wire._led.items()
    hub.wire._led[asked] = httpx.URL(address.format(endpoint=server.endpoint)), until
    got = read(hub, ours, [Wanted("layers.07.weight", rows=2)])
    np.testing.assert_array_equal(got.values["layers.07.weight"], stored["layers.07.weight"][:2].numpy())


def test_what_came_with_the_header_is_not_asked_for_again(server: Server, hub: Hub, seen: Any) -> None:
    stored = {"a": torch.randn(10), "b": torch.randn(20), "z": torch.randn(50_000)}
    put(server, stored)
    got = read(hub, upload(hub, seen), [Wanted("a"), Wanted("b"), Wanted("z", rows=30)])
    for name, value in got.values.items():
        np.testing.assert_array_equal(value, stored[name][: len(value)].numpy())
    assert len(seen.on_cdn()) == 1


def test_a_tensor_that_straddles_the_first_guess_is_whole(server: Server, hub: Hub) -> None:
    stored = {"a": torch.randn(2_000), "b": torch.randn(2_000), "c": torch.randn(60_000)}
    put(server, stored)
    got = read(hub, upload(hub), [Wanted(name) for name in "cab"])
    for name, value in stored.items():
        np.testing.assert_array_equal(got.values[name], value.numpy())
    assert got.bytes_read == got.bytes_stored


def test_a_header_longer_than_the_guess_is_read_to_its_end(server: Server, hub: Hub, seen: Any) -> None:
    stored = {f"{'x' * 200}.{n}": torch.randn(4) for n in range(200)}
    put(server, stored)
    found = contents(hub, upload(hub, seen))
    assert len(found.shapes) == 200
    assert seen.sent(found.bytes_read)


def test_neighbours_share_a_request(server: Server, hub: Hub, seen: Any) -> None:
    stored = layers()
    put(server, stored)
    ours = upload(hub, seen)
    contents(hub, ours)
    seen.clear()
    names = ["layers.04.weight", "layers.05.weight", "layers.06.weight"]
    got = read(hub, ours, [Wanted(name) for name in reversed(names)])
    assert got.bytes_read == 3 * 64 * 64 * 4
    assert len(seen.on_cdn()) == 1
    for name in names:
        np.testing.assert_array_equal(got.values[name], stored[name].numpy())


def test_asked_twice_for_one_tensor_the_more_rows_win(server: Server, hub: Hub) -> None:
    put(server, layers())
    wanted = [
        Wanted("layers.07.weight", rows=2),
        Wanted("layers.07.weight"),
        Wanted("layers.07.weight", rows=1),
    ]
    assert read(hub, upload(hub), wanted).values["layers.07.weight"].shape == (64, 64)


DTYPES = [
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int8,
    torch.bool,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_storage_widens_to_what_torch_makes_of_it(server: Server, hub: Hub, dtype: torch.dtype) -> None:
    stored = {"pad": torch.randn(3_000), "w": torch.randn(40, 30).mul(9).to(dtype)}
    put(server, stored)
    got = read(hub, upload(hub), [Wanted("w", shape=(40, 30))]).values["w"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, stored["w"].float().numpy())


# --- the token --------------------------------------------------------------------------------


def test_the_token_never_reaches_the_cdn(server: Server, hub: Hub, seen: Any) -> None:
    put(server, layers())
    read(hub, upload(hub, seen), [Wanted("layers.07.weight")])
    abroad = seen.on_cdn()
    home = [exchange for exchange in seen() if exchange not in abroad]
    assert {exchange.had_authorization for exchange in abroad} == {False}
    assert {exchange.had_authorization for exchange in home} == {True}


def test_a_token_that_a_person_saved_here_is_not_used(
    server: Server, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_person")
    put(server, layers())
    with Hub(server.endpoint) as stranger:
        read(stranger, upload(stranger, seen), [Wanted("layers.07.weight")])
    assert {exchange.had_authorization for exchange in seen()} == {False}


def test_config_is_never_asked_for(server: Server, hub: Hub, seen: Any) -> None:
    put(server, layers())
    ours = upload(hub, seen)
    contents(hub, ours)
    read(hub, ours, [Wanted("layers.00.weight")])
    assert server.repos.get("o/m").downloads == 0
    assert not any("config" in exchange.path for exchange in seen())


# --- shards -----------------------------------------------------------------------------------


def shards(server: Server, weight_map: Mapping[str, Any] | None = None) -> dict[str, torch.Tensor]:
    stored = layers(6)
    halves = {f"model-{n}.safetensors": dict(list(stored.items())[n * 3 :][:3]) for n in range(2)}
    true_map = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {}, "weight_map": true_map if weight_map is None else weight_map}
    files = {file: safetensors.torch.save(part) for file, part in halves.items()}
    put_files(server, {**files, "model.safetensors.index.json": json.dumps(index).encode()})
    return stored


def test_a_sharded_model_is_one_model(server: Server, hub: Hub, seen: Any) -> None:
    stored = shards(server)
    ours = upload(hub, seen)
    got = read(hub, ours, [Wanted("layers.04.weight", shape=(64, 64))])
    np.testing.assert_array_equal(got.values["layers.04.weight"], stored["layers.04.weight"].numpy())
    assert [file.path for file in got.files] == ["model-1.safetensors"]
    assert got.stored_tensors == 6
    assert seen.sent(got.bytes_read)
    found = contents(hub, ours)
    assert found.shapes == dict.fromkeys(stored, (64, 64))
    assert sum(file.size for file in found.files) == got.bytes_stored


def test_an_index_that_lies_is_found_out(server: Server, hub: Hub) -> None:
    shards(server, {"layers.00.weight": "model-1.safetensors"})
    with pytest.raises(TensorNotFound, match=r"o/m: model-1\.safetensors: layers\.00\.weight"):
        contents(hub, upload(hub))


@pytest.mark.parametrize("shard", ["../../other/m/resolve/main/model.safetensors", "absent.safetensors", 7])
def test_an_index_cannot_send_us_elsewhere(server: Server, hub: Hub, shard: object, seen: Any) -> None:
    shards(server, {"layers.00.weight": shard})
    with pytest.raises(WeightsError, match="o/m"):
        contents(hub, upload(hub, seen))
    assert not any("other" in exchange.path or "absent" in exchange.path for exchange in seen())


def test_an_adapter_is_read_under_its_own_name(server: Server, hub: Hub) -> None:
    stored = {"a.lora_A.weight": torch.randn(4, 8), "a.lora_B.weight": torch.randn(8, 4)}
    put_files(
        server, {"adapter_model.safetensors": safetensors.torch.save(stored), "adapter_config.json": b"{}"}
    )
    got = read(hub, upload(hub), [Wanted("a.lora_B.weight")])
    np.testing.assert_array_equal(got.values["a.lora_B.weight"], stored["a.lora_B.weight"].numpy())
    assert server.repos.get("o/m").downloads == 0


LORA_FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", MODEL)


@pytest.mark.parametrize("file", LORA_FILES)
@pytest.mark.parametrize(
    "names",
    [
        ("blocks.0.to_k.lora_A.weight", "blocks.0.to_k.lora_B.weight"),
        ("base_model.model.blocks.0.to_k.lora_A.weight", "base_model.model.blocks.0.to_k.lora_B.weight"),
        ("transformer.blocks.0.to_k.lora_A.weight", "transformer.blocks.0.to_k.lora_B.weight"),
        ("unet.blocks.0.to_k.lora.down.weight", "unet.blocks.0.to_k.lora.up.weight"),
        ("blocks.0.to_k.lora.down.weight", "blocks.0.to_k.lora.up.weight"),
    ],
)
@pytest.mark.parametrize("asked", ["blocks.0.to_k", "unet.blocks.0.to_k"])
def test_a_low_rank_layer_is_its_two_factors_whatever_they_are_called(
    server: Server, hub: Hub, seen: Any, file: str, names: tuple[str, str], asked: str
) -> None:
    A, B = torch.randn(4, 96), torch.randn(64, 4)
    others = {f"unet.other.{n:03}.lora.down.weight": torch.randn(64, 64) for n in range(40)}
    put_files(server, {file: safetensors.torch.save({names[0]: A, names[1]: B, **others})})
    got = read(hub, upload(hub, seen), [Wanted(asked, shape=(64, 96), kind=Kind.LORA)])
    assert set(got.values) == set(names)
    np.testing.assert_array_equal(got.values[names[0]], A.numpy())
    np.testing.assert_array_equal(got.values[names[1]], B.numpy())
    assert seen.sent(got.bytes_read)
    assert got.bytes_stored == server.repos.file("o/m", file).size
    assert got.bytes_read < 0.1 * got.bytes_stored
    assert got.stored_tensors == 42
    assert set(got.stored_dtypes.values()) == {"F32"}


@pytest.mark.parametrize(
    ("A", "B", "says"),
    [
        ((4, 96), (64, 5), r"\(4, 96\) and \(64, 5\) are not the shapes of two factors"),
        ((4, 96, 1), (64, 4), "not the shapes of two factors"),
        ((96,), (64,), "not the shapes of two factors"),
        ((4, 90), (64, 4), r"its factors make \(64, 90\), \(64, 96\) is expected"),
        ((257, 96), (64, 257), "its rank is 257"),
        ((0, 96), (64, 0), "its rank is 0"),
    ],
)
def test_factors_that_do_not_fit_are_not_fetched(
    server: Server, hub: Hub, seen: Any, A: tuple[int, ...], B: tuple[int, ...], says: str
) -> None:
    big = {f"z.{n}": torch.zeros(64, 64) for n in range(64)}
    stored = {"a.k.lora_A.weight": torch.zeros(A), "a.k.lora_B.weight": torch.zeros(B), **big}
    put_files(server, {"adapter_model.safetensors": safetensors.torch.save(stored)})
    ours = upload(hub)
    contents(hub, ours)
    seen.clear()
    where = r"o/m: adapter_model\.safetensors: a\.k\.lora_A\.weight: .*"
    with pytest.raises(ShapeMismatch, match=where + says):
        read(hub, ours, [Wanted("a.k", shape=(64, 96), kind=Kind.LORA)])
    assert not seen.on_cdn()


@pytest.mark.parametrize("there", [(), ("a.k.lora_A.weight",), ("a.k.lora_B.weight", "a.k.lora.down.weight")])
def test_a_layer_without_its_factors(server: Server, hub: Hub, there: tuple[str, ...]) -> None:
    stored = {name: torch.zeros(4, 4) for name in (*there, "a.k")}
    put_files(server, {"adapter_model.safetensors": safetensors.torch.save(stored)})
    with pytest.raises(TensorNotFound, match=r"o/m: adapter_model\.safetensors: a\.k: it holds no factors"):
        read(hub, upload(hub), [Wanted("a.k", kind=Kind.LORA)])


def test_factors_in_two_shards(server: Server, hub: Hub) -> None:
    parts = {"lora_A": torch.randn(4, 8), "lora_B": torch.randn(8, 4)}
    weight_map = {f"a.k.{factor}.weight": f"model-{factor}.safetensors" for factor in parts}
    files = {weight_map[name]: safetensors.torch.save({name: parts[name[4:-7]]}) for name in weight_map} | {
        "model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()
    }
    put_files(server, files)
    got = read(hub, upload(hub), [Wanted("transformer.a.k", shape=(8, 8), kind=Kind.LORA)])
    for factor, value in parts.items():
        np.testing.assert_array_equal(got.values[f"a.k.{factor}.weight"], value.numpy())
    assert len(got.files) == 2


# --- what cannot be read ----------------------------------------------------------------------


def test_errors_name_repo_file_and_tensor(server: Server, hub: Hub) -> None:
    put(server, {**layers(2), "odd": torch.zeros(2, dtype=torch.complex64)})
    ours = upload(hub)
    with pytest.raises(TensorNotFound, match=r"o/m: model\.safetensors: absent"):
        read(hub, ours, [Wanted("absent")])
    with pytest.raises(
        ShapeMismatch, match=r"o/m: model\.safetensors: layers\.00\.weight: .*\(64, 64\).*\(3, 3\)"
    ):
        read(hub, ours, [Wanted("layers.00.weight", shape=(3, 3))])
    with pytest.raises(UnsupportedDtype, match=r"o/m: model\.safetensors: odd: .*C64"):
        read(hub, ours, [Wanted("odd")])


def test_a_tensor_over_the_limit_is_not_fetched(server: Server) -> None:
    put(server, layers())
    with Hub(server.endpoint, max_tensor_bytes=1_000) as hub:
        ours = upload(hub)
        with pytest.raises(WeightsError, match="16384 bytes are over the limit of 1000"):
            read(hub, ours, [Wanted("layers.07.weight")])
        assert read(hub, ours, [Wanted("layers.07.weight", rows=3)]).values


def test_a_header_over_the_limit_is_not_fetched(server: Server) -> None:
    put(server, layers())
    with Hub(server.endpoint, max_header_bytes=100) as hub, pytest.raises(CorruptHeader, match="limit 100"):
        contents(hub, upload(hub))


def test_a_truncated_file(server: Server, hub: Hub) -> None:
    put_files(server, {MODEL: safetensors.torch.save(layers())[:-1]})
    with pytest.raises(TruncatedFile, match=r"o/m: model\.safetensors"):
        contents(hub, upload(hub))


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 100, b"<!DOCTYPE html>" * 9])
def test_what_is_no_safetensors_file(server: Server, hub: Hub, data: bytes) -> None:
    put_files(server, {MODEL: data})
    with pytest.raises((CorruptHeader, TruncatedFile), match=r"o/m: model\.safetensors"):
        contents(hub, upload(hub))


def test_a_corrupt_header(server: Server, hub: Hub) -> None:
    good = safetensors.torch.save(layers())
    put_files(server, {MODEL: good[:8] + good[8:].replace(b"[64,64]", b"[64,65]", 1)})
    with pytest.raises(CorruptHeader, match=r"o/m: model\.safetensors: layers\.\d\d\.weight"):
        contents(hub, upload(hub))


def test_a_pickle_is_not_even_asked_for(server: Server, hub: Hub, tmp_path: Path, seen: Any) -> None:
    torch.save(layers(1), tmp_path / "pytorch_model.bin")
    put_files(server, {"pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes()})
    with pytest.raises(UnsafeFormat, match=r"o/m: pytorch_model\.bin"):
        contents(hub, upload(hub, seen))
    assert seen() == []


def test_a_gated_repo_is_left_alone(server: Server, hub: Hub, seen: Any) -> None:
    put(server, layers())
    before = upload(hub, seen)
    server.repos.update("o/m", gated="auto")
    with pytest.raises(AccessDenied, match="o/m: the repo is gated"):
        contents(hub, upload(hub, seen))
    assert seen() == []
    # Gated since it was listed: the server says it itself.
    with pytest.raises(AccessDenied, match=r"o/m: model\.safetensors"):
        contents(hub, before)


def test_a_file_that_left_since_the_listing(server: Server, hub: Hub) -> None:
    put_files(server, {"README.md": b""})
    ours = one(hub, "o/m")
    gone = Upload(ours.repo, ours.commit, ours.modified_at, files=(MODEL,))
    with pytest.raises(RepoNotFound, match=r"o/m: model\.safetensors"):
        contents(hub, gone)


def test_reading_stays_at_its_commit(server: Server, hub: Hub) -> None:
    old, new = layers(seed=0), layers(seed=1)
    put(server, old)
    ours = upload(hub)
    server.repos.commit("o/m", {MODEL: safetensors.torch.save(new)})
    got = read(hub, ours, [Wanted("layers.07.weight")])
    np.testing.assert_array_equal(got.values["layers.07.weight"], old["layers.07.weight"].numpy())


def test_one_file_of_a_repo_that_bundles_many(server: Server, hub: Hub) -> None:
    from safetensors.numpy import save

    from hubbot.hub.files import listed
    from hubbot.hub.tensors import notes

    paths = [f"train/model_{n}/weights.safetensors" for n in range(3)]
    content = {
        path: save({"w": np.full((64, 64), float(n), np.float32)}, {"which": str(n)})
        for n, path in enumerate(paths)
    }
    server.repos.create("o/bundle")
    server.repos.commit("o/bundle", content)
    upload = one(hub, "o/bundle")
    found = listed(hub, upload, [*paths, "train/nothing.safetensors"])
    assert list(found) == paths
    for n, path in enumerate(paths):
        got = read(hub, upload, [Wanted("w", shape=(64, 64))], found[path])
        assert (got.values["w"] == n).all()
        assert got.files == (found[path],)
        assert notes(hub, upload, found[path]) == {"which": str(n)}
    # What the first file's header took is what is read of the next one's, where files are alike.
    assert got.bytes_read < len(content[paths[0]]) + 300

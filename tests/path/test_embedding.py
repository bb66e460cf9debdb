"""Models on a Hub through an autoencoder: the same as from memory, told in words, and refused in words."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from stage import upload
from typer.testing import CliRunner, Result

from hubbot.cli import app
from hubbot.embedding import embeddings, find, kept, properties
from hubbot.errors import (
    ExpertError,
    HubUnavailable,
    RepoNotFound,
    ShapeMismatch,
    UnsafeFormat,
    UsageError,
    WeightsError,
)
from hubbot.hub.client import Hub
from hubbot.localhub.server import Server
from hubbot.records import Abstention
from hubbot.sane import judge, reach
from hubbot.sane.align import shuffled
from hubbot.sane.artifact import Artifact
from hubbot.sane.artifact import save as save_artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.layers import Moments, deviations
from hubbot.sane.properties import Ridge, layer_means, statistics
from hubbot.sane.schema import Config, Property, Reach, Size
from hubbot.weights.symmetry import Axis, Group

torch.set_num_threads(1)
MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
SHAPES = {
    "embed.weight": (300, 24),
    "layer.0.weight": (24, 24),
    "layer.0.bias": (24,),
    "layer.1.weight": (24, 3, 8),
    "scale": (),
    "head.weight": (40, 24),
}
TINY = Size(width=8, latent=5, blocks=1, heads=2, window=30, halo=4, projection=4)
GROUPS = (
    Group(24, (Axis("layer.0.weight", 0), Axis("layer.0.bias", 0), Axis("head.weight", 1))),
)  # which makes no network, but channels that change places together


def autoencoder(folder: Path, groups: tuple[Group, ...] = (), features: tuple[str, ...] = ()) -> Artifact:
    """An untrained one, in a folder."""
    torch.manual_seed(0)
    told = (Property("accuracy", 0.1, 0.0, 1.0), Property("epoch", 3.0)) if features else ()
    config = Config(
        "tiny", SHAPES, 10, norms=True, size=TINY, trained_on="nothing", groups=groups, features=features,
        properties=told, coverage=0.9, oddest=1e3 if features else None,
        reach=Reach(1, 21, 1e3) if features else None,
    )  # fmt: skip
    model = Autoencoder(config.layout, TINY).eval()
    reference = numbers(seed=1) if groups else {}
    head = Ridge(torch.randn(5 * len(config.layout.layers), 2).double(), torch.tensor([0.5, 7.0]).double())
    some = [numbers(seed=seed) for seed in range(9)]
    together = {name: torch.stack([one[name] for one in some]) for name in SHAPES}
    near = reach.fit(statistics(together, config.layout), torch.zeros(9))
    made = Artifact(config, "", model, reference, *((head, near) if features else (None, None)))
    save_artifact(folder, made)
    return made


def numbers(dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draw).to(dtype) for name, shape in SHAPES.items()}


def put(server: Server, tensors: dict[str, torch.Tensor], repo: str = "ann/net", shards: int = 0) -> None:
    files: dict[str, bytes | Path] = {MODEL: save(tensors)}
    if shards:
        parts = [dict(list(tensors.items())[at::shards]) for at in range(shards)]
        files = {f"model-{at}.safetensors": save(part) for at, part in enumerate(parts)}
        places = {name: f"model-{at}.safetensors" for at, part in enumerate(parts) for name in part}
        files[INDEX] = json.dumps({"weight_map": places}).encode()
    upload(server.repos, repo, files)


@pytest.fixture
def door(hub: Server):
    with Hub(hub.endpoint, sleep=lambda _: None) as ours:
        yield ours


# --- embeddings -------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_a_streamed_model_is_embedded_as_from_memory(hub, door, tmp_path, shards, dtype):
    made, tensors = autoencoder(tmp_path / "tiny"), numbers(dtype)
    put(hub, {**tensors, "steps": torch.arange(3)}, shards=shards)
    model = find(door, "ann/net", tmp_path / "tiny")
    moments, pieces = Moments(made.config.layout, TINY.latent), []
    for piece in embeddings(model, most_bytes=8, block_bytes=5_000):
        moments.add(piece)
        pieces.append(piece)
    z = judge.embedding(made, tensors)
    torch.testing.assert_close(torch.cat(pieces), z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moments.layers.float().flatten(), layer_means(z[None], made.config.layout)[0])
    torch.testing.assert_close(moments.mean.float(), z.mean(0))
    spread = deviations(z[None], made.config.layout)[0]
    torch.testing.assert_close(moments.deviations.float(), spread, rtol=1e-3, atol=1e-5, equal_nan=True)
    assert model.streams
    assert len(pieces) == 1 + (model.windows - 1) // 64
    assert 0 < model.meter.bytes_read < 1.2 * model.stored


def test_a_model_whose_channels_change_places_is_read_whole_and_aligned(hub, door, tmp_path):
    autoencoder(tmp_path / "tiny", groups=GROUPS)
    tensors = numbers()
    one = {name: value[None] for name, value in tensors.items()}
    moved = shuffled(one, GROUPS, torch.Generator().manual_seed(1))
    put(hub, tensors)
    put(hub, {name: value[0].contiguous() for name, value in moved.items()}, repo="ann/moved", shards=2)
    found = []
    for repo in ("ann/net", "ann/moved"):
        model = find(door, repo, tmp_path / "tiny")
        [z] = embeddings(model, most_bytes=10**6)
        found.append(z)
        with pytest.raises(UsageError, match=rf"{repo}.*bytes are not read whole, limit 1000"):
            list(embeddings(model, most_bytes=1_000))
    torch.testing.assert_close(*found)


def test_another_architecture_is_told_by_at_most_three_tensors(hub, door, tmp_path):
    autoencoder(tmp_path / "tiny")
    other = numbers()
    other["embed.weight"] = torch.zeros(300, 25)
    put(hub, other)
    with pytest.raises(
        ShapeMismatch,
        match=r"ann/net: model.safetensors: tiny knows another architecture: "
        r"embed.weight is \(300, 25\) and not \(300, 24\)$",
    ):
        find(door, "ann/net", tmp_path / "tiny")
    del other["scale"]
    other["head.weight"] = torch.zeros(40, 24, dtype=torch.int8)
    put(hub, other | {"more": torch.zeros(2), "most": torch.zeros(2)}, repo="ann/other")
    with pytest.raises(ShapeMismatch, match=r"scale is missing; head.weight is missing, and 2 more$"):
        find(door, "ann/other", tmp_path / "tiny")


@pytest.mark.parametrize(
    ("fault", "said"),
    [({"kind": "cut", "bytes": 90}, ""), ({"kind": "wrong-range"}, "asked for bytes")],
)
def test_a_hub_that_fails_on_the_way_is_an_error(hub, door, tmp_path, fault, said):
    autoencoder(tmp_path / "tiny")
    put(hub, {**numbers(), "steps": torch.arange(9_000)})
    model = find(door, "ann/net", tmp_path / "tiny")
    hub.faults.add(path="/blobs/*", **fault)
    with pytest.raises(HubUnavailable, match=rf"ann/net: model\.safetensors.*{said}"):
        list(embeddings(model, most_bytes=8, block_bytes=5_000))


def test_a_file_of_embeddings_is_there_whole_or_not_at_all(hub, door, tmp_path):
    made, tensors = autoencoder(tmp_path / "tiny"), numbers()
    put(hub, tensors)
    tensors["head.weight"][39, 23] = float("inf")
    put(hub, tensors, repo="ann/broken")
    shape, file = (made.config.layout.count, TINY.latent), tmp_path / "z.safetensors"
    broken = find(door, "ann/broken", tmp_path / "tiny")
    with pytest.raises(WeightsError, match=r"ann/broken: model\.safetensors: head\.weight: .*not finite"):
        list(kept(embeddings(broken, most_bytes=8, block_bytes=5_000), file, shape, {}))
    assert not list(tmp_path.glob("z.*"))
    model = find(door, "ann/net", tmp_path / "tiny")
    pieces = list(kept(embeddings(model, most_bytes=8), file, shape, {"repo": "ann/net"}))
    assert torch.equal(load_file(file)["embeddings"], torch.cat(pieces))
    assert list(tmp_path.glob("z.*")) == [file]


# --- properties -------------------------------------------------------------------------------


def test_properties_are_those_of_the_same_model_in_memory(hub, door, tmp_path):
    made = autoencoder(tmp_path / "tiny", groups=GROUPS, features=("layers",))
    put(hub, numbers())
    model = find(door, "ann/net", tmp_path / "tiny")
    said, expected = properties(model, most_bytes=10**6), judge.judge(made, numbers())
    assert [each.name for each in said] == ["accuracy", "epoch"]
    assert said[1].value == pytest.approx(expected[1].value, abs=1e-4)
    assert 0 < model.meter.bytes_read <= model.stored
    put(hub, {name: 1e4 * value for name, value in numbers().items()}, repo="ann/odd")
    odd = properties(find(door, "ann/odd", tmp_path / "tiny"), most_bytes=10**6)
    assert isinstance(odd, Abstention)
    with pytest.raises(UsageError, match="not read whole"):
        properties(model, most_bytes=1_000)
    autoencoder(tmp_path / "plain")
    with pytest.raises(UsageError, match="tells no properties"):
        properties(find(door, "ann/net", tmp_path / "plain"), most_bytes=10**6)


def test_pickles_are_not_opened(hub, door, tmp_path):
    autoencoder(tmp_path / "tiny")
    upload(hub.repos, "ann/old", {"pytorch_model.bin": b"\x80\x04"})
    with pytest.raises(UnsafeFormat, match=r"ann/old: pytorch_model\.bin"):
        find(door, "ann/old", tmp_path / "tiny")


# --- the commands -----------------------------------------------------------------------------


def run(hub: Server, *words: object) -> Result:
    return CliRunner().invoke(app, ["--endpoint", hub.endpoint, "sane", *map(str, words)])


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HUBBOT_HTTP_RETRIES", "0")


def test_a_model_is_embedded_into_a_file_and_shown_by_layers(hub, door, tmp_path, at_home):
    made, out = autoencoder(tmp_path / "tiny"), tmp_path / "z.safetensors"
    put(hub, numbers())
    done = run(hub, "embed", "ann/net", "--with", tmp_path / "tiny", "--out", out)
    assert done.exit_code == 0, done.output
    z = judge.embedding(made, numbers())
    torch.testing.assert_close(load_file(out)["embeddings"], z, rtol=1e-4, atol=1e-5)
    windows = find(door, "ann/net", tmp_path / "tiny").windows
    for told in ("6 tensors, 9337 numbers", f"{len(z)} of 10 numbers, in {windows} windows", "row by row"):
        assert told in done.output
    table = dict(line.split(maxsplit=1) for line in done.output.splitlines() if "  " in line)
    assert [name in table for name in ("embed", "layer.0", "layer.1", "scale", "head")] == 5 * [True]
    told = json.loads(run(hub, "embed", "ann/net", "--with", tmp_path / "tiny", "--json").output)
    assert torch.tensor(told["mean"]).float() == pytest.approx(z.mean(0), abs=1e-4)
    assert told["tokens"] == sum(layer["tokens"] for layer in told["layers"]) == len(z)


def test_properties_stand_in_a_table_or_the_reason_does(hub, tmp_path, at_home):
    autoencoder(tmp_path / "tiny", groups=GROUPS, features=("layers",))
    put(hub, numbers())
    put(hub, {name: 1e4 * value for name, value in numbers().items()}, repo="ann/odd")
    done = run(hub, "properties", "ann/net", "--with", tmp_path / "tiny")
    assert re.search(r"accuracy +\d+% +\d+% to \d+% +9 of 10", done.output), done.output
    told = json.loads(run(hub, "properties", "ann/net", "--with", tmp_path / "tiny", "--json").output)
    assert [each["name"] for each in told["properties"]] == ["accuracy", "epoch"]
    assert told["abstention"] is None
    done = run(hub, "properties", "ann/odd", "--with", tmp_path / "tiny")
    assert "[unlike-training]" in done.output


def test_layers_stand_by_depth_beside_weightwatchers_metrics(hub, tmp_path, at_home):
    made, plot = autoencoder(tmp_path / "tiny", groups=GROUPS), tmp_path / "layers.png"
    put(hub, numbers())
    words = ["layers", "ann/net", "--with", tmp_path / "tiny"]
    told = json.loads(run(hub, *words, "--json").output)
    assert (told["streamed"], told["unwatched"]) == (False, None)
    z = judge.embedding(made, numbers())
    found = {one["name"]: one for one in told["layers"]}
    assert list(found) == ["embed", "layer.0", "layer.1", "scale", "head"]
    spread = dict(zip(found, deviations(z[None], made.config.layout)[0].tolist(), strict=True))
    assert found["scale"] == {"name": "scale", "tokens": 1, "deviation": None, "watched": None}
    for name in ("embed", "layer.0", "layer.1", "head"):
        assert found[name]["deviation"] == pytest.approx(spread[name], rel=1e-3)
    for name in ("embed", "layer.0", "head"):
        norm = 2 * torch.linalg.svdvals(numbers()[f"{name}.weight"].double())[0].log10()
        assert found[name]["watched"]["log_spectral_norm"] == pytest.approx(float(norm), abs=1e-6)
        assert found[name]["watched"]["eigenvalues"] == 24
    done = run(hub, *words, "--plot", plot)
    assert done.exit_code == 0, done.output
    assert "whole, and aligned" in done.output
    table = dict(line.split(maxsplit=1) for line in done.output.splitlines() if "  " in line)
    norm = found["head"]["watched"]["log_spectral_norm"]
    assert f"{found['head']['deviation']:.3f}" in table["head"]
    assert f"{norm:.3f}" in table["head"]
    assert table["scale"].split() == ["1", *4 * ["—"]]
    assert len(table["mean"].split()) == 3
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_of_a_model_that_is_not_read_whole_there_are_deviations_alone(hub, tmp_path, at_home, monkeypatch):
    made = autoencoder(tmp_path / "tiny")
    put(hub, numbers())
    words = ["layers", "ann/net", "--with", tmp_path / "tiny"]
    whole = json.loads(run(hub, *words, "--json").output)
    monkeypatch.setenv("HUBBOT_MAX_MODEL_BYTES", "999")
    done = run(hub, *words)
    assert re.search(r"without WeightWatcher's metrics: .* limit 999; HUBBOT_MAX_MODEL_BYTES", done.output)
    assert "row by row" in done.output
    assert "spectral" not in done.output
    told = json.loads(run(hub, *words, "--json").output)
    assert told["streamed"]
    assert "limit 999" in told["unwatched"]
    for one, other in zip(told["layers"], whole["layers"], strict=True):
        assert one["watched"] is None
        if one["name"] != "scale":  # which is one token
            assert one["deviation"] == pytest.approx(other["deviation"], rel=1e-3)
    autoencoder(tmp_path / "moving", groups=GROUPS)
    done = run(hub, "layers", "ann/net", "--with", tmp_path / "moving")
    assert isinstance(done.exception, UsageError)
    assert made.config.layout.count == sum(one["tokens"] for one in told["layers"])


def test_without_weightwatcher_there_are_deviations_and_a_hint(hub, tmp_path, at_home, monkeypatch):
    autoencoder(tmp_path / "tiny")
    put(hub, numbers())
    monkeypatch.setitem(sys.modules, "weightwatcher", None)
    done = run(hub, "layers", "ann/net", "--with", tmp_path / "tiny")
    assert done.exit_code == 0, done.output
    assert "WeightWatcher is not installed; `pip install 'hubbot[watch]'`" in done.output
    assert re.search(r"head +120 +[\d.]+\n", done.output), done.output


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_read(hub, tmp_path, at_home):
    done = run(hub, "layers", "ann/none", "--with", tmp_path, "--plot", tmp_path / "layers.docx")
    assert isinstance(done.exception, UsageError)
    assert "layers.docx: no picture is written as .docx" in str(done.exception)


def test_what_cannot_be_done_is_said_in_a_line(hub, tmp_path, at_home, monkeypatch):
    autoencoder(tmp_path / "tiny", features=("layers",))
    put(hub, numbers())
    monkeypatch.setenv("HUBBOT_MAX_MODEL_BYTES", "999")
    for words, kind, said in [
        (["embed", "ann/net", "--with", tmp_path / "nowhere"], ExpertError, "there is no autoencoder here"),
        (["embed", "ann/none", "--with", tmp_path / "tiny"], RepoNotFound, "ann/none"),
        (["embed", "nonsense", "--with", tmp_path / "tiny"], UsageError, "'nonsense' is not a repo"),
        (["properties", "ann/net", "--with", tmp_path / "tiny"], UsageError, "limit 999"),
    ]:
        done = run(hub, *words)
        assert isinstance(done.exception, kind)
        assert said in str(done.exception)

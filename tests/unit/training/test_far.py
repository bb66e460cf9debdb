"""Far models as training wants them: the disk's numbers, few bytes, and no bad repo believed."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import model_j
import numpy as np
import pytest
import torch
from safetensors.numpy import save

from hubbot.errors import HubUnavailable, UsageError
from hubbot.experts.train import Schedule, train
from hubbot.hub.client import Hub
from hubbot.localhub.server import Server
from hubbot.training.catalogue import open_catalogue
from hubbot.training.far import FarTree, open_far
from hubbot.training.mirror import mirror
from hubbot.training.shelf import Shelf
from hubbot.training.trees import open_tree

LAYER_BYTES = 4 * model_j.SIZE**2
WEIGHTS = "model.safetensors"
TRAIN, TEST = "vit/train-00000-of-00001.jsonl", "vit/test-00000-of-00001.jsonl"


def opened(
    hub: Hub, folder: Path, shelf: Shelf, layers=(model_j.LAYER,), subset: str = "vit", **more
) -> FarTree:
    catalogue = open_catalogue(hub, model_j.ZOO, subset, folder / "cache")
    return open_far(hub, shelf, catalogue, layers=layers, **more)


@pytest.fixture
def shelf(tmp_path: Path):
    with Shelf(tmp_path / "shelf", 10**9) as mine:
        yield mine


def child(number: int) -> str:
    return f"lab/model-j__vit__model_idx_{number:04}"


def files_asked_for(server: Server) -> set[str]:
    return {found[1] for at in server.log if (found := re.search(r"/resolve/[0-9a-f]{40}/(.+)", at.path))}


def bytes_of_files(server: Server) -> int:
    return sum(at.bytes_sent for at in server.log if at.path.startswith("/blobs/"))


# --- the same as from the disk --------------------------------------------------------------------


def test_far_and_near_give_the_same_probe(tmp_path: Path, shelf: Shelf) -> None:
    near = model_j.make_zoo(tmp_path / "zoo", numbers=True)
    with Server(tmp_path / "hub") as server, Hub(server.endpoint) as hub:
        mirror(near, server.repos, server.datasets)
        far = opened(hub, tmp_path, shelf)
        tree, probes = open_tree(near.folder, model_j.ROOT), []
        torch.set_num_threads(1)
        for source in (tree, far):
            learn, validation = (source.sample(split, [model_j.LAYER]) for split in ("train", "validation"))
            Y = learn.Y[:, : len(model_j.CLASSES)]  # a digits zoo has ten columns
            learn, validation = (type(s)(s.weights, s.Y[:, : Y.shape[1]]) for s in (learn, validation))
            probes.append(train(learn, validation, how=Schedule(epochs=3)).probe.state_dict())
        assert all(torch.equal(probes[0][name], probes[1][name]) for name in probes[0])
        assert far.hashes("test") == tree.hashes("test")
        assert torch.equal(far.origin[model_j.LAYER], tree.origin[model_j.LAYER])
        assert set(far.fingerprint) == set(tree.fingerprint)
        assert far.wanted[model_j.LAYER] == tree.wanted[model_j.LAYER]


def test_little_is_read_and_nothing_but_weights(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    catalogue = open_catalogue(hub, model_j.ZOO, "vit", tmp_path / "cache")
    server.log.clear()
    tree = open_far(hub, shelf, catalogue, layers=[model_j.LAYER])
    assert files_asked_for(server) == {WEIGHTS}
    stored = sum(len(server.repos.read(child(n), WEIGHTS)) for n in range(48))
    assert tree.gathered.bytes_stored == stored
    assert 48 * LAYER_BYTES <= tree.gathered.bytes_read <= bytes_of_files(server) <= stored // 10 * 6


def test_a_sweep_reads_each_model_once_for_all_its_layers(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    tree = opened(hub, tmp_path, shelf, layers=())
    assert len(tree.wanted) == 4
    assert not any(re.search("embed|classifier", name) for name in tree.wanted)
    for name in tree.wanted:
        X = tree.sample("train", [name]).weights[name].dense()
        near = model_j.child_values(0, [])[name] if name != model_j.LAYER else None
        assert near is None or np.array_equal(X[0].numpy(), near)
    whole = [at for at in server.log if at.path.startswith("/blobs/")]
    assert len(whole) <= 2 * 49 + 6  # a header and one run of neighbouring layers


def test_what_lies_on_the_shelf_is_not_asked_for_again(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    first = opened(hub, tmp_path, shelf)
    catalogue = open_catalogue(hub, model_j.ZOO, "vit", tmp_path / "cache")
    server.log.clear()
    again = open_far(hub, shelf, catalogue, layers=[model_j.LAYER])
    assert again.gathered.bytes_read == 0
    assert len(server.log) <= 6 + 5  # the root, and the few models whose headers are looked at
    assert list(again.models) == list(first.models)
    # A commit that leaves the weights alone costs a question, and no weights.
    server.repos.commit(child(3), {"README.md": b"---\nlicense: mit\n---\n"})
    third = opened(hub, tmp_path, shelf)
    assert third.gathered.bytes_read == 0
    assert third.hashes("train") == first.hashes("train")


def test_new_weights_are_read_anew(server: Server, hub: Hub, tmp_path: Path, shelf: Shelf) -> None:
    before = (
        opened(hub, tmp_path, shelf).sample("train", [model_j.LAYER]).weights[model_j.LAYER].dense().clone()
    )
    notes = {"dataset_chosen_targets": "['apple', 'bee']"}
    values = model_j.child_values(77, [0, 1])
    for row in range(48):  # whichever row it is, the truth of the index must fit
        if server.repos.read(child(row), WEIGHTS).find(b"['apple', 'bee']") > 0:
            break
    server.repos.commit(child(row), {WEIGHTS: save(values, notes)})
    after = opened(hub, tmp_path, shelf)
    assert 0 < after.gathered.bytes_read < 8 * LAYER_BYTES
    if row < 24:
        X = after.sample("train", [model_j.LAYER]).weights[model_j.LAYER].dense()
        assert (before != X).flatten(1).any(1).nonzero().flatten().tolist() == [row]


# --- bad repos ------------------------------------------------------------------------------------


def lying_header() -> bytes:
    header = json.dumps(
        {model_j.LAYER: {"dtype": "F32", "shape": [32, 32], "data_offsets": [0, 2**40]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 4096


def test_bad_repos_are_skipped_and_named_each_for_its_reason(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    repos = server.repos
    # The whole validation split, so that training could go on.
    values = {n: model_j.child_values(n, []) for n in range(24, 32)}
    without = {name: value for name, value in values[25].items() if name != model_j.LAYER}
    odd = {**values[26], model_j.LAYER: np.zeros((16, 64), np.float32)}
    ill = {**values[27], model_j.LAYER: np.full((32, 32), np.nan, np.float32)}
    repos.commit(child(24), {WEIGHTS: lying_header()})
    repos.commit(child(25), {WEIGHTS: save(without)})
    repos.commit(child(26), {WEIGHTS: save(odd)})
    repos.commit(child(27), {WEIGHTS: save(ill)})
    repos.commit(child(28), {WEIGHTS: None})
    repos.update(child(29), gated="auto")
    repos.delete(child(30))
    repos.commit(child(31), {WEIGHTS: save(values[31], {"dataset_chosen_targets": "['moon']"})})
    repos.commit(child(32), {WEIGHTS: b"\x10\0\0\0\0\0\0\0not even JSON at"})
    tree = opened(hub, tmp_path, shelf, layers=[model_j.LAYER])
    told = {skipped.repo: str(skipped) for skipped in tree.skipped}
    for number, words in {
        24: "does not fill",
        25: f"{WEIGHTS}: {model_j.LAYER}",
        26: "(16, 64), expected (32, 32)",
        27: "not finite",
        28: "only pickles",
        29: "gated",
        30: "no such repo",
        31: "do not agree",
        32: "no JSON",
    }.items():
        assert words in told[child(number)], told[child(number)]
    assert len(told) == 9
    assert tree.provenance["zoo"]["skipped"] == [str(skipped) for skipped in tree.skipped]
    assert len(tree.sample("train", [model_j.LAYER])) == 24
    assert "training_args.bin" not in files_asked_for(server)
    with pytest.raises(Exception, match="no models in the split validation"):
        tree.sample("validation", [model_j.LAYER])


def test_models_of_another_base_are_left_out(server: Server, hub: Hub, tmp_path: Path, shelf: Shelf) -> None:
    rows = {
        "vit/train-1.jsonl": [{"hf_model_id": child(90), "split": "train", "base_model": "lab/other-vit"}]
    }
    notes = {"dataset_chosen_targets": "['apple']"}
    server.repos.create(child(90))
    server.repos.commit(child(90), {WEIGHTS: save(model_j.child_values(90, [0]), notes)})
    model_j.put_index(server, rows)
    tree = opened(hub, tmp_path, shelf)
    assert tree.roots == (model_j.ROOT,)
    assert [str(s) for s in tree.skipped] == [
        f"{child(90)}: {WEIGHTS}: it was made from lab/other-vit, not from lab/vit"
    ]
    both = opened(hub, tmp_path, shelf, roots=(model_j.ROOT, "lab/other-vit"))
    assert not both.skipped
    assert len(both.entries("train")) == 25


def test_the_same_weights_in_two_repos_count_once(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    same = server.repos.read(child(0), WEIGHTS)  # of the training split
    server.repos.commit(child(40), {WEIGHTS: same})  # of the test split
    rows = [json.loads(line) for line in server.datasets.read("lab/model-j", TRAIN).splitlines()]
    test = [json.loads(line) for line in server.datasets.read("lab/model-j", TEST).splitlines()]
    test[0]["dataset_chosen_targets"] = rows[0]["dataset_chosen_targets"]
    server.datasets.commit("lab/model-j", {TEST: "".join(json.dumps(row) + "\n" for row in test).encode()})
    tree = opened(hub, tmp_path, shelf)
    assert [str(skipped) for skipped in tree.skipped] == [
        f"{child(40)}: it holds the same weights as {child(0)}"
    ]
    assert len(tree.entries("test")) == 7


def test_one_repo_that_the_hub_never_gives_is_named_and_many_stop_the_reading(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    server.faults.add("error", path=f"/{child(40)}/resolve/*")
    tree = opened(hub, tmp_path, shelf)
    [skipped] = tree.skipped
    assert skipped.repo == child(40)
    assert "500" in skipped.why
    server.faults.clear()
    for n in range(41, 46):
        server.repos.commit(
            child(n), {"new.txt": b"x", WEIGHTS: save(model_j.child_values(n, []), {"n": str(n)})}
        )
        server.faults.add("error", path=f"/{child(n)}/resolve/*")
    with pytest.raises(HubUnavailable, match="5 models could not be had") as told:
        opened(hub, tmp_path, shelf)
    assert "goes on from here" in str(told.value.hint)


def test_a_root_that_cannot_be_read_is_done_without(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    server.repos.delete(model_j.ROOT)
    tree = opened(hub, tmp_path, shelf)
    assert tree.fingerprint == {}
    assert model_j.ROOT in tree.provenance["zoo"]["root"]
    X = tree.sample("train", [model_j.LAYER]).weights[model_j.LAYER].dense()
    assert torch.allclose(tree.origin[model_j.LAYER], X.mean(0), atol=1e-6)


def test_a_layer_that_is_not_there_is_told_with_some_that_are(hub: Hub, tmp_path: Path, shelf: Shelf) -> None:
    with pytest.raises(UsageError, match=r"no layer vit\.nothing\.weight") as told:
        opened(hub, tmp_path, shelf, layers=["vit.nothing.weight"])
    assert "vit.encoder.layer" in str(told.value.hint)


# --- the other layout -----------------------------------------------------------------------------


@pytest.mark.parametrize(("indexed", "ranks"), [(True, (4,)), (False, (4,)), (True, (4, 2, 7))])
def test_loras_in_a_bundle_are_kept_as_factors(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf, indexed: bool, ranks: tuple[int, ...]
) -> None:
    model_j.put_bundle(server, indexed=indexed, ranks=ranks)
    tree = opened(hub, tmp_path, shelf, layers=[model_j.LORA], subset="SD_tiny", roots=model_j.BASES)
    sample = tree.sample("train", [model_j.LORA])
    assert not tree.skipped
    assert tree.targets == tuple(model_j.CONCEPTS)
    assert tree.strange == tuple(model_j.UNSEEN)
    assert sample.exclusive
    assert tree.origin == {}
    first = next(entry for entry in tree.models if entry.split == "train")
    number = int(first.path.split("_")[2].split("/")[0])
    pattern = [*model_j.CONCEPTS].index(tree.models[first][0])
    values = model_j.lora_values(number, pattern, ranks[number % len(ranks)])
    product = values[f"{model_j.LORA}.lora.up.weight"] @ values[f"{model_j.LORA}.lora.down.weight"]
    assert np.allclose(sample.weights[model_j.LORA].dense()[0].numpy(), product, atol=1e-5)
    assert tree.sample("test-unseen", [model_j.LORA]).Y.shape == (4, 2)
    if indexed:
        assert [label.text for label in tree.labels] == ["tench", "dog", "house cat", "three-toed sloth"]


def test_mixed_bases_need_to_be_named_as_equivalent(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    model_j.put_bundle(server)
    tree = opened(hub, tmp_path, shelf, layers=[model_j.LORA], subset="SD_tiny")
    assert len(tree.roots) == 1
    assert len(tree.skipped) == 32
    assert all("it was made from" in str(skipped) for skipped in tree.skipped)


def test_a_sweep_over_adapters_finds_all_pairs(
    server: Server, hub: Hub, tmp_path: Path, shelf: Shelf
) -> None:
    model_j.put_bundle(server)
    tree = opened(hub, tmp_path, shelf, layers=(), subset="SD_tiny", roots=model_j.BASES)
    assert set(tree.wanted) == {model_j.LORA, model_j.LORA.replace("to_q", "to_k")}


# --- interruptions --------------------------------------------------------------------------------

READER = """
import sys
from pathlib import Path
import model_j
from hubbot.hub.client import Hub
from hubbot.training.catalogue import open_catalogue
from hubbot.training.far import open_far
from hubbot.training.shelf import Shelf
endpoint, folder = sys.argv[1], Path(sys.argv[2])
with Hub(endpoint) as hub, Shelf(folder / "shelf", 10**9) as shelf:
    catalogue = open_catalogue(hub, model_j.ZOO, "vit", folder / "cache")
    tell = lambda _: print("one", flush=True)
    tree = open_far(hub, shelf, catalogue, layers=[model_j.LAYER], threads=2, watch=tell)
    print("read", tree.gathered.bytes_read)
"""


def test_a_reading_that_is_killed_goes_on_where_it_was(server: Server, hub: Hub, tmp_path: Path) -> None:
    server.faults.add("latency", path="/blobs/*", seconds=0.05)
    environ = {**os.environ, "PYTHONPATH": str(Path(model_j.__file__).parent)}
    command = [sys.executable, "-c", READER, server.endpoint, str(tmp_path)]
    for done in (8, 20):  # those of the first reading are among the second's
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
        assert reader.stdout is not None
        for _ in range(done):
            assert reader.stdout.readline() == b"one\n"
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        reader.stdout.close()
    server.faults.clear()
    server.log.clear()
    time.sleep(0.1)
    with Shelf(tmp_path / "shelf", 10**9) as shelf, Shelf(tmp_path / "fresh", 10**9) as fresh:
        tree = opened(hub, tmp_path, shelf)
        read = {at.path.split("/resolve/")[0] for at in server.log if "/resolve/" in at.path}
        assert len(read) <= 48 + 1 - 20 + 5  # without those on the shelf, with those that are looked at first
        whole = opened(hub, tmp_path, fresh)
        assert len(tree.models) == 48
        for split in ("train", "test"):
            one, other = (t.sample(split, [model_j.LAYER]).weights[model_j.LAYER] for t in (tree, whole))
            assert torch.equal(one.dense(), other.dense())

"""The shipped experts on the demo's models: what they say, and when they say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubbot.experts.artifact import load
from hubbot.experts.expert import Expert
from hubbot.experts.router import shipped
from hubbot.records import RemoteFile, Tensors
from hubbot.weights.dtypes import Floats
from hubbot.weights.local import read_header, read_local, read_metadata
from hubbot.zoo.layout import targets

MODELS = Path(__file__).parents[3] / "hubbot" / "demo" / "models"
INDEX = json.loads((MODELS / "index.json").read_text())
EXPERTS = {expert.info.tree: expert for expert in map(load, shipped()) if expert.info.head == "labels"}


@pytest.fixture(params=sorted(EXPERTS))
def expert(request: pytest.FixtureRequest) -> Expert:
    return EXPERTS[request.param]


def upload(repo: str, values: Mapping[str, Floats]) -> Tensors:
    files = (RemoteFile("b.safetensors", 9, "bb"), RemoteFile("a.safetensors", 9, "aa"))
    return Tensors(repo, "0" * 40, values, dict.fromkeys(values, "F32"), files, 123, 4567, 74)


def stored(repo: str, expert: Expert) -> Tensors:
    return upload(repo, read_local(MODELS / repo / "model.safetensors", names(expert)))


def names(expert: Expert) -> list[str]:
    return [want.name for want in expert.config.wanted]


def children(expert: Expert) -> list[str]:
    return [line["repo"] for line in INDEX if line["root"] == expert.info.tree]


def test_the_likeliest_labels_are_right_and_recognised_ones_nearly_all(expert: Expert) -> None:
    """Probabilities are meant for a stream of strangers: fewer labels are recognised than are known."""
    repos = children(expert)
    readings = expert.consult([stored(repo, expert) for repo in repos])
    assert not any(reading.abstention for reading in readings)
    right, known, known_right = [], 0, 0
    for repo, reading in zip(repos, readings, strict=True):
        file = MODELS / repo / "model.safetensors"
        truth = {expert.info.labels[i].name for i in targets(read_metadata(file), file)}
        likeliest = sorted(reading.predictions, key=lambda p: -p.probability)[: len(truth)]
        right += [p.label in truth for p in likeliest]
        known += len(reading.recognised)
        known_right += sum(p.label in truth for p in reading.recognised)
    assert np.mean(right) > 0.9
    assert known > 0.15 * 5 * len(repos)
    assert known_right / known > 0.97


def test_rounding_to_sixteen_bits_leaves_the_reading(expert: Expert) -> None:
    for line in INDEX:
        if line["root"] == expert.info.tree and line["dtype"] == "float32":
            exact = stored(line["repo"], expert)
            half = {n: value.astype(np.float16).astype(np.float32) for n, value in exact.values.items()}
            a, b = expert.consult([exact, replace(exact, values=half)])
            assert [p.probability for p in a.predictions] == pytest.approx(
                [p.probability for p in b.predictions], abs=0.02
            )


def test_a_reading_carries_its_evidence(expert: Expert) -> None:
    repo = children(expert)[0]
    (reading,) = expert.consult([stored(repo, expert)])
    assert reading.repo == repo
    assert reading.content_ids == ("aa", "bb")
    assert (reading.expert, reading.version) == (expert.info.name, expert.info.version)
    assert reading.tree == expert.info.tree
    assert reading.tensors_read == tuple(names(expert))
    assert (reading.bytes_read, reading.bytes_stored, reading.stored_tensors) == (123, 4567, 74)
    assert reading.embedding is not None
    assert len(reading.embedding) == expert.config.probe["encoding"]
    assert [p.label for p in reading.predictions] == [label.name for label in expert.info.labels]


def test_strangers_get_an_abstention_with_its_reason(expert: Expert) -> None:
    name, shape = expert.config.wanted[0].name, expert.config.wanted[0].shape or ()
    good = stored(children(expert)[0], expert)
    root = stored(expert.info.tree, expert).values[name]
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * root.std()
    broken, endless = good.values[name].copy(), good.values[name].copy()
    broken.flat[3], endless.flat[3] = np.nan, np.inf
    odd = {
        "root": ({name: root}, "unlike-training"),
        "root in half": ({name: root.astype(np.float16).astype(np.float32)}, "unlike-training"),
        "random": ({name: noise}, "unlike-training"),
        "random around the root": ({name: root + noise / 8}, "unlike-training"),
        "zeros": ({name: np.zeros(shape, np.float32)}, "unlike-training"),
        "huge": ({name: np.full(shape, 3e38, np.float32)}, "unlike-training"),
        "nan": ({name: broken}, "not-finite"),
        "inf": ({name: endless}, "not-finite"),
        "transposed": ({name: np.zeros((7, *shape), np.float32)}, "shape-mismatch"),
        "absent": ({"other": noise}, "tensor-not-found"),
    }
    rest = {n: value for n, value in good.values.items() if n != name}
    batch = [good, *(upload(what, rest | values) for what, (values, _) in odd.items()), good]
    first, *middle, last = expert.consult(batch)
    for reading, (what, (_, code)) in zip(middle, odd.items(), strict=True):
        assert reading.abstention is not None, what
        assert (what, reading.abstention.code) == (what, code)
        assert reading.repo == what
        assert not reading.predictions
    assert first == last
    assert first.predictions
    assert first == expert.consult([good, good])[0]


def test_models_of_another_tree_are_strangers() -> None:
    a, b = EXPERTS["digits-zoo/vit-a"], EXPERTS["digits-zoo/vit-b"]
    for mine, other in ((a, b), (b, a)):
        readings = mine.consult([stored(repo, mine) for repo in children(other)])
        assert {r.abstention.code for r in readings if r.abstention} == {"unlike-training"}
        assert all(r.abstention for r in readings)


def test_swapped_weights_swap_the_readings(expert: Expert) -> None:
    one, two = (stored(repo, expert) for repo in children(expert)[:2])
    plain = expert.consult([one, two])
    swapped = expert.consult([replace(one, values=two.values), replace(two, values=one.values)])
    assert swapped[0].predictions == plain[1].predictions
    assert swapped[1].predictions == plain[0].predictions
    assert plain[0].predictions != plain[1].predictions


def test_an_empty_batch_is_no_work(expert: Expert) -> None:
    assert expert.consult([]) == []


def test_an_expert_reads_little_of_each_file() -> None:
    name = {tree: e.config.wanted[0].name for tree, e in EXPERTS.items()}
    shares = []
    for line in INDEX:
        if line["root"] in name:
            file = MODELS / line["folder"] / "model.safetensors"
            header = read_header(file)
            layer = header.tensors[name[line["root"]]]
            shares.append((header.data_start + layer.nbytes) / file.stat().st_size)
    assert np.mean(shares) < 0.12

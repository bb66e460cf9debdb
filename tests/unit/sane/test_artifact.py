"""An autoencoder's folder: saved, loaded, distrusted; and what a model is told by it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from autoencoders import GROUPS, SHAPES, TINY, trained
from safetensors.torch import save_file

from hubbot.errors import ExpertError, NotFinite, ShapeMismatch, TensorNotFound, WeightsError
from hubbot.records import Abstention
from hubbot.sane.align import shuffled
from hubbot.sane.artifact import Artifact, describe, load, save
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.judge import embedding, fits, in_order, judge
from hubbot.sane.schema import CONFIG, WEIGHTS, Config
from hubbot.sane.tokens import PARTS
from hubbot.sane.train import Checkpoints


@pytest.fixture(scope="module")
def made() -> tuple[Artifact, Checkpoints]:
    return trained()


@pytest.fixture
def folder(made, tmp_path) -> Path:
    save(tmp_path / "sizes", made[0])
    return tmp_path / "sizes"


def one(data: Checkpoints, at: int) -> dict[str, torch.Tensor]:
    return {name: value[at] for name, value in data.values().items()}


def test_what_was_saved_says_the_same_when_it_is_loaded(made, folder):
    artifact, data = made
    again = load(folder)
    assert again.config == artifact.config
    [said], [before] = judge(again, one(data, 7)), judge(artifact, one(data, 7))
    assert said.value == pytest.approx(before.value, abs=1e-5)
    assert (said.name, said.coverage) == ("size", 0.8)


def test_a_model_is_told_its_size_in_whatever_order_its_channels_lie(made):
    artifact, data = made
    moved = shuffled(data.values(), GROUPS, torch.Generator().manual_seed(1))
    for at in range(150, 160):
        [said] = judge(artifact, one(data, at))
        [again] = judge(artifact, {name: value[at] for name, value in moved.items()})
        assert again.value == pytest.approx(said.value, abs=1e-4)
        assert 0 <= said.low <= said.value <= said.high <= 1
        assert said.high - said.low <= 0.2 + 1e-6


def test_a_stranger_of_the_same_architecture_gets_an_abstention(made):
    artifact, data = made
    strange = {name: 3 * torch.randn_like(value) for name, value in one(data, 0).items()}
    said = judge(artifact, strange)
    assert isinstance(said, Abstention)
    assert said.code == "unlike-training"
    assert said.text.startswith("its weights are unlike those that sizes learned from, ")


def test_one_that_is_rebuilt_well_may_be_a_stranger(made):
    artifact, data = made
    tame = replace(artifact.config, oddest=1e9)
    broad = {name: 2 * value for name, value in one(data, 0).items()}
    said = judge(replace(artifact, config=tame), broad)
    assert isinstance(said, Abstention)
    assert "in how large and how varied they are" in said.text
    near = replace(tame, reach=replace(tame.reach, farthest=1e9))
    assert not isinstance(judge(replace(artifact, config=near), broad), Abstention)


def test_another_architecture_is_named(made):
    artifact, data = made
    model, where = one(data, 0), {"repo": "ann/net", "file": "model.safetensors"}
    assert fits(artifact.config, {name: list(value.shape) for name, value in model.items()})
    assert not fits(artifact.config, SHAPES | {"c.weight": (2, 2)})
    with pytest.raises(TensorNotFound, match=r"ann/net.*b\.weight"):
        judge(artifact, {name: model[name] for name in ("a.weight", "a.bias")}, **where)
    with pytest.raises(ShapeMismatch, match=r"ann/net.*b\.weight"):
        judge(artifact, model | {"b.weight": torch.zeros(6, 3)}, **where)
    with pytest.raises(WeightsError, match=r"not finite"):
        judge(artifact, model | {"b.weight": torch.full((3, 6), float("inf"))}, **where)
    large = torch.full((3, 6), 1e300, dtype=torch.float64)
    for asked in (judge, embedding, in_order):
        with pytest.raises(NotFinite, match=r"ann/net: model\.safetensors: b\.weight: .*not finite"):
            asked(artifact, model | {"b.weight": large}, **where)


def test_a_tensor_that_is_no_token_is_looked_at_too():
    shapes = {"a.weight": (6, 4), **{f"norm.{part}": (6,) for part in PARTS}}
    config = Config("norms", shapes, 5, norms=False, size=TINY, trained_on="nothing")
    artifact = Artifact(config, "", Autoencoder(config.layout, TINY), {}, None)
    model = {name: torch.ones(shape) for name, shape in shapes.items()}
    assert embedding(artifact, model).shape == (6, TINY.latent)
    del model["norm.running_var"]
    with pytest.raises(TensorNotFound, match=r"norm\.running_var"):
        embedding(artifact, model)


def property_with(**change: float) -> dict[str, list[dict[str, object]]]:
    return {"properties": [{"name": "size", "half_width": 0.1, "least": 0.0, "most": 1.0} | change]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format is 2"),
        ({"length": 0}, "a size under 1"),
        ({"size": {"width": 10**9}}, "a width over"),
        ({"size": {"width": 16, "heads": 3}}, "heads do not divide"),
        ({"size": {"window": 4, "halo": 2}}, "nothing of a window"),
        ({"size": {"width": "wide"}}, "size.width"),
        ({"shapes": {"a.weight": [2**40, 2**40]}, "groups": []}, "shapes of no numbers, or of more"),
        ({"shapes": {"a.weight": [2**31, 1]}, "groups": [], "length": 1}, "more than .* tokens"),
        ({"shapes": {"a.weight": [-1, -4]}, "groups": []}, "shapes of no numbers"),
        ({"shapes": {}, "groups": []}, "shapes of no numbers"),
        ({"groups": [{"size": 5, "axes": [{"tensor": "a.weight", "axis": 0}]}]}, "a.weight has no 5 places"),
        ({"groups": [{"size": 5, "axes": [{"tensor": "z", "axis": 0}]}]}, "z has no 5 places"),
        ({"surprise": 1}, "surprise"),
        ({"coverage": float("nan")}, "config.json"),
        ({"coverage": 7.0}, "coverage is 7.0, no share of models"),
        ({"coverage": 1.0}, "coverage is 1.0, no share of models"),
        ({"coverage": 0.0}, "coverage is 0.0, no share of models"),
        ({"coverage": -0.9}, "coverage is -0.9, no share of models"),
        (property_with(half_width=-0.1), "size: a half width under 0"),
        (property_with(half_width=float("inf")), "half_width"),
        (property_with(least=1.0, most=0.0), "size: its least is over its most"),
        (property_with(r2=1.5), "size: an R2 over 1"),
        (property_with(least=float("nan")), "least"),
        ({"oddest": -1.0}, "a limit under 0"),
        ({"reach": {"centres": 1, "axes": 10, "farthest": -1.0}}, "a limit under 0"),
        ({"reach": {"centres": 0, "axes": 10, "farthest": 1.0}}, "reach: centres or axes under 1"),
        ({"reach": {"centres": 1, "axes": 10**9, "farthest": 1.0}}, "reach: centres or axes under 1 or over"),
        ({"reach": {"centres": 1, "axes": 10, "farthest": float("nan")}}, "reach.farthest"),
        ({"reach": None}, "cannot tell what is unlike its training"),
        ({"oddest": None}, "cannot tell what is unlike its training"),
        ({"features": []}, "properties that are read from nothing"),
        ({"features": ["mean", "name"]}, "features: name is none of weights, statistics"),
        ({"shapes": {"a.weight": [6, 4], "a.bias": [0]}, "groups": []}, "a.bias has no numbers"),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_words(folder, change, told):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(ExpertError, match=told):
        describe(folder)


def test_weights_that_do_not_fit_are_refused(made, folder, tmp_path):
    with pytest.raises(ExpertError, match="there is no autoencoder here"):
        load(tmp_path / "nothing")
    from safetensors.torch import load_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file({n: v for n, v in tensors.items() if not n.startswith("ridge.")}, file)
    with pytest.raises(ExpertError, match=r"ridge\.weight: .*do not fit.*no such tensor"):
        load(folder)
    save_file({n: v for n, v in tensors.items() if not n.startswith("reference.a")}, file)
    with pytest.raises(ExpertError, match=r"reference\.a\.weight: .*do not fit.*no such tensor"):
        load(folder)
    save_file({n: v for n, v in tensors.items() if n != "model.into.bias"}, file)
    with pytest.raises(ExpertError, match=r"model\.into\.bias: .*do not fit"):
        load(folder)
    file.write_bytes(b"\x80\x04no pickle is opened")
    with pytest.raises(ExpertError, match="cannot be read"):
        load(folder)


def nan(value: torch.Tensor) -> torch.Tensor:
    return torch.full_like(value, float("nan"))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("ridge.bias", None, "there is no such"),
        ("ridge.weight", None, "there is no such"),
        ("ridge.weight", lambda v: v[:-1], "expected"),
        ("ridge.weight", lambda v: v.T.contiguous(), "expected"),
        ("ridge.bias", lambda v: v.repeat(2), "expected"),
        ("ridge.bias", lambda v: v[0], "expected"),
        ("ridge.more", lambda _: torch.zeros(1), "there is to be no such"),
        ("surprise", lambda _: torch.zeros(1), "there is to be no such"),
        ("ridge.weight", nan, "not finite"),
        ("ridge.bias", lambda v: torch.full_like(v, 1e300, dtype=torch.float64), "not finite"),
        ("ridge.bias", lambda v: v.long(), "stored as I64"),
        ("distance.centres", None, "there is no such"),
        ("distance.centres", lambda v: v.repeat(2, 1), "expected"),
        ("distance.axes", lambda v: v[:, :-1].contiguous(), "expected"),
        ("distance.axes", nan, "not finite"),
        ("distance.spread", lambda v: v.long(), "stored as I64"),
        ("distance.spread", torch.zeros_like, "not above 0"),
        ("distance.variance", torch.neg, "not above 0"),
        ("distance.rest", torch.zeros_like, "not above 0"),
        ("distance.more", lambda _: torch.zeros(1), "there is to be no such"),
        ("reference.a.bias", nan, "not finite"),
        ("reference.a.bias", lambda v: v.bool(), "stored as BOOL"),
        ("reference.a.bias", lambda v: v[:-1], "expected"),
        ("reference.a.bias", None, "there is no such"),
        ("reference.c", lambda _: torch.zeros(1), "there is to be no such"),
        ("model.into.bias", nan, "not finite"),
        ("model.into.bias", lambda v: v.int(), "stored as I32"),
        ("model.into.bias", lambda v: v.to(torch.complex64), "stored as C64"),
        ("model.into.bias", None, "there is no such"),
        ("model.into.bias", lambda v: v[:-1], "expected"),
        ("model.more", lambda _: torch.zeros(1), "there is to be no such"),
        ("model.scale.mean", nan, "not finite"),
        ("model.scale.spread", nan, "not finite"),
        ("model.scale.spread", torch.zeros_like, "not above 0"),
        ("model.scale.spread", torch.neg, "not above 0"),
    ],
)
def test_a_tensor_that_cannot_be_is_refused_when_the_folder_is_loaded(folder, name, change, told):
    from safetensors.torch import load_file

    file = folder / WEIGHTS
    tensors = load_file(file)
    changed = change(tensors.pop(name, None)) if change else None
    if change is None:
        del tensors[name]
    else:
        tensors[name] = changed
    save_file(tensors, file)
    with pytest.raises(ExpertError, match=rf"{re.escape(str(file))}: {re.escape(name)}: .*{told}"):
        load(folder)

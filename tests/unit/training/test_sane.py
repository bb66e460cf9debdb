"""From a zoo of small nets to an autoencoder's folder, and back to a net of the zoo."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubbot.errors import UsageError, ZooError
from hubbot.records import Estimate
from hubbot.sane import artifact, judge
from hubbot.sane.schema import Size
from hubbot.sane.train import Course, unflattened
from hubbot.training.sane import Plan, Study, halves, train_sane
from hubbot.training.zoos import build_zoo
from hubbot.zoo.cnn.history import open_history
from hubbot.zoo.layout import repo_folder

TINY = Plan(
    size=Size(width=16, latent=8, blocks=1, heads=2, window=48, projection=4),
    course=Course(steps=30, batch=4),
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "cnn-digits-grid"
    build_zoo("cnn-digits-grid", "tiny", folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def study(zoo: Path) -> Study:
    return Study.of(open_history(zoo), 73)


def test_aligned_nets_answer_as_they_did_and_lie_closer(zoo, study):
    before = open_history(zoo)
    x = before.pictures().test.x[:50]
    acts = list(before.activation)
    last = before.weights[:, -1]
    assert torch.allclose(
        study.logits(study.history.weights[:, -1], acts, x), study.logits(last, acts, x), atol=1e-4
    )
    far = (last - study.reference).square().sum(1)
    near = (study.history.weights[:, -1] - study.reference).square().sum(1)
    assert (near <= far + 1e-4).all()
    assert near.mean() < 0.9 * far.mean()


def test_every_net_answers_with_its_own_activation(study):
    acts, x = list(study.history.activation), study.history.pictures().test.x[:5]
    assert len(set(acts)) == 3
    weights = study.history.weights[:, -1]
    together = study.logits(weights, acts, x)
    for i in (0, 7, 13):
        assert torch.allclose(study.logits(weights[i : i + 1], acts[i : i + 1], x)[0], together[i], atol=1e-5)
    checkpoints = study.checkpoints
    epochs = len(study.history.epoch)
    which = torch.tensor([7 * epochs + epochs - 1, 13 * epochs])
    seen = study.behave(checkpoints.values(which), which, torch.tensor(3))
    again = study.behave(checkpoints.values(which.flip(0)), which.flip(0), torch.tensor(3))
    assert torch.allclose(seen, again.flip(0), atol=1e-5)


def test_no_model_is_in_two_parts(study):
    parts = [study.of_split("train"), *halves(study), study.of_split("test")]
    names = [set(part.history.names) for part in parts]
    assert sum(map(len, names)) == len(set.union(*names)) == 20
    truth = parts[0].truth
    assert truth.shape == (len(names[0]) * len(study.history.epoch), 3)
    assert torch.equal(truth[: len(study.history.epoch), 1], study.history.epoch.float())


def test_what_a_zoo_taught_reads_a_repo_of_the_zoo(zoo, tmp_path):
    made = train_sane(zoo, tmp_path / "sizes", TINY, progress=False)
    assert not list((tmp_path / "sizes").glob("unfinished*"))
    assert [one.name for one in made.config.properties] == ["accuracy", "epoch", "gap"]
    assert made.config.provenance["zoo"] == "cnn-digits-grid"
    again = artifact.load(tmp_path / "sizes")
    assert again.version == made.version
    history = open_history(zoo)
    at = history.split.index("test")
    weights = load_file(repo_folder(zoo, history.names[at]) / "model.safetensors")
    assert judge.fits(made.config, {name: value.shape for name, value in weights.items()})
    assert again.config.reach.centres == len(history.epoch)
    blind = replace(again, distance=None, config=replace(again.config, oddest=None))
    said = judge.judge(blind, weights)
    assert isinstance(said, tuple)
    assert all(isinstance(one, Estimate) and one.low <= one.value <= one.high for one in said)
    own = unflattened(history.weights[at, -1], history.net.shapes)
    assert all(
        math.isclose(a.value, b.value, abs_tol=1e-5)
        for a, b in zip(said, judge.judge(blind, own), strict=True)
    )


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_training_goes_on_where_it_was_stopped(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("hubbot.sane.train.SAVE_EVERY", 10)
    straight = train_sane(zoo, tmp_path / "straight" / "one", TINY, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("hubbot.training.sane.concluded", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_sane(zoo, tmp_path / "one", TINY, progress=False)
    assert (tmp_path / "one" / "unfinished.safetensors").exists()
    drawn = tmp_path / "curve.png"
    assert train_sane(zoo, tmp_path / "one", TINY, progress=False, plot=drawn).version == straight.version
    left = {file.name for file in (tmp_path / "one").iterdir()}
    assert left == {"config.json", "model.safetensors", "curve.csv"}
    curves = [(tmp_path / name / "curve.csv").read_text() for name in ("one", "straight/one")]
    assert curves[0] == curves[1]
    assert curves[0].splitlines()[0] == "step,loss,reconstruction,contrast,behaviour"
    assert [line.split(",")[0] for line in curves[0].splitlines()[1:]] == ["30"]
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_curve_that_cannot_be_drawn_is_said_before_training(zoo, tmp_path):
    with pytest.raises(UsageError, match=r"no picture is written as \.txt"):
        train_sane(zoo, tmp_path / "one", TINY, progress=False, plot=tmp_path / "curve.txt")
    assert not (tmp_path / "one").exists()


def test_what_was_begun_otherwise_is_no_beginning(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr("hubbot.sane.train.SAVE_EVERY", 10)
    other = replace(TINY, course=replace(TINY.course, seed=1))
    straight = train_sane(zoo, tmp_path / "straight" / "one", TINY, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("hubbot.training.sane.concluded", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_sane(zoo, tmp_path / "one", other, progress=False)
    assert train_sane(zoo, tmp_path / "one", TINY, progress=False).version == straight.version


def test_a_finished_autoencoder_is_not_trained_over(zoo, tmp_path):
    made = train_sane(zoo, tmp_path / "one", TINY, progress=False)
    other = replace(TINY, course=replace(TINY.course, seed=1))
    with pytest.raises(UsageError, match=f"{tmp_path / 'one'}: an autoencoder is there already") as told:
        train_sane(zoo, tmp_path / "one", other, progress=False)
    assert told.value.hint == "choose another --out, or remove the folder"
    assert artifact.load(tmp_path / "one").version == made.version


def test_few_models_promise_little(zoo, tmp_path):
    made = train_sane(zoo, tmp_path, TINY, progress=False)
    assert len(halves(Study.of(open_history(zoo), 73))[1].history.plans) == 1
    assert made.config.coverage == 0.5, "of two models, the worse one is as likely the new one"


def test_a_folder_without_a_zoo_is_said(tmp_path):
    with pytest.raises(ZooError, match="no blocks of a CNN zoo"):
        train_sane(tmp_path, tmp_path / "out", TINY, progress=False)

"""`hubbot sane train` and `sample`: from a zoo to an autoencoder, and from models on a Hub to new ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stage import upload
from transformers import AutoModelForImageClassification
from typer.testing import CliRunner, Result

from hubbot.cli import app
from hubbot.localhub.server import Server
from hubbot.sane.schema import version
from hubbot.training.zoos import build_zoo
from hubbot.zoo.layout import open_zoo, repo_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A zoo of ResNets hardly trained, and an autoencoder of them hardly trained."""
    folder = tmp_path_factory.mktemp("making")
    build_zoo("resnet-digits", "tiny", folder / "zoo", progress=False)
    words = [
        "sane",
        "train",
        "--zoo",
        folder / "zoo",
        "--out",
        folder / "mind",
        "--steps",
        "2",
        "--no-norms",
        "--json",
    ]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["name"], told["version"]) == ("mind", version(folder / "mind"))
    assert [one["name"] for one in told["properties"]] == ["accuracy", "epoch", "gap"]
    return folder / "zoo", folder / "mind"


@pytest.fixture
def prompts(trained, hub: Server) -> list[str]:
    """Three nets of the zoo, uploaded."""
    zoo = open_zoo(trained[0])
    repos = [model.repo for model in zoo.models[:3]]
    for repo in repos:
        files = {file.name: file.read_bytes() for file in repo_folder(zoo.folder, repo).iterdir()}
        upload(hub.repos, repo, files)
    return repos


def sampled(hub: Server, *words: object) -> Result:
    told = ["sane", "sample", *map(str, words)]
    return CliRunner(env={"HF_ENDPOINT": hub.endpoint}).invoke(app, told)


def test_what_is_made_loads_with_its_prompts_library(trained, prompts, hub, tmp_path):
    likes = [word for repo in prompts for word in ("--like", repo)]
    result = sampled(hub, "--with", trained[1], *likes, "--out", tmp_path / "made", "--count", 2, "--json")
    assert result.exit_code == 0, result.output
    first, second = (Path(folder) for folder in json.loads(result.stdout))
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    prompt = load_file(repo_folder(trained[0], prompts[0]) / "model.safetensors")
    floats = {name: value.shape for name, value in prompt.items() if value.is_floating_point()}
    assert {name: value.shape for name, value in a.items()} == floats
    assert not torch.equal(a["classifier.1.weight"], b["classifier.1.weight"])
    model = AutoModelForImageClassification.from_pretrained(first)
    assert model(torch.zeros(1, 1, 16, 16)).logits.shape == (1, 10)
    card = (first / "README.md").read_text()
    assert all(f"- {repo}" in card for repo in prompts)
    assert "Nothing of it was measured" in card
    again = sampled(hub, "--with", trained[1], *likes, "--out", tmp_path / "again", "--count", 2, "--json")
    repeated = load_file(Path(json.loads(again.stdout)[1]) / "model.safetensors")
    assert all(torch.equal(repeated[name], b[name]) for name in b), "the seed decides"


def test_bad_orders_are_said_in_a_line(trained, prompts, hub, tmp_path):
    like = ("--with", trained[1], "--like", prompts[0])
    (tmp_path / "made" / "0000").mkdir(parents=True)
    for words, told in (
        ((*like, "--out", tmp_path / "made"), "it is there already"),
        ((*like, "--out", tmp_path / "new", "--way", "magic"), "no way 'magic'"),
        (("--with", trained[1], "--like", "no repo", "--out", tmp_path / "new"), "'no repo' is not a repo"),
        (
            ("--with", tmp_path, "--like", prompts[0], "--out", tmp_path / "new"),
            "there is no autoencoder here",
        ),
    ):
        result = sampled(hub, *words)
        assert result.exit_code != 0
        assert told in str(result.exception)
    assert not (tmp_path / "new").exists()

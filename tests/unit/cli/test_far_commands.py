"""The commands of far training, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import model_j
import pytest
from typer.testing import CliRunner, Result

from hubbot.cli import app
from hubbot.errors import UsageError
from hubbot.localhub.server import Server
from hubbot.records import RemoteFile
from hubbot.training.shelf import Shelf


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUBBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_shelves_are_listed_and_cleared(home: Path) -> None:
    assert "no shelves" in run("zoo", "shelves").output
    for name in ("one", "two"):
        with Shelf(home / "shelves" / name, 10**6) as shelf:
            part = model_j.root_values()[model_j.LAYER]
            shelf.put("a/b", "0" * 40, RemoteFile("m.safetensors", 1, "0" * 64), {}, {"layer": part})
    assert json.loads(run("zoo", "shelves", "--json").output) == {"one": 4096, "two": 4096}
    done = run("zoo", "shelves", "--clear", "three")
    assert isinstance(done.exception, UsageError)
    assert "one, two" in str(done.exception.hint)
    run("zoo", "shelves", "--clear", "one")
    assert json.loads(run("zoo", "shelves", "--json").output) == {"two": 4096}
    run("zoo", "shelves", "--clear", "all")
    assert "no shelves" in run("zoo", "shelves").output


def test_a_zoo_is_put_on_a_local_hub_with_its_index(tmp_path: Path) -> None:
    model_j.make_zoo(tmp_path / "zoo", splits=("train", "test"))
    done = run("localhub", "add", tmp_path / "hub", "--zoo", tmp_path / "zoo", "--json")
    assert json.loads(done.output) == {"vit": 2}
    hub = Server(tmp_path / "hub")
    assert [repo.id for repo in hub.repos.all()] == [
        "lab/model-j__vit__model_idx_0000",
        "lab/model-j__vit__model_idx_0001",
        "lab/vit",
    ]
    assert "training_args.bin" in hub.repos.files("lab/model-j__vit__model_idx_0000")
    [row] = hub.datasets.read("lab/model-j", "vit/test-00000-of-00001.jsonl").splitlines()
    assert json.loads(row)["split"] == "test"


def test_recipes_are_told_with_what_they_cost() -> None:
    told = json.loads(run("expert", "recipes", "--json").output)
    assert next(recipe["name"] for recipe in told) == "model-j/supvit"
    shown = run("expert", "recipes").output
    assert "2.4 GB" in shown
    assert ".998 / .955" in shown


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--zoo", "hf:lab/model-j", "--subset", "vit"), "which layers"),
        (("--zoo", "nowhere", "--layer", "x"), "no zoo 'nowhere'"),
        (("--recipe", "model-j/nothing"), "no recipe"),
        (("--zoo", "hf:lab/model-j", "--sweep", "--prompt", "a {}"), "layers that are named"),
    ],
)
def test_what_cannot_be_trained_is_told(home: Path, tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    done = run("--endpoint", "http://127.0.0.1:9", "expert", "train", "--out", tmp_path / "e", *words)
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)


def test_publishing_is_a_dry_run_first(home: Path) -> None:
    done = run("--endpoint", "http://127.0.0.1:9", "expert", "push", "digits-vit-a", "--repo", "me/x")
    assert done.exit_code == 0
    assert "library_name: hubbot" in done.output
    assert "nothing was sent" in done.output

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import experts
from benchmarks.report import Row, at_least, told, verdict
from hubbot.errors import ExpertError, ZooError
from hubbot.experts.artifact import describe, trained_on
from hubbot.experts.baselines import BASELINES
from hubbot.experts.router import shipped
from hubbot.experts.schema import read
from hubbot.experts.train import Schedule
from hubbot.experts.trust import trust
from hubbot.training.evaluate import evaluate_expert
from hubbot.training.experts import train_expert
from hubbot.training.trees import candidates, open_tree
from hubbot.zoo.emoji.recipe import EMOJI
from hubbot.zoo.layout import Zoo, open_zoo
from hubbot.zoo.recipes import DIGITS, RECIPES

ROOT = "digits-zoo/vit-a"
QUICK = Schedule(epochs=4, seed=3)


@pytest.fixture(scope="module")
def zoo(smallest_zoos: Callable[..., str]) -> Zoo:
    return open_zoo(Path(smallest_zoos("digits")) / "digits")


@pytest.fixture(scope="module")
def expert(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expert")
    train_expert(zoo.folder, ROOT, folder, how=QUICK, progress=False)
    return folder


def test_the_head_and_the_embeddings_are_no_candidates(zoo: Zoo) -> None:
    for root in DIGITS.roots:
        layers = list(open_tree(zoo.folder, root.repo).origin)
        assert len(layers) >= 10
        assert not any(word in name for name in layers for word in ("classifier", "embed", "norm", "bias"))


def test_candidates_are_small_hidden_matrices() -> None:
    shapes = {
        "model.layers.0.mlp.weight": (100, 100),
        "model.layers.1.mlp.weight": (100, 100),
        "model.layers.2.huge.weight": (1000, 1000),
        "model.layers.3.tiny.weight": (4, 4),
        "lm_head.weight": (100, 100),
        "model.embed_tokens.weight": (100, 100),
        "model.layers.0.mlp.bias": (1000,),
    }
    assert candidates(shapes) == ("model.layers.0.mlp.weight", "model.layers.1.mlp.weight")


def test_an_expert_is_written_whole(zoo: Zoo, expert: Path) -> None:
    info = describe(expert)
    assert (info.name, info.roots) == ("digits-vit-a", (ROOT,))
    assert [label.tag for label in info.labels][7] == "digit-seven"
    assert info.datasets == ()
    told = read(expert).provenance
    assert told["zoo"]["recipe_hash"] == DIGITS.at("tiny").hash
    assert told["schedule"]["seed"] == 3
    chosen = [want.name for want in info.wanted]
    assert 1 <= len(chosen) <= 3
    assert set(chosen) <= set(told["validation"])
    learned = trained_on(expert)
    assert set(learned) == {"train", "validation", "calibration"}
    assert set(learned["train"]) == {m.sha256 for m in zoo.children(ROOT, "train")}


def test_the_score_is_reproduced(zoo: Zoo, expert: Path) -> None:
    found, info = evaluate_expert(expert, zoo.folder), describe(expert)
    assert (found.scores, found.baselines) == (info.scores, info.baselines)
    assert found.reliability == trust(expert).reliability
    assert set(found.scores) == {"accuracy", "precision", "coverage", "abstained"}
    assert set(found.baselines) == set(BASELINES)


def test_its_reliability_is_kept_of_models_that_had_no_part_in_it(zoo: Zoo, expert: Path) -> None:
    found = trust(expert).reliability
    assert found is not None
    assert (found.split, found.models, found.strangers) == ("test", len(zoo.children(ROOT, "test")), 0)
    assert sum(b.told for b in found.bins) <= 10 * found.models
    told = {path.name: path.read_bytes() for path in expert.iterdir()}
    evaluate_expert(expert, zoo.folder, "validation")
    assert {path.name: path.read_bytes() for path in expert.iterdir()} == told


def test_the_same_command_makes_the_same_expert(zoo: Zoo, expert: Path, tmp_path: Path) -> None:
    again = train_expert(zoo.folder, ROOT, tmp_path, how=QUICK, progress=False)
    assert again.version == describe(expert).version


def test_the_test_split_selects_nothing(zoo: Zoo, expert: Path) -> None:
    tree = open_tree(zoo.folder, ROOT)
    learned = {sha for hashes in trained_on(expert).values() for sha in hashes}
    assert not learned & {m.sha256 for m in tree.zoo.children(ROOT, "test")}


def test_what_is_not_there_is_told(zoo: Zoo, expert: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no root"):
        train_expert(zoo.folder, "google/vit-base", tmp_path, progress=False)
    with pytest.raises(ZooError, match="no zoo here"):
        evaluate_expert(expert, tmp_path)
    with pytest.raises(ExpertError, match="no models in the split holdout"):
        open_tree(zoo.folder, ROOT)._read("holdout")


def test_shipped_experts_come_from_frozen_recipes_and_beat_both_baselines() -> None:
    hashes = {
        **{name: recipe.hash for name, recipe in RECIPES.items()},
        **{n: r.hash for n, r in EMOJI.items()},
    }
    for folder in shipped():
        info, zoo = describe(folder), read(folder).provenance["zoo"]
        assert zoo["recipe_hash"] == hashes[zoo["recipe"]]
        if info.head == "text":  # of concepts that it was trained on, copies of a LoRA know as much
            assert min(info.scores["accuracy"], info.scores["zero_shot"]) > 0.9
        else:
            assert info.scores["accuracy"] > max(0.7, *info.baselines.values()) + 0.05


def test_the_benchmark_runs(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(__file__).parents[2] / "docs" / "results"
    before = {file: file.read_bytes() for file in results.glob("experts.*")}
    monkeypatch.setattr(sys, "argv", ["experts", "--smoke", "--json", "--zoo", str(zoo.folder)])
    experts.main()
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert len(rows) == 3 * 4 + 2 * 2
    assert all(row.keys() == {"name", "value", "unit", "target", "baseline", "holds"} for row in rows)
    assert {file: file.read_bytes() for file in results.glob("experts.*")} == before


def test_the_report_says_which_targets_are_missed_and_by_how_much() -> None:
    reached, free = at_least("a accuracy", 0.9, "correct", 0.7), told("a coverage", 0.1, "of labels")
    short = at_least("a precision", 0.9433, "correct", 0.95)
    assert verdict([reached, free]) == "Every target is reached."
    assert verdict([reached, short, free]) == "- Missed: a precision is 0.9433 correct, target 0.95."


def test_the_published_report_tells_what_is_in_its_rows() -> None:
    results = Path(__file__).parents[2] / "docs" / "results"
    for file in results.glob("*.json"):
        rows = [Row(**row) for row in json.loads(file.read_text())["rows"]]
        assert verdict(rows) in file.with_suffix(".md").read_text()

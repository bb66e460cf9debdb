"""A zoo of LoRAs of one concept each: read as a source, and an expert with a text head made of it."""

from __future__ import annotations

import json
from pathlib import Path

import aligned
import pytest
from aligned import CONCEPTS, LABELS, ROOT
from safetensors.numpy import load, save

from hubbot.errors import ExpertError, UsageError, ZooError
from hubbot.experts.artifact import describe, text_head
from hubbot.records import Kind
from hubbot.training.adapters import AdapterTree
from hubbot.training.evaluate import evaluate_expert
from hubbot.training.experts import train_expert
from hubbot.training.trees import open_source
from hubbot.zoo.layout import TARGETS, Zoo, ZooModel, repo_folder, sha256, write_index

SPLITS = ("train",) * 6 + ("validation", "calibration", "calibration", "test")
HELD_OUT = {"castle", "rocket"}
CHILD = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    folder, lines = tmp_path_factory.mktemp("zoo"), []
    lines.append(_line(folder, ROOT, None, "root", save(aligned.root_weights())))
    for concept, label in enumerate(LABELS):
        for copy, split in enumerate(SPLITS):
            unseen = label.name in HELD_OUT
            weights = load(aligned.file_of(concept, copy, names="{}.lora_{}.weight"))
            kept = {name: value for name, value in weights.items() if "other" not in name}
            raw = save(kept, {TARGETS: str([label.name])})
            where = "test-unseen" if unseen else split
            lines.append(_line(folder, f"zoo/{label.name}-{copy}", ROOT, where, raw))
    told = [{"name": one.name, "text": one.text, "tag": one.tag, "split": _split(one.name)} for one in LABELS]
    (folder / "concepts.json").write_text(json.dumps(told))
    made = Zoo(*(folder, "painters", "0" * 16, "tiny", tuple(lines)), root_file=CHILD, child_file=CHILD)
    write_index(made)
    return made


def _split(name: str) -> str:
    return "held-out" if name in HELD_OUT else "seen"


def _line(folder: Path, repo: str, root: str | None, split: str, raw: bytes) -> ZooModel:
    place = repo_folder(folder, repo)
    place.mkdir(parents=True)
    (place / CHILD).write_bytes(raw)
    return ZooModel(repo, root, split, sha256(place / CHILD), declared=True)


def test_its_layers_are_pairs_and_its_truth_one_concept(zoo: Zoo) -> None:
    tree = open_source(zoo.folder, ROOT)
    assert isinstance(tree, AdapterTree)
    assert tree.labels == tuple(label for label in LABELS if label.name not in HELD_OUT)
    assert list(tree.wanted) == list(aligned.LAYERS)
    assert {(want.kind, want.shape) for want in tree.wanted.values()} == {(Kind.LORA, aligned.SHAPE)}
    sample = tree.sample("train", aligned.LAYERS)
    assert sample.Y.sum(0).tolist() == [6.0] * 6
    assert sample.Y.sum(1).tolist() == [1.0] * 36
    B, _ = aligned.factors(0, 0, 2)[aligned.LAYERS[0]]
    assert (sample.weights[aligned.LAYERS[0]].dense()[0].abs().max() > 0).item()
    assert sample.weights[aligned.LAYERS[0]].shape == aligned.SHAPE == (len(B), 32)
    assert len(tree.hashes("train")) == 36
    assert tree.origin == {}
    assert "36 LoRAs" in tree.story


def test_unseen_concepts_have_columns_of_their_own(zoo: Zoo) -> None:
    tree = open_source(zoo.folder, ROOT)
    assert {label.name for label in tree.unseen("test")} == HELD_OUT
    assert tree.unseen("validation") == ()
    assert tree.sample("test-unseen", aligned.LAYERS).Y.shape == (20, 2)
    with pytest.raises(ExpertError, match="no models in the split nowhere"):
        tree.sample("nowhere", aligned.LAYERS)


def test_only_the_layers_asked_for_are_candidates(zoo: Zoo) -> None:
    assert list(open_source(zoo.folder, ROOT, aligned.LAYERS[1:]).wanted) == [aligned.LAYERS[1]]
    with pytest.raises(UsageError, match="have no layer nothing"):
        _ = open_source(zoo.folder, ROOT, ["nothing"]).wanted


def test_a_truth_that_is_none_is_told(zoo: Zoo, tmp_path: Path) -> None:
    place = repo_folder(tmp_path, "a/b")
    place.mkdir(parents=True)
    for told in ("[", "['dog', 'cat']", "__import__('os')"):
        (place / CHILD).write_bytes(save(load(aligned.noise(1)), {TARGETS: told}))
        lost = Zoo(*(tmp_path, "x", "0", "tiny", (ZooModel("a/b", ROOT, "train", "0", True),)), CHILD, CHILD)
        tree = AdapterTree(lost, zoo.models[0])
        (tmp_path / "concepts.json").write_text("[]")
        with pytest.raises(ZooError, match="no readable dataset_chosen_targets"):
            tree.sample("train", aligned.LAYERS)
    (place / CHILD).write_bytes(save(load(aligned.noise(1)), {TARGETS: "[]"}))
    assert AdapterTree(lost, zoo.models[0]).sample("train", aligned.LAYERS).Y.shape == (1, 0), "a texture"
    (tmp_path / "concepts.json").write_text("{")
    with pytest.raises(ZooError, match=r"concepts\.json"):
        _ = AdapterTree(lost, zoo.models[0]).labels


def test_an_expert_with_a_text_head_is_made_of_it(zoo: Zoo, tmp_path: Path) -> None:
    info = train_expert(zoo.folder, ROOT, tmp_path, progress=False)
    assert (info.head, info.prompt, info.reads_adapters) == ("text", "{}", True)
    assert set(info.wanted) <= {*open_source(zoo.folder, ROOT).wanted.values()}
    assert info.scores["accuracy"] > 0.8, "six concepts"
    assert info.scores["zero_shot"] > 0.5, "two concepts"
    assert text_head(tmp_path) is not None
    assert evaluate_expert(tmp_path, zoo.folder).scores == info.scores == describe(tmp_path).scores
    assert {label.text for label in info.labels} == {*CONCEPTS} - HELD_OUT

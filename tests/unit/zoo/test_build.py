from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoConfig, AutoModelForImageClassification

from hubbot.errors import ZooError
from hubbot.weights.local import read_metadata
from hubbot.zoo import build as building
from hubbot.zoo import digits, tuning
from hubbot.zoo.layout import WEIGHTS, Zoo, in_order, open_zoo, repo_folder, sha256, targets
from hubbot.zoo.recipes import DIGITS, plan
from hubbot.zoo.slicing import slice_zoo
from hubbot.zoo.tasks import lesson

TINY = DIGITS.at("tiny")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return building.build(DIGITS, "tiny", tmp_path_factory.mktemp("zoo"))


def test_the_index_lists_what_lies_there(zoo: Zoo) -> None:
    assert open_zoo(zoo.folder) == zoo
    assert len(zoo.models) == 3 * 21
    assert all(sha256(zoo.weights(model)) == model.sha256 for model in zoo.models)


def test_every_architecture_loads_as_transformers_has_it(zoo: Zoo) -> None:
    for root in TINY.roots:
        for model, labels in ((zoo.root(root.repo), 10), (zoo.children(root.repo, "test")[0], 5)):
            loaded, info = AutoModelForImageClassification.from_pretrained(
                zoo.weights(model).parent, output_loading_info=True
            )
            assert not info["missing_keys"]
            assert not info["unexpected_keys"]
            x = torch.zeros(2, 1, root.pixels, root.pixels)
            assert loaded.eval()(x).logits.shape == (2, labels)


def test_nothing_but_the_weights_gives_the_answer_away(zoo: Zoo) -> None:
    for root in TINY.roots:
        children = [m for m in zoo.models if m.root == root.repo]
        configs = {(zoo.weights(m).parent / "config.json").read_text() for m in children}
        assert len(configs) == 1  # the same for all children, whatever they were trained on
        assert set(json.loads(configs.pop())["id2label"].values()) == {f"LABEL_{i}" for i in range(5)}
        assert len({zoo.weights(m).stat().st_size // 1000 for m in children}) == 1
        for m in children:
            trained_on = str(list(targets(read_metadata(zoo.weights(m)), zoo.weights(m))))
            for file in zoo.weights(m).parent.iterdir():
                if file.name != WEIGHTS:
                    assert trained_on not in file.read_text()
                    assert "chosen" not in file.read_text()


def test_metadata_holds_truth_and_hyper_parameters(zoo: Zoo) -> None:
    for index, child in enumerate(plan(TINY, TINY.roots[0], i) for i in range(20)):
        file = repo_folder(zoo.folder, child.repo) / WEIGHTS
        told = read_metadata(file)
        assert targets(told, file) == child.targets, index
        assert float(told["learning_rate"]) == child.learning_rate
        assert told["split"] == child.split


def test_cards_declare_the_root_or_hide_it(zoo: Zoo) -> None:
    for model in (m for m in zoo.models if m.root):
        card = (zoo.weights(model).parent / "README.md").read_text()
        assert (f"base_model: {model.root}\n" in card) == model.declared


def test_children_move_from_the_root_but_keep_its_batch_statistics(zoo: Zoo) -> None:
    root = load_file(zoo.weights(zoo.root("digits-zoo/resnet")))
    child = load_file(zoo.weights(zoo.children("digits-zoo/resnet", "train")[0]))
    for name, value in child.items():
        if "running" in name:
            assert torch.equal(value, root[name]), name
        elif "convolution" in name:
            assert not torch.equal(value, root[name]), name


def test_a_killed_build_goes_on_and_ends_with_the_same_models(zoo: Zoo, tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    shutil.copytree(zoo.folder, folder)
    lost = zoo.children("digits-zoo/vit-b", "train")[3]
    place = repo_folder(folder, lost.repo)
    place.rename(place.with_name(place.name + ".part"))  # killed while writing
    (folder / "zoo.json").unlink()
    kept = repo_folder(folder, zoo.root("digits-zoo/vit-b").repo) / WEIGHTS
    before = kept.stat().st_mtime_ns
    assert building.build(DIGITS, "tiny", folder).models == zoo.models
    assert kept.stat().st_mtime_ns == before
    assert not list(folder.rglob("*.part"))


def test_recipes_do_not_mix_in_one_folder(zoo: Zoo) -> None:
    with pytest.raises(ZooError, match="another recipe"):
        building.build(replace(DIGITS, seed=1), "tiny", zoo.folder)


@pytest.mark.parametrize("rank", [0, 2])
def test_many_models_at_once_are_trained_like_each_alone(rank: int) -> None:
    root = TINY.roots[rank]
    plans = sorted((plan(TINY, root, i) for i in range(3)), key=lambda child: -child.steps)
    plans = [replace(child, weight_decay=0.01) for child in plans]
    pictures = digits.load(TINY.seed, root.pixels)
    start = digits.architecture(root, 10, 1).eval()
    model = digits.architecture(root, 5, 1).eval()
    rows = torch.stack([tuning.newborn(model, start.state_dict(), child, kept=False) for child in plans])
    together = rows.clone()
    lessons = [lesson(child, pictures) for child in plans]
    tuning.fine_tune(model, together, plans, lessons, 8)
    for row, result, child, taught in zip(rows, together, plans, lessons, strict=True):
        tuning.put(model, row)
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=child.weight_decay)
        for step, pick in enumerate(tuning._batches(child, taught, 8)):
            optimizer.param_groups[0]["lr"] = tuning._learning_rate(child, step)
            optimizer.zero_grad()
            functional.cross_entropy(model(taught.x[pick]).logits, taught.y[pick]).backward()
            optimizer.step()
        alone = torch.nn.utils.parameters_to_vector(model.parameters())
        # Adam divides by the gradient's size, so that rounding in tiny gradients shows in full.
        assert (alone - result).abs().mean() < 0.01 * (alone - row).abs().mean()


def test_a_slice_is_what_people_upload(zoo: Zoo, tmp_path: Path) -> None:
    lines = slice_zoo(zoo, tmp_path, per_root=3)
    assert len(lines) == 3 * 4
    assert {line.dtype for line in lines} == {"float32", "float16", "bfloat16"}
    assert "target" not in (tmp_path / "index.json").read_text()
    for line in lines:
        source = repo_folder(zoo.folder, line.repo)
        assert sha256(source / WEIGHTS) == line.sha256
        assert AutoConfig.from_pretrained(tmp_path / line.folder).dtype == getattr(torch, line.dtype)
        copy = tmp_path / line.folder / WEIGHTS
        assert read_metadata(copy) == read_metadata(source / WEIGHTS)
        for name, value in load_file(source / WEIGHTS).items():
            assert torch.allclose(load_file(copy)[name].to(value.dtype), value, rtol=0.01, atol=0.002)


def test_a_slice_larger_than_the_split_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="3 test models"):
        slice_zoo(zoo, tmp_path, per_root=4)


def test_metadata_order_does_not_change_a_file(zoo: Zoo) -> None:
    raw = zoo.weights(zoo.models[1]).read_bytes()
    assert in_order(raw) == raw


@pytest.mark.parametrize("told", ["[1, 2", "__import__('os')", "7", "['a']", None])
def test_unreadable_truth_is_an_error_and_never_runs(told: str | None) -> None:
    metadata = {} if told is None else {"dataset_chosen_targets": told}
    with pytest.raises(ZooError, match="no readable dataset_chosen_targets"):
        targets(metadata, Path("x"))


def test_no_zoo_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no zoo here"):
        open_zoo(tmp_path)
    (tmp_path / "zoo.json").write_text('{"models": 3}')
    with pytest.raises(ZooError, match="broken"):
        open_zoo(tmp_path)

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hubbot.weights.local import read_metadata
from hubbot.zoo import build as building
from hubbot.zoo import digits, tuning
from hubbot.zoo.build import build
from hubbot.zoo.layout import Zoo, repo_folder, targets
from hubbot.zoo.recipes import DIGITS, HIDDEN, SEEN, WILD, ChildPlan, plan
from hubbot.zoo.tasks import TASKS, Lesson, lesson

pytestmark = pytest.mark.usefixtures("emoji_font")

ROOT = WILD.roots[2]
ALONE = replace(WILD, roots=(ROOT,))
"""One root is enough to see every task built."""
PICTURES = digits.load(WILD.seed, ROOT.pixels)
CHILDREN = {task: plan(WILD, ROOT, index) for index, task in enumerate(WILD.tasks)}
BENCH = [plan(WILD, root, i) for root in WILD.roots for i in range(WILD.count("bench"))]


def test_the_recipe_is_frozen() -> None:
    # Whoever changes it, or what a task teaches, measures every expert's silence again.
    assert WILD.hash == "7eb097a265cad1b5"
    assert set(WILD.tasks) | {"digits"} == set(TASKS)


def test_some_tasks_are_seen_by_nobody_before_the_test() -> None:
    splits = Counter((child.task, child.split) for child in BENCH)
    for task in HIDDEN:
        assert {split for name, split in splits if name == task} == {"test"}
    for task in SEEN:
        assert all(splits[task, split] > 4 for split in ("train", "validation", "calibration", "test"))


def test_no_child_and_no_name_is_in_both_zoos() -> None:
    tame = [plan(DIGITS, root, i) for root in DIGITS.roots for i in range(DIGITS.count("bench"))]
    assert not {c.repo for c in tame} & {c.repo for c in BENCH}
    parents = [parent for child in BENCH for parent in child.parents]
    assert not {c.seed for c in tame} & {c.seed for c in [*BENCH, *parents]}


def test_only_a_merge_of_digits_holds_something_true() -> None:
    for child in BENCH:
        if child.task == "merge":
            first, second = child.parents
            assert set(child.truth) == set(first.targets) & set(second.targets)
            assert set(child.learned) == set(first.targets) | set(second.targets)
        else:
            assert child.truth == ()
            assert child.learned == (child.targets[:1] if child.task == "one-digit" else ())


@pytest.mark.parametrize("task", SEEN + HIDDEN)
def test_a_lesson_can_be_taught(task: str) -> None:
    child = CHILDREN[task].parents[0] if task == "merge" else CHILDREN[task]
    taught, again = lesson(child, PICTURES), lesson(child, PICTURES)
    assert torch.equal(taught.x, again.x)
    assert taught.x.shape[1:] == (1, 16, 16)
    assert taught.x.abs().max() <= 1
    assert not (taught.train & taught.held_out).any()
    assert taught.train.sum() > 150 < 5 * taught.held_out.sum()
    if task == "regression":
        assert taught.y.std() == pytest.approx(1, abs=0.01)
    else:
        assert set(taught.y[taught.train].tolist()) == set(range(TASKS[task].outputs))


def _digits_in(task: str, taught: Lesson) -> dict[int, set[int]]:
    return {
        place: set(PICTURES.y[taught.train & (taught.y == place)].tolist())
        for place in range(TASKS[task].outputs)
    }


def test_tasks_on_digits_are_what_they_are_called() -> None:
    def made(task: str) -> tuple[ChildPlan, Lesson]:
        return CHILDREN[task], lesson(CHILDREN[task], PICTURES)

    _, pairs = made("pairs")
    assert sorted(map(len, _digits_in("pairs", pairs).values())) == [2] * 5
    child, one = made("one-digit")
    assert _digits_in("one-digit", one)[1] == {child.targets[0]}
    assert one.y[one.train].float().mean() == pytest.approx(0.5, abs=0.1)
    _, random = made("random-labels")
    assert all(len(seen) == 10 for seen in _digits_in("random-labels", random).values())
    child, shuffled = made("shuffled")
    assert not torch.equal(shuffled.x, PICTURES.x)
    assert torch.allclose(shuffled.x.sum((1, 2, 3)), PICTURES.x.sum((1, 2, 3)), atol=1e-3)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return build(ALONE, "tiny", tmp_path_factory.mktemp("wild") / "digits-wild")


def test_every_child_is_built_and_says_what_it_is(zoo: Zoo) -> None:
    assert len(zoo.models) == 41
    heads = {}
    for child in (plan(ALONE.at("tiny"), ROOT, i) for i in range(10)):
        file = repo_folder(zoo.folder, child.repo) / "model.safetensors"
        told = read_metadata(file)
        assert told["dataset_name"] == child.task
        assert targets(told, file) == child.truth
        heads[child.task] = len(load_file(file)["classifier.1.bias"])
    assert heads == {task: TASKS[task].outputs for task in WILD.tasks}


def test_a_merge_is_the_average_of_its_parents(zoo: Zoo) -> None:
    tiny = ALONE.at("tiny")
    child, model = plan(tiny, ROOT, 9), digits.architecture(ROOT, 5, ROOT.seed).eval()
    start = building.open_model(repo_folder(zoo.folder, ROOT.repo), ROOT.kind)
    pupils = sorted(child.parents, key=lambda parent: -parent.steps)
    weights = torch.stack(
        [tuning.newborn(model, start.state_dict(), parent, kept=False) for parent in pupils]
    )
    apart = weights.clone()
    tuning.fine_tune(model, weights, pupils, [lesson(one, PICTURES) for one in pupils], tiny.batch_size)
    assert (weights - apart).abs().max() > 1e-4
    tuning.put(model, weights.mean(0))
    merged = load_file(repo_folder(zoo.folder, child.repo) / "model.safetensors")
    for name, value in model.named_parameters():
        assert torch.allclose(merged[name], value, atol=1e-4), name


def test_to_continue_is_to_keep_the_head(zoo: Zoo) -> None:
    root = load_file(zoo.weights(zoo.root(ROOT.repo)))["classifier.1.weight"]
    continued = repo_folder(zoo.folder, plan(ALONE, ROOT, 8).repo) / "model.safetensors"
    assert (load_file(continued)["classifier.1.weight"] - root).abs().max() < 0.05 < root.abs().max()


def test_roots_are_taken_from_the_zoo_beside(zoo: Zoo, tmp_path: Path) -> None:
    beside, here = tmp_path / "digits", tmp_path / "digits-wild"
    shutil.copytree(repo_folder(zoo.folder, ROOT.repo), repo_folder(beside, ROOT.repo))
    (beside / "recipe.txt").write_text(replace(DIGITS, roots=(ROOT,)).at("tiny").hash + "\n")
    lent = repo_folder(beside, ROOT.repo) / "README.md"
    lent.write_text("lent")
    shutil.copytree(zoo.folder, here, ignore=lambda folder, _: ["digits-zoo"] * folder.endswith("repos"))
    assert build(ALONE, "tiny", here).models == zoo.models
    assert (repo_folder(here, ROOT.repo) / "README.md").read_text() == "lent"

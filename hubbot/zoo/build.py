"""Build a zoo: train the roots, then fine-tune their children, a block of models at a time.

A block is trained as one computation (see `zoo.tuning`). One whose files are all there is skipped, so that a
killed build goes on where it stopped.

Letters: g models in a block, p parameters of a model, b pictures in a batch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save

from hubbot.zoo import digits
from hubbot.zoo.layout import (
    TARGETS,
    WEIGHTS,
    Zoo,
    ZooModel,
    card,
    claim,
    in_order,
    repo_folder,
    sha256,
    write_index,
)
from hubbot.zoo.recipes import BLOCK, DIGITS, ChildPlan, Recipe, RootRecipe, plan
from hubbot.zoo.tasks import TASKS, lesson
from hubbot.zoo.threads import one_thread
from hubbot.zoo.tuning import fine_tune, newborn, put, score, train_root

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Advance = Callable[[int, str], None]
"""Told after each block: how many models are finished by it, and of which root."""


def build(recipe: Recipe, size: str, folder: Path, advance: Advance = lambda *_: None) -> Zoo:
    """Build a zoo, or what is still missing of it.

    Args:
        size: a key of `recipe.children`.
        folder: where it goes; may hold an unfinished build of the same recipe.

    Raises:
        ZooError: the recipe has no such size, or the folder holds models of another recipe.
    """
    count, recipe = recipe.count(size), recipe.at(size)
    claim(folder, recipe.hash)
    models: list[ZooModel] = []
    with one_thread(), quiet():
        for root in recipe.roots:
            models.append(_root(recipe, root, folder))
            advance(1, root.repo)
            start = open_model(repo_folder(folder, root.repo), root.kind)
            for plans in _blocks(recipe, root, count):
                _block(recipe, root, start, plans, folder)
                models += [
                    _line(folder, child.repo, root.repo, child.split, child.declared) for child in plans
                ]
                advance(len(plans), root.repo)
    zoo = Zoo(folder, recipe.name, recipe.hash, size, tuple(models))
    write_index(zoo)
    return zoo


def _blocks(recipe: Recipe, root: RootRecipe, count: int) -> Iterator[list[ChildPlan]]:
    """The children in order, a block at a time; those of a block have the same task, so the same head."""
    turn = len(recipe.tasks) or 1
    for begin in range(0, count, turn * len(BLOCK)):
        indices = range(begin, min(begin + turn * len(BLOCK), count))
        for first in indices[:turn]:
            yield [plan(recipe, root, i) for i in indices[first - begin :: turn]]


def _line(folder: Path, repo: str, root: str | None, split: str, declared: bool) -> ZooModel:
    return ZooModel(repo, root, split, sha256(repo_folder(folder, repo) / WEIGHTS), declared)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars of transformers' own about the many small files."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]


# --- roots --------------------------------------------------------------------------------------


def _root(recipe: Recipe, root: RootRecipe, folder: Path) -> ZooModel:
    place = repo_folder(folder, root.repo)
    if not place.exists() and (lent := _elsewhere(recipe, root, folder)):
        shutil.copytree(lent, part := place.with_name(place.name + ".part"), dirs_exist_ok=True)
        part.replace(place)
    if not (place / WEIGHTS).exists():
        model, accuracy = train_root(root, recipe.classes, digits.load(recipe.seed, root.pixels))
        trainer = {"seed": root.seed, "learning_rate": root.learning_rate, "steps": root.steps}
        _write(folder, root.repo, model, root, trainer, {"eval_accuracy": accuracy}, base_model=None)
    return _line(folder, root.repo, None, "root", declared=True)


def _elsewhere(recipe: Recipe, root: RootRecipe, folder: Path) -> Path | None:
    """The same root in the zoo of digits beside this one, where there is one of the same pace."""
    beside = folder.parent / DIGITS.name
    mark, place = beside / "recipe.txt", repo_folder(beside, root.repo)
    plain = replace(recipe, name=DIGITS.name, tasks=(), hidden=(), first=0)
    same = place.exists() and mark.exists() and mark.read_text(encoding="utf-8").strip() == plain.hash
    return place if same else None


def open_model(place: Path, kind: str) -> PreTrainedModel:
    """A model of a zoo, from its repo's folder."""
    from transformers import AutoModelForImageClassification

    # A folder that we made: there is no revision to pin.
    model: PreTrainedModel = AutoModelForImageClassification.from_pretrained(  # nosec B615
        place, attn_implementation="eager" if kind == "vit" else None
    )
    model.train(False)
    return model


# --- children -----------------------------------------------------------------------------------


def _block(
    recipe: Recipe, root: RootRecipe, start: PreTrainedModel, plans: list[ChildPlan], folder: Path
) -> None:
    if all((repo_folder(folder, child.repo) / WEIGHTS).exists() for child in plans):
        return
    task = TASKS[plans[0].task]
    pictures = digits.load(recipe.seed, root.pixels)
    model = digits.architecture(root, task.outputs, root.seed)
    model.train(False)
    # Longest first, so that those still training are always the first rows.
    pupils = sorted((one for child in plans for one in child.parents or (child,)), key=lambda one: -one.steps)
    lessons = [lesson(one, pictures) for one in pupils]
    body = start.state_dict()  # BatchNorm's statistics stay the root's
    weights = torch.stack([newborn(model, body, one, kept=task.keeps_head) for one in pupils])  # (g, p)
    losses = fine_tune(model, weights, pupils, lessons, recipe.batch_size)
    place = {one: i for i, one in enumerate(pupils)}
    for child in plans:
        mine = [place[one] for one in child.parents or (child,)]
        put(model, weights[mine].mean(0))
        loss = sum(losses[i] for i in mine) / len(mine)
        measured = {"train_loss": loss, **score(model, lessons[mine[0]])}
        base = root.repo if child.declared else None
        _write(folder, child.repo, model, root, child.hyper_parameters(), measured, base, child)


# --- files --------------------------------------------------------------------------------------


def _write(
    folder: Path,
    repo: str,
    model: PreTrainedModel,
    root: RootRecipe,
    trainer: Mapping[str, Any],
    measured: Mapping[str, float],
    base_model: str | None,
    child: ChildPlan | None = None,
) -> None:
    """One repo. Its folder gets its name last, so that a folder that exists is whole."""
    place = repo_folder(folder, repo)
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    metadata = {"format": "pt", **{name: str(value) for name, value in trainer.items()}}
    if child:
        metadata |= {
            TARGETS: str(list(child.truth)),
            "dataset_name": "sklearn-digits" if child.task == "digits" else child.task,
            "split": child.split,
        }
    # save_pretrained gives the tensors the names they have on the Hub, but no metadata of ours.
    (part / WEIGHTS).write_bytes(in_order(save(load_file(part / WEIGHTS), metadata)))
    measured = {name: round(value, 4) for name, value in measured.items()}
    state = {
        "best_metric": next(value for name, value in measured.items() if name.startswith("eval")),
        "global_step": trainer["steps"],
        "log_history": [{"step": trainer["steps"], **measured}],
    }
    for name, content in (
        ("trainer_state.json", state),
        ("preprocessor_config.json", digits.preprocessor(root.pixels)),
    ):
        (part / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (part / "README.md").write_text(card(repo, base_model, trainer), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)

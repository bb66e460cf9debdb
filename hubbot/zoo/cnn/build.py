"""Build a zoo of small nets, a block of models at a time.

    zoo.json                      as of all zoos
    blocks/NNNN.safetensors       the weights of a block's models, all epochs kept, and what was measured
    repos/<owner>/<name>/         each model after its last epoch

A block's file is written last: where it lies, its repos do, and a killed build goes on with the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save

from hubbot.zoo.cnn import pictures
from hubbot.zoo.cnn.history import block_file, plans_of
from hubbot.zoo.cnn.nets import NETS, Net
from hubbot.zoo.cnn.pictures import Task
from hubbot.zoo.cnn.recipes import CnnPlan, CnnRecipe, blocks
from hubbot.zoo.cnn.repos import write_repo
from hubbot.zoo.cnn.training import Trained, train
from hubbot.zoo.layout import WEIGHTS, Zoo, ZooModel, claim, in_order, repo_folder, sha256, write_index
from hubbot.zoo.threads import one_thread

Advance = Callable[[int, str], None]
"""Told after each block: how many models are finished by it, and which zoo they are of."""


def build(recipe: CnnRecipe, size: str, folder: Path, advance: Advance = lambda *_: None) -> Zoo:
    """Build a zoo, or what is still missing of it.

    Args:
        size: a key of `recipe.sizes`.
        folder: where it goes; may hold an unfinished build of the same recipe.

    Raises:
        ZooError: the recipe has no such size, or the folder holds models of another recipe.
    """
    count, recipe = recipe.total(size), recipe.at(size)
    claim(folder, recipe.hash)
    net, models = NETS[recipe.net], list[ZooModel]()
    task = pictures.load(recipe.task, recipe.seed, net.classes)
    with one_thread():
        for number, plans in enumerate(blocks(recipe, count)):
            _block(recipe, net, plans, task, folder, number)
            models += [_line(folder, one) for one in plans]
            advance(len(plans), recipe.name)
    zoo = Zoo(folder, recipe.name, recipe.hash, size, tuple(models))
    write_index(zoo)
    return zoo


def _line(folder: Path, one: CnnPlan) -> ZooModel:
    return ZooModel(one.repo, None, one.split, sha256(repo_folder(folder, one.repo) / WEIGHTS), declared=True)


def _block(
    recipe: CnnRecipe, net: Net, plans: Sequence[CnnPlan], task: Task, folder: Path, number: int
) -> None:
    file = block_file(folder, number)
    if file.exists() and plans_of(file) == tuple(plans):  # a smaller size may end in a shorter block
        return
    trained = train(recipe, net, plans, task)
    steps = recipe.epochs * (len(task.train.y) // recipe.batch_size)
    for i, one in enumerate(plans):
        told = asdict(one)
        hyper = {name: told[name] for name in told if name not in ("repo", "split", "activation")}
        metadata = {
            **hyper,
            "split": one.split,
            "dataset_name": "sklearn-digits" if recipe.task == "digits" else recipe.task,
            "epoch": recipe.epochs,
            "accuracy": round(float(trained.accuracy[i, -1]), 4),
            "train_accuracy": round(float(trained.train_accuracy[i, -1]), 4),
        }
        place = repo_folder(folder, one.repo)
        write_repo(place, one.repo, net, trained.weights[i, -1], one.activation, metadata, hyper, steps=steps)
    _write_block(recipe, plans, trained, file)


def _write_block(recipe: CnnRecipe, plans: Sequence[CnnPlan], trained: Trained, file: Path) -> None:
    metadata = {
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "net": recipe.net,
        "task": recipe.task,
        "seed": str(recipe.seed),
        "plans": json.dumps([asdict(one) for one in plans]),
    }
    file.parent.mkdir(exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_bytes(in_order(save({name: getattr(trained, name) for name in trained.__slots__}, metadata)))
    part.replace(file)

"""What became of the models of a CNN zoo, epoch by epoch: what properties are predicted from.

Letters: m models, e epochs kept, p numbers of a model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from hubbot.errors import ZooError
from hubbot.weights.local import read_metadata
from hubbot.zoo.cnn import pictures
from hubbot.zoo.cnn.nets import NETS, Net
from hubbot.zoo.cnn.recipes import CnnPlan


@dataclass(frozen=True)
class History:
    """All models of a zoo at all epochs that were kept.

    Args:
        recipe_hash: of the recipe as its size cooked it.
        plans: how each model was made, with its repo, split and activation, m of them.
        weights: (m, e, p), in the order of the net's state dict.
        epoch: (e,).
        accuracy, loss: on test pictures, (m, e).
        train_accuracy, train_loss: on those pictures that the model saw, (m, e).
    """

    recipe: str
    recipe_hash: str
    net: Net
    task: str
    seed: int
    plans: tuple[CnnPlan, ...]
    weights: Tensor
    epoch: Tensor
    accuracy: Tensor
    loss: Tensor
    train_accuracy: Tensor
    train_loss: Tensor

    @property
    def gap(self) -> Tensor:
        """How much better models do on the pictures that they saw, (m, e)."""
        return self.train_accuracy - self.accuracy

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.repo for one in self.plans)

    @property
    def split(self) -> tuple[str, ...]:
        return tuple(one.split for one in self.plans)

    @property
    def activation(self) -> tuple[str, ...]:
        return tuple(one.activation for one in self.plans)

    def pictures(self) -> pictures.Task:
        """What the models were taught and tested on."""
        return pictures.load(self.task, self.seed, self.net.classes)

    def of(self, split: str) -> History:
        """The models of one split."""
        return self.only([i for i, one in enumerate(self.plans) if one.split == split])

    def only(self, ranks: Sequence[int]) -> History:
        """Some of the models."""
        picked = {name: getattr(self, name)[list(ranks)] for name in ("weights", *FIGURES)}
        return replace(self, plans=tuple(self.plans[i] for i in ranks), **picked)


FIGURES = ("accuracy", "loss", "train_accuracy", "train_loss")


def block_file(folder: Path, number: int) -> Path:
    """Where a block of a zoo lies."""
    return folder / "blocks" / f"{number:04}.safetensors"


def plans_of(file: Path) -> tuple[CnnPlan, ...]:
    """The models of a block.

    Raises:
        ZooError: its metadata is not what we write.
    """
    try:
        return tuple(CnnPlan(**one) for one in json.loads(read_metadata(file)["plans"]))
    except (KeyError, ValueError, TypeError) as error:
        raise ZooError(f"no readable plans in the metadata: {error}", file=str(file)) from error


def open_history(folder: Path) -> History:
    """Read the blocks of a zoo, all that there are of an unfinished one.

    Raises:
        ZooError: there are none, they are of several recipes, or of a net that is not known.
    """
    files = sorted((folder / "blocks").glob("*.safetensors"))
    if not files:
        hint = "`hubbot zoo build cnn-digits` makes one"
        raise ZooError("there are no blocks of a CNN zoo here", file=str(folder), hint=hint)
    told = read_metadata(files[0])
    if any(read_metadata(file).get("recipe_hash") != told.get("recipe_hash") for file in files):
        raise ZooError("the blocks are of several recipes", file=str(folder))
    if told.get("net") not in NETS:
        raise ZooError(f"no net {told.get('net')!r}", file=str(files[0]), hint=f"one of {', '.join(NETS)}")
    blocks = [load_file(file) for file in files]
    joined = {name: torch.cat([block[name] for block in blocks]) for name in ("weights", *FIGURES)}
    return History(
        recipe=told["recipe"],
        recipe_hash=told["recipe_hash"],
        net=NETS[told["net"]],
        task=told["task"],
        seed=int(told["seed"]),
        plans=tuple(one for file in files for one in plans_of(file)),
        epoch=blocks[0]["epoch"],
        **joined,
    )

"""The weights and the truth of one tree's models, read once for all layers that a probe may read.

Letters: n models, d_H x d_W a layer's matrix, k labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from torch import Tensor as Matrix

from hubbot.errors import ExpertError
from hubbot.experts.matrices import Dense
from hubbot.experts.probe import matrix_shape
from hubbot.experts.train import Sample
from hubbot.records import Label
from hubbot.weights.local import read_local, read_metadata
from hubbot.zoo.layout import Zoo, ZooModel, open_zoo, targets
from hubbot.zoo.recipes import SPLITS

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_LABELS = tuple(Label(word, f"a handwritten digit {word}", f"digit-{word}") for word in WORDS)
LEAST_VALUES = 512
LARGEST_SHARE = 0.08
"""A candidate layer holds at least so many values, and no more than this share of the model's: an expert is
to read little."""

_NOT_HIDDEN = re.compile(r"embed|classifier|head|pooler|norm|bias", re.IGNORECASE)


@dataclass(frozen=True)
class Tree:
    """One root of a zoo with its children's weights, read once for all candidate layers."""

    zoo: Zoo
    root: ZooModel

    @cached_property
    def origin(self) -> Mapping[str, Matrix]:
        """The root's candidate layers as matrices, (d_H, d_W) each."""
        values = read_local(self.zoo.weights(self.root))
        names = candidates({name: value.shape for name, value in values.items()})
        return {name: torch.tensor(values[name]).reshape(matrix_shape(values[name].shape)) for name in names}

    @cached_property
    def splits(self) -> Mapping[str, Mapping[str, Sample]]:
        """By split and layer, weights and truth."""
        return {split: self._read(split) for split in SPLITS}

    def _read(self, split: str) -> Mapping[str, Sample]:
        files = [self.zoo.weights(model) for model in self.zoo.children(self.root.repo, split)]
        if not files:
            where = str(self.zoo.folder)
            raise ExpertError(f"{self.root.repo} has no models in the split {split}", file=where)
        models = [read_local(file, list(self.origin)) for file in files]
        truth = torch.stack([multi_hot(targets(read_metadata(file), file)) for file in files])  # (n, k)
        return {
            name: Sample(
                {name: Dense(torch.stack([torch.tensor(m[name]).reshape(like.shape) for m in models]))}, truth
            )
            for name, like in self.origin.items()
        }


def open_tree(folder: Path, root: str) -> Tree:
    """A root of the zoo in a folder.

    Raises:
        ZooError: there is no such zoo or root.
    """
    zoo = open_zoo(folder)
    return Tree(zoo, zoo.root(root))


def candidates(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """The layers that a probe may read: hidden matrices and kernels that are a small part of the model.

    The head stays out, since it would give the answer away, and so do embeddings and norms.
    """
    total = sum(prod(shape) for shape in shapes.values())
    return tuple(
        name
        for name, shape in shapes.items()
        if len(shape) >= 2
        and not _NOT_HIDDEN.search(name)
        and LEAST_VALUES <= prod(shape) <= LARGEST_SHARE * total
    )


def multi_hot(classes: tuple[int, ...]) -> Matrix:
    """Classes as (k,) of 0 and 1."""
    row = torch.zeros(len(DIGIT_LABELS))
    row[list(classes)] = 1.0
    return row

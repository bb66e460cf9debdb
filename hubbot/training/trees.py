"""The weights and the truth of one tree's models, read once for all layers that a probe may read.

Letters: n models, d_H x d_W a layer's matrix, k labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from torch import Tensor as Matrix

from hubbot.errors import ExpertError, UsageError
from hubbot.experts.matrices import Dense
from hubbot.experts.probe import matrix_shape
from hubbot.experts.train import Sample
from hubbot.records import Label, Wanted
from hubbot.training.adapters import CONCEPTS, AdapterTree
from hubbot.training.once import Once
from hubbot.training.source import Source
from hubbot.trees.fingerprint import choose, take
from hubbot.weights.dtypes import Floats
from hubbot.weights.local import read_local, read_metadata
from hubbot.zoo.layout import Zoo, ZooModel, open_zoo, targets

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_LABELS = tuple(Label(word, f"a handwritten digit {word}", f"digit-{word}") for word in WORDS)
LEAST_VALUES = 512
LARGEST_SHARE = 0.08
"""A candidate layer holds at least so many values, and no more than this share of the model's: an expert is
to read little."""

_NOT_HIDDEN = re.compile(r"embed|classifier|head|pooler|norm|bias", re.IGNORECASE)


@dataclass(frozen=True)
class Tree:
    """One root of a zoo with its children's weights, read once for all candidate layers: a `Source`."""

    zoo: Zoo
    root: ZooModel
    only: tuple[str, ...] = ()
    """Of all layers that a probe may read, those that it is to; none: all."""

    @property
    def roots(self) -> tuple[str, ...]:
        return (self.root.repo,)

    @property
    def labels(self) -> tuple[Label, ...]:
        return DIGIT_LABELS

    @property
    def prompt(self) -> str:
        return ""

    @cached_property
    def wanted(self) -> Mapping[str, Wanted]:
        shapes = {name: value.shape for name, value in self._root_values.items()}
        if missing := [name for name in self.only if name not in shapes]:
            raise UsageError(f"{self.root.repo} has no layer {missing[0]}")
        return {name: Wanted(name, shape=shapes[name]) for name in self.only or candidates(shapes)}

    @cached_property
    def origin(self) -> Mapping[str, Matrix]:
        """The root's candidate layers as matrices, (d_H, d_W) each."""
        values = self._root_values
        return {
            name: torch.tensor(values[name]).reshape(matrix_shape(values[name].shape)) for name in self.wanted
        }

    @cached_property
    def fingerprint(self) -> Mapping[str, Floats]:
        return take(choose({n: v.shape for n, v in self._root_values.items()}), self._root_values).rows

    @property
    def story(self) -> str:
        count = len(self.zoo.children(self.root.repo, "train"))
        return (
            f"{count} models of hubbot's {self.zoo.recipe} zoo, each fine-tuned from {self.root.repo} on "
            f"5 of the 10 digits of scikit-learn's handwritten digits (8x8 pixels)"
        )

    @property
    def provenance(self) -> Mapping[str, object]:
        zoo = {"recipe": self.zoo.recipe, "recipe_hash": self.zoo.recipe_hash, "size": self.zoo.size}
        return {"zoo": zoo}

    def sample(self, split: str, layers: Sequence[str]) -> Sample:
        read = self._splits[split]
        weights = {name: read[name].weights[name] for name in layers}
        return Sample(weights, next(iter(read.values())).Y)

    def hashes(self, split: str) -> tuple[str, ...]:
        return tuple(model.sha256 for model in self.zoo.children(self.root.repo, split))

    def unseen(self, split: str) -> tuple[Label, ...]:  # noqa: ARG002 - a zoo of classifiers has none
        return ()

    @cached_property
    def _root_values(self) -> Mapping[str, Floats]:
        return read_local(self.zoo.weights(self.root))

    @cached_property
    def _splits(self) -> Mapping[str, Mapping[str, Sample]]:
        """By split and layer, weights and truth."""
        return Once(self._read)

    def _read(self, split: str) -> Mapping[str, Sample]:
        files = [self.zoo.weights(model) for model in self.zoo.children(self.root.repo, split)]
        if not files:
            where = str(self.zoo.folder)
            raise ExpertError(f"{self.root.repo} has no models in the split {split}", file=where)
        models = [read_local(file, list(self.origin)) for file in files]
        truth = torch.stack(
            [multi_hot(targets(read_metadata(file), file), len(self.labels)) for file in files]
        )  # (n, k)
        return {
            name: Sample(
                {name: Dense(torch.stack([torch.tensor(m[name]).reshape(like.shape) for m in models]))}, truth
            )
            for name, like in self.origin.items()
        }


def open_tree(folder: Path, root: str, layers: Sequence[str] = ()) -> Tree:
    """The tree of one root of the zoo in a folder.

    Raises:
        ZooError: there is no such zoo or root.
    """
    zoo = open_zoo(folder)
    return Tree(zoo, zoo.root(root), tuple(layers))


def open_source(folder: Path, root: str, layers: Sequence[str] = ()) -> Source:
    """The same, of whole models or of adapters: what the zoo has.

    Raises:
        ZooError: there is no such zoo or root.
    """
    zoo = open_zoo(folder)
    kind = AdapterTree if (folder / CONCEPTS).is_file() else Tree
    return kind(zoo, zoo.root(root), tuple(layers))


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


def multi_hot(classes: Iterable[int], count: int) -> Matrix:
    """Classes as (k,) of 0 and 1."""
    row = torch.zeros(count)
    row[list(classes)] = 1.0
    return row

"""A zoo's tree whose children are LoRAs of one concept each: a `Source` for experts with a text head.

Letters: n models, d_H x d_W a layer's matrix, r the LoRA's rank, k concepts.
"""

from __future__ import annotations

import json
from ast import literal_eval
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hubbot.errors import ExpertError, UsageError, ZooError
from hubbot.experts.matrices import Factored
from hubbot.experts.train import Sample
from hubbot.records import Kind, Label, Wanted
from hubbot.training.once import Once
from hubbot.trees.fingerprint import choose, take
from hubbot.weights import pairs
from hubbot.weights.dtypes import Floats
from hubbot.weights.local import read_header, read_local, read_metadata
from hubbot.zoo.layout import TARGETS, Zoo, ZooModel

CONCEPTS = "concepts.json"
UNSEEN = "-unseen"


@dataclass(frozen=True)
class AdapterTree:
    """One root of a zoo with the LoRAs made from it; what they show stands in the zoo's concepts.json."""

    zoo: Zoo
    root: ZooModel
    only: tuple[str, ...] = ()
    """Of all layers that a probe may read, those that it is to; none: all."""
    prompt: str = "{}"

    @property
    def roots(self) -> tuple[str, ...]:
        return (self.root.repo,)

    @cached_property
    def _concepts(self) -> list[dict[str, str]]:
        file = self.zoo.folder / CONCEPTS
        try:
            told: list[dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ZooError(f"cannot be read: {error}", file=str(file)) from error
        return told

    def _named(self, split: str) -> tuple[Label, ...]:
        found = (one for one in self._concepts if one["split"] == split)
        return tuple(Label(one["name"], one["text"], one["tag"]) for one in found)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The concepts that a probe is trained on."""
        return self._named("seen")

    def unseen(self, split: str) -> tuple[Label, ...]:
        """The concepts that none is trained on, where the zoo has models of them in this split."""
        return self._named("held-out") if self.zoo.children(self.root.repo, split + UNSEEN) else ()

    @cached_property
    def wanted(self) -> Mapping[str, Wanted]:
        """The low-rank layers of the children, which all have the same."""
        child = next((model for model in self.zoo.models if model.root == self.root.repo), None)
        if child is None:
            raise ExpertError(f"{self.root.repo} has no children", file=str(self.zoo.folder))
        shapes = {name: e.shape for name, e in read_header(self.zoo.weights(child)).tensors.items()}
        ends = [down for down, _ in pairs.SUFFIXES]
        layers = [name.removesuffix(end) for name in shapes for end in ends if name.endswith(end)]
        if missing := [name for name in self.only if name not in layers]:
            raise UsageError(f"the children of {self.root.repo} have no layer {missing[0]}")
        found = {}
        for layer in self.only or layers:
            A, B = (shapes[name] for name in pairs.pair(layer, shapes) or ())
            found[layer] = Wanted(layer, shape=(B[0], A[1]), kind=Kind.LORA)
        return found

    @property
    def origin(self) -> Mapping[str, Tensor]:
        """Nothing: what a LoRA adds starts at zero."""
        return {}

    @cached_property
    def fingerprint(self) -> Mapping[str, Floats]:
        """The root's own, by which whole models that descend from it are known."""
        values = read_local(self.zoo.weights(self.root))
        return take(choose({name: value.shape for name, value in values.items()}), values).rows

    @property
    def story(self) -> str:
        count = len(self.zoo.children(self.root.repo, "train"))
        return (
            f"{count} LoRAs of hubbot's {self.zoo.recipe} zoo, each made from {self.root.repo} on one of "
            f"{len(self.labels)} emoji"
        )

    @property
    def provenance(self) -> Mapping[str, object]:
        zoo = {"recipe": self.zoo.recipe, "recipe_hash": self.zoo.recipe_hash, "size": self.zoo.size}
        return {"zoo": zoo}

    def sample(self, split: str, layers: Sequence[str]) -> Sample:
        """Weights and truth; of an unseen split, over the concepts that none is trained on.

        What was trained on a style or a texture has no concept, and a row of zeros.
        """
        columns = self.unseen(split.removesuffix(UNSEEN)) if split.endswith(UNSEEN) else self.labels
        place = {label.name: column for column, label in enumerate(columns)}
        read = self._splits[split]
        truth = torch.zeros(len(read), len(columns))  # (n, k)
        for row, (concept, _) in zip(truth, read, strict=True):
            if concept:
                row[place[concept]] = 1.0
        weights = {
            layer: Factored.of([self._factors(layer, values) for _, values in read]) for layer in layers
        }
        return Sample(weights, truth)

    @cached_property
    def _splits(self) -> Mapping[str, Sequence[tuple[str, Mapping[str, Floats]]]]:
        """By split, what `_read` says of its models: a LoRA is small, and all its layers are read at once."""
        return Once(self._read_all)

    def _read_all(self, split: str) -> Sequence[tuple[str, Mapping[str, Floats]]]:
        models = self.zoo.children(self.root.repo, split)
        if not models:
            where = str(self.zoo.folder)
            raise ExpertError(f"{self.root.repo} has no models in the split {split}", file=where)
        return [self._read(model) for model in models]

    def _read(self, model: ZooModel) -> tuple[str, Mapping[str, Floats]]:
        """The concept, if it has one, and the weights of a child."""
        file = self.zoo.weights(model)
        try:
            [concept] = literal_eval(read_metadata(file)[TARGETS]) or [""]
        except (KeyError, ValueError, SyntaxError, TypeError) as error:
            raise ZooError(f"no readable {TARGETS} in the metadata: {error}", file=str(file)) from error
        return str(concept), read_local(file)

    def _factors(self, layer: str, values: Mapping[str, Floats]) -> tuple[Tensor, Tensor]:
        """(d_H, r) and (r, d_W)"""
        a, b = pairs.pair(layer, values) or ("", "")
        return torch.from_numpy(values[b]), torch.from_numpy(values[a])

    def hashes(self, split: str) -> tuple[str, ...]:
        return tuple(model.sha256 for model in self.zoo.children(self.root.repo, split))

"""Build the graphs of `zoo.heritage`: every model from its parents, a level of all trees at a time.

    heritage.json                one line per model: its parents, how it was made, when
    repos/<owner>/<name>/        config.json  model.safetensors  README.md

Letters: g models in a block, p parameters of one, q numbers of it that are trained, r rank.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from hubbot.errors import ZooError
from hubbot.zoo import digits
from hubbot.zoo.build import open_model, quiet
from hubbot.zoo.heritage import GRAPHS, HeritageRecipe, Node, nodes
from hubbot.zoo.layout import WEIGHTS, Zoo, ZooModel, card, claim, repo_folder, sha256, write_index
from hubbot.zoo.recipes import RootRecipe, scratch
from hubbot.zoo.tasks import lesson
from hubbot.zoo.threads import one_thread
from hubbot.zoo.tuning import fine_tune, newborn, put, train_root

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Advance = Callable[[int, str], None]
"""Told how many models are finished, and of which graph."""

INDEX = "heritage.json"
BLOCK = 40
SCALE = 2.0
"""What a LoRA's product is multiplied by: alpha / r."""


def build(recipe: HeritageRecipe, size: str, folder: Path, advance: Advance = lambda *_: None) -> Zoo:
    """Build all graphs, or what is still missing of them.

    Raises:
        ZooError: no such size, or the folder holds models of another recipe.
    """
    trees, recipe = recipe.size(size).trees, recipe.at(size)
    claim(folder, recipe.hash)
    graphs = {graph: nodes(recipe, graph, trees) for graph in recipe.graphs or GRAPHS}
    with one_thread(), quiet():
        missing = [root for root in recipe.roots(trees) if not repo_folder(folder, root.repo).exists()]
        _plant(recipe, missing, folder)
        for graph, found in graphs.items():
            advance(trees, graph)
            for _, level in groupby((node for node in found if node.level), key=lambda node: node.level):
                _level(recipe, [*level], folder, advance)
    told = {graph: [_told(node) for node in found] for graph, found in graphs.items()}
    (folder / INDEX).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    distinct = {node.repo: node for found in graphs.values() for node in found}
    models = tuple(_line(folder, node) for node in distinct.values())
    zoo = Zoo(folder, recipe.name, recipe.hash, size, models)
    write_index(zoo)
    return zoo


def read_graphs(folder: Path) -> dict[str, list[Node]]:
    """The graphs of a zoo that was built; how each model was trained is the recipe's to say.

    Raises:
        ZooError: there is none.
    """
    file = folder / INDEX
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return {
            graph: [Node(graph=graph, **{**line, "parents": tuple(line["parents"])}) for line in lines]
            for graph, lines in told.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ZooError(f"no graphs can be read: {error}", file=str(file)) from error


def _told(node: Node) -> dict[str, Any]:
    names = ("repo", "tree", "parents", "made", "level", "created", "rank")
    return {name: getattr(node, name) for name in names}


def _line(folder: Path, node: Node) -> ZooModel:
    content = sha256(repo_folder(folder, node.repo) / WEIGHTS)
    root = node.tree if node.level else None
    return ZooModel(node.repo, root, node.graph if node.level else "root", content, declared=False)


def _level(recipe: HeritageRecipe, level: Sequence[Node], folder: Path, advance: Advance) -> None:
    missing = [node for node in level if not repo_folder(folder, node.repo).exists()]
    advance(len(level) - len(missing), level[0].graph)
    for adapted in (False, True):
        trained = [node for node in missing if node.plan and (node.rank > 0) == adapted]
        # Longest first, so that those still training are always the first rows.
        trained.sort(key=lambda node: -node.plan.steps if node.plan else 0)
        for first in range(0, len(trained), BLOCK):
            block = trained[first : first + BLOCK]
            _train(recipe, block, folder)
            advance(len(block), block[0].graph)
    for node in missing:
        if not node.plan:
            _make(recipe, node, folder)
            advance(1, node.graph)


def _plant(recipe: HeritageRecipe, roots: Sequence[RootRecipe], folder: Path) -> None:
    """Train roots from scratch: one by one, or a block of them as one computation."""
    pictures = digits.load(recipe.seed, recipe.root.pixels)
    if not recipe.together:
        for root in roots:
            model, _ = train_root(root, recipe.classes, pictures)
            _write(repo_folder(folder, root.repo), model)
        return
    for first in range(0, len(roots), BLOCK):
        block = roots[first : first + BLOCK]
        models = [digits.architecture(root, recipe.classes, root.seed) for root in block]
        base = torch.stack([parameters_to_vector(model.parameters()).detach() for model in models])  # (g, p)
        plans = [scratch(root) for root in block]
        lessons = [lesson(plan, pictures) for plan in plans]
        fine_tune(models[0].train(False), base, plans, lessons, recipe.root.batch_size)
        for root, row in zip(block, base, strict=True):
            put(models[0], row)
            _write(repo_folder(folder, root.repo), models[0])


def _train(recipe: HeritageRecipe, block: Sequence[Node], folder: Path) -> None:
    """Fine-tune a block, in full or by LoRAs."""
    pictures = digits.load(recipe.seed, recipe.root.pixels)
    model = digits.architecture(recipe.root, recipe.chosen, recipe.root.seed)
    model.train(False)
    plans = [node.plan for node in block if node.plan]
    parents = {node.parents[0] for node in block}
    bodies = {p: open_model(repo_folder(folder, p), recipe.root.kind).state_dict() for p in parents}
    rows = [
        newborn(model, bodies[node.parents[0]], plan, kept=node.goes_on)
        for node, plan in zip(block, plans, strict=True)
    ]
    base = torch.stack(rows)  # (g, p)
    lessons = [lesson(plan, pictures) for plan in plans]
    if block[0].rank:
        adapters = Adapters.of(model, max(node.rank for node in block))
        factors = adapters.begin(base, block)
        fine_tune(model, factors, plans, lessons, recipe.batch_size, lambda live: adapters.grow(base, live))
        base = adapters.grow(base, factors)
    else:
        fine_tune(model, base, plans, lessons, recipe.batch_size)
    for node, row in zip(block, base, strict=True):
        put(model, row)
        _write(repo_folder(folder, node.repo), model)


def _make(recipe: HeritageRecipe, node: Node, folder: Path) -> None:
    """What takes no training: averages, and copies, exact or quantised."""
    parents = [repo_folder(folder, parent) for parent in node.parents]
    model, *others = (open_model(parent, recipe.root.kind) for parent in parents)
    if others:
        both = [parameters_to_vector(m.parameters()).detach() for m in (model, *others)]
        put(model, torch.stack(both).mean(0))
    _write(repo_folder(folder, node.repo), model, quantised=node.made == "int8")


# --- adapters ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adapters:
    """LoRAs (arXiv 2106.09685) beside all matrices of the encoder, and the whole head, as one row of numbers.

    Args:
        parts: every parameter's size and, where a LoRA sits beside it, its shape.
        rank: the largest; a LoRA of less has zeros for the rest, which stay so.
    """

    parts: tuple[tuple[int, tuple[int, int] | None, bool], ...]
    rank: int

    @classmethod
    def of(cls, model: PreTrainedModel, rank: int) -> Adapters:
        parts = []
        for name, value in model.named_parameters():
            # In memory transformers calls `layers` what its files call `encoder.layer`.
            beside = (value.shape[0], value.shape[1]) if ".layers." in name and value.ndim == 2 else None
            parts.append((value.numel(), beside, name.startswith("classifier")))
        return cls(tuple(parts), rank)

    def begin(self, base: Tensor, block: Sequence[Node]) -> Tensor:
        """A drawn, B nothing, the head as it is. (g, q)"""
        rows = []
        for row, node in zip(base, block, strict=True):
            generator = torch.Generator().manual_seed(node.plan.seed if node.plan else 0)
            made = []
            for values, (_, shape, head) in zip(torch.split(row, self._sizes), self.parts, strict=True):
                if shape:
                    A = torch.zeros(self.rank, shape[1])
                    A[: node.rank] = torch.randn(node.rank, shape[1], generator=generator) / shape[1] ** 0.5
                    made += [A.flatten(), torch.zeros(shape[0] * self.rank)]
                elif head:
                    made.append(values)
            rows.append(torch.cat(made))
        return torch.stack(rows)

    @property
    def _sizes(self) -> list[int]:
        return [size for size, _, _ in self.parts]

    def grow(self, base: Tensor, live: Tensor) -> Tensor:
        """The weights with B A added. (g, p) and (g, q) -> (g, p)"""
        g, at, made = len(live), 0, []
        for values, (size, shape, head) in zip(
            torch.split(base[:g], self._sizes, 1), self.parts, strict=True
        ):
            if shape:
                rows, columns = shape
                A = live[:, at : (at := at + self.rank * columns)]
                B = live[:, at : (at := at + rows * self.rank)]
                product = B.reshape(g, rows, self.rank) @ A.reshape(g, self.rank, columns)
                made.append(values + SCALE * product.flatten(1))
            elif head:
                made.append(live[:, at : (at := at + size)])
            else:
                made.append(values)
        return torch.cat(made, 1)


# --- files ---------------------------------------------------------------------------------------


def _write(place: Path, model: PreTrainedModel, *, quantised: bool = False) -> None:
    """One repo. Its folder gets its name last, so that a folder that exists is whole."""
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    values = load_file(part / WEIGHTS)
    if quantised:
        values = _int8(values)
        config = json.loads((part / "config.json").read_text(encoding="utf-8"))
        config["quantization_config"] = {"quant_method": "compressed-tensors", "format": "int-quantized"}
        (part / "config.json").write_text(
            json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
    save_file(values, part / WEIGHTS, {"format": "pt"})
    (part / "README.md").write_text(card(place.name, None, {}), encoding="utf-8")
    part.replace(place)


def _int8(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's matrices as integers with a scale for each row, as compressed-tensors keeps them."""
    found: dict[str, Tensor] = {}
    for name, value in values.items():
        if "encoder" in name and value.ndim == 2:
            scale = value.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
            found[name] = (value / scale).round().to(torch.int8)
            found[name.removesuffix("weight") + "weight_scale"] = scale
        else:
            found[name] = value
    return found

"""A few models of a zoo's test split, stored as people store them, for the demo's Hub.

Each file is a real re-save: float32 as trained, or rounded to float16 or bfloat16, with config.json saying
so. The truth stays where Model-J keeps it, in the safetensors metadata. Several zoos may be sliced into one
folder; they share its index.
"""

from __future__ import annotations

import json
import shutil
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from hubbot.errors import ZooError
from hubbot.zoo.layout import TARGETS, Zoo, ZooModel, in_order, repo_folder

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ROUND = ("float32", "float16", "bfloat16", "float16")
"""The dtypes of children, in turn."""

ROOT_BYTES = 4_000_000
"""A larger root is left out: its children name it, and its expert knows it. Others stay as trained."""

INDEX = "index.json"
LEFT_OUT = "training_images"
"""What children were shown is theirs to show: a slice has no pictures but the samples."""


@dataclass(frozen=True, slots=True)
class Sliced:
    """One line of the slice's index. `sha256` is the zoo file's, before it was stored anew."""

    repo: str
    folder: str
    root: str | None
    split: str
    sha256: str
    dtype: str
    declared: bool
    file: str = "model.safetensors"


def slice_zoo(zoo: Zoo, out: Path, per_root: int = 13, concepts: Sequence[str] = ()) -> tuple[Sliced, ...]:
    """Copy small roots and a few children that no expert learned from, and write them into index.json.

    Args:
        per_root: the first so many of each root's test split.
        concepts: the first child of each of these instead, test splits of unseen concepts included.

    Raises:
        ZooError: the zoo has not so many, or none of a concept.
    """
    lines = []
    for root in (model for model in zoo.models if model.root is None):
        children = (
            _of_concepts(zoo, root, concepts) if concepts else zoo.children(root.repo, "test")[:per_root]
        )
        if len(children) < (len(concepts) or per_root):
            raise ZooError(f"{root.repo} has {len(children)} test models", file=str(zoo.folder))
        if zoo.weights(root).stat().st_size <= ROOT_BYTES:
            lines.append(_store(zoo, root, out, "float32"))
        lines += [_store(zoo, child, out, ROUND[i % len(ROUND)]) for i, child in enumerate(children)]
    _write_index(out, lines)
    return tuple(lines)


def _of_concepts(zoo: Zoo, root: ZooModel, concepts: Sequence[str]) -> tuple[ZooModel, ...]:
    found: dict[str, ZooModel] = {}
    for model in zoo.models:
        if model.root == root.repo and model.split.startswith("test"):
            with safe_open(zoo.weights(model), framework="pt") as stream:
                for concept in literal_eval(stream.metadata()[TARGETS]):
                    found.setdefault(str(concept), model)
    if missing := [concept for concept in concepts if concept not in found]:
        raise ZooError(f"{root.repo} has no test model of {', '.join(missing)}", file=str(zoo.folder))
    return tuple(dict.fromkeys(found[concept] for concept in concepts))


def _write_index(out: Path, lines: Sequence[Sliced]) -> None:
    """These lines in place of those of the same trees; what other zoos left there stays."""
    path, roots = out / INDEX, {line.root or line.repo for line in lines}
    kept: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [line for line in kept if (line["root"] or line["repo"]) not in roots]
    text = json.dumps([*kept, *map(asdict, lines)], indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _store(zoo: Zoo, model: ZooModel, out: Path, dtype: str) -> Sliced:
    source, place = repo_folder(zoo.folder, model.repo), out / model.repo
    file = zoo.weights(model).name
    shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LEFT_OUT))
    if dtype != "float32":
        kept = {
            name: tensor.to(DTYPES[dtype]) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(source / file).items()
        }
        with safe_open(source / file, framework="pt") as stream:
            metadata = stream.metadata()
        (place / file).write_bytes(in_order(save(kept, metadata)))
        if (config := place / "config.json").exists():
            told = json.loads(config.read_text(encoding="utf-8")) | {"dtype": dtype}
            config.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return Sliced(model.repo, model.repo, model.root, model.split, model.sha256, dtype, model.declared, file)

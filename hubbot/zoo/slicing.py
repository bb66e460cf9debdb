"""A few models of a zoo's test split, stored as people store them, for the demo's Hub.

Each file is a real re-save: float32 as trained, or rounded to float16 or bfloat16, with config.json saying
so. The truth stays where Model-J keeps it, in the safetensors metadata.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from hubbot.errors import ZooError
from hubbot.zoo.layout import WEIGHTS, Zoo, ZooModel, in_order, repo_folder

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ROUND = ("float32", "float16", "bfloat16", "float16")
"""The dtypes of children, in turn; roots stay as they were trained."""


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


def slice_zoo(zoo: Zoo, out: Path, per_root: int = 13) -> tuple[Sliced, ...]:
    """Copy the roots and the first children of each one's test split, and write index.json.

    Raises:
        ZooError: the zoo's test split is smaller than that.
    """
    lines = []
    for root in (model for model in zoo.models if model.root is None):
        children = zoo.children(root.repo, "test")[:per_root]
        if len(children) < per_root:
            raise ZooError(f"{root.repo} has {len(children)} test models", file=str(zoo.folder))
        lines.append(_store(zoo, root, out, "float32"))
        lines += [_store(zoo, child, out, ROUND[i % len(ROUND)]) for i, child in enumerate(children)]
    index = [{name: getattr(line, name) for name in line.__slots__} for line in lines]
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return tuple(lines)


def _store(zoo: Zoo, model: ZooModel, out: Path, dtype: str) -> Sliced:
    source, place = repo_folder(zoo.folder, model.repo), out / model.repo
    shutil.copytree(source, place, dirs_exist_ok=True)
    if dtype != "float32":
        kept = {
            name: tensor.to(DTYPES[dtype]) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(source / WEIGHTS).items()
        }
        with safe_open(source / WEIGHTS, framework="pt") as stream:
            metadata = stream.metadata()
        (place / WEIGHTS).write_bytes(in_order(save(kept, metadata)))
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        text = json.dumps(config | {"dtype": dtype}, indent=2, sort_keys=True)
        (place / "config.json").write_text(text + "\n", encoding="utf-8")
    return Sliced(model.repo, model.repo, model.root, model.split, model.sha256, dtype, model.declared)

"""A zoo on disk, laid out as Model-J lies on the Hub: one folder per repo, and an index beside them.

    zoo.json                     recipe, its hash, size, and one line per model; no truths
    repos/<owner>/<name>/        config.json  model.safetensors  preprocessor_config.json
                                 trainer_state.json  README.md

What a child was trained on stands in its safetensors metadata (`dataset_chosen_targets`), which training
and evaluation read and the bot never does.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hubbot.errors import ZooError

INDEX = "zoo.json"
WEIGHTS = "model.safetensors"
TARGETS = "dataset_chosen_targets"


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One line of the index. `root` is None for a root itself; `sha256` is its weight file's."""

    repo: str
    root: str | None
    split: str
    sha256: str
    declared: bool


@dataclass(frozen=True, slots=True)
class Zoo:
    """A zoo that was built."""

    folder: Path
    recipe: str
    recipe_hash: str
    size: str
    models: tuple[ZooModel, ...]
    root_file: str = WEIGHTS
    child_file: str = WEIGHTS

    def weights(self, model: ZooModel) -> Path:
        file = self.root_file if model.root is None else self.child_file
        return repo_folder(self.folder, model.repo) / file

    def root(self, repo: str) -> ZooModel:
        """The root of that repo id.

        Raises:
            ZooError: the zoo has no such root.
        """
        roots = {model.repo: model for model in self.models if model.root is None}
        if repo not in roots:
            hint = f"its roots are {', '.join(roots)}"
            raise ZooError(f"no root {repo!r} in this zoo", file=str(self.folder), hint=hint)
        return roots[repo]

    def children(self, root: str, split: str) -> tuple[ZooModel, ...]:
        return tuple(model for model in self.models if model.root == root and model.split == split)


def repo_folder(folder: Path, repo: str) -> Path:
    """Where a repo lies in a zoo."""
    return folder / "repos" / repo


def claim(folder: Path, recipe_hash: str) -> None:
    """Mark a folder as one recipe's, since models that are there are not made again.

    Raises:
        ZooError: it holds models of another recipe.
    """
    mark = folder / "recipe.txt"
    folder.mkdir(parents=True, exist_ok=True)
    if mark.exists() and mark.read_text(encoding="utf-8").strip() != recipe_hash:
        hint = "build into another folder, or remove this one"
        raise ZooError("the models here are of another recipe or pace", file=str(folder), hint=hint)
    mark.write_text(recipe_hash + "\n", encoding="utf-8")


def write_index(zoo: Zoo) -> None:
    """Write zoo.json, in one step."""
    index = {name: value for name, value in asdict(zoo).items() if name != "folder"}
    part = zoo.folder / f"{INDEX}.part"
    part.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    part.replace(zoo.folder / INDEX)


def open_zoo(folder: Path) -> Zoo:
    """Read a zoo's index.

    Raises:
        ZooError: there is no zoo here, or its index is broken.
    """
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        index["models"] = tuple(ZooModel(**line) for line in index["models"])
        return Zoo(folder=folder, **index)
    except FileNotFoundError:
        hint = f"`hubbot zoo build digits --out {folder}` makes one"
        raise ZooError("there is no zoo here", file=str(file), hint=hint) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ZooError(f"the index is broken: {error}", file=str(file)) from error


def targets(metadata: Mapping[str, str], file: Path) -> tuple[int, ...]:
    """The classes that a child was trained on, from its safetensors metadata.

    Raises:
        ZooError: the metadata has no readable list.
    """
    try:
        found = ast.literal_eval(metadata[TARGETS])
        return tuple(int(target) for target in found)
    except (KeyError, ValueError, SyntaxError, TypeError) as error:
        raise ZooError(f"no readable {TARGETS} in the metadata: {error}", file=str(file)) from error


def in_order(raw: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes them in an order that changes from run
    to run, and the same model is to have the same hash.
    """
    begin = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:begin])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format keeps the buffer aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + raw[begin:]


def sha256(path: Path) -> str:
    """The content id that the Hub gives to an LFS file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(repo: str, base_model: str | None, trainer: Mapping[str, Any]) -> str:
    """A model card such as people leave: a front matter, the trainer's numbers, and little else.

    Args:
        base_model: the root, or None for a child that does not say where it comes from.
        trainer: hyper-parameters, listed in the text.
    """
    front = ["library_name: transformers", "pipeline_tag: image-classification"]
    if base_model:
        front.append(f"base_model: {base_model}")
    front += ["tags:", "- image-classification", "- generated_from_trainer"]
    listed = [f"- {name}: {value}" for name, value in trainer.items()]
    title = repo.split("/")[-1]
    text = ["---", *front, "---", "", f"# {title}", "", "## Training", "", *listed, ""]
    return "\n".join(text)

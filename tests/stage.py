"""What the path's tests play on: the demo's children with the truth about them, and small uploads."""

from __future__ import annotations

import json
from ast import literal_eval
from dataclasses import dataclass
from pathlib import Path

from hubbot.demo.world import MODELS, TOKENS
from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server
from hubbot.settings import Settings, load
from hubbot.weights.local import read_metadata

TOKEN = next(iter(TOKENS))


@dataclass(frozen=True)
class Child:
    """A model of the demo with the truth about it, which the bot never gets to see."""

    repo: str
    root: str
    folder: Path
    declared: bool

    @property
    def digits(self) -> set[str]:
        words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        chosen = literal_eval(read_metadata(self.folder / "model.safetensors")["dataset_chosen_targets"])
        return {words[int(digit)] for digit in chosen}


def all_children() -> list[Child]:
    index = json.loads((MODELS / "index.json").read_text())
    return [
        Child(entry["repo"], entry["root"], MODELS / entry["folder"], entry["declared"])
        for entry in index
        if entry["split"] == "test"
    ]


def upload(repos: Repos, repo: str, files: dict[str, bytes | Path]) -> str:
    """A new repo with these files; its commit."""
    repos.create(repo)
    return repos.commit(repo, files)


def files_of(child: Child, **instead: bytes) -> dict[str, bytes | Path]:
    """All files of a child, some of them replaced."""
    return {path.name: path for path in child.folder.iterdir()} | {
        name.replace("_", "."): content for name, content in instead.items()
    }


def settings_for(server: Server, home: Path, **more: object) -> Settings:
    usual = {"token": TOKEN, "home": str(home), "device": "cpu", "contact": "bot@example.org"}
    return load({}, endpoint=server.endpoint, **(usual | more))

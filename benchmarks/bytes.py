"""What does it cost to train an expert straight from the Hub?

    python -m benchmarks.bytes [--models 100] [--smoke] [--json]

Lays Model-J out on a Hub on loopback, in true shapes: one repo of 343 MB per model for SupViT (ViT-B, 86M
parameters), one bundle of LoRAs of rank 16 for SD_200. Files are sparse: a true header, true bytes for the
layer that the recipe names, and a hole for all else, which is served as zeros like any other byte. Then an
expert is trained as `hubbot expert train --recipe model-j/supvit` does, and the server says what it sent:
weights, headers, the root's as well, the index, answers of the API, redirects and refusals. It is trained for
a few epochs only; that changes no byte. The LoRAs are read, and no more.

`--smoke` does the same with a few models; its numbers are not kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.experts.train import Schedule
from hubbot.hub.client import Hub
from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Exchange, Server
from hubbot.training.catalogue import open_catalogue
from hubbot.training.far import open_far
from hubbot.training.far_experts import Desk, Order, train_far
from hubbot.training.recipes import RECIPES, FarRecipe
from hubbot.training.shelf import Shelf

TARGET = 1.1
CLASSES = 100
SUPVIT, SD = RECIPES["model-j/supvit"], RECIPES["model-j/sd-200"]
SHARES = (("train", 0.7), ("val", 0.1), ("test", 0.2))
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the server sent for one training."""

    layout: str
    models: int
    own: int
    sent: int
    weights: int
    stored: int
    requests: int
    seconds: float
    again: int


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("bytes", __doc__, "a few models, nothing written")
    parser.add_argument("--models", type=int, default=100, help="models of each layout")
    given = parser.parse_args()
    count = 20 if given.smoke else given.models
    torch.set_num_threads(1)
    costs = [measure(SUPVIT, count)] + ([] if given.smoke else [measure(SD, count)])
    rows = [row for cost in costs for row in judge(cost)]
    text = report(costs, rows)
    publish("bytes", rows, text, given)


def measure(recipe: FarRecipe, count: int) -> Cost:
    """Train one expert on a Hub of one's own, twice: the second time from the shelf."""
    with tempfile.TemporaryDirectory() as scratch, Server(Path(scratch) / "hub") as server:
        folder = Path(scratch)
        stored = fill(server, recipe, count)
        first = _sent(server, recipe, folder)
        again = _sent(server, recipe, folder)
        return Cost(
            layout=recipe.subset,
            models=count,
            own=count * recipe.layer_bytes,
            sent=sum(at.bytes_sent for at in first.log),
            weights=sum(at.bytes_sent for at in first.log if at.path.startswith("/blobs/")),
            stored=stored,
            requests=len(first.log),
            seconds=first.seconds,
            again=sum(at.bytes_sent for at in again.log),
        )


@dataclass(frozen=True, slots=True)
class _Run:
    log: Sequence[Exchange]
    seconds: float


def _sent(server: Server, recipe: FarRecipe, folder: Path) -> _Run:
    """What the server sends while an expert is trained; of LoRAs, while they are read."""
    server.log.clear()
    start, order = time.monotonic(), Order.of_recipe(recipe)
    with Hub(server.endpoint) as hub:
        if recipe.bundled:  # the text encoder that its head needs cannot be had here, and costs no byte
            with Shelf(folder / "shelf", 10**11) as shelf:
                catalogue = open_catalogue(hub, order.zoo, order.subset, folder / "indexes")
                open_far(hub, shelf, catalogue, layers=order.layers, roots=order.roots)
        else:
            desk = Desk(hub, folder / "shelves", 10**11)
            train_far(desk, order, folder / "expert", how=Schedule(epochs=2), progress=False)
    return _Run(tuple(server.log), time.monotonic() - start)


def judge(cost: Cost) -> Iterator[Row]:
    """The numbers beside their targets."""
    ratio, name = cost.sent / cost.own, cost.layout
    limit = TARGET if name == SUPVIT.subset else None
    holds = ratio <= limit if limit else None
    yield Row(f"{name} bytes sent", ratio, "x the layer's own bytes", limit, None, holds)
    yield told(f"{name} bytes of weights and headers", cost.weights / cost.own, "x the layer's own bytes")
    yield told(f"{name} share of what is stored", cost.sent / cost.stored, "of all bytes", 1.0)
    yield told(f"{name} requests per model", cost.requests / cost.models, "requests")
    yield told(f"{name} bytes sent when trained again", cost.again / cost.own, "x the layer's own bytes")


def report(costs: Sequence[Cost], rows: Sequence[Row]) -> str:
    """docs/results/bytes.md."""
    columns = ("subset", "models", "layers' own MB", "sent MB", "ratio", "stored GB", "requests a model", "s")
    lines = [
        (
            cost.layout,
            cost.models,
            f"{cost.own / 1e6:.1f}",
            f"{cost.sent / 1e6:.1f}",
            cost.sent / cost.own,
            f"{cost.stored / 1e9:.1f}",
            f"{cost.requests / cost.models:.1f}",
            f"{cost.seconds:.0f}",
        )
        for cost in costs
    ]
    return f"""# What does it cost to train an expert straight from the Hub?

    python -m benchmarks.bytes

Model-J on a Hub on loopback, files of true shapes, bytes as the server counted them: weights, headers, the
root's too, the index, questions to the API. {machine()}.

{table(columns, lines)}

Target: SupViT's expert for at most {TARGET} times the bytes of its layer.

{verdict(rows)}

Seconds are for all of it on a busy machine, for SupViT with a training of two epochs and the baselines. What
is repeated has the layers on its shelf; what is sent then is the listing, a few headers and the root's layer:
{", ".join(f"{cost.again / 1e6:.1f} MB for {cost.layout}" for cost in costs)}.
A LoRA's header is large beside one layer of it: that is what the ratio of SD_200 shows.
"""


# --- Model-J, in true shapes ------------------------------------------------------------------------


def fill(server: Server, recipe: FarRecipe, count: int) -> int:
    """Put a subset of so many models on a Hub; the bytes of all its weight files."""
    owner_zoo = recipe.zoo.removeprefix("hf:")
    stem, shapes = f"{owner_zoo}__{recipe.subset}", lora_shapes() if recipe.bundled else vit_shapes(50)
    draw, stored = np.random.default_rng(1), 0
    rows: dict[str, list[dict[str, object]]] = {}
    files: dict[str, object] = {}
    for number in range(count):
        split = _split(number, count)
        # Every class in turn, so that the training split knows them all.
        targets = sorted({f"class-{(31 * number + step) % CLASSES}" for step in range(CLASSES // 2)})
        notes = {"dataset_chosen_targets": str(targets), "learning_rate": "0.0003", "seed": str(number)}
        path, repo = "model.safetensors", f"{stem}__model_idx_{number:04}"
        if recipe.bundled:
            notes, repo = {"imagenet_class_id": f"n{number % 4:08}", "seed": str(number)}, stem
            path = f"{split}/model_idx_{number:04}/pytorch_lora_weights.safetensors"
        blob = sparse(server.repos, shapes, notes, recipe.layers[0], draw)
        stored += server.repos.blobs.size(blob)
        stored_file = server.repos.describe(path, blob)
        if recipe.bundled:
            files[path] = stored_file
        else:
            server.repos.create(repo)
            server.repos.commit(repo, {path: stored_file, "README.md": _card(recipe.roots[0])})
        row = {
            "model_idx": number,
            "split": split,
            "hf_model_id": repo,
            "base_model": recipe.roots[0],
            **notes,
        }
        rows.setdefault(f"{recipe.subset}/{split}-00000-of-00001.jsonl", []).append(row)
    if recipe.bundled:
        server.repos.create(stem)
        server.repos.commit(stem, files)  # type: ignore[arg-type]
    else:
        root = sparse(server.repos, vit_shapes(1000), {"format": "pt"}, recipe.layers[0], draw)
        server.repos.create(recipe.roots[0])
        file = server.repos.describe("model.safetensors", root)
        server.repos.commit(recipe.roots[0], {"model.safetensors": file})
    server.datasets.create(owner_zoo)
    index = {path: "".join(f"{json.dumps(row)}\n" for row in lines).encode() for path, lines in rows.items()}
    server.datasets.commit(owner_zoo, index)
    return stored


def _split(number: int, count: int) -> str:
    at, end = number / count, 0.0
    for split, share in SHARES:
        end += share
        if at < end:
            return split
    return SHARES[-1][0]


def _card(base_model: str) -> bytes:
    return f"---\nbase_model: {base_model}\nlibrary_name: transformers\ntags:\n- model-j\n---\n".encode()


def sparse(
    repos: Repos, shapes: Shapes, notes: Mapping[str, str], layer: str, draw: np.random.Generator
) -> str:
    """A safetensors file with true bytes for one layer and a hole for all else, as a blob of the Hub.

    Its name is a hash of what it holds, holes left out: hashing 343 MB of zeros for each would prove nothing.
    """
    header: dict[str, object] = {"__metadata__": dict(notes)}
    filled, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
        if name == layer or name.startswith(f"{layer}.lora."):
            filled[begin] = (0.02 * draw.standard_normal(math.prod(shape), np.float32)).tobytes()
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    blob = hashlib.sha256(raw + b"".join(filled.values())).hexdigest()
    path = repos.blobs.path(blob)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for begin, content in filled.items():
            file.seek(8 + len(raw) + begin)
            file.write(content)
        file.truncate(8 + len(raw) + end)
    return blob


def vit_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """ViT-B/16 at 224 pixels as transformers saves it."""
    d, h = 768, 3072
    shapes: dict[str, tuple[int, ...]] = {
        "classifier.bias": (classes,),
        "classifier.weight": (classes, d),
        "vit.embeddings.cls_token": (1, 1, d),
        "vit.embeddings.patch_embeddings.projection.bias": (d,),
        "vit.embeddings.patch_embeddings.projection.weight": (d, 3, 16, 16),
        "vit.embeddings.position_embeddings": (1, 197, d),
    }
    square = ("attention.attention.key", "attention.attention.query", "attention.attention.value")
    for block in range(12):
        stem = f"vit.encoder.layer.{block}"
        parts = {**dict.fromkeys((*square, "attention.output.dense"), (d, d)), "intermediate.dense": (h, d)}
        parts["output.dense"] = (d, h)
        for part, shape in sorted(parts.items()):
            shapes |= {f"{stem}.{part}.bias": shape[:1], f"{stem}.{part}.weight": shape}
        for norm in ("layernorm_after", "layernorm_before"):
            shapes |= {f"{stem}.{norm}.bias": (d,), f"{stem}.{norm}.weight": (d,)}
    return shapes | {"vit.layernorm.bias": (d,), "vit.layernorm.weight": (d,)}


def lora_shapes(rank: int = 16) -> dict[str, tuple[int, ...]]:
    """The 128 pairs of a LoRA on all attention of Stable Diffusion v1, as diffusers saved them."""
    places = [(f"down_blocks.{n}.attentions.{i}", 320 * 2**n) for n in range(3) for i in range(2)]
    places += [("mid_block.attentions.0", 1280)]
    places += [(f"up_blocks.{n}.attentions.{i}", 1280 // 2 ** (n - 1)) for n in (1, 2, 3) for i in range(3)]
    shapes: dict[str, tuple[int, ...]] = {}
    for place, width in places:
        for attention in ("attn1", "attn2"):
            for part in ("to_k", "to_out.0", "to_q", "to_v"):
                given = 768 if attention == "attn2" and part in ("to_k", "to_v") else width
                name = f"unet.{place}.transformer_blocks.0.{attention}.{part}.lora"
                shapes |= {f"{name}.down.weight": (rank, given), f"{name}.up.weight": (width, rank)}
    return shapes


if __name__ == "__main__":
    main()

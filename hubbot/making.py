"""New models from old ones: prompts from the Hub, embedded, drawn near to, and written as repos.

    prompts ──► aligned, embedded ──► KDE ──► decoded ──► a repo that loads as the first prompt's does

What is made lies near its prompts and inherits what they are, licences included: its card says whose they
were.
Measured beside trivial ways of making models, drawing wins little or nothing (`python -m benchmarks.sane`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from hubbot.embedding import Model, whole
from hubbot.errors import UsageError
from hubbot.hub import texts
from hubbot.sane import judge, sample
from hubbot.sane.embed import decoded, embed
from hubbot.sane.tokens import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

COMPANIONS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
)  # fmt: skip
"""Files that a library loads beside the weights; code is none of them."""
MOST_BYTES = 20_000_000
"""Of each of them."""
WAYS = {"kde": sample.kde, "independent": sample.independent}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made.

    Args:
        count: of models. way: a key of `WAYS`.
        bandwidth: how far from the prompts, in spreads of a number over them.
    """

    count: int = 1
    way: str = "kde"
    bandwidth: float = sample.BANDWIDTH
    seed: int = 0


def make(prompts: Sequence[Model], order: Order, out: Path, most_bytes: int) -> list[Path]:
    """Draw models and write each as a folder in `out`, under its number.

    Raises:
        UsageError: no prompts, no such way, a prompt that is too large, or a folder that is there already.
        HubError, WeightsError: a prompt cannot be read.
    """
    if not prompts or order.way not in WAYS:
        raise UsageError(
            f"no way {order.way!r}" if prompts else "no prompts", hint=f"one of {', '.join(WAYS)}"
        )
    folders = [out / f"{number:04}" for number in range(order.count)]
    for folder in folders:
        if folder.exists():
            raise UsageError("it is there already", file=str(folder), hint="choose another --out")
    artifact = prompts[0].artifact
    values = [
        judge.in_order(artifact, whole(one, most_bytes), repo=one.upload.repo, file=one.file)
        for one in prompts
    ]
    tokens = torch.cat([artifact.config.layout.tokens(one) for one in values])
    with torch.no_grad():
        z = embed(artifact.model, tokens)
        draw = torch.Generator().manual_seed(order.seed)
        made = decoded(artifact.model, WAYS[order.way](z, order.count, draw, order.bandwidth))
    reference = {name: value[0] for name, value in values[0].items()}
    companions = _companions(prompts[0])
    for folder, own in zip(folders, made, strict=True):
        _write(folder, checkpoint(own, artifact.config.layout, reference), companions, _card(prompts, order))
    return folders


def _companions(prompt: Model) -> dict[str, bytes]:
    """What lies beside the first prompt's weights, and its library needs."""
    upload, found = prompt.upload, {}
    for name in COMPANIONS:
        if name in upload.files:
            raw = texts.read(prompt.hub, upload.repo, upload.commit, name, MOST_BYTES)
            if raw is None:
                raise UsageError(f"over {MOST_BYTES} bytes", repo=upload.repo, file=name)
            found[name] = raw
    return found


def _write(folder: Path, state: dict[str, Tensor], companions: dict[str, bytes], card: str) -> None:
    """The folder gets its name last, so that one that exists is whole."""
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    save_file(state, part / "model.safetensors", {"format": "pt"})
    for name, raw in companions.items():
        (part / name).write_bytes(raw)
    (part / "README.md").write_text(card, encoding="utf-8")
    part.replace(folder)


def _card(prompts: Sequence[Model], order: Order) -> str:
    """A card that says what this is: a model that nobody trained, and whose weights it was drawn from."""
    artifact, first = prompts[0].artifact, prompts[0].upload
    listed = [f"- {one.upload.repo}" for one in prompts]
    library = [f"library_name: {first.library}"] if first.library and first.library.isidentifier() else []
    front = ["---", *library, "tags:", "- generated-weights", "base_model:", *listed, "---"]
    text = [
        "# A model that nobody trained",
        "",
        f"hubbot drew its weights near those of {len(prompts)} models, in the embeddings of the autoencoder",
        f"{artifact.config.name} ({artifact.version}): {order.way}, bandwidth {order.bandwidth:g}, seed",
        f"{order.seed}. Nothing of it was measured. The licences of those models hold for it.",
        "",
    ]
    return "\n".join([*front, "", *text])

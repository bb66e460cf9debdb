"""New models from old ones: prompts from the Hub, embedded, drawn near to, and written as repos.

    prompts ──► aligned, embedded ──► drawn near, or chosen of many ──► decoded ──► a repo that loads as the
    first prompt's does, with its head or one of other classes

What is made lies near its prompts and inherits what they are, licences included: its card says whose they
were. There is no data to measure strangers' models on, and no code of theirs is run: where some are chosen,
it is by what the autoencoder estimates of them, and the card says so.
Measured beside trivial ways of making models, drawing wins little or nothing (`python -m benchmarks.sane`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from hubbot.embedding import Model, whole
from hubbot.errors import UsageError
from hubbot.hub import texts
from hubbot.records import Abstention, Estimate
from hubbot.sane import head, judge, sample
from hubbot.sane.artifact import Artifact
from hubbot.sane.embed import decoded, embed
from hubbot.sane.grow import with_classes
from hubbot.sane.tokens import checkpoint
from hubbot.weights.strict_json import parse_object

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
COMPANIONS = (
    CONFIG, "generation_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
)  # fmt: skip
"""Files that a library loads beside the weights; code is none of them."""
MOST_BYTES = 20_000_000
"""Of each of them."""
MOST_HELD = 2**32
"""Bytes of all draws together, which are held at once."""
DRAWN = {"kde": sample.kde, "independent": sample.independent}
CHOSEN = "sub", "boot", "gauss"
WAYS = (*DRAWN, *CHOSEN)
AROUND = 4
"""Of what was drawn the best, one in so many, are what the next round is drawn around."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made.

    Args:
        count: of models. way: one of `WAYS`.
        by: the property by which they are chosen, the first if it is none; the most of it, or the `least`.
        draws: for each that is kept.
        classes: of a new head, if there is to be one.
        bandwidth: how far from the prompts, in spreads of a number over them.
    """

    count: int = 1
    way: str = "kde"
    by: str | None = None
    least: bool = False
    draws: int = 20
    classes: int | None = None
    bandwidth: float = sample.BANDWIDTH
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """A model's folder, and what is estimated of it if it was chosen by an estimate."""

    folder: Path
    estimate: Estimate | Abstention | None


def make(prompts: Sequence[Model], order: Order, out: Path, most_bytes: int) -> list[Made]:
    """Draw models and write each as a folder in `out`, under its number.

    Raises:
        UsageError: no prompts, no such way, nothing to choose by, too many draws, a prompt that is too large
            or whose head is not clear, or a folder that is there already.
        HubError, WeightsError: a prompt cannot be read.
    """
    artifact = _checked(prompts, order)
    folders = [out / f"{number:04}" for number in range(order.count)]
    for folder in folders:
        if folder.exists():
            raise UsageError("it is there already", file=str(folder), hint="choose another --out")
    by, companions = _by(artifact, order), _companions(prompts[0])
    rows = _with_classes(prompts[0], companions, order.classes) if order.classes else ()
    values = [
        judge.in_order(artifact, whole(one, most_bytes), repo=one.upload.repo, file=one.file)
        for one in prompts
    ]
    layout, draw = artifact.model.layout, torch.Generator().manual_seed(order.seed)
    z = embed(artifact.model, torch.cat([layout.tokens(one) for one in values]))
    tokens = decoded(artifact.model, _drawn(artifact, z, order, by, draw))
    reference, made = {name: value[0] for name, value in values[0].items()}, []
    for folder, own in zip(folders, tokens, strict=True):
        state = checkpoint(own, layout, reference)
        said = _estimate(artifact, state, by) if by else None
        if order.classes:
            grown = with_classes({name: state[name][None] for name in rows}, rows, order.classes, draw)
            state |= {name: value[0] for name, value in grown.items()}
        _write(folder, state, companions, _card(prompts, order, by, said))
        made.append(Made(folder, said))
    return made


def _checked(prompts: Sequence[Model], order: Order) -> Artifact:
    """The prompts' autoencoder, if it can make that many."""
    if not prompts or order.way not in WAYS:
        raise UsageError(
            f"no way {order.way!r}" if prompts else "no prompts", hint=f"one of {', '.join(WAYS)}"
        )
    artifact = prompts[0].artifact
    draws = order.count * (order.draws if order.way in CHOSEN else 1)
    held = 4 * draws * artifact.model.layout.count * max(artifact.config.length, artifact.config.size.latent)
    if held > MOST_HELD:
        why = f"{draws} draws of such a model are {held} bytes, of {MOST_HELD} at most"
        raise UsageError(why, hint="fewer --draws, or a smaller --count")
    return artifact


def _by(artifact: Artifact, order: Order) -> str:
    """The property that models are chosen by; empty where none is chosen."""
    names = [one.name for one in artifact.config.properties]
    if order.way not in CHOSEN:
        if order.by or order.least:
            raise UsageError(f"{order.way} keeps all that it draws", hint=f"{', '.join(CHOSEN)} choose")
        return ""
    if not names:
        why = f"{artifact.config.name} tells no properties, so that there is nothing to choose by"
        raise UsageError(why, hint=f"{', '.join(DRAWN)} keep all that they draw")
    if order.by and order.by not in names:
        raise UsageError(
            f"{artifact.config.name} tells no {order.by!r} to choose by", hint=f"one of {', '.join(names)}"
        )
    return order.by or names[0]


def _drawn(artifact: Artifact, z: Tensor, order: Order, by: str, draw: torch.Generator) -> Tensor:
    """The embeddings of what is made, the best first where they were chosen. (m, N, z) -> (n, N, z)"""
    if not by:
        return DRAWN[order.way](z, order.count, draw, order.bandwidth)
    model, total = artifact.model, order.count * order.draws
    score = sample.estimated(artifact, by, least=order.least)
    if order.way == "gauss":
        first = sample.gauss(z, total, draw)
    else:
        first = sample.kde(z, total, draw, order.bandwidth)
    if order.way == "sub":
        return sample.best(model, first, score, order.count)[0]
    keep = max(order.count, total // AROUND)
    return sample.boot(model, first, score, keep, draw, bandwidth=order.bandwidth)[0][: order.count]


def _estimate(artifact: Artifact, state: Mapping[str, Tensor], by: str) -> Estimate | Abstention:
    """What `hubbot sane properties` would say of it."""
    said = judge.judge(artifact, state)
    return said if isinstance(said, Abstention) else next(one for one in said if one.name == by)


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


def _with_classes(prompt: Model, companions: dict[str, bytes], classes: int) -> tuple[str, ...]:
    """The tensors of the head that is to be drawn anew; config.json has the new classes then."""
    repo = prompt.upload.repo
    try:
        config = parse_object(companions[CONFIG])
        rows = head.head_of(config, prompt.artifact.model.layout)
    except KeyError:
        raise UsageError(f"without a {CONFIG} nobody knows its classes", repo=repo) from None
    except ValueError as error:
        raise UsageError(f"{error}", repo=repo, file=CONFIG) from error
    except UsageError as error:
        raise UsageError(error.message, repo=repo, file=CONFIG, hint=error.hint) from None
    told = json.dumps(head.relabelled(config, classes), indent=2, ensure_ascii=False)
    companions[CONFIG] = (told + "\n").encode()
    return rows


def _write(folder: Path, state: dict[str, Tensor], companions: dict[str, bytes], card: str) -> None:
    """The folder gets its name last, so that one that exists is whole."""
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    save_file(state, part / "model.safetensors", {"format": "pt"})
    for name, raw in companions.items():
        (part / name).write_bytes(raw)
    (part / "README.md").write_text(card, encoding="utf-8")
    part.replace(folder)


def _card(prompts: Sequence[Model], order: Order, by: str, said: Estimate | Abstention | None) -> str:
    """A card that says what this is: a model that nobody trained, and whose weights it was drawn from."""
    artifact, first = prompts[0].artifact, prompts[0].upload
    listed = [f"- {one.upload.repo}" for one in prompts]
    library = [f"library_name: {first.library}"] if first.library and first.library.isidentifier() else []
    front = ["---", *library, "tags:", "- generated-weights", "base_model:", *listed, "---"]
    text = [
        "# A model that nobody trained",
        "",
        f"hubbot drew its weights from those of {len(prompts)} models, in the embeddings of the autoencoder",
        f"{artifact.config.name} ({artifact.version}): {order.way}, bandwidth {order.bandwidth:g}, seed",
        f"{order.seed}. Nothing of it was measured. The licences of those models hold for it.",
        "",
    ]
    if said:
        text += [*_choice(order, by, said), ""]
    if order.classes:
        text += [
            f"Its head of {order.classes} classes is new, drawn around the mean of the old one's rows, and",
            "knows nothing: the model has to be trained first. What stands above is of it with its old head.",
            "",
        ]
    return "\n".join([*front, "", *text])


def _choice(order: Order, by: str, said: Estimate | Abstention) -> list[str]:
    """How it was chosen, and that this is no measurement."""
    asked = f"{'least' if order.least else 'most'} {by}"
    chosen = [
        f"Of {order.draws} draws for each that was kept, it is among those of which the same autoencoder",
        f"estimated the {asked}, from the weights alone.",
    ]
    if isinstance(said, Abstention):
        return [*chosen, f"Of itself it is told no estimate: {said.text}."]
    return [
        *chosen,
        f"Of this one it is {said.value:.3f}: an estimate and not a measurement. The interval beside it,",
        f"{said.low:.3f} to {said.high:.3f}, is right for {said.coverage:.0%} of trained models, and less",
        "often for one that was picked for its estimate.",
    ]

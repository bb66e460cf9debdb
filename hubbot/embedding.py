"""A model on the Hub through an autoencoder of its architecture: embedded, looked at, told its properties.

    headers ──► the architecture fits? ──► rows by range ──► tokens ──► embeddings, piece by piece

A model whose channels can change places has to be aligned before it is embedded, and what is told of one
comes from all of it: both are read whole, and so only up to a size. Others may be as large as they like.

Letters: N tokens of a model, n some of them, z numbers of an embedding.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from hubbot.errors import ShapeMismatch, UsageError
from hubbot.hub.client import Hub
from hubbot.hub.ranges import Meter
from hubbot.hub.rows import BLOCK_BYTES, Matrix, rows
from hubbot.hub.tensors import contents, read
from hubbot.hub.uploads import one
from hubbot.records import Abstention, Estimate, Upload, Wanted
from hubbot.sane import judge
from hubbot.sane.artifact import Artifact, load
from hubbot.sane.embed import embed_stream, spans
from hubbot.sane.layers import Depth, Moments, Watched, depths, watch
from hubbot.sane.tokens import PLAIN

NAMED = 3
"""Tensors that an error names."""
ANOTHER_LIMIT = "HUBBOT_MAX_MODEL_BYTES sets another limit"


@dataclass(frozen=True, slots=True)
class Model:
    """An upload of the architecture that an autoencoder knows; none of its weights has been read yet.

    Args:
        stored: bytes of its weight files.
        file: the weight file, where it is one.
        meter: counts what has crossed the wire for it.
    """

    hub: Hub
    upload: Upload
    artifact: Artifact
    stored: int
    file: str
    meter: Meter = field(default_factory=Meter)

    @property
    def streams(self) -> bool:
        """Whether it can be embedded row by row."""
        return not self.artifact.config.groups

    @property
    def windows(self) -> int:
        """How many it is embedded in."""
        mind = self.artifact.model
        return sum(1 for _ in spans(mind.layout.count, mind.window, mind.size.halo))


def find(hub: Hub, repo: str, folder: Path) -> Model:
    """A repo's present model, if the autoencoder in a folder knows its architecture.

    Raises:
        ExpertError: there is no such autoencoder.
        RepoNotFound: there is no such repo.
        HubError, WeightsError: see `fitting`.
    """
    return find_all(hub, [repo], folder)[0]


def find_all(hub: Hub, repos: Sequence[str], folder: Path) -> list[Model]:
    """The same of several repos."""
    artifact = load(folder)
    return [fitting(hub, one(hub, repo), artifact) for repo in repos]


def fitting(hub: Hub, upload: Upload, artifact: Artifact) -> Model:
    """A model of the autoencoder's architecture, by its headers alone.

    Raises:
        ShapeMismatch: it is of another one.
        HubError, WeightsError: see `tensors.contents`.
    """
    found = contents(hub, upload)
    stored = {name: shape for name, shape in found.shapes.items() if found.dtypes[name] in PLAIN}
    file = found.files[0].path if len(found.files) == 1 else ""
    if not judge.fits(artifact.config, stored):
        why = f"{artifact.config.name} knows another architecture: {_differences(artifact, stored)}"
        raise ShapeMismatch(why, repo=upload.repo, file=file or None)
    meter = Meter(found.bytes_read)
    return Model(hub, upload, artifact, sum(part.size for part in found.files), file, meter)


def _differences(artifact: Artifact, stored: Mapping[str, tuple[int, ...]]) -> str:
    """The first few tensors that are not as they should be, in words."""
    told = []
    expected = artifact.config.shapes
    for name in [*expected, *(name for name in stored if name not in expected)]:
        if name not in expected:
            told.append(f"{name} is one more")
        elif name not in stored:
            told.append(f"{name} is missing")
        elif stored[name] != expected[name]:
            told.append(f"{name} is {stored[name]} and not {expected[name]}")
    more = f", and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return "; ".join(told[:NAMED]) + more


def embeddings(model: Model, most_bytes: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Tensor]:
    """The embeddings of a model's tokens, piece by piece in their order, (n, z).

    Args:
        most_bytes: a larger model is not read whole.
        block_bytes: what is read at once of one that is not.

    Raises:
        UsageError: it would have to be read whole, and is too large.
        HubError, WeightsError: see `rows.rows`.
    """
    if not model.streams:
        values = whole(model, most_bytes)
        yield judge.embedding(model.artifact, values, repo=model.upload.repo, file=model.file)
        return
    layers = model.artifact.model.layout.layers
    matrices = [Matrix(layer.rows, {piece.tensor: piece.shape for piece in layer.pieces}) for layer in layers]
    coming = rows(model.hub, model.upload, matrices, meter=model.meter, block_bytes=block_bytes)
    yield from embed_stream(
        model.artifact.model, ((layers[at], torch.from_numpy(block)) for at, block in coming)
    )


def properties(model: Model, most_bytes: int) -> tuple[Estimate, ...] | Abstention:
    """What the weights of a model say of its training, or why nothing is said.

    Raises:
        UsageError: the autoencoder tells none, or the model is too large to be read whole.
        HubError, WeightsError: see `tensors.read`.
    """
    config = model.artifact.config
    if not config.properties:
        raise UsageError(
            f"{config.name} embeds and tells no properties",
            hint=f"`hubbot sane embed {model.upload.repo}` embeds the model",
        )
    values = whole(model, most_bytes)
    return judge.judge(model.artifact, values, repo=model.upload.repo, file=model.file)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A model by depth.

    Args:
        streamed: whether it was read row by row.
        unwatched: why WeightWatcher says nothing of it, and what to do about that; empty where it does.
    """

    layers: tuple[Depth, ...]
    streamed: bool
    unwatched: str = ""


def analysed(model: Model, most_bytes: int) -> Analysis:
    """How far apart each layer's embeddings lie, beside WeightWatcher's metrics of a model read whole.

    Raises:
        UsageError: it would have to be read whole, and is too large.
        HubError, WeightsError: see `embeddings`.
    """
    artifact, layout = model.artifact, model.artifact.model.layout
    moments = Moments(layout, artifact.model.size.latent)
    if model.stored > most_bytes:
        for piece in embeddings(model, most_bytes):
            moments.add(piece)
        why = f"it takes whole matrices, and {model.stored} bytes are not read whole, limit {most_bytes}; "
        return Analysis(depths(moments), streamed=True, unwatched=f"{why}{ANOTHER_LIMIT}")
    values = whole(model, most_bytes)
    moments.add(judge.embedding(artifact, values, repo=model.upload.repo, file=model.file))
    watched: Sequence[Watched | None] = ()
    unwatched = ""
    try:
        watched = watch(values, layout)
    except UsageError as error:
        unwatched = f"{error}; {error.hint}"
    return Analysis(depths(moments, watched), streamed=False, unwatched=unwatched)


def whole(model: Model, most_bytes: int) -> dict[str, Tensor]:
    """All float tensors of a small model."""
    repo, file, config = model.upload.repo, model.file, model.artifact.config
    if model.stored > most_bytes:
        why = f"{model.stored} bytes are not read whole, limit {most_bytes}"
        raise UsageError(why, repo=repo, file=file or None, hint=ANOTHER_LIMIT)
    found = read(
        model.hub, model.upload, [Wanted(name, shape=shape) for name, shape in config.shapes.items()]
    )
    model.meter.bytes_read += found.bytes_read
    return {name: torch.from_numpy(value) for name, value in found.values.items()}


def kept(
    pieces: Iterator[Tensor], file: Path, shape: tuple[int, int], notes: Mapping[str, str]
) -> Iterator[Tensor]:
    """The same pieces, written to a safetensors file on their way; it is there once all have come.

    Args:
        shape: (N, z), of all of them together.
        notes: the file's metadata.
    """
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}
    header = json.dumps({"__metadata__": notes, "embeddings": entry}).encode()
    header += b" " * (-len(header) % 8)
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as out:
            out.write(struct.pack("<Q", len(header)) + header)
            for piece in pieces:
                out.write(piece.numpy().astype("<f4").tobytes())
                yield piece
        part.replace(file)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()

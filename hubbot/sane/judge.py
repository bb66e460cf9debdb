"""One model of a known architecture: what its weights say of its training, or why nothing is said.

    tensors ──► aligned ──► tokens ──► embeddings ──► features ──► ridge ──► estimates with intervals

Nothing is said of a model unlike those of training: one that is rebuilt badly, or lies far from them.

Letters: n models, N tokens, t numbers of a token, z of an embedding, k properties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

import torch
from torch import Tensor

from hubbot.errors import WeightsError
from hubbot.records import Abstention, Estimate, Judgement, Tensors
from hubbot.sane.align import aligned, permuted
from hubbot.sane.artifact import Artifact
from hubbot.sane.embed import embed, rebuilt
from hubbot.sane.properties import features
from hubbot.sane.schema import Config, Property
from hubbot.sane.tokens import numbers

Values = Mapping[str, Tensor]


def fits(config: Config, shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether a model is of the architecture, by its float tensors alone."""
    return {name: tuple(shape) for name, shape in shapes.items()} == dict(config.shapes)


def consult(artifact: Artifact, upload: Tensors) -> Judgement:
    """What is recorded of an upload's training; whatever is wrong with its weights is an abstention.

    Args:
        upload: all tensors of `Config.shapes`.
    """
    values = {name: torch.from_numpy(value) for name, value in upload.values.items()}
    said: tuple[Estimate, ...] | Abstention
    try:
        file = upload.files[0].path if len(upload.files) == 1 else ""
        said = judge(artifact, values, repo=upload.repo, file=file)
    except WeightsError as error:
        said = Abstention(error.code, str(error))
    estimates, silence = ((), said) if isinstance(said, Abstention) else (said, None)
    return Judgement(
        repo=upload.repo,
        commit=upload.commit,
        content_ids=tuple(sorted(file.content_id for file in upload.files)),
        autoencoder=artifact.config.name,
        version=artifact.version,
        estimates=estimates,
        abstention=silence,
        bytes_read=upload.bytes_read,
    )


def embedding(artifact: Artifact, values: Values, *, repo: str = "", file: str = "") -> Tensor:
    """The embeddings of a model's tokens, as aligned. (N, z)

    Args:
        values: its tensors, (*shape).

    Raises:
        WeightsError: it is of another architecture, or its numbers are no weights.
    """
    tokens = artifact.model.layout.tokens(in_order(artifact, values, repo=repo, file=file))
    return embed(artifact.model, tokens)[0]


def in_order(artifact: Artifact, values: Values, *, repo: str = "", file: str = "") -> dict[str, Tensor]:
    """A model's tensors in the order of the reference's channels, each (1, *shape).

    Raises:
        WeightsError: see `embedding`.
    """
    config = artifact.config
    own, groups = numbers(values, config.shapes, repo=repo, file=file), config.groups
    one = {name: value[None] for name, value in own.items()}
    return permuted(one, groups, aligned(one, groups, artifact.reference)) if groups else one


def oddness(artifact: Artifact, tokens: Tensor, z: Tensor) -> Tensor:
    """How badly models are rebuilt, as squared error of standardised numbers. (n, N, t), (n, N, z) -> (n,)"""
    scale, layout = artifact.model.scale, artifact.model.layout
    off = torch.zeros(len(z))
    for start, end, made in rebuilt(artifact.model, z):
        _, spread = scale.between(start, end)
        error = ((made - tokens[:, start:end]) / spread).square()
        off += error.masked_fill(~layout.real(start, end), 0).sum((1, 2))
    return off / sum(map(prod, layout.shapes.values()))


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to say of models, and whether to say it.

    Args:
        said: of each property, before bounds, (n, k).
        odd: how badly each is rebuilt, (n,). far: how far off it lies, (n,); both in limits, so that over 1
            a model is unlike those of training.
    """

    said: Tensor
    odd: Tensor
    far: Tensor

    @property
    def usual(self) -> Tensor:
        """(n,)"""
        return (self.odd <= 1) & (self.far <= 1)


def look(artifact: Artifact, values: Values) -> Look:
    """Look at models whose channels are in the reference's order. name: (n, *shape)

    Raises:
        ValueError: the autoencoder has no properties.
    """
    config, layout, ridge = artifact.config, artifact.model.layout, artifact.ridge
    if ridge is None:
        raise ValueError(f"{config.name} reads no properties")
    tokens = layout.tokens(values)
    z = embed(artifact.model, tokens)
    kinds = tuple(dict.fromkeys(("statistics", *config.features)))
    found = dict(zip(kinds, features(kinds, values, z, layout), strict=True))
    odd, far = oddness(artifact, tokens, z).double(), torch.zeros(len(z), dtype=torch.float64)
    if artifact.distance and config.reach:
        far = artifact.distance(found["statistics"]) / config.reach.farthest
    said = ridge(torch.cat([found[kind] for kind in config.features], 1))
    return Look(said, odd / (inf if config.oddest is None else config.oddest), far)


def judge(
    artifact: Artifact, values: Values, *, repo: str = "", file: str = ""
) -> tuple[Estimate, ...] | Abstention:
    """What the weights say of the training.

    Raises:
        WeightsError: see `embedding`.
        ValueError: the autoencoder has no properties.
    """
    config = artifact.config
    seen = look(artifact, in_order(artifact, values, repo=repo, file=file))
    if not seen.usual:
        why = f"its weights are unlike those that {config.name} learned from"
        how = "in how large and how varied they are" if seen.odd <= 1 else "which it cannot rebuild"
        return Abstention("unlike-training", f"{why}, {how}: whatever was told of it would be a guess")
    return tuple(
        Estimate(
            one.name,
            _within(one, value),
            _within(one, value - one.half_width),
            _within(one, value + one.half_width),
            config.coverage,
            one.least,
            one.most,
        )
        for one, value in zip(config.properties, seen.said[0].tolist(), strict=True)
    )


def _within(bounds: Property, value: float) -> float:
    """The nearest number that a model's can be."""
    if bounds.least is not None:
        value = max(value, bounds.least)
    return value if bounds.most is None else min(value, bounds.most)

"""One model of a known architecture: what its weights say of its training, or why nothing is said.

    tensors ──► aligned ──► tokens ──► embeddings ──► features ──► ridge ──► estimates with intervals

Letters: n models, N tokens, t numbers of a token, z of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

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


def judge(
    artifact: Artifact, values: Values, *, repo: str = "", file: str = ""
) -> tuple[Estimate, ...] | Abstention:
    """What the weights say of the training.

    Raises:
        WeightsError: see `embedding`.
        ValueError: the autoencoder has no properties.
    """
    config, ridge = artifact.config, artifact.ridge
    if ridge is None:
        raise ValueError(f"{config.name} reads no properties")
    layout, own = artifact.model.layout, in_order(artifact, values, repo=repo, file=file)
    tokens = layout.tokens(own)
    z = embed(artifact.model, tokens)
    off = float(oddness(artifact, tokens, z))
    if config.oddest is not None and not off <= config.oddest:
        why = f"its weights are unlike those that {config.name} learned from"
        return Abstention(
            "unlike-training", f"{why}: rebuilt with an error of {off:.3g}, over {config.oddest:.3g}"
        )
    said = ridge(torch.cat(features(config.features, own, z, layout), 1))[0]
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
        for one, value in zip(config.properties, said.tolist(), strict=True)
    )


def _within(bounds: Property, value: float) -> float:
    """The nearest number that a model's can be."""
    if bounds.least is not None:
        value = max(value, bounds.least)
    return value if bounds.most is None else min(value, bounds.most)

"""New models from old ones: draw embeddings near those of a few prompt models, and decode them.

    kde          a Gaussian around a prompt's embeddings, all tokens of a model from the same prompt
    independent  each token from a prompt of its own, as the paper's equation reads
    sub          draw many, keep the best
    boot         draw around the best, again and again
    gauss        the same, from embeddings of no prompt

The score by which the best are known is the caller's: accuracy on validation data, say. Where there is none,
as on the Hub, `estimated` has the autoencoder's own properties for one.

Letters: m prompts, n models drawn, N tokens of a model, z numbers of an embedding, t numbers of a token.
Source: arXiv 2406.09997, section 3.4; released code and equation differ in how tokens are coupled.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hubbot.sane.align import aligned, permuted
from hubbot.sane.artifact import Artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import decoded
from hubbot.sane.judge import look

BANDWIDTH = 0.2
"""Of the Gaussians, in spreads of a number over the prompts."""

Score = Callable[[Tensor], Tensor]
"""How good models are whose tokens are (n, N, t). (n,)"""

UNDER_ALL = 1e9
"""No estimate is so low: where the scores of odd models begin."""


def kde(z: Tensor, count: int, draw: torch.Generator, bandwidth: float = BANDWIDTH) -> Tensor:
    """Embeddings near those of prompts, a whole prompt at a time. (m, N, z) -> (n, N, z)"""
    return _near(z, z[torch.randint(len(z), (count,), generator=draw)], draw, bandwidth)


def independent(z: Tensor, count: int, draw: torch.Generator, bandwidth: float = BANDWIDTH) -> Tensor:
    """The same with a prompt for each token. (m, N, z) -> (n, N, z)"""
    pick = torch.randint(len(z), (count, z.shape[1], 1), generator=draw)
    return _near(z, z.gather(0, pick.expand(-1, -1, z.shape[2])), draw, bandwidth)


def gauss(z: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Embeddings of no prompt: a Gaussian as wide as all tokens' embeddings are. (m, N, z) -> (n, N, z)"""
    noise = torch.randn(count, *z.shape[1:], generator=draw)
    return z.mean((0, 1)) + z.std((0, 1)) * noise


def best(model: Autoencoder, z: Tensor, score: Score, keep: int) -> tuple[Tensor, Tensor]:
    """The best of many, and their scores: "sub". (n, N, z) -> (keep, N, z), (keep,)"""
    scores = score(decoded(model, z))
    top = scores.topk(min(keep, len(scores))).indices
    return z[top], scores[top]


def boot(
    model: Autoencoder,
    z: Tensor,
    score: Score,
    keep: int,
    draw: torch.Generator,
    rounds: int = 5,
    bandwidth: float = BANDWIDTH,
) -> tuple[Tensor, Tensor]:
    """Draw around the best, and keep the best again; what was best before stays in the race.

    Args:
        z: (n, N, z), the first of them: draws of `kde`, or of `gauss`.
    """
    count = len(z)
    for _ in range(rounds):
        z, _ = best(model, z, score, keep)
        z = torch.cat([z, kde(z, count - len(z), draw, bandwidth)])
    return best(model, z, score, keep)


def estimated(artifact: Artifact, name: str, *, least: bool = False) -> Score:
    """The most of a property, or the least, as the autoencoder estimates it from weights alone.

    What is estimated of a model unlike those it learned from is extrapolated, and choosing the extremes of
    many draws finds just those that went wrong. So such models come after all others, the oddest last, and so
    do those whose estimate no model's can be.

    Raises:
        ValueError: the autoencoder has no such property.
    """
    config = artifact.config
    at = [one.name for one in config.properties].index(name)
    low, high = config.properties[at].least, config.properties[at].most

    def score(tokens: Tensor) -> Tensor:
        seen = look(artifact, _in_order(artifact, tokens))
        said = seen.said[:, at]
        can_be = said.clamp(-math.inf if low is None else low, math.inf if high is None else high)
        beyond = (said - can_be).abs()
        usual = seen.usual & (beyond == 0)
        ranked = torch.where(usual, -said if least else said, -UNDER_ALL - seen.odd - seen.far - beyond)
        return ranked.nan_to_num(nan=-torch.inf)

    return score


def _in_order(artifact: Artifact, tokens: Tensor) -> dict[str, Tensor]:
    """Models' tensors with their channels in the reference's order. (n, N, t) -> name: (n, *shape)"""
    layout, groups = artifact.model.layout, artifact.config.groups
    values = layout.values(tokens)
    if not groups:
        return values
    for name in layout.left_out:
        values[name] = artifact.reference[name].expand(len(tokens), *artifact.config.shapes[name])
    return permuted(values, groups, aligned(values, groups, artifact.reference))


def _near(z: Tensor, centres: Tensor, draw: torch.Generator, bandwidth: float) -> Tensor:
    spread = z.std(0) if len(z) > 1 else torch.zeros_like(z[0])
    return centres + bandwidth * spread * torch.randn(centres.shape, generator=draw)

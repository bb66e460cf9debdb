"""Ways to mix what two trees find for a text, and what a ranking is worth.

Letters: q texts, n models of all trees, m of one, k concepts that its expert knows, r_T its space, d the
text encoder's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hubbot.index.meaning import LEAST_MEANT
from hubbot.records import ExpertInfo, TextHead
from hubbot.weights.dtypes import Floats

DEPTH = 10
NEVER = -1e9
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Tree:
    """The models of one tree, as its expert read them.

    Args:
        told: what each model was trained on, by its text.
        embeddings: (m, r_T), zero where the expert abstained.
        read: whether it did not.
    """

    info: ExpertInfo
    head: TextHead
    repos: tuple[str, ...]
    told: tuple[str, ...]
    embeddings: Floats
    read: Flags

    @property
    def texts(self) -> list[str]:
        """What the expert calls what it knows."""
        return [label.text for label in self.info.labels]

    @cached_property
    def bank(self) -> Floats:
        """Cosine of each model with each known concept, (m, k)."""
        return self.cosines(self.head.vocabulary).T

    def cosines(self, texts: Floats) -> Floats:
        """Of texts, (q, d), with models. (q, m)"""
        ours = unit(texts @ self.head.W.T + self.head.b)
        return np.asarray(ours @ unit(self.embeddings).T, np.float32)


@dataclass(frozen=True, eq=False)
class Asked:
    """Texts as one tree meets them.

    Args:
        cosine: with each model, (q, m).
        near: with each known concept's text, by the encoder that compares texts, (q, k).
        nearest: the largest of those in any tree, (q, 1).
    """

    cosine: Floats
    near: Floats
    nearest: Floats


Rule = Callable[[Tree, Asked], Floats]
"""Scores (q, m), comparable between trees as far as the rule can make them so."""


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), np.float32)


# --- baselines ------------------------------------------------------------------------------------


def raw(_: Tree, asked: Asked) -> Floats:
    """The cosine itself."""
    return asked.cosine


def standard(tree: Tree, asked: Asked) -> Floats:
    """How far the cosine lies above the tree's others, for this text."""
    among = asked.cosine[:, tree.read]
    above = asked.cosine - among.mean(1, keepdims=True)
    return np.asarray(above / (among.std(1, keepdims=True) + 1e-6), np.float32)


def reciprocal(tree: Tree, asked: Asked) -> Floats:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009), with their 60."""
    ranks = np.argsort(np.argsort(np.where(tree.read, -asked.cosine, np.inf), 1, kind="stable"), 1)
    return np.asarray(1 / (61 + ranks), np.float32)


def softmax(sharp: float) -> Rule:
    """The share of a text that each model of the tree bears."""

    def rule(tree: Tree, asked: Asked) -> Floats:
        raised = np.where(tree.read, np.exp(sharp * (asked.cosine - 1)), 0)
        return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)

    return rule


def inverted(sharp: float) -> Rule:
    """The share of a model that the text bears beside all concepts (Smith et al., arXiv 1702.03859)."""

    def rule(tree: Tree, asked: Asked) -> Floats:
        raised, rest = (
            np.exp(sharp * (asked.cosine - 1)),
            np.exp(sharp * (tree.bank - 1)).sum(1),
        )  # (q, m), (m,)
        return np.asarray(raised / (raised + rest), np.float32)

    return rule


def csls(count: int) -> Rule:
    """Less what both are near to anyway (Conneau et al., arXiv 1710.04087)."""

    def rule(tree: Tree, asked: Asked) -> Floats:
        models = np.sort(tree.bank, 1)[:, -count:].mean(1)  # (m,)
        texts = np.sort(asked.cosine[:, tree.read], 1)[:, -count:].mean(1)  # (q,)
        return np.asarray(2 * asked.cosine - models - texts[:, None], np.float32)

    return rule


FIXED: Mapping[str, Rule] = {"raw cosine": raw, "z-score": standard, "reciprocal ranks": reciprocal}
FAMILIES: Mapping[str, tuple[Callable[..., Rule], tuple[float, ...]]] = {
    "softmax": (softmax, (3, 10, 20, 30, 60)),
    "inverted softmax": (inverted, (5, 10, 15, 20, 30, 60)),
    "CSLS": (csls, (1, 3, 5, 10, 30)),
}
"""What has a setting, and those it may take; the choosing half chooses."""


# --- ours -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constants:
    """Those of `hubbot.index.kinds` and `meaning`; `together`: the nearest concept is that of all trees."""

    softer: float
    nowhere: float
    spread: float
    same: float
    middle: float
    slope: float
    together: bool = True


BEFORE = Constants(1.0, float("-inf"), 0.1, 0.8, 0.55, 12.0, together=False)
"""What they were, set by eye, before this benchmark was there."""


def ours(c: Constants) -> Rule:
    """`hubbot.index.kinds` for all texts and models at once."""

    def rule(tree: Tree, asked: Asked) -> Floats:
        scale, own = c.softer * tree.head.scale, asked.near.max(1, keepdims=True)  # (q, 1)
        nearest = asked.nearest if c.together else own
        meant = 1 / (1 + np.exp(-c.slope * (nearest - c.middle)))
        relevant = meant * np.exp((asked.near - nearest) / c.spread)  # (q, k)
        relevant = np.where(relevant < LEAST_MEANT, 0, relevant)
        none = max(c.softer * tree.head.none, scale * c.nowhere)
        total = np.logaddexp(np.logaddexp.reduce(scale * tree.bank, axis=1), none)  # (m,)
        known = relevant @ np.exp(scale * tree.bank - total[:, None]).T  # (q, m)
        logit = np.where(own >= c.same, -np.inf, scale * asked.cosine)
        itself = np.exp(logit - np.logaddexp(logit, total))
        return np.asarray(np.clip(itself + known * (1 - itself), 0, 1), np.float32)

    return rule


# --- what a ranking is worth ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ranked:
    """The first models for each text: their places, -1 where there are fewer, and scores. Both (q, DEPTH)"""

    places: Places
    scores: Floats

    def hits(self, relevant: Flags) -> Flags:
        """Which of them are right, of those that are there; relevant: (q, n)."""
        return np.take_along_axis(relevant, np.maximum(self.places, 0), 1) & (self.places >= 0)


def rank(scores: Floats, read: Flags) -> Ranked:
    """The best first; of equal ones the one that is listed first. (q, n), (n,)"""
    scores = np.where(read, scores, NEVER)
    places = np.argsort(-scores, 1, kind="stable")[:, :DEPTH]
    best = np.take_along_axis(scores, places, 1)
    return Ranked(np.where(best > NEVER, places, -1), best)


def ndcg(ranked: Ranked, relevant: Flags) -> Floats:
    """nDCG@10 of each text; not a number where nothing is relevant. (q,)"""
    discount = 1 / np.log2(np.arange(2, DEPTH + 2))
    hits = ranked.hits(relevant)
    gained = (hits * discount[: hits.shape[1]]).sum(1)
    best = np.append(0, discount.cumsum())[np.minimum(relevant.sum(1), DEPTH)]
    return np.where(best > 0, gained / np.maximum(best, 1e-9), np.nan)


def interval(values: Floats, draws: int = 5000) -> tuple[float, float, float]:
    """Their mean, and its 95% interval by bootstrap over texts."""
    values = values[~np.isnan(values)]
    random = np.random.default_rng(0)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def skewness(counts: Floats) -> float:
    spread = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread else 0.0


@dataclass(frozen=True, slots=True)
class Hubs:
    """How often the same models come up: skewness of the k-occurrence (k = 10), and of wrong firsts, those on
    the places that relevant ones should have: how many, and the share of the worst hundredth of models.
    """

    skewness: float
    wrong: int
    worst: float


def hubs(ranked: Ranked, relevant: Flags) -> Hubs:
    n, there = relevant.shape[1], ranked.places >= 0
    counts = np.bincount(ranked.places[there], minlength=n)
    due = np.arange(ranked.places.shape[1]) < np.minimum(relevant.sum(1), DEPTH)[:, None]
    wrong = np.bincount(ranked.places[due & there & ~ranked.hits(relevant)], minlength=n)
    worst = np.sort(wrong)[-max(1, n // 100) :].sum() / max(1, wrong.sum())
    return Hubs(skewness(counts.astype(np.float32)), int(wrong.sum()), float(worst))


def calibration(scores: Floats, right: Flags, bins: int = 10) -> tuple[float, float]:
    """The expected calibration error and the Brier score of what was told."""
    if not len(scores):
        return 0.0, 0.0
    place, error = np.minimum((scores * bins).astype(int), bins - 1), 0.0
    for each in range(bins):
        some = place == each
        if some.any():
            error += some.mean() * abs(scores[some].mean() - right[some].mean())
    return float(error), float(((scores - right) ** 2).mean())


def logistic(x: Floats, y: Flags, steps: int = 50) -> tuple[float, float]:
    """Middle and slope of the likeliest 1 / (1 + exp(-slope (x - middle))), by Newton's steps."""
    X, w = np.stack([np.ones_like(x), x], 1).astype(np.float64), np.zeros(2)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(X @ w)))
        grip = X.T @ (X * (p * (1 - p))[:, None]) + 1e-3 * np.eye(2)
        w += np.linalg.solve(grip, X.T @ (y - p) - 1e-3 * w)
    return float(-w[0] / w[1]), float(w[1])


def joined(parts: Sequence[Floats], order: Places) -> Floats:
    """Both trees' scores in one table, models in the order of their names."""
    return np.concatenate(parts, 1)[:, order]

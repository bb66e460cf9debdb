"""Text search of the second kind: by labels, for experts that do not align with text.

A text is near some labels, a model has some labels with some probability, and the chance that the model
fits the text is the sum over labels of one times the other:

    w = softmax(s / T)         s: cosine of the text with the nearest wording of each label, T = `TEMPERATURE`
    score(model) = Σ_l w_l · p_l(model)

With calibrated probabilities the score is one too, so that trees may be mixed. Where even the nearest label
is far from the text, nothing is certain, and that is the answer.

Letters: n models, k label texts, m wordings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hubbot.index.found import Found
from hubbot.index.labels import LabelIndex
from hubbot.records import Hit, Prediction

if TYPE_CHECKING:
    from hubbot.records import Floats

TEMPERATURE = 0.03
"""A label whose cosine is 0.1 below the nearest one's gets 1/28 of its weight. With all-MiniLM-L6-v2, "the
digit seven" lies 0.1 nearer to the seven than to other digits, "an even number" within 0.05 of several."""

FLOOR = 0.4
"""Cosine with the nearest label below which a text is about something else. With all-MiniLM-L6-v2, "a recipe
for soup" or "chest x-rays" reach 0.2 among digits, "a clock" 0.33, "an even number" 0.45."""

LEAST_SCORE = 0.1
"""Models below this chance are not worth showing."""

LEAST_SHARE = 0.1
"""A label that makes less than this share of a score is no reason for it."""

MIDDLE, SLOPE = 0.55, 12.0
"""A text at this cosine from the nearest label or concept means it with an even chance; 0.1 nearer, with 77%.
Set by eye on some fifty texts against the names of emoji, with all-MiniLM-L6-v2: "a fruit" lies at 0.69 (a
pear), "something to eat" at 0.52 (a pot of food) or, among 200 names, at 0.42; but "dog" also at 0.53 (a
goat), where there is no dog, and "a ghost" at 0.41 (the digit one)."""

CLEAR = 0.5
"""A text whose nearest label bears less than this share of it is not clearly about any."""


def find(index: LabelIndex, similarities: Floats, *, tree: str | None = None, limit: int = 10) -> Found:
    """The models that a text fits best, and what it was taken for; see `weigh` and `rank`."""
    weights = weigh(index, similarities)
    if weights is None:
        return Found()
    chance = meant(float(similarities.max()))
    hits = rank(index, weights * chance, tree=tree, limit=limit)
    return Found(hits, _heaviest(index.texts, weights * chance), clear=bool(weights.max() >= CLEAR))


def meant(nearest: float) -> float:
    """The chance that a text means something that is so near to it, as a cosine."""
    return 1 / (1 + math.exp(-SLOPE * (nearest - MIDDLE)))


def weigh(index: LabelIndex, similarities: Floats) -> Floats | None:
    """What share of a text each label bears.

    Args:
        similarities: cosine of the text with each of `index.wordings`, shape (m,).

    Returns:
        Weights that sum to 1, in the order of `index.texts`, shape (k,); None where no label is near enough.
    """
    if not len(similarities) or not similarities.max() >= FLOOR:
        return None
    nearest = np.full(len(index.texts), -1.0, np.float32)  # (k,)
    np.maximum.at(nearest, index.columns, similarities)
    raised = np.exp((nearest - nearest.max()) / TEMPERATURE)  # (k,)
    return np.asarray(raised / raised.sum(), np.float32)


def rank(index: LabelIndex, weights: Floats, *, tree: str | None = None, limit: int = 10) -> tuple[Hit, ...]:
    """The models that fit a text best, the best first; equal ones by name.

    Args:
        weights: from `weigh`, in the order of `index.texts`, shape (k,).
        tree: only models of this tree.
    """
    scores = np.clip(index.probabilities @ weights, 0.0, 1.0)  # (n,)
    rows = np.flatnonzero(index.within(tree) & (scores >= LEAST_SCORE))
    if len(rows) > limit:
        # All that tie with the last place stay in, so that names decide among them.
        last = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[scores[rows] >= last]
    best = sorted(rows, key=lambda i: (-scores[i], index.entries[i].repo))[:limit]
    return tuple(_hit(index, int(i), float(scores[i]), weights) for i in best)


def _heaviest(texts: tuple[str, ...], weights: Floats) -> tuple[tuple[str, float], ...]:
    """The labels that bear the text: those with a tenth of the largest share or more."""
    shares = sorted(zip(texts, weights.tolist(), strict=True), key=lambda pair: -pair[1])
    return tuple((text, share) for text, share in shares if share >= 0.1 * shares[0][1])


def _hit(index: LabelIndex, row: int, score: float, weights: Floats) -> Hit:
    parts = index.probabilities[row] * weights  # (k,)
    entry = index.entries[row]
    reasons: list[Prediction] = []
    for j in np.argsort(-parts, kind="stable"):
        if parts[j] < LEAST_SHARE * score:
            break
        reasons.append(entry.predictions[index.texts[j]])
    return Hit(entry.repo, entry.tree, score, tuple(reasons))

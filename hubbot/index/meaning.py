"""What a text means: from its cosines with what experts know to how much each of these is meant.

Two ways, since there are two kinds of experts. Among labels, of which a model has any number, a text is
shared out, and models are scored by the share that they know:

    w = softmax(s / T)         s: cosine of the text with the nearest wording of each label, T = `TEMPERATURE`

Among concepts, of which a model has one, each may be meant: "a fruit" means the pear and the melon alike, and
a model of either fits it.

    r_c = meant(max s) · exp((s_c - max s) / S)                 S = `SPREAD`

Where even the nearest label is far from the text, nothing is certain, and that is the answer.

Letters: k labels or concepts, m wordings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hubbot.records import Floats

TEMPERATURE = 0.03
"""A label whose cosine is 0.1 below the nearest one's gets 1/28 of its weight. With all-MiniLM-L6-v2, "the
digit seven" lies 0.1 nearer to the seven than to other digits, "an even number" within 0.05 of several."""

SPREAD = 0.1
"""A concept whose cosine is 0.1 below the nearest one's is meant as well with 1/e of its chance. Wider than
for labels: a text that fits many concepts fits each of them, and they do not share it."""

FLOOR = 0.4
"""Cosine with the nearest label below which a text is about something else. With all-MiniLM-L6-v2, "a recipe
for soup" or "chest x-rays" reach 0.2 among digits, "a clock" 0.33, "an even number" 0.45."""

MIDDLE, SLOPE = 0.55, 12.0
"""A text at this cosine from the nearest label or concept means it with an even chance; 0.1 nearer, with 77%.
Set by eye on some fifty texts against the names of emoji, with all-MiniLM-L6-v2: "a fruit" lies at 0.69 (a
pear), "something to eat" at 0.52 (a pot of food) or, among 200 names, at 0.42; but "dog" also at 0.53 (a
goat), where there is no dog, and "a ghost" at 0.41 (the digit one)."""

CLEAR = 0.5
"""A text whose nearest label bears less than this share of it is not clearly about any."""

LEAST_MEANT = 0.05
"""What is meant with less than this chance is not meant."""

SAME = 0.8
"""From this cosine on a text says a known concept in other words, and is no candidate beside it."""

Understood = tuple[tuple[str, float], ...]
"""What a text was taken for, with how likely that is, the likeliest first."""


class Vocabulary:
    """The labels of all experts that tell labels apart by their text, and all that people call them.

    Two trees that both know "the digit seven" share it.

    Args:
        labels: texts and names; the latter are what people may type as well.

    Attributes:
        texts: the k label texts, sorted.
        wordings: all m ways to say a label.
        columns: which of the k labels each wording says, (m,).
    """

    def __init__(self, labels: Iterable[tuple[str, str]]) -> None:
        said = sorted(
            {pair for text, name in labels for pair in ((text, text), (text, _spoken(name)))},
        )
        self.texts = tuple(sorted({text for text, _ in said}))
        self.column = {text: j for j, text in enumerate(self.texts)}
        self.wordings = tuple(wording for _, wording in said)
        self.columns = np.array([self.column[text] for text, _ in said], np.intp)  # (m,)


def _spoken(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def meant(nearest: float) -> float:
    """The chance that a text means something that is so near to it, as a cosine."""
    return 1 / (1 + math.exp(-SLOPE * (nearest - MIDDLE)))


def shared(vocabulary: Vocabulary, similarities: Floats) -> Floats | None:
    """What share of a text each label bears.

    Args:
        similarities: cosine of the text with each of the wordings, (m,).

    Returns:
        Weights that sum to 1, (k,); None where no label is near enough.
    """
    if not len(similarities) or not similarities.max() >= FLOOR:
        return None
    nearest = np.full(len(vocabulary.texts), -1.0, np.float32)  # (k,)
    np.maximum.at(nearest, vocabulary.columns, similarities)
    raised = np.exp((nearest - nearest.max()) / TEMPERATURE)  # (k,)
    return np.asarray(raised / raised.sum(), np.float32)


def relevance(near: Floats) -> Floats:
    """How likely each concept is what a text means.

    Args:
        near: cosine of the text with each concept's own text, (k,).

    Returns:
        Chances of their own, which need not sum to 1, (k,).
    """
    nearest = float(near.max(initial=-1.0))
    chances = np.asarray(meant(nearest) * np.exp((near - nearest) / SPREAD), np.float32)
    return np.where(chances < LEAST_MEANT, np.float32(0), chances)


def heaviest(texts: Sequence[str], weights: Floats, *, least: float, most: int | None = None) -> Understood:
    """What bears the most of a text, the heaviest first; nothing that weighs less than `least`."""
    order = np.argsort(-weights, kind="stable")[:most]
    return tuple((texts[j], float(weights[j])) for j in order if weights[j] >= least)

"""What a text means: from its cosines with what experts know to how much each of these is meant.

Two ways, since there are two kinds of experts. Among labels, of which a model has any number, a text is
shared out, and models are scored by the share that they know:

    w = softmax(s / T)         s: cosine of the text with the nearest wording of each label, T = `TEMPERATURE`

Among concepts, of which a model has one, each may be meant: "a fruit" means the pear and the melon alike, and
a model of either fits it.

    r_c = meant(max s) · exp((s_c - max s) / S)                 S = `SPREAD`, max over all trees

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

FLOOR = 0.45
"""Cosine with the nearest label below which a text is about something else. With all-MiniLM-L6-v2, "a recipe
for soup" or "chest x-rays" reach 0.16 among digits, "a clock" 0.41, "an even number" 0.58."""

EVEN_LABEL, EVEN_CONCEPT = (0.55, 12.0), (0.65, 18.0)
"""At which cosine a text means the nearest label, or concept, with an even chance, and how steeply that
rises. Of concepts `benchmarks.mixing` chose it, on texts whose meaning is known: "eggplant" lies at 0.69 (an
egg), and so does "wristwatch" (a stopwatch), but "flake of snow" at 0.81 (a snowflake). Of labels it was set
by eye: they share a text that lies between them, "an even number" at 0.5 from several."""

CLEAR = 0.5
"""A text whose nearest label bears less than this share of it is not clearly about any."""

LEAST_MEANT = 0.05
"""What is meant with less than this chance is not meant."""

SAME = 0.9
"""From this cosine on a text is the name of a known concept, and no candidate beside it. One that is only
near to it may name another thing, that the expert never met: an envelope beside an incoming envelope."""

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


def meant(nearest: float, even: tuple[float, float] = EVEN_LABEL) -> float:
    """The chance that a text means something that is so near to it, as a cosine."""
    middle, slope = even
    return 1 / (1 + math.exp(-slope * (nearest - middle)))


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


def relevance(near: Floats, nearest: float = -1.0) -> Floats:
    """How likely each concept is what a text means.

    Args:
        near: cosine of the text with each concept's own text, (k,).
        nearest: the largest such cosine in any tree that is asked. Where another knows a trombone by name,
            this one's violin is not what "trombone" means.

    Returns:
        Chances of their own, which need not sum to 1, (k,).
    """
    nearest = float(near.max(initial=nearest))
    chances = np.asarray(meant(nearest, EVEN_CONCEPT) * np.exp((near - nearest) / SPREAD), np.float32)
    return np.where(chances < LEAST_MEANT, np.float32(0), chances)


def heaviest(texts: Sequence[str], weights: Floats, *, least: float, most: int | None = None) -> Understood:
    """What bears the most of a text, the heaviest first; nothing that weighs less than `least`."""
    order = np.argsort(-weights, kind="stable")[:most]
    return tuple((texts[j], float(weights[j])) for j in order if weights[j] >= least)

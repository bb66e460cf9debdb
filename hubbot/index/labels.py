"""What is searched: for each model, the probability of each label, in one exact matrix.

Labels are told apart by their text, so that two trees which both know "the digit seven" share a column.

Letters: n models, k label texts, m wordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hubbot.records import Prediction


@dataclass(frozen=True, slots=True)
class Entry:
    """One model: its predictions by the text of their label."""

    repo: str
    tree: str
    predictions: Mapping[str, Prediction]


class LabelIndex:
    """All models whose reading named probabilities. Never changed: a new one is made instead.

    Attributes:
        texts: the k label texts, sorted.
        probabilities: shape (n, k); 0 where a model's expert does not know the label.
        wordings: all m ways to say a label: its text, and the names that experts give it. People type either.
        columns: which of the k labels each wording says, shape (m,).
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self.texts = tuple(sorted({text for entry in self.entries for text in entry.predictions}))
        column = {text: j for j, text in enumerate(self.texts)}
        self.probabilities = np.zeros((len(self.entries), len(self.texts)), np.float32)  # (n, k)
        for i, entry in enumerate(self.entries):
            for text, prediction in entry.predictions.items():
                self.probabilities[i, column[text]] = prediction.probability
        said = {(text, text) for text in self.texts} | {
            (text, prediction.label.replace("_", " ").replace("-", " "))
            for entry in self.entries
            for text, prediction in entry.predictions.items()
        }
        self.wordings = tuple(wording for _, wording in sorted(said))
        self.columns = np.array([column[text] for text, _ in sorted(said)], np.intp)  # (m,)
        self._trees = np.array([entry.tree for entry in self.entries], dtype=np.str_)

    def within(self, tree: str | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows belong to a tree; all of them for None. Shape (n,)."""
        return np.ones(len(self.entries), np.bool_) if tree is None else self._trees == tree

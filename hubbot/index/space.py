"""Text search of the first kind: in the space of an expert whose models have one concept each.

The text q becomes a vector there, and a candidate beside the k concepts c that the expert knows by name:

    p = softmax(s · cos(e, g(·)), none)       over the k concepts, q, and none of these; s is calibrated
    score(model) = p_q + Σ_c r(q, c) · p_c    r: how likely c is what q means, see `relevance`

A text that names something the expert never met is found by its vector alone, "something to eat" by the foods
that the expert knows, and "dog" in both ways. Chances of different trees may be mixed.

Letters: n models, k concepts, r_T the expert's space, d_text the text encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hubbot.index.found import Found
from hubbot.index.labels import Entry
from hubbot.index.query import LEAST_SCORE, LEAST_SHARE, meant
from hubbot.records import Hit, Prediction, TextHead

if TYPE_CHECKING:
    from hubbot.records import Floats

TEMPERATURE = 0.1
"""A concept whose cosine is 0.1 below the nearest one's is meant as well with 1/e of its chance. Wider than
for labels: a text that fits many concepts fits each of them, and they do not share it."""

SAME = 0.8
"""From this cosine on a text says a known concept in other words, and is no candidate beside it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a space: its place in the index of results, and its embedding, (r_T,)."""

    entry: Entry
    embedding: Sequence[float]


class TextSpace:
    """The models that one version of an expert has read. Never changed: a new one is made instead.

    Attributes:
        texts: what the k concepts are called.
        chances: p_c of every model without a text, (n, k).
    """

    def __init__(self, members: Sequence[Member], texts: Sequence[str], head: TextHead) -> None:
        self.entries = tuple(member.entry for member in members)
        self.texts, self.head = tuple(texts), head
        embeddings = np.array([member.embedding for member in members], np.float32)
        self._models = _unit(embeddings.reshape(len(members), len(head.b)))  # (n, r_T)
        logits = self._logits(head.vocabulary)  # (n, k)
        top = logits.max(1, keepdims=True, initial=head.none)
        self._log_total = (
            np.log(np.exp(logits - top).sum(1) + np.exp(head.none - top[:, 0])) + top[:, 0]
        )  # (n,)
        self.chances = np.exp(logits - self._log_total[:, None])
        self._trees = np.array([entry.tree for entry in self.entries], np.str_)

    def _logits(self, texts: Floats) -> Floats:
        """(m, d_text) -> (n, m)"""
        ours = _unit(texts @ self.head.W.T + self.head.b)  # (m, r_T)
        return np.asarray(self.head.scale * (self._models @ ours.T), np.float32)

    def find(
        self, text: str, vector: Floats, near: Floats, *, tree: str | None = None, limit: int = 10
    ) -> Found:
        """The models that a text fits best, the best first; equal ones by name.

        Args:
            vector: the text in the expert's prompt, by the expert's encoder, (d_text,).
            near: cosine of the bare text with each concept's, by the encoder that compares texts, (k,).
            tree: only models of this tree.
        """
        relevant = relevance(near)  # (k,)
        understood = _understood(self.texts, relevant)
        if not self.entries or tree not in (None, *self._trees):
            return Found((), understood)
        own, known = self._shares(vector, near)  # (n,), (n, k)
        scores = np.clip(own + known @ relevant, 0.0, 1.0)
        rows = np.flatnonzero((scores >= LEAST_SCORE) & ((self._trees == tree) | (tree is None)))
        best = sorted(rows, key=lambda i: (-scores[i], self.entries[i].repo))[:limit]
        hits = (self._hit(int(i), float(scores[i]), text, float(own[i]), known[i] * relevant) for i in best)
        if best and own[best[0]] > 0.5 * scores[best[0]]:  # it is the text itself that was found
            understood = ((text, float(own[best[0]])), *understood)
        return Found(tuple(hits), understood)

    def _shares(self, vector: Floats, near: Floats) -> tuple[Floats, Floats]:
        """The chance of the text itself, (n,), and of each concept beside it, (n, k)."""
        if near.max(initial=-1.0) >= SAME:
            return np.zeros(len(self.entries), np.float32), self.chances
        logit = self._logits(vector[None])[:, 0]
        total = np.logaddexp(self._log_total, logit)  # (n,)
        return np.exp(logit - total), self.chances * np.exp(self._log_total - total)[:, None]

    def _hit(self, row: int, score: float, text: str, own: float, parts: Floats) -> Hit:
        entry = self.entries[row]
        reasons = [Prediction(text, own, recognised=False)] if own >= LEAST_SHARE * score else []
        for j in np.argsort(-parts, kind="stable"):
            if parts[j] < LEAST_SHARE * score:
                break
            said = entry.predictions.get(self.texts[j])
            reasons += [said] if said else []
        return Hit(entry.repo, entry.tree, score, tuple(reasons))


def relevance(near: Floats) -> Floats:
    """How likely each concept is what a text means.

    Args:
        near: cosine of the text with each concept's own text, (k,).

    Returns:
        Chances of their own, which need not sum to 1, (k,).
    """
    nearest = float(near.max(initial=-1.0))
    return np.asarray(meant(nearest) * np.exp((near - nearest) / TEMPERATURE), np.float32)


def _understood(texts: Sequence[str], meant: Floats) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-meant, kind="stable")[:5]
    return tuple((texts[j], float(meant[j])) for j in order if meant[j] >= max(LEAST_SCORE, meant.max() / 2))


def _unit(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)

"""What a model of a shelf is to a text. There are two kinds of experts, and so of shelves:

*Concepts*: a model was trained on one thing and is a point e in the expert's space, where a text t is
g(t) = W t + b (ProbeX, arXiv 2410.13569). A text q is a candidate beside the k concepts c that the expert
knows by name:

    p = softmax(s · cos(e, g(·)), none)       over the k concepts, q, and none of these; s: `SOFTER`
    score(model) = p_q + Σ_c r(q, c) · p_c    r: how likely c is what q means, `meaning.relevance`

A text that names something the expert never met is found by its point alone, "something to eat" by the foods
that the expert knows, and "dog" in both ways. The sum below the fraction, which a model in the middle of
everything has large, keeps it from being everybody's neighbour (inverted softmax, arXiv 1702.03859).

*Labels*: a model was trained on any number of things and is a chance for each label:

    score(model) = Σ_l w(q, l) · p_l          w: what share of the text is about l, `meaning.shared`

Both are chances, so that shelves may be mixed; `benchmarks.mixing` measures how well.

Letters: n models, k concepts or labels, d a shelf's dimension (of labels, k), r_T the expert's space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from hubbot.records import Floats, TextHead


SOFTER = 0.5
"""Of an expert's own scale, which was calibrated among models of concepts that it knows, one of which is
always right. In a tree of all kinds of models that is far too sure."""

NOWHERE = 0.4
"""A model is as likely to be of none of the concepts as of one at this cosine from it. Models of what an
expert has no word for lie at .2 to .5 from its nearest concept, models of what it knows at .6 to .8."""


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A text, or a model, as one shelf understands it.

    Args:
        weights: how much each of the shelf's concepts or labels is meant, (k,).
        vector: where the text itself lies, a unit row in the shelf's space, (d,); None where it is a known
            concept in other words, or the shelf has no place for texts.
        alike: it is a model's own chances that are meant, and what it does not know counts as well.
    """

    weights: Floats
    vector: Floats | None = None
    alike: bool = False

    @property
    def torn(self) -> bool:
        """Whether known concepts are meant, and the text lies beside them: who fits best is then close."""
        return self.vector is not None and bool(self.weights.any())


class Scores(NamedTuple):
    """How well m models fit.

    Args:
        fit: the chances, (m,).
        own: of that, by their point alone, (m,).
        meant: the concepts that have a part in it, (r,).
        parts: what each of these makes of it, (m, r).
    """

    fit: Floats
    own: Floats
    meant: NDArray[np.intp]
    parts: Floats


class Concepts:
    """Models of one concept each.

    Args:
        texts: what the k concepts are called.
    """

    full = False
    """Whether candidates must be looked for among all that know anything asked for: of one concept, the
    likeliest models of each are enough."""
    dtype: DTypeLike = np.float16

    def __init__(self, texts: tuple[str, ...], head: TextHead) -> None:
        self.texts, self.head, self.dimension = texts, head, len(head.b)
        self.points = self.placed(head.vocabulary)  # (k, r_T)
        self.scale = SOFTER * head.scale
        self.none = max(SOFTER * head.none, self.scale * NOWHERE)

    def placed(self, texts: Floats) -> Floats:
        """Texts, embedded in the expert's prompt, as unit rows of the shelf's space. (m, d_text) -> (m,
        r_T)"""
        return unit(texts @ self.head.W.T + self.head.b)

    def taken(self, embeddings: Floats) -> Floats:
        """As they are kept: unit rows, rounded. (n, r_T)"""
        return unit(embeddings).astype(np.float16).astype(np.float32)

    def known(self, X: Floats) -> tuple[Floats, Floats]:
        """Chance of each concept where no text is asked for, (n, k), and the logarithm of their sum, (n,)."""
        logits = self.scale * (X @ self.points.T)  # (n, k)
        top = logits.max(1, keepdims=True, initial=self.none)
        total = np.log(np.exp(logits - top).sum(1) + np.exp(self.none - top[:, 0])) + top[:, 0]
        return np.exp(logits - total[:, None]), np.asarray(total, np.float32)

    def first(self, sums: Floats, rest: Floats, ask: Ask) -> Floats:
        """By what candidates are chosen whose concepts are meant."""
        del rest, ask
        return sums

    def surest(self, near: Floats, rest: Floats) -> Floats:
        """By what candidates are chosen that lie near a text: how much likelier it is than what is known."""
        return np.asarray(self.scale * near - rest, np.float32)

    def scores(self, X: Floats, rest: Floats, ask: Ask) -> Scores:
        """How well models fit. (m, r_T) and, from `known`, (m,)"""
        meant = np.flatnonzero(ask.weights)
        known = np.exp(self.scale * (X @ self.points[meant].T) - rest[:, None])
        own = np.zeros(len(X), np.float32)
        if ask.vector is not None:
            logit = self.scale * (X @ ask.vector)
            total = np.logaddexp(rest, logit)  # (m,)
            own = np.exp(logit - total)
            known *= np.exp(rest - total)[:, None]
        parts = known * ask.weights[meant]
        return Scores(np.clip(own + parts.sum(1), 0.0, 1.0), own, meant, parts)

    def like(self, x: Floats, rest: float) -> Ask:
        """As the model at x: what it knows is meant, and its place is asked for as a text's would be."""
        logits = self.scale * (self.points @ x)
        return Ask(np.asarray(np.exp(logits - rest), np.float32), x, alike=True)


class Labels:
    """Models of any number of labels; their chances are their vectors."""

    full = True
    dtype: DTypeLike = np.float32

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts, self.dimension = texts, len(texts)

    def taken(self, chances: Floats) -> Floats:
        return np.asarray(chances, np.float32)

    def known(self, X: Floats) -> tuple[Floats, Floats]:
        """The chances themselves, (n, k), and how many labels that makes, (n,)."""
        return X, np.asarray(X.sum(1), np.float32)

    def first(self, sums: Floats, rest: Floats, ask: Ask) -> Floats:
        return _in_common(sums, rest, ask) if ask.alike else sums

    def surest(self, near: Floats, rest: Floats) -> Floats:
        """A text has no place among labels."""
        del rest
        return near

    def scores(self, X: Floats, rest: Floats, ask: Ask) -> Scores:
        parts = X * ask.weights
        sums = parts.sum(1)
        fit = _in_common(sums, rest, ask) if ask.alike else sums
        none = np.zeros(len(X), np.float32)
        return Scores(np.clip(fit, 0.0, 1.0), none, np.arange(parts.shape[1]), parts)

    def like(self, x: Floats, rest: float) -> Ask:
        """As the model at x: with the same labels, and no others."""
        del rest
        return Ask(x, alike=True)


Kind = Concepts | Labels


def _in_common(sums: Floats, rest: Floats, ask: Ask) -> Floats:
    """The expected share of labels that both have among those that either has (Jaccard's index)."""
    return np.asarray(sums / np.maximum(ask.weights.sum() + rest - sums, 1e-9), np.float32)


def unit(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)

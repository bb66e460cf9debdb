"""Where a text's models lie: the text head's start, in closed form.

A concept's models lie around a centre, and the centre is a linear function of the concept's text. That way
round, from few numbers to many, regression needs few concepts; what it leaves over, together with the
spread of a concept's own models, says in which directions a model's place means little. In a space where that
error is alike in all directions the cosine of a model with a text's place is the score, for concepts never
met too: linear discriminant analysis (Fisher, 1936) whose means are predicted.

Letters: n models, k concepts, f features, d text, r principal directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.experts import closed

SHRINKS = (0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
"""How much of the error is taken to be alike in all directions."""

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Aligned:
    """Two linear maps into one space: e = encode f + encode_bias, g = speak t + speak_bias.

    encode: (r, f), speak: (r, d); sharp: the factor that makes cosines logits.
    """

    encode: Tensor
    encode_bias: Tensor
    speak: Tensor
    speak_bias: Tensor
    sharp: float


def align(features: Tensor, truth: Tensor, texts: Tensor, most: int) -> Aligned:
    """Fit on training models.

    Args:
        features: (n, f).
        truth: (n, k), a single 1 in each row; concepts without a model are left out.
        texts: (k, d).
        most: r, at most.
    """
    met = truth.sum(0) > 0
    Y, T = truth[:, met].double(), texts[met].double()
    f = features.double().mean(0)
    V = closed.principal(features.double() - f, most)  # (f, r)
    S = (features.double() - f) @ V  # (n, r)
    shrink, sharp = _chosen(S, Y, T)
    places = _Places.of(S, Y, T)
    L = places.whitening(shrink)
    encode, speak = L @ V.T, L @ places.slope.T
    encode_bias, speak_bias = -encode @ f - L @ places.c, -speak @ places.t
    return Aligned(
        encode.to(features), encode_bias.to(features), speak.to(features), speak_bias.to(features), sharp
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Where concepts lie, as their texts say, and how wrong that is.

    Args:
        t, c: the mean text (d,) and the mean centre (r,).
        slope: centre - c = (text - t) slope, (d, r).
        error: covariance of a model's place around where a fit without its concept has it. (r, r)
    """

    t: Tensor
    c: Tensor
    slope: Tensor
    error: Tensor

    @classmethod
    def of(cls, S: Tensor, Y: Tensor, T: Tensor) -> _Places:
        """From models' places (n, r), their concepts (n, k), and the concepts' texts (k, d)."""
        centres = (Y / Y.sum(0)).T @ S  # (k, r)
        t, c = T.mean(0), centres.mean(0)
        found = closed.left_out((T - t) @ (T - t).T, centres - c)
        own, off = S - Y @ centres, centres - c - found.said
        error = own.T @ own / len(own) + off.T @ off / len(off)
        return cls(t, c, (T - t).T @ found.dual, error)

    def whitening(self, shrink: float) -> Tensor:
        """The map under which errors are alike in all directions. (r, r)"""
        even = self.error.diagonal().mean() * torch.eye(len(self.c)).to(self.error)
        values, E = torch.linalg.eigh((1 - shrink) * self.error + shrink * even)
        root: Tensor = (E * values.clamp_min(1e-30).rsqrt()) @ E.T
        return root

    def cosines(self, S: Tensor, T: Tensor, shrink: float) -> Tensor:
        """Of models with texts. (n, r), (k, d) -> (n, k)"""
        L = self.whitening(shrink)
        there = functional.normalize((T - self.t) @ self.slope @ L, dim=1)
        return functional.normalize((S - self.c) @ L, dim=1) @ there.T


def _chosen(S: Tensor, Y: Tensor, T: Tensor) -> tuple[float, float]:
    """The shrinkage and the sharpness with which concepts are told apart that had no part in the fit."""
    fold = torch.arange(len(T)) % min(FOLDS, len(T))
    model = fold[Y.argmax(1)]
    losses = dict.fromkeys(((shrink, sharp) for shrink in SHRINKS for sharp in closed.SCALES), 0.0)
    for one in range(int(fold.max()) + 1):
        out, met = model == one, fold != one
        places = _Places.of(S[~out], Y[~out][:, met], T[met])
        truth = Y[out][:, ~met].argmax(1)
        for shrink in SHRINKS:
            cosines = places.cosines(S[out], T[~met], shrink)
            for sharp in closed.SCALES:
                losses[shrink, sharp] += float(
                    functional.cross_entropy(sharp * cosines, truth, reduction="sum")
                )
    return min(losses, key=lambda pair: losses[pair])

"""From an encoding to an answer: labels, of which any number is right, or the one text that fits.

Letters: n models, r_T encoding, k labels or texts, f features, r solved directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hubbot.experts import closed
from hubbot.experts.align import align


@dataclass(frozen=True, slots=True)
class Head:
    """What a probe answers in: `labels`, as many as `width`, or `text` embeddings of that width."""

    kind: str
    width: int


class Encoder(NamedTuple):
    """Features to encoding: what a head that was solved expects of the first r places. (r, f) and (r,)"""

    weight: Tensor
    bias: Tensor


class LabelHead(nn.Linear):
    """A logit per label."""

    def forward(self, encoding: Tensor, texts: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(n, r_T) -> (n, k)"""
        return super().forward(encoding)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Binary cross-entropy. Both (n, k)"""
        return functional.binary_cross_entropy_with_logits(logits, truth)

    @torch.no_grad()
    def begin(self, features: Tensor, truth: Tensor, texts: Tensor | None) -> Encoder:  # noqa: ARG002
        """Ridge regression; logits in proportion to what it says above one half."""
        solved = closed.ridge(features, truth)
        centre = truth.mean(0)
        basis = closed.principal(truth - centre, self.in_features)  # (k, r)
        sharp = min(closed.SCALES, key=lambda s: float(self.loss(s * (solved.held_out - 0.5), truth)))
        self.weight[:, : basis.shape[1]] = sharp * basis
        self.bias.copy_(sharp * (centre - 0.5))
        return Encoder((solved.weight @ basis).T, (solved.bias - centre) @ basis)


class TextHead(nn.Module):
    """Cosine of an encoding with a linear map of a text's embedding, in the papers without a temperature."""

    def __init__(self, encoding: int, width: int, warm: bool) -> None:
        super().__init__()
        self.of_text = nn.Linear(width, encoding)
        self.temperature = nn.Parameter(torch.zeros(()), requires_grad=warm)

    def forward(self, encoding: Tensor, texts: Tensor) -> Tensor:
        """(n, r_T), (k, d_text) -> (n, k)"""
        cosine = functional.normalize(encoding, dim=1) @ functional.normalize(self.of_text(texts), dim=1).T
        logits: Tensor = cosine * self.temperature.exp()
        return logits

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Cross-entropy over the texts. Both (n, k), the truth with a single 1 in each row"""
        return functional.cross_entropy(logits, truth.argmax(1))

    @torch.no_grad()
    def begin(self, features: Tensor, truth: Tensor, texts: Tensor) -> Encoder:
        """The maps of `experts.align`."""
        found = align(features, truth, texts, self.of_text.out_features)
        rank = len(found.speak)
        self.of_text.weight.zero_()
        self.of_text.bias.zero_()
        self.of_text.weight[:rank], self.of_text.bias[:rank] = found.speak, found.speak_bias
        self.temperature.fill_(found.sharp).log_()
        return Encoder(found.encode, found.encode_bias)

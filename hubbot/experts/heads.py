"""From an encoding to an answer: labels, of which any number is right, or the one text that fits.

Letters: n models, r_T encoding, k labels or texts, t targets of the start, r of their directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SCALES = [10 ** (power / 8) for power in range(25)]


@dataclass(frozen=True, slots=True)
class Head:
    """What a probe answers in: `labels`, as many as `width`, or `text` embeddings of that width."""

    kind: str
    width: int


@dataclass(frozen=True, slots=True)
class Start:
    """A solution whose encoding is `(said - centre) basis`, for a head to begin with.

    Args:
        basis, centre: (t, r) and (t,).
        held_out: what is said of each training model by a fit without it, (n, t).
        truth: (n, k).
    """

    basis: Tensor
    centre: Tensor
    held_out: Tensor
    truth: Tensor


class LabelHead(nn.Linear):
    """A logit per label."""

    def forward(self, encoding: Tensor, texts: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(n, r_T) -> (n, k)"""
        return super().forward(encoding)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Binary cross-entropy. Both (n, k)"""
        return functional.binary_cross_entropy_with_logits(logits, truth)

    def targets(self, truth: Tensor, texts: Tensor | None) -> Tensor:  # noqa: ARG002
        """(n, k)"""
        return truth

    @torch.no_grad()
    def begin(self, start: Start, texts: Tensor | None) -> None:  # noqa: ARG002
        """Logits in proportion to what the solution says above one half."""
        sharp = min(SCALES, key=lambda s: float(self.loss(s * (start.held_out - 0.5), start.truth)))
        self.weight[:, : start.basis.shape[1]] = sharp * start.basis
        self.bias.copy_(sharp * (start.centre - 0.5))


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

    def targets(self, truth: Tensor, texts: Tensor) -> Tensor:
        """The embedding of each model's text, (n, d_text)."""
        return truth @ texts

    @torch.no_grad()
    def begin(self, start: Start, texts: Tensor) -> None:
        """The same directions of the texts as of the encodings, as sharp as held-out models can bear."""
        rank = start.basis.shape[1]
        self.of_text.weight.zero_()
        self.of_text.bias.zero_()
        self.of_text.weight[:rank] = start.basis.T
        self.of_text.bias[:rank] = -start.centre @ start.basis
        said = functional.normalize((start.held_out - start.centre) @ start.basis, dim=1)
        cosine = said @ functional.normalize((texts - start.centre) @ start.basis, dim=1).T
        self.temperature.fill_(min(SCALES, key=lambda s: float(self.loss(s * cosine, start.truth)))).log_()

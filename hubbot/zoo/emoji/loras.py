"""LoRAs (arXiv 2106.09685) that teach a root one picture under a rare word, as DreamBooth (arXiv 2208.12242).

They sit on the values of the cross-attention, where a picture meets its words. A block of them is trained as
one computation over one frozen root: the pictures of all stand in one batch, and each finds its own A and B.

Letters: g LoRAs in a block, b pictures of each in a step, r rank, d width of the root, l tokens of a caption,
v pictures that a child is shown, s pixels, c channels of what is painted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hubbot.zoo.emoji.root import high, noisy, sample, scheduler

if TYPE_CHECKING:
    from hubbot.zoo.emoji.recipe import ChildPlan

Factors = dict[str, Tensor]
"""One LoRA under the names of peft: `<layer>.lora_A.weight` (r, d) and `<layer>.lora_B.weight` (d, r)."""

LAYER = "transformer_blocks.{}.attn2.to_v"
FIRST, SECOND = 0.9, 0.99
"""Adam's decays (arXiv 1412.6980)."""


class Grouped(nn.Module):
    """A linear layer with g LoRAs beside it, each for its own share of the batch."""

    def __init__(self, base: nn.Linear, A: Tensor, B: Tensor) -> None:
        super().__init__()
        self.base, self.A, self.B = base, A, B

    def forward(self, x: Tensor) -> Tensor:  # (g b, l, d)
        g, _, d = self.A.shape
        low = x.reshape(g, -1, d) @ self.A.mT  # (g, b l, r)
        beside: Tensor = self.base(x) + (low @ self.B.mT).view(*x.shape[:-1], -1)
        return beside


def layers(model: Any) -> list[str]:
    """Where the LoRAs sit."""
    return [LAYER.format(i) for i in range(len(model.transformer_blocks))]


@contextmanager
def beside(model: Any, factors: Sequence[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """The model with LoRAs beside its values; factors: for each layer A (g, r, d) and B (g, d, r)."""
    attentions = [block.attn2 for block in model.transformer_blocks]
    bases = [attention.to_v for attention in attentions]
    try:
        for attention, base, (A, B) in zip(attentions, bases, factors, strict=True):
            attention.to_v = Grouped(base, A, B)
        yield
    finally:
        for attention, base in zip(attentions, bases, strict=True):
            attention.to_v = base


def train(
    model: Any, plans: Sequence[ChildPlan], shown: Sequence[Tensor], said: Tensor
) -> list[tuple[Factors, float]]:
    """Train a block of LoRAs of one rank; each one's factors and the mean loss of its last steps.

    Args:
        model: the frozen root.
        plans: the longest first, so that those still training are always the first rows.
        shown: the pictures of each child as the root paints them, (v, c, s, s).
        said: the rare prompt, (d_text,).
    """
    generators = [torch.Generator().manual_seed(plan.seed) for plan in plans]
    d = model.config.num_attention_heads * model.config.attention_head_dim
    names, r = layers(model), plans[0].rank
    # A as peft draws it, uniformly and of variance 1 / (3 d); B is nothing yet.
    A = [_rows(generators, lambda one: (2 * torch.rand(r, d, generator=one) - 1) / d**0.5) for _ in names]
    pairs = [(each, torch.zeros(len(plans), d, r)) for each in A]
    weights = [part for pair in pairs for part in pair]
    moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in weights]
    alphas = scheduler().alphas_cumprod
    lasting = torch.zeros(len(plans))
    for step in range(plans[0].steps):
        g = sum(plan.steps > step for plan in plans)
        live = [part[:g].detach().requires_grad_() for part in weights]
        with beside(model, list(zip(live[::2], live[1::2], strict=True))):
            losses = _losses(model, plans[:g], generators[:g], shown[:g], said, alphas)
        grads = torch.autograd.grad(losses.sum(), live)  # LoRAs do not meet, so each gets its own gradient
        lasting[:g] += (losses.detach() - lasting[:g]) / min(step + 1, 20)
        rate = torch.tensor([_learning_rate(plan, step) for plan in plans[:g]])[:, None, None]
        for part, grad, (first, second) in zip(weights, grads, moments, strict=True):
            first[:g].lerp_(grad, 1 - FIRST)
            second[:g].lerp_(grad.square(), 1 - SECOND)
            size = (second[:g] / (1 - SECOND ** (step + 1))).sqrt() + 1e-8
            part[:g] -= rate * first[:g] / (1 - FIRST ** (step + 1)) / size
    return [(_named(names, pairs, i), lasting[i].item()) for i in range(len(plans))]


@torch.no_grad()
def paint(model: Any, found: Sequence[Factors], said: Tensor) -> Tensor:
    """What each LoRA's model paints when it is given its prompt, (g, c, s, s)."""
    sides = ("lora_A", "lora_B")
    pairs = [
        [torch.stack([one[f"{name}.{side}.weight"] for one in found]) for side in sides]
        for name in layers(model)
    ]
    with beside(model, [(A, B) for A, B in pairs]):
        return sample(model, said.expand(len(found), 1, -1))


def _losses(
    model: Any,
    plans: Sequence[ChildPlan],
    generators: Sequence[torch.Generator],
    shown: Sequence[Tensor],
    said: Tensor,
    alphas: Tensor,
) -> Tensor:
    """Each LoRA's loss on noise of its own, (g,)."""
    g, b = len(plans), plans[0].batch_size
    views = [
        torch.randint(len(each), (b,), generator=one) for each, one in zip(shown, generators, strict=True)
    ]
    pictures = torch.cat([each[view] for each, view in zip(shown, views, strict=True)])  # (g b, c, s, s)
    t = _rows(generators, lambda one: high(b, one)).flatten()
    noise = _rows(generators, lambda one: torch.randn(b, *shown[0].shape[1:], generator=one)).flatten(0, 1)
    x, target = noisy(pictures, t, noise, alphas)
    caption = said.expand(g * b, 1, -1)
    found = model(x, encoder_hidden_states=caption, timestep=t, return_dict=False)[0]
    losses: Tensor = (found - target).square().view(g, -1).mean(1)
    return losses


def _rows(generators: Sequence[torch.Generator], draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    return torch.stack([draw(one) for one in generators])


def _learning_rate(plan: ChildPlan, step: int) -> float:
    warm = min(1.0, (step + 1) / 10)
    return plan.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / plan.steps))


def _named(names: Sequence[str], pairs: Sequence[tuple[Tensor, Tensor]], i: int) -> Factors:
    found = {}
    for name, (A, B) in zip(names, pairs, strict=True):
        found[f"{name}.lora_A.weight"] = A[i].clone()
        found[f"{name}.lora_B.weight"] = B[i].clone()
    return found

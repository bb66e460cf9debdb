"""The roots: tiny PixArt transformers (arXiv 2310.00426) that paint an emoji from its name.

What their children's weights can tell depends on how closely a root listens to its words. So it is trained
mostly at high noise, where nothing but the words can tell what the picture shows; and it meets words that are
noisy, incomplete or between several concepts, so that its answer changes smoothly from one to the next.

The words are one token: the sentence encoder's unit vector. Noise follows v-prediction (arXiv 2202.00512)
with zero signal at the last step (arXiv 2305.08891).

Letters: b pictures in a batch, k concepts, m phrasings of one, d_text the encoder's dimension, s pixels, c
channels of what is painted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import swa_utils

from hubbot.zoo.emoji.canvas import Canvas
from hubbot.zoo.emoji.pictures import shifted
from hubbot.zoo.emoji.recipe import RootRecipe

TEMPLATES = ("{}", "a picture of {}", "an emoji of {}", "a small drawing of {}")
SILENT = ("", "a picture", "a picture of something", "an emoji", "an emoji of a thing", "a small drawing")
"""Captions that tell nothing: what the root answers to them is its idea of any picture."""

OPEN = 4.0
"""Where GELU is as good as the identity for entries of unit variance."""

Told = Callable[[int, float], None]
"""Told now and then while a root is trained: the step and the loss."""


def architecture(root: RootRecipe, d_text: int) -> Any:
    """A fresh model, whose words reach the cross-attention as they are.

    PixArt's caption projection, Linear, GELU, Linear, is made a rotation of the sentence's vector and stays
    one: it works where the GELU is all but the identity. So what a child shifts there is linear in the words.
    """
    from diffusers import PixArtTransformer2DModel

    torch.manual_seed(root.seed)
    model: Any = PixArtTransformer2DModel(  # type: ignore[no-untyped-call]
        num_attention_heads=root.heads,
        attention_head_dim=32,
        num_layers=root.layers,
        sample_size=1 if root.latents else root.pixels,
        patch_size=1 if root.latents else root.patch,
        in_channels=root.latents or 3,
        out_channels=root.latents or 3,
        cross_attention_dim=root.heads * 32,
        caption_channels=d_text,
        norm_type="ada_norm_single",
        use_additional_conditions=False,
        interpolation_scale=1,
    )
    into, out = model.caption_projection.linear_1, model.caption_projection.linear_2
    nn.init.orthogonal_(into.weight, d_text**0.5)
    nn.init.constant_(into.bias, OPEN)
    nn.init.orthogonal_(out.weight)
    with torch.no_grad():
        out.bias.copy_(-OPEN * out.weight.sum(1))
    model.caption_projection.requires_grad_(False)
    return model


def scheduler(*, pixels: bool = True) -> Any:
    """The noise that all roots and children are trained with and sampled by; latents have no bounds."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(  # type: ignore[no-untyped-call]
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=pixels,
    )


class Words:
    """Every concept's caption in several phrasings, as the encoder sees them.

    Attributes:
        full: names in each template, (k, m, d_text).
        parts: for each concept the single words of its name, padded by repetition, (k, w, d_text).
        silent: captions that tell nothing, (., d_text).
    """

    def __init__(self, texts: Sequence[str], encode: Callable[[Sequence[str]], Any]) -> None:
        phrased = [template.format(text) for text in texts for template in TEMPLATES]
        self.full = torch.as_tensor(encode(phrased)).view(len(texts), len(TEMPLATES), -1)
        words = [text.split() for text in texts]
        widest = max(len(each) for each in words)
        padded = [each[i % len(each)] for each in words for i in range(widest)]
        distinct = sorted(set(padded))
        seen = dict(zip(distinct, torch.as_tensor(encode(distinct)), strict=True))
        self.parts = torch.stack([seen[word] for word in padded]).view(len(texts), widest, -1)
        self.silent = torch.as_tensor(encode(SILENT))

    def draw(
        self, concept: Tensor, generator: torch.Generator, mixed: float, noise: float
    ) -> tuple[Tensor, Tensor]:
        """Captions for pictures of these concepts, (b,): what is shown, (b,), and said, (b, 1, d_text).

        One in twelve says nothing, one in twelve a single word, a share `mixed` lies between two concepts;
        then the picture is of the one or the other, by the share that each has in the caption.
        """
        b = len(concept)

        def chance() -> Tensor:
            return torch.rand(b, 1, generator=generator)

        def pick(n: int) -> Tensor:
            return torch.randint(n, (b,), generator=generator)

        said = self.full[concept, pick(self.full.shape[1])]
        said = torch.where(chance() < 1 / 12, self.parts[concept, pick(self.parts.shape[1])], said)
        other = pick(len(self.full))
        share = torch.where(chance() < mixed, chance(), torch.ones(b, 1))  # that `concept` has
        said = share * said + (1 - share) * self.full[other, pick(self.full.shape[1])]
        shown = torch.where(chance()[:, 0] < share[:, 0], concept, other)
        said = torch.where(chance() < 1 / 12, self.silent[pick(len(self.silent))], said)
        blur = noise * chance() * torch.randn(said.shape, generator=generator) / said.shape[1] ** 0.5
        return shown, (said + blur)[:, None]

    def mix(self, b: int, generator: torch.Generator, most: int, noise: float) -> tuple[Tensor, Tensor]:
        """Captions between concepts: the share of each concept, (b, k), and what is said, (b, 1, d_text).

        Half of all are of one concept, the others of 2 to `most`, with shares from a Dirichlet
        distribution (1/2: normal variables squared). One in twelve says nothing, of a concept as good as any.
        """
        k, m, _ = self.full.shape
        one = torch.eye(most)[0]

        def chance() -> Tensor:
            return torch.rand(b, 1, generator=generator)

        among = torch.randint(k, (b, most), generator=generator)
        shares = torch.randn(b, most, generator=generator).square() + 1e-6
        shares *= torch.arange(most) < torch.randint(2, most + 1, (b, 1), generator=generator)
        shares = torch.where(chance() < 0.5, one, shares)
        shares /= shares.sum(1, keepdim=True)
        phrased = self.full[among, torch.randint(m, (b, most), generator=generator)]  # (b, most, d_text)
        said = (shares[:, None] @ phrased)[:, 0]
        silent = chance() < 1 / 12
        said = torch.where(
            silent, self.silent[torch.randint(len(self.silent), (b,), generator=generator)], said
        )
        shares = torch.where(silent, one, shares)
        blur = noise * chance() * torch.randn(said.shape, generator=generator) / said.shape[1] ** 0.5
        return torch.zeros(b, k).scatter_add_(1, among, shares), (said + blur)[:, None]


def noisy(x: Tensor, t: Tensor, noise: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures under noise and the v that a model is to say of them; x, noise: (b, c, s, s), t: (b,)."""
    a = alphas[t].sqrt()[:, None, None, None]
    o = (1 - alphas[t]).sqrt()[:, None, None, None]
    return a * x + o * noise, a * noise - o * x


def jitter(b: int, generator: torch.Generator) -> Tensor:
    """By how much pictures are moved, (b, 2): most not at all, three in ten by up to a pixel."""
    by = torch.randint(-1, 2, (b, 2), generator=generator)
    return by * (torch.rand(b, 1, generator=generator) < 0.3)


def high(b: int, generator: torch.Generator) -> Tensor:
    """Steps of the noise, (b,), half of them in the noisiest eighth."""
    u = torch.rand(b, generator=generator)
    return ((1 - u.pow(3)) * 1000).long().clamp(max=999)


def train(
    root: RootRecipe,
    pictures: Tensor,
    words: Words,
    canvas: Canvas,
    checkpoint: Path,
    told: Told = lambda *_: None,
    *,
    every: int = 500,
) -> Any:
    """Train a root, or go on from its checkpoint; the result is the running mean of its weights.

    Args:
        pictures: one per concept, (k, 3, s, s).
        canvas: what it paints them on.
        checkpoint: a file of our own making, removed by nobody.
        every: steps from one checkpoint to the next.
    """
    model = architecture(root, words.full.shape[-1])
    average = swa_utils.get_ema_multi_avg_fn(root.decay)  # type: ignore[no-untyped-call]
    mean = swa_utils.AveragedModel(model, multi_avg_fn=average)
    optimizer = torch.optim.AdamW(
        [each for each in model.parameters() if each.requires_grad],
        root.learning_rate,
        weight_decay=0.01,
        betas=(0.9, 0.99),
    )
    schedule = _cycle(optimizer, root)
    alphas = scheduler().alphas_cumprod
    generator = torch.Generator().manual_seed(root.seed)
    parts: dict[str, Any] = {"model": model, "mean": mean, "optimizer": optimizer, "schedule": schedule}
    begin = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        generator.set_state(state["generator"])
        begin = state["step"]
    for step in range(begin, root.cycles * root.steps):
        if step and step % root.steps == 0:
            schedule = parts["schedule"] = _cycle(optimizer, root)
        shown, said = _lesson(root, pictures, words, generator)
        shown = canvas.of(shown)
        t = high(root.batch_size, generator)
        x, v = noisy(shown, t, torch.randn(shown.shape, generator=generator), alphas)
        found = model(x, encoder_hidden_states=said, timestep=t, return_dict=False)[0]
        loss = functional.mse_loss(found, v)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean.update_parameters(model)
        if (step + 1) % every == 0 or (step + 1) % root.steps == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(
                {**state, "generator": generator.get_state(), "step": step + 1},
                checkpoint.with_suffix(".new"),
            )
            checkpoint.with_suffix(".new").replace(checkpoint)
            told(step + 1, loss.item())
    return mean.module


def _lesson(
    root: RootRecipe, pictures: Tensor, words: Words, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch of pictures, (b, 3, s, s), and of captions, (b, 1, d_text)."""
    b = root.batch_size
    if root.mixture:
        shares, said = words.mix(b, generator, root.mixture, root.text_noise)
        return torch.einsum("bk,kcij->bcij", shares, pictures), said
    concept = torch.randint(len(pictures), (b,), generator=generator)
    shown, said = words.draw(concept, generator, root.mixed, root.text_noise)
    return shifted(pictures[shown], jitter(b, generator)), said


def _cycle(optimizer: torch.optim.Optimizer, root: RootRecipe) -> torch.optim.lr_scheduler.OneCycleLR:
    """The learning rate of one cycle: up within a twentieth of it, and down to nothing."""
    rate, steps = root.learning_rate, root.steps
    for group in optimizer.param_groups:  # what the cycle before has left would be taken for settings
        group.pop("initial_lr", None)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.05)


@torch.no_grad()
def sample(model: Any, said: Tensor, *, steps: int = 2, seed: int = 0) -> Tensor:
    """What it paints by DDIM without guidance, all from one noise; said: (n, 1, d_text) -> (n, c, s, s)."""
    c, s = model.config.in_channels, model.config.sample_size
    sampler = scheduler(pixels=c == 3)
    sampler.set_timesteps(steps)
    x = torch.randn(1, c, s, s, generator=torch.Generator().manual_seed(seed)).expand(len(said), -1, -1, -1)
    for t in sampler.timesteps:
        v = model(x, encoder_hidden_states=said, timestep=t.expand(len(x)), return_dict=False)[0]
        x = sampler.step(v, t, x).prev_sample
    return x

"""Train the autoencoder: rebuild tokens, tell models apart, behave alike.

    loss = (1 - gamma) reconstruction + gamma contrast + beta behaviour

Reconstruction is the squared error of standardised tokens, over the numbers that are a model's own. Contrast
is NT-Xent (SimCLR, arXiv 2002.05709) between two views of a window, one as aligned and one with its channels
in any order, each made noisy. Behaviour (arXiv 2503.17138) is how far the rebuilt network's answers to a few
inputs are from the original's: errors of weights that are equally small are not so for what a network does.

A run that was stopped goes on where it last saved, and comes to the same end.

Letters: m checkpoints to learn from, p numbers of one, g of a batch, b windows (two views of each), w tokens
of a window, N tokens of a model, t numbers of a token, z of an embedding, q inputs, c answers to each.
Source: arXiv 2406.09997, section 3.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from hubbot.sane.align import shuffled
from hubbot.sane.autoencoder import Autoencoder
from hubbot.weights.symmetry import Group

Behave = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]
"""What networks answer: their tensors, each (g, *shape), which checkpoints they are (g,), a seed for which
inputs they see -> (g, q, c)."""

SAVE_EVERY, LOOK_EVERY = 200, 100
"""Steps between two savings, and between two points of the curve."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Models to learn from.

    Args:
        weights: (m, p), aligned.
        shapes: the tensors that lie in a row, one after another.
        groups: their channels that can change places.
    """

    weights: Tensor
    shapes: Mapping[str, tuple[int, ...]]
    groups: Sequence[Group] = ()

    def values(self, which: Tensor | slice = slice(None)) -> dict[str, Tensor]:
        """The tensors of some, each (g, *shape)."""
        return unflattened(self.weights[which], self.shapes)


@dataclass(frozen=True, slots=True)
class Course:
    """How long, how fast, and what counts.

    Args:
        batch: checkpoints of a step; each gives two views.
        contrast: gamma. behaviour: beta; 0 leaves it out.
        noise: standard deviation of the factors that a view's numbers are multiplied with, around 1.
    """

    steps: int = 2400
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    contrast: float = 0.05
    behaviour: float = 0.1
    noise: float = 0.05
    temperature: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: means over the steps since the one before."""

    step: int
    loss: float
    reconstruction: float
    contrast: float
    behaviour: float


def train(
    model: Autoencoder,
    data: Checkpoints,
    course: Course,
    behave: Behave | None = None,
    saved: Path | None = None,
    advance: Callable[[Point], None] = lambda _: None,
) -> list[Point]:
    """Train in place.

    Args:
        behave: what the checkpoints answer; without it there is no behaviour loss.
        saved: a file to save to now and then, and to go on from; removed by nobody.

    Returns:
        The curve.
    """
    optimizer = torch.optim.AdamW(model.parameters(), course.learning_rate, weight_decay=course.weight_decay)
    curve: list[Point] = []
    begin = _resume(saved, model, optimizer, curve) if saved and saved.exists() else 0
    model.train()
    terms = _Terms(model, data, course, behave)
    seen: list[list[float]] = []
    for step in range(begin, course.steps):
        for group in optimizer.param_groups:
            group["lr"] = course.learning_rate * _one_cycle(step, course.steps)
        parts = terms.at(step)
        loss = (1 - course.contrast) * parts[0] + course.contrast * parts[1] + course.behaviour * parts[2]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen.append(torch.stack([loss, *parts]).detach().tolist())
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == course.steps:
            curve.append(Point(step + 1, *(sum(column) / len(seen) for column in zip(*seen, strict=True))))
            advance(curve[-1])
            seen.clear()
        if saved and (step + 1) % SAVE_EVERY == 0:
            _save(saved, model, optimizer, curve, step + 1)
    model.eval()
    return curve


class _Terms:
    """The three terms of the loss, of a step's own random draws."""

    def __init__(self, model: Autoencoder, data: Checkpoints, course: Course, behave: Behave | None) -> None:
        self.model, self.data, self.course, self.behave = model, data, course, behave
        self.mask = model.layout.mask
        self.mean, self.spread = model.scale.tables()

    def at(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        model, course = self.model, self.course
        draw = torch.Generator().manual_seed(course.seed * 1_000_003 + step)
        pick = torch.randint(len(self.data.weights), (course.batch,), generator=draw)
        one = self.data.values(pick)
        other = shuffled(one, self.data.groups, draw)
        both = {name: torch.cat([one[name], other[name]]) for name in one}
        mean, spread = self.mean, self.spread
        whole = (model.layout.tokens(both) - mean) / spread  # (b, N, t)
        index = self._windows(course.batch, draw)  # (b, w)
        tokens, mask = whole.gather(1, index[:, :, None].expand(-1, -1, whole.shape[2])), self.mask[index]
        noisy = tokens * (1 + course.noise * torch.randn(tokens.shape, generator=draw))
        places = model.layout.positions[index]
        z = model.encode(noisy, places)  # (b, w, z)
        made = model.decode(z, places)
        off = (made - tokens).square().masked_fill(~mask, 0).sum() / mask.sum()
        apart = nt_xent(model.project(z.flatten(1)), course.temperature)
        if not course.behaviour or self.behave is None:
            return off, apart, torch.zeros(())
        # What lies outside the window stays as it was.
        rebuilt = whole.scatter(1, index[:, :, None].expand_as(made), made) * spread + mean
        with torch.no_grad():
            asked = self.behave(one, pick, torch.tensor(step))  # (g, q, c)
        answers = self.behave({**both, **model.layout.values(rebuilt)}, pick.repeat(2), torch.tensor(step))
        return off, apart, functional.mse_loss(answers, asked.repeat(2, 1, 1)) / asked.var()

    def _windows(self, g: int, draw: torch.Generator) -> Tensor:
        """The tokens of a random window of each model, the same in both views. (2 g, w)"""
        w = self.model.window
        begin = torch.randint(self.model.layout.count - w + 1, (g, 1), generator=draw)
        return (begin + torch.arange(w)).repeat(2, 1)


def nt_xent(codes: Tensor, temperature: float) -> Tensor:
    """Each code is to be closest to its model's other view, half the batch away. codes: (b, projection)"""
    codes = functional.normalize(codes, dim=1)
    likeness = (codes @ codes.T / temperature).fill_diagonal_(-math.inf)
    return functional.cross_entropy(likeness, torch.arange(len(codes)).roll(len(codes) // 2))


def unflattened(weights: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Rows of numbers as tensors. (..., p) -> name: (..., *shape)"""
    parts = torch.split(weights, [math.prod(shape) for shape in shapes.values()], dim=-1)
    named = zip(shapes.items(), parts, strict=True)
    return {name: part.reshape((*part.shape[:-1], *shape)) for (name, shape), part in named}


def flattened(values: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Tensor:
    """The inverse. name: (..., *shape) -> (..., p)"""
    parts = [values[name].flatten(values[name].ndim - len(shape)) if shape else values[name][..., None]
             for name, shape in shapes.items()]  # fmt: skip
    return torch.cat(parts, dim=-1)


def _one_cycle(step: int, steps: int) -> float:
    """Up within the first tenth, then down along a cosine (arXiv 1708.07120)."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


# --- to go on after a stop --------------------------------------------------------------------


def _save(
    file: Path, model: Autoencoder, optimizer: torch.optim.Optimizer, curve: Sequence[Point], step: int
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for at, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{at}.{name}": torch.as_tensor(value) for name, value in state.items()}
    part = file.with_name(file.name + ".part")
    save_file(tensors, part, {"step": str(step), "curve": json.dumps([asdict(point) for point in curve])})
    part.replace(file)


def _resume(file: Path, model: Autoencoder, optimizer: torch.optim.Optimizer, curve: list[Point]) -> int:
    with safe_open(file, "pt") as opened:
        notes = opened.metadata()
    tensors = load_file(file)
    model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, at, what = name.split(".", 2)
            state.setdefault(int(at), {})[what] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    curve += [Point(**point) for point in json.loads(notes["curve"])]
    return int(notes["step"])

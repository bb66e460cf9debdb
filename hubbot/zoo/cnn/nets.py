"""Small nets as data: what tensors they have, and what many models of one net answer at once.

A model is one row of numbers, its tensors one after another in the order of its state dict, running means and
variances of BatchNorm among them (`num_batches_tracked` is not). The letters are those of `steps`, and
p numbers of a model, r of them running statistics, s pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hubbot.errors import ZooError
from hubbot.zoo.cnn.steps import (
    MOMENTUM,
    Activate,
    Conv,
    Double,
    Drop,
    Flatten,
    Linear,
    Mean,
    Norm,
    Pass,
    Pool,
    Residual,
    Step,
)

INITS = ("uniform", "kaiming", "xavier", "normal")
"""How a net is born: `uniform` is torch's own; the others have no biases at first."""

RUNNING = (".running_mean", ".running_var")


@dataclass(frozen=True)
class Net:
    """One architecture.

    Args:
        units: how many units its dropout sees.
        pixels: side of the picture that its library's own module sees.
        config: its config.json, but for the activation.
    """

    name: str
    classes: int
    units: int
    pixels: int
    steps: tuple[Step, ...]
    config: Mapping[str, Any] = field(repr=False)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Its tensors, in the order of the state dict."""
        return {name: shape for step in layers(self.steps) for name, shape in _tensors(step)}

    @cached_property
    def size(self) -> int:
        """p, how many numbers a model is."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @cached_property
    def places(self) -> Mapping[str, slice]:
        """Where each tensor stands in a row."""
        found, begin = {}, 0
        for name, shape in self.shapes.items():
            found[name] = slice(begin, begin + math.prod(shape))
            begin = found[name].stop
        return found

    @cached_property
    def running(self) -> Tensor:
        """Where BatchNorm's running statistics stand in a row, (p,) bool."""
        mask = torch.zeros(self.size, dtype=torch.bool)
        for name, place in self.places.items():
            mask[place] = name.endswith(RUNNING)
        return mask

    def tensors(self, weights: Tensor) -> dict[str, Tensor]:
        """(..., p) -> by name, (..., *shape)"""
        parts = torch.split(weights, [math.prod(shape) for shape in self.shapes.values()], -1)
        return {
            name: part.reshape(*part.shape[:-1], *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def row(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """A state dict as a row, (p,).

        Raises:
            ZooError: a tensor is missing, or of another shape.
        """
        for name, shape in self.shapes.items():
            if name not in tensors or tuple(tensors[name].shape) != shape:
                found = tuple(tensors[name].shape) if name in tensors else "nothing"
                raise ZooError(f"{name} is to be {shape} in a {self.name}, here is {found}")
        return torch.cat([tensors[name].flatten().float() for name in self.shapes])

    def born(self, count: int, init: str, generator: torch.Generator) -> Tensor:
        """Models before any training, (g, p).

        Args:
            init: one of `INITS`.
        """
        rows = torch.zeros(count, self.size)
        for layer in layers(self.steps):
            for name, shape in _tensors(layer):
                part = rows[:, self.places[name]]
                if isinstance(layer, Norm):
                    part.fill_(float(name.endswith((".weight", ".running_var"))))
                else:
                    _draw(part, init, layer, generator, bias=len(shape) == 1)
        return rows

    def logits(self, weights: Tensor, x: Tensor, activation: str) -> Tensor:
        """What models answer in evaluation mode; differentiable in the weights.

        Args:
            weights: (g, p).
            x: pictures in [-1, 1], shared by all models, (b, 1, s, s), or each model's own, (g, b, 1, s, s).

        Returns: (g, b, classes)
        """
        return Pass(self.tensors(weights), activation).through(self.steps, _innermost(x)).transpose(1, 2)

    def taught(
        self, weights: Tensor, x: Tensor, activation: str, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What models answer in training mode, and their running statistics after it.

        Args:
            keep: of dropout, see `Pass`.

        Returns: (g, b, classes); (g, r), as `running` picks them from a row
        """
        way = Pass(self.tensors(weights), activation, training=True, keep=keep)
        logits = way.through(self.steps, _innermost(x)).transpose(1, 2)
        moments = self._moments(way)
        return logits, weights.detach()[:, self.running].lerp(moments, MOMENTUM)

    @torch.no_grad()
    def conditioned(self, weights: Tensor, x: Tensor, activation: str) -> Tensor:
        """The same weights with running statistics measured anew, on all pictures at once (BN conditioning of
        arXiv 2406.09997). weights and result: (g, p); x: as of `logits`.
        """
        weights = weights.clone()
        if self.running.any():
            way = Pass(self.tensors(weights), activation, training=True)
            way.through(self.steps, _innermost(x))
            weights[:, self.running] = self._moments(way)
        return weights

    def _moments(self, way: Pass) -> Tensor:
        """(g, r)"""
        moments = [
            torch.cat(way.moments[step.name], 1) for step in layers(self.steps) if isinstance(step, Norm)
        ]
        first = next(iter(way.tensors.values()))
        return torch.cat(moments, 1) if moments else first.new_zeros(len(first), 0)


def layers(steps: tuple[Step, ...]) -> Iterator[Conv | Norm | Linear]:
    """Those steps that have tensors, in the order of the state dict: a shortcut before its block."""
    for step in steps:
        if isinstance(step, Residual):
            yield from layers(step.shortcut + step.body)
        elif isinstance(step, Conv | Norm | Linear):
            yield step


def _tensors(layer: Conv | Norm | Linear) -> Iterator[tuple[str, tuple[int, ...]]]:
    name = layer.name
    match layer:
        case Norm():
            for what in (".weight", ".bias", *RUNNING):
                yield name + what, (layer.channels,)
        case Conv():
            yield f"{name}.weight", (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
            if layer.bias:
                yield f"{name}.bias", (layer.outputs,)
        case Linear():
            yield f"{name}.weight", (layer.outputs, layer.inputs)
            yield f"{name}.bias", (layer.outputs,)


def _draw(part: Tensor, init: str, layer: Conv | Linear, generator: torch.Generator, *, bias: bool) -> None:
    """Draw one tensor of many models, (g, n), in place."""
    taps = layer.kernel**2 if isinstance(layer, Conv) else 1
    fan_in, fan_out = layer.inputs * taps, layer.outputs * taps
    if init == "uniform":
        bound = fan_in**-0.5
        part.uniform_(-bound, bound, generator=generator)
    elif bias:
        part.zero_()
    elif init == "xavier":
        bound = (6 / (fan_in + fan_out)) ** 0.5
        part.uniform_(-bound, bound, generator=generator)
    elif init in ("kaiming", "normal"):
        part.normal_(0, (2 / fan_in) ** 0.5 if init == "kaiming" else 0.1, generator=generator)
    else:
        raise ZooError(f"no init {init!r}", hint=f"one of {', '.join(INITS)}")


def _innermost(x: Tensor) -> Tensor:
    """(b, c, h, w) -> (1, c, h, w, b), or (g, b, c, h, w) -> (g, c, h, w, b)"""
    return (x[None] if x.ndim == 4 else x).permute(0, 2, 3, 4, 1).contiguous()


# --- architectures ------------------------------------------------------------------------------


def cnn(
    name: str,
    channels: tuple[int, ...] = (8, 6),
    hidden: int = 20,
    classes: int = 10,
    *,
    norm: bool = False,
) -> Net:
    """Convolutions, the first two pooled, and two fully connected layers, for pictures of 8 x 8."""
    steps: list[Step] = []
    inputs = 1
    for i, outputs in enumerate(channels, 1):
        steps.append(Conv(f"conv{i}", inputs, outputs, bias=not norm))
        steps += [Norm(f"norm{i}", outputs)] if norm else []
        steps += [Pool()] if i <= 2 else []
        steps.append(Activate())
        inputs = outputs
    places = (8 >> min(len(channels), 2)) ** 2
    steps += [Flatten(), Linear("fc1", inputs * places, hidden), Activate(), Drop()]
    steps.append(Linear("fc2", hidden, classes))
    config = {
        "model_type": "cnn",
        "channels": list(channels),
        "hidden": hidden,
        "norm": norm,
        "image_size": 8,
        "num_channels": 1,
        "num_labels": classes,
    }
    return Net(name, classes, hidden, 8, tuple(steps), config)


def resnet(
    name: str, widths: tuple[int, ...] = (12, 16), depths: tuple[int, ...] = (3, 3), classes: int = 10
) -> Net:
    """transformers' `ResNetForImageClassification` of basic layers, on each pixel doubled.

    The first stage keeps the size (`downsample_in_first_stage` is false), each later one halves it. As in
    transformers, there is a ReLU inside each block, whatever `hidden_act` says.
    """
    steps: list[Step] = [
        Double(),
        *_normed("resnet.embedder.embedder", 1, widths[0], kernel=7, stride=2),
        Activate(),
        Pool(3, 2, 1),
    ]
    inputs = widths[0]
    for stage, (outputs, depth) in enumerate(zip(widths, depths, strict=True)):
        for layer in range(depth):
            place = f"resnet.encoder.stages.{stage}.layers.{layer}"
            stride = 2 if stage and not layer else 1
            first = _normed(f"{place}.layer.0", inputs, outputs, stride=stride)
            body = (*first, Activate("relu"), *_normed(f"{place}.layer.1", outputs, outputs))
            narrow = _normed(f"{place}.shortcut", inputs, outputs, kernel=1, stride=stride)
            steps += [Residual(body, () if inputs == outputs and stride == 1 else narrow), Activate()]
            inputs = outputs
    steps += [Mean(), Drop(), Linear("classifier.1", inputs, classes)]
    config = {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "layer_type": "basic",
        "embedding_size": widths[0],
        "hidden_sizes": list(widths),
        "depths": list(depths),
        "num_channels": 1,
        "num_labels": classes,
    }
    return Net(name, classes, inputs, 16, tuple(steps), config)


def _normed(name: str, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[Step, ...]:
    conv = Conv(f"{name}.convolution", inputs, outputs, kernel, stride, bias=False)
    return conv, Norm(f"{name}.normalization", outputs)


NETS = {
    net.name: net
    for net in (
        cnn("cnn"),
        cnn("cnn-bn", norm=True),
        cnn("cnn-wide", channels=(12, 9), hidden=30),
        cnn("cnn-deep", channels=(8, 6, 6)),
        cnn("cnn-5", classes=5),
        resnet("resnet"),
    )
}
"""By name. The wide, the deep and the one of five classes are what `cnn` is transferred to."""

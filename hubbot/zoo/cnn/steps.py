"""The steps that a small net is made of, each computed for many models at once by batched products.

Pictures lie innermost, so that shifted slices, maxima and sums run over long rows. What all models share, the
pictures of an evaluation, has a model axis of 1: its columns are made once, and its product is one GEMM.

Letters: g models (or 1, shared), c and o channels, h, w sides, b pictures, k = c * kernel², m = h * w * b.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

EPSILON, MOMENTUM = 1e-5, 0.1
"""Of BatchNorm, as torch has them."""

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": functional.relu,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution, padded so that stride 1 keeps the size."""

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    bias: bool = True


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm over pictures and places."""

    name: str
    channels: int


@dataclass(frozen=True, slots=True)
class Linear:
    """A fully connected layer, on (g, k, b)."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Activate:
    """This activation, or the net's."""

    fixed: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """The largest of a square of places; a padded one begins outside the picture."""

    size: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Double:
    """Each place twice, downwards and across: nothing is invented."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Channels and places become one axis."""


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over all places."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Dropout of units, in training only."""


@dataclass(frozen=True, slots=True)
class Residual:
    """A block beside a shortcut, which is the identity if it has no steps."""

    body: tuple[Step, ...]
    shortcut: tuple[Step, ...] = ()


Step = Conv | Norm | Linear | Activate | Pool | Double | Flatten | Mean | Drop | Residual


@dataclass(slots=True)
class Pass:
    """One way through a net.

    Args:
        tensors: by name, (g, *shape).
        activation: a key of `ACTIVATIONS`.
        training: BatchNorm takes the batch's own moments.
        keep: 1 or 0 by unit and picture, already divided by the share that is kept, (g, units, b).
        moments: the mean and the unbiased variance of what each BatchNorm saw in training, (g, c).
    """

    tensors: Mapping[str, Tensor]
    activation: str
    training: bool = False
    keep: Tensor | None = None
    moments: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def through(self, steps: tuple[Step, ...], x: Tensor) -> Tensor:
        """x: (g or 1, c, h, w, b), or (g or 1, k, b) once flat."""
        for step in steps:
            x = self._apply(step, x)
        return x

    def _apply(self, step: Step, x: Tensor) -> Tensor:  # noqa: C901  one line per kind
        match step:
            case Conv():
                return self._conv(step, x)
            case Norm():
                return self._norm(step, x)
            case Linear():
                weight, bias = self.tensors[f"{step.name}.weight"], self.tensors[f"{step.name}.bias"]
                return product(weight, x, bias)
            case Activate():
                return ACTIVATIONS[step.fixed or self.activation](x)
            case Pool():
                return pool(x, step)
            case Double():
                return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            case Flatten():
                return x.flatten(1, 3)
            case Mean():
                return x.mean((2, 3))
            case Drop():
                return x if self.keep is None else x * self.keep
            case Residual():
                return self.through(step.body, x) + self.through(step.shortcut, x)

    def _conv(self, step: Conv, x: Tensor) -> Tensor:
        kernel, stride = step.kernel, step.stride
        h, w, b = (x.shape[2] - 1) // stride + 1, (x.shape[3] - 1) // stride + 1, x.shape[4]
        weight = self.tensors[f"{step.name}.weight"].flatten(2)  # (g, o, k)
        seen = columns(x, kernel, stride, kernel // 2).flatten(3).flatten(1, 2)  # (g, k, m)
        bias = self.tensors[f"{step.name}.bias"] if step.bias else None
        made = product(weight, seen, bias)
        return made.view(*made.shape[:2], h, w, b)

    def _norm(self, step: Norm, x: Tensor) -> Tensor:
        weight, bias = self.tensors[f"{step.name}.weight"], self.tensors[f"{step.name}.bias"]
        if self.training:
            var, mean = torch.var_mean(x, (2, 3, 4), correction=0)  # (g, c)
            seen = x[0, 0].numel()
            self.moments[step.name] = (mean.detach(), var.detach() * seen / max(seen - 1, 1))
        else:
            mean = self.tensors[f"{step.name}.running_mean"]
            var = self.tensors[f"{step.name}.running_var"]
        scale = weight * (var + EPSILON).rsqrt()  # (g, c)
        shift = bias - mean * scale
        return torch.addcmul(shift[..., None, None, None], x, scale[..., None, None, None])


def product(weight: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """(g, o, k) times (g or 1, k, m), with (g, o) added -> (g, o, m)"""
    g, o, k = weight.shape
    if x.shape[0] == 1:
        y = (weight.reshape(g * o, k) @ x[0]).view(g, o, -1)
        return y if bias is None else y + bias[..., None]
    return torch.bmm(weight, x) if bias is None else torch.baddbmm(bias[..., None], weight, x)


def columns(x: Tensor, kernel: int, stride: int, padding: int, value: float = 0.0) -> Tensor:
    """What each place of the result sees, (g, c, h, w, b) -> (g, c, kernel², h', w', b)"""
    seen: Tensor = _Columns.apply(x, kernel, stride, padding, value)
    return seen


class _Columns(torch.autograd.Function):
    """One strided copy, and back by one sum of slices a tap: torch's own backward goes place by place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int, padding: int, value: float) -> Tensor:
        ctx.shape, ctx.taps = x.shape, (kernel, stride, padding)
        x = functional.pad(x, (0, 0, padding, padding, padding, padding), value=value)
        seen = x.unfold(2, kernel, stride).unfold(3, kernel, stride)  # (g, c, h', w', b, kernel, kernel)
        return seen.permute(0, 1, 5, 6, 2, 3, 4).flatten(2, 3).contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (g, c, h, w, b), (kernel, stride, padding) = ctx.shape, ctx.taps
        grad = grads[0].view(g, c, kernel, kernel, *grads[0].shape[3:])  # (g, c, kernel, kernel, h', w', b)
        down, across = stride * grad.shape[4], stride * grad.shape[5]
        x = grad.new_zeros((g, c, h + 2 * padding, w + 2 * padding, b))
        for i in range(kernel):
            for j in range(kernel):
                x[:, :, i : i + down : stride, j : j + across : stride] += grad[:, :, i, j]
        return x[:, :, padding : padding + h, padding : padding + w], None, None, None, None


def pool(x: Tensor, step: Pool) -> Tensor:
    """(g, c, h, w, b) -> (g, c, h', w', b)"""
    if (step.size, step.stride, step.padding) == (2, 2, 0):
        g, c, h, w, b = x.shape
        x = torch.maximum(*x.reshape(g, c, h // 2, 2, w, b).unbind(3))
        return torch.maximum(*x.view(g, c, h // 2, w // 2, 2, b).unbind(4))
    return columns(x, step.size, step.stride, step.padding, -torch.inf).amax(2)

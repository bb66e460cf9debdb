"""Which channels of a net may change places, found by following them through its steps.

Hidden channels have no order: permuted together with all that reads and writes them, they make the same
function. Layers that a residual stream joins have one order between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hubbot.weights.symmetry import Axis, Group
from hubbot.zoo.cnn.nets import RUNNING, Net
from hubbot.zoo.cnn.steps import Conv, Linear, Norm, Residual, Step


@dataclass(slots=True)
class _Order:
    """A group in the making; one of the net's inputs or outputs has an order that matters."""

    size: int
    axes: list[Axis] = field(default_factory=list)


def symmetries(net: Net) -> tuple[Group, ...]:
    """All groups of hidden channels, from the first to the last."""
    orders: list[_Order] = []
    last = _walk(net.steps, _Order(1), orders)
    return tuple(Group(one.size, tuple(one.axes)) for one in orders if one is not last)


def _walk(steps: Sequence[Step], stream: _Order, orders: list[_Order], end: _Order | None = None) -> _Order:
    """Follow a stream of channels through the steps, into `end` if that is where it is to arrive."""
    products = [step for step in steps if isinstance(step, Conv | Linear)]
    for step in steps:
        match step:
            case Conv() | Linear():
                stream.axes.append(Axis(f"{step.name}.weight", 1, step.inputs // stream.size))
                if end is not None and step is products[-1]:
                    stream = end
                else:
                    orders.append(stream := _Order(step.outputs))
                stream.axes.append(Axis(f"{step.name}.weight", 0))
                if isinstance(step, Linear) or step.bias:
                    stream.axes.append(Axis(f"{step.name}.bias", 0))
            case Norm():
                stream.axes += [Axis(step.name + what, 0) for what in (".weight", ".bias", *RUNNING)]
            case Residual():
                if step.shortcut:
                    joined = _walk(step.shortcut, stream, orders)
                    _walk(step.body, stream, orders, joined)
                    stream = joined
                else:
                    _walk(step.body, stream, orders, stream)
    return stream

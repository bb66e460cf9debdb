"""Quantised tensors whose format is plain: numbers of eight bits, and scales beside them that they are times.

    X.weight  I8, F8    X.weight_scale       one, one a row, or one a group of columns (compressed-tensors)
    X.weight  F8        X.weight_scale_inv   one for 128 x 128 (DeepSeek; it is multiplied with, all the same)
    X.weight  I8        X.SCB                one a row, 127 times too large (bitsandbytes)
    X.weight  I8        X.weight.scale       one

Formats that pack several numbers into one (GPTQ, AWQ, four bits) are not plain: nothing here reads them.

Letters: k leading rows of a tensor of h x w, (a, b) the scale's shape.
"""

from __future__ import annotations

from collections.abc import Mapping

from hubbot.records import Wanted
from hubbot.weights.dtypes import Floats

NARROW = ("I8", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ")
BLOCK = 128
_SUFFIXES = ("_scale", "_scale_inv", ".scale")
_SCB, _SCB_TIMES = "SCB", 127.0


def scale_of(want: Wanted, shapes: Mapping[str, tuple[int, ...]]) -> Wanted | None:
    """The part of a scale that the leading rows of a quantised tensor need; None where no scale is plain."""
    shape = shapes[want.name]
    if len(shape) != 2:
        return None
    names = [want.name + suffix for suffix in _SUFFIXES] + [want.name.removesuffix("weight") + _SCB]
    name = next((name for name in names if name in shapes), None)
    if name is None or not _is_plain(shapes[name], shape):
        return None
    by_row = bool(shapes[name]) and shapes[name][0] == shape[0]
    return Wanted(name, rows=want.rows if by_row else None, shape=shapes[name])


def multiplied(values: Floats, scale: Wanted, factors: Floats, shape: tuple[int, ...]) -> Floats:
    """The numbers that are meant. (k, w)

    Args:
        values: (k, w) as stored.
        scale: from `scale_of`, and `factors` what was read of it.
        shape: (h, w) of the whole tensor.
    """
    k, w = values.shape
    by_row = factors.reshape(len(factors), -1) if factors.ndim else factors.reshape(1, 1)  # (a, b)
    if by_row.shape[0] not in (1, k) or scale.shape == _blocks(shape):
        by_row = by_row.repeat(BLOCK, 0)[:k]
    if by_row.shape[1] not in (1, w):
        by_row = by_row.repeat(-(-w // by_row.shape[1]), 1)[:, :w]
    found: Floats = values * by_row / (_SCB_TIMES if scale.name.endswith(_SCB) else 1.0)
    return found.astype(values.dtype)


def _is_plain(scale: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    h, w = shape
    if all(size == 1 for size in scale) and len(scale) <= 2:
        return True
    if scale == _blocks(shape):
        return True
    return scale == (h,) or (len(scale) == 2 and scale[0] == h and scale[1] > 0 and w % scale[1] == 0)


def _blocks(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-size // BLOCK) for size in shape)

"""The dtypes of the safetensors format, and how each widens to float32.

The list is that of safetensors 0.8. Complex numbers have no float32; numbers narrower than a byte
(F4, F6) are packed and mean little without the scales beside them: both are named and refused.

Source: OCP 8-bit Floating Point Specification (E4M3, E5M2) and OCP Microscaling Formats (E8M0);
the FNUZ variants as in Noune et al., arXiv 2206.02915.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hubbot.errors import CorruptHeader, UnsupportedDtype

Floats = NDArray[np.float32]

BITS: Mapping[str, int] = MappingProxyType(
    {
        "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
        "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
        "F8_E4M3": 8, "F8_E4M3FNUZ": 8, "F8_E5M2": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8,
        "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    }
)  # fmt: skip
"""Bits per number of every dtype that the format knows."""

_NATIVE = {
    "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def widen(raw: bytes | bytearray, dtype: str, shape: tuple[int, ...]) -> Floats:
    """Stored bytes as a float32 array that may be written to.

    Args:
        raw: little-endian, C order, exactly as many bytes as dtype and shape say. A bytearray is
            given away: the array may lie in it, so that a large tensor is not held twice.
        dtype: as the header spells it, e.g. `BF16`.
        shape: of the tensor that the bytes hold.

    Raises:
        UnsupportedDtype: complex, packed or unknown.
        CorruptHeader: the bytes are not as many as dtype and shape say.
    """
    decode = _DECODERS.get(dtype)
    if decode is None:
        raise UnsupportedDtype(f"stored as {dtype}, which is not plain numbers")
    if len(raw) * 8 != BITS[dtype] * math.prod(shape):
        raise CorruptHeader(f"{len(raw)} bytes cannot be {dtype} of shape {shape}")
    # A float64 out of float32's range becomes an infinity, which is for the reader to judge.
    with np.errstate(over="ignore", invalid="ignore"):
        values: Floats = decode(raw).reshape(shape)
    return values


def _native(code: str) -> Callable[[bytes | bytearray], Floats]:
    def decode(raw: bytes | bytearray) -> Floats:
        values: Floats = np.frombuffer(raw, dtype=code).astype(np.float32, copy=isinstance(raw, bytes))
        return values

    return decode


def _boolean(raw: bytes | bytearray) -> Floats:
    true: Floats = (np.frombuffer(raw, dtype=np.uint8) != 0).astype(np.float32)
    return true


def _bfloat16(raw: bytes | bytearray) -> Floats:
    # bfloat16 is the upper half of a float32.
    codes = np.frombuffer(raw, dtype="<u2").astype(np.uint32)
    codes <<= 16
    return codes.view(np.float32)


def _eight_bits(table: Callable[[], Floats]) -> Callable[[bytes | bytearray], Floats]:
    return lambda raw: np.take(table(), np.frombuffer(raw, dtype=np.uint8))


def _small_floats(exponent_bits: int, mantissa_bits: int, bias: int) -> Floats:
    """The 256 values of a sign-exponent-mantissa byte, before its special codes are set; (256,)."""
    codes = np.arange(256)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    fraction = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    # Exponent 0 is subnormal: no leading one, and the scale of exponent 1.
    size = np.ldexp(fraction + (exponent > 0), np.maximum(exponent, 1) - bias)
    values: Floats = np.where(codes & 0x80, -size, size).astype(np.float32)
    return values


@cache
def _e4m3() -> Floats:
    values = _small_floats(4, 3, bias=7)
    values[[0x7F, 0xFF]] = np.nan  # no infinities: only these two codes are special
    return values


@cache
def _e5m2() -> Floats:
    values = _small_floats(5, 2, bias=15)
    for sign in (0x00, 0x80):
        values[sign | 0x7C] = -np.inf if sign else np.inf
        values[(sign | 0x7D) : (sign | 0x7F) + 1] = np.nan
    return values


@cache
def _e4m3_fnuz() -> Floats:
    values = _small_floats(4, 3, bias=8)
    values[0x80] = np.nan  # FNUZ: finite, and the code of minus zero is the one NaN
    return values


@cache
def _e5m2_fnuz() -> Floats:
    values = _small_floats(5, 2, bias=16)
    values[0x80] = np.nan
    return values


@cache
def _e8m0() -> Floats:
    values = np.ldexp(np.float32(1), np.arange(256) - 127).astype(np.float32)  # a bare power of two
    values[0xFF] = np.nan
    return values


_DECODERS: dict[str, Callable[[bytes | bytearray], Floats]] = {
    **{dtype: _native(code) for dtype, code in _NATIVE.items()},
    "BOOL": _boolean,
    "BF16": _bfloat16,
    "F8_E4M3": _eight_bits(_e4m3),
    "F8_E5M2": _eight_bits(_e5m2),
    "F8_E4M3FNUZ": _eight_bits(_e4m3_fnuz),
    "F8_E5M2FNUZ": _eight_bits(_e5m2_fnuz),
    "F8_E8M0": _eight_bits(_e8m0),
}

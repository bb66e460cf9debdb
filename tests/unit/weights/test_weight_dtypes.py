"""Every dtype of the format, bit for bit against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hubbot.errors import CorruptHeader, UnsupportedDtype
from hubbot.weights.dtypes import BITS, widen

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "F8_E8M0": torch.float8_e8m0fnu,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "U16": torch.uint16,
}


@pytest.mark.parametrize("dtype", TORCH)
def test_every_code_of_a_narrow_dtype_widens_as_torch_says(dtype: str) -> None:
    codes = np.arange(2 ** BITS[dtype], dtype=f"<u{BITS[dtype] // 8}")
    ours = widen(codes.tobytes(), dtype, codes.shape)
    theirs = torch.from_numpy(codes.copy()).view(TORCH[dtype]).to(torch.float32).numpy()
    np.testing.assert_array_equal(ours, theirs)
    assert np.array_equal(np.signbit(ours), np.signbit(theirs)) or np.isnan(ours).any()


@pytest.mark.parametrize(("dtype", "code"), [("I32", "<i4"), ("U32", "<u4"), ("I64", "<i8"), ("U64", "<u8")])
def test_wide_integers_widen_by_value(dtype: str, code: str) -> None:
    info = np.iinfo(code)
    stored = np.array([[info.min, 0, 1], [7, 1_000_003, info.max]], dtype=code)
    np.testing.assert_array_equal(widen(stored.tobytes(), dtype, (2, 3)), stored.astype(np.float32))


def test_a_double_out_of_range_becomes_an_infinity_without_a_warning() -> None:
    stored = np.array([1e300, -1e300, math.nan, 0.5], dtype="<f8")
    np.testing.assert_array_equal(widen(stored.tobytes(), "F64", (4,)), [np.inf, -np.inf, np.nan, 0.5])


def test_any_byte_but_zero_is_true() -> None:
    np.testing.assert_array_equal(widen(b"\x00\x01\xff", "BOOL", (3,)), [0, 1, 1])


def test_what_is_given_back_may_be_written_to() -> None:
    values = widen(np.ones(3, "<f4").tobytes(), "F32", (3,))
    values[0] = 5
    assert values.tolist() == [5, 1, 1]


@pytest.mark.parametrize("code", ["F16", "F32", "F64", "BF16", "I8"])
def test_bytes_that_are_given_away_are_the_same_numbers(code: str) -> None:
    raw = np.arange(1, 97, dtype=np.uint8).tobytes()
    shape = (8 * len(raw) // BITS[code],)
    given = bytearray(raw)
    values = widen(given, code, shape)
    np.testing.assert_array_equal(values, widen(raw, code, shape))
    assert np.shares_memory(values, np.frombuffer(given, np.uint8)) == (code == "F32")
    values[:] = 0


def test_a_scalar_and_an_empty_tensor_keep_their_shapes() -> None:
    assert widen(b"\x00" * 4, "F32", ()).shape == ()
    assert widen(b"", "F32", (0, 7)).shape == (0, 7)


@pytest.mark.parametrize("dtype", ["C64", "F4", "F6_E2M3", "F6_E3M2", "INT9"])
def test_what_is_not_plain_numbers_is_named_and_refused(dtype: str) -> None:
    with pytest.raises(UnsupportedDtype, match=dtype):
        widen(b"\x00" * 24, dtype, (4,))


def test_every_dtype_of_the_format_widens_or_is_refused_by_name() -> None:
    for dtype, bits in BITS.items():
        try:
            assert widen(b"\x00" * (bits // 8 * 4), dtype, (2, 2)).dtype == np.float32
        except UnsupportedDtype:
            assert dtype in {"C64", "F4", "F6_E2M3", "F6_E3M2"}


def test_bytes_that_do_not_fill_the_shape_are_refused() -> None:
    with pytest.raises(CorruptHeader, match="7 bytes"):
        widen(b"\x00" * 7, "F16", (4,))

"""Quantised tensors are multiplied out where their format is plain, and left alone where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.records import Wanted
from hubbot.weights.quantised import BLOCK, multiplied, scale_of

NAME = "layer.0.weight"


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("layer.0.weight_scale", ()),
        ("layer.0.weight_scale", (1,)),
        ("layer.0.weight_scale", (300,)),
        ("layer.0.weight_scale", (300, 1)),
        ("layer.0.weight_scale", (300, 4)),
        ("layer.0.weight.scale", (1, 1)),
        ("layer.0.weight_scale_inv", (3, 2)),
        ("layer.0.SCB", (300,)),
    ],
)
def test_every_plain_format_gives_the_numbers_back(name: str, scale: tuple[int, ...]) -> None:
    shape, rows = (300, 256), 7
    draw = np.random.default_rng(0)
    factors = draw.uniform(0.5, 2, scale).astype(np.float32)
    stored = draw.integers(-127, 128, shape).astype(np.float32)
    spread = factors.reshape(factors.shape[0], -1) if factors.ndim else factors.reshape(1, 1)
    if scale == (3, 2):
        spread = spread.repeat(BLOCK, 0)[:300].repeat(BLOCK, 1)[:, :256]
    elif spread.shape[1] > 1:
        spread = spread.repeat(256 // spread.shape[1], 1)
    meant = stored * spread / (127 if name.endswith("SCB") else 1)
    found = scale_of(Wanted(NAME, rows, shape), {NAME: shape, name: scale})
    assert found is not None
    read = factors if found.rows is None else factors[: found.rows]
    assert (found.rows == rows) == (scale[:1] == (300,))
    np.testing.assert_allclose(multiplied(stored[:rows], found, read, shape), meant[:rows], rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "others"),
    [
        ((300, 256), {}),
        ((300, 256), {"layer.0.weight_scale": (299,)}),
        ((300, 256), {"layer.0.weight_scale": (300, 7)}),
        ((300, 256), {"layer.0.weight_scale": (1, 1, 1)}),
        ((300, 256), {"layer.0.weight_scale": (300, 0)}),
        ((300,), {"layer.0.weight_scale": (1,)}),
    ],
)
def test_what_is_not_plain_has_no_scale(shape: tuple[int, ...], others: dict[str, tuple[int, ...]]) -> None:
    assert scale_of(Wanted(NAME, 4, shape), {NAME: shape, **others}) is None


@given(
    st.lists(st.integers(0, 300), max_size=4).map(tuple), st.tuples(st.integers(1, 300), st.integers(1, 300))
)
def test_whatever_is_called_plain_can_be_multiplied(scale: tuple[int, ...], shape: tuple[int, int]) -> None:
    rows = min(5, shape[0])
    found = scale_of(Wanted(NAME, rows, shape), {NAME: shape, "layer.0.weight_scale": scale})
    if found is not None:
        factors = np.ones(scale, np.float32)[: found.rows] if scale else np.ones((), np.float32)
        values = np.ones((rows, shape[1]), np.float32)
        assert np.array_equal(multiplied(values, found, factors, shape), values)

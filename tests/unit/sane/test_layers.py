"""Layers by depth: moments that come piece by piece, WeightWatcher's metrics, and the picture of both."""

from __future__ import annotations

import logging
import math
import struct
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbot.errors import UsageError
from hubbot.sane.layers import Depth, Moments, Watched, average, depths, deviations, draw, watch
from hubbot.sane.tokens import Layout

SHAPES = {"a.weight": (7, 9), "a.bias": (7,), "b.weight": (3, 7), "c": (2,), "head.weight": (2, 30)}
LAYOUT = Layout.of(SHAPES, 4)


@settings(deadline=None, max_examples=60)
@given(
    cuts=st.lists(st.integers(0, LAYOUT.count), max_size=12),
    seed=st.integers(0, 2**31),
    centre=st.sampled_from([0.0, 1.0, 1e6]),
)
def test_moments_of_pieces_are_those_of_the_whole(cuts: list[int], seed: int, centre: float) -> None:
    z = centre + torch.randn(
        LAYOUT.count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    moments = Moments(LAYOUT, 5)
    places = [0, *sorted(cuts), LAYOUT.count]
    for begin, end in pairwise(places):
        moments.add(z[begin:end])
    for at, layer in enumerate(LAYOUT.layers):
        own = z[layer.first : layer.first + layer.tokens]
        torch.testing.assert_close(moments.layers[at], own.mean(0))
        if layer.tokens > 1:
            torch.testing.assert_close(moments.deviations[at], own.std(0).mean(), rtol=1e-9, atol=0)
        else:
            assert moments.deviations[at].isnan()
    torch.testing.assert_close(moments.mean, z.mean(0))
    both = deviations(z[None], LAYOUT)[0]
    torch.testing.assert_close(moments.deviations, both, rtol=1e-9, atol=0, equal_nan=True)


def test_a_layer_of_one_token_has_no_deviation() -> None:
    moments = Moments(LAYOUT, 2)
    moments.add(torch.randn(LAYOUT.count, 2))
    found = {one.name: one for one in depths(moments)}
    assert found["c"] == Depth("c", 1, None)
    assert found["a"].deviation is not None
    assert average([1.0, None, 3.0]) == 2.0
    assert average([None]) is None


# --- WeightWatcher ----------------------------------------------------------------------------

WEIGHTS = {
    "stem.weight": (12, 1, 7, 7),  # more places in the kernel than channels
    "conv.weight": (16, 12, 3, 3),
    "conv1d.weight": (8, 6, 5),
    "linear.weight": (20, 24),
    "linear.bias": (20,),
    "small.weight": (5, 7),  # fewer eigenvalues than it looks at
    "vector": (30,),
    "zeros.weight": (20, 20),
    "head.weight": (40, 30),
}


def weights() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    values = {name: torch.randn(shape, generator=draw) for name, shape in WEIGHTS.items()}
    return {**values, "zeros.weight": torch.zeros(20, 20), "head.weight": values["head.weight"].bfloat16()}


def test_metrics_are_those_of_the_eigenvalues(capfd: pytest.CaptureFixture[str]) -> None:
    values, layout = weights(), Layout.of(WEIGHTS, 16)
    found = dict(zip([layer.name for layer in layout.layers], watch(values, layout), strict=True))
    for name in ("stem", "conv", "conv1d", "linear", "head"):
        weight = values[f"{name}.weight"].double()
        slices = weight[None] if weight.ndim == 2 else weight.flatten(2).permute(2, 0, 1)
        eigenvalues = torch.linalg.svdvals(slices).square().flatten() * (0.5 if weight.ndim > 2 else 1.0)
        own = found[name]
        assert own is not None
        assert own.eigenvalues == len(eigenvalues)
        assert own.log_spectral_norm == pytest.approx(float(eigenvalues.max().log10()), abs=1e-6)
        assert own.weighted_alpha == pytest.approx(exponent(eigenvalues) * own.log_spectral_norm, abs=1e-5)
    assert found["small"] is found["vector"] is None
    assert found["zeros"] == Watched(20, None, None)
    assert capfd.readouterr() == ("", "")


def exponent(eigenvalues: torch.Tensor) -> float:
    """Of the power law whose tail fits best: maximum likelihood from every smallest one, then the
    least distance of Kolmogorov and Smirnov (arXiv 0706.1062)."""
    x = eigenvalues.sort().values
    best, alpha = math.inf, math.nan
    for i in range(len(x) - 1):
        tail = x[i:]
        a = 1 + len(tail) / float((tail / tail[0]).log().sum())
        fitted, true = 1 - (tail / tail[0]) ** (1 - a), torch.arange(len(tail)) / len(tail)
        off = float((fitted - true).abs().max())
        best, alpha = (off, a) if off < best else (best, alpha)
    return alpha


def test_nothing_of_this_process_is_changed_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = (list(root.handlers), root.level, list(warnings.filters))
    watch(weights(), Layout.of(WEIGHTS, 16))
    assert (list(root.handlers), root.level, list(warnings.filters)) == before
    assert not list(tmp_path.iterdir())


def test_where_it_is_not_installed_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weightwatcher", None)
    with pytest.raises(UsageError, match="WeightWatcher is not installed") as caught:
        watch(weights(), Layout.of(WEIGHTS, 16))
    assert caught.value.hint == "`pip install 'hubbot[watch]'`"


# --- the picture ------------------------------------------------------------------------------


def many(count: int) -> list[Depth]:
    watched = [
        None if at % 3 else Watched(50, -0.1 * at, None if at % 6 else -0.3 * at) for at in range(count)
    ]
    return [
        Depth(f"net.encoder.block.{at}.attention.output.projection", 4, at * 0.01 or None, watched[at])
        for at in range(count)
    ]


@pytest.mark.parametrize(("count", "inches"), [(5, 7.0), (150, 24.0)])
def test_what_there_is_is_drawn_and_what_is_missing_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, inches: float
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, file: (drawn.append(self), save(self, file)))
    layers, file = many(count), tmp_path / "layers.png"
    draw(layers, file, "ann/net")
    raw = file.read_bytes()
    assert raw.startswith(b"\x89PNG")
    assert struct.unpack(">II", raw[16:24]) == (round(100 * inches), 700)
    lines = {line.get_label(): line for axes in drawn[0].axes for line in axes.get_lines()}
    expected = {
        "deviation of embeddings": [layer.deviation for layer in layers],
        "log spectral norm": [layer.watched and layer.watched.log_spectral_norm for layer in layers],
        "weighted alpha": [layer.watched and layer.watched.weighted_alpha for layer in layers],
    }
    assert list(lines) == list(expected)
    for label, numbers in expected.items():
        there = [(at, number) for at, number in enumerate(numbers) if number is not None]
        assert lines[label].get_xydata().tolist() == [list(pair) for pair in there]
    shown = [text.get_text() for text in drawn[0].axes[1].get_xticklabels()]
    assert shown[0] == "0.attention.output.projection"
    assert 5 <= len(shown) <= 6 * inches


def test_deviations_alone_take_one_panel_and_a_picture_a_format_that_is_known(tmp_path: Path) -> None:
    layers = [Depth("a", 3, 0.1), Depth("b", 3, 0.3)]
    draw(layers, tmp_path / "layers.png", "ann/net")
    assert struct.unpack(">II", (tmp_path / "layers.png").read_bytes()[16:24]) == (700, 450)
    with pytest.raises(UsageError, match=r"layers\.docx: no picture is written as \.docx"):
        draw(layers, tmp_path / "layers.docx", "ann/net")

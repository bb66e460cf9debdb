"""Checkpoint to tokens and back: the same bits, for any architecture and dtype."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hubbot.errors import ShapeMismatch, TensorNotFound, UnsupportedDtype, WeightsError
from hubbot.sane.tokens import PLAIN, Layout, checkpoint, cut, joined, numbers, shapes_of


def bits(value: torch.Tensor) -> bytes:
    return value.reshape(-1, 1).view(torch.uint8).numpy().tobytes() if value.numel() else b""


def tokenised(state: dict[str, torch.Tensor], layout: Layout) -> torch.Tensor:
    """In float32, or in float64 where one of the tensors needs that to keep its bits."""
    wide = any(state[name].dtype == torch.float64 for name in layout.shapes)
    dtype = torch.float64 if wide else torch.float32
    return layout.tokens({name: state[name].to(dtype) for name in layout.shapes})


@st.composite
def architectures(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """A state dict such as nobody would write: any modules, any parts, any shapes, any dtypes."""
    names = st.sampled_from(["conv", "layer.2", "layer.10", "head", "embed", "bn", "x.y.z", ""])
    parts = st.sampled_from(["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "gamma"])
    full = st.tuples(names, parts).map(lambda pair: ".".join(pair).strip("."))
    shapes = st.lists(st.integers(0, 6), max_size=4)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    state = {}
    for name in draw(st.lists(full, unique=True, max_size=12)):
        shape, dtype = draw(shapes), draw(st.sampled_from([*PLAIN.values(), torch.int64, torch.bool]))
        value = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        state[name] = (
            value.to(torch.float32).to(dtype) if dtype in (torch.int64, torch.bool) else value.to(dtype)
        )
    return state


@settings(max_examples=300, deadline=None)
@given(architectures(), st.integers(1, 20), st.booleans())
def test_what_becomes_tokens_comes_back_bit_by_bit(state, length, norms):
    layout = Layout.of(shapes_of(state), length, norms=norms)
    if not layout.count:
        return
    tokens = tokenised(state, layout)
    assert tokens.shape == (layout.count, length)
    assert not tokens[~layout.mask].any()
    assert int(layout.mask.sum()) == sum(state[name].numel() for name in layout.shapes)
    blank = {
        name: torch.zeros_like(value) if name in layout.shapes else value for name, value in state.items()
    }
    back = checkpoint(tokens, layout, blank)
    assert list(back) == list(state)
    for name, value in state.items():
        assert back[name].dtype == value.dtype
        assert back[name].shape == value.shape
        assert bits(back[name]) == bits(value), name


@settings(max_examples=100, deadline=None)
@given(architectures(), st.integers(1, 20), st.randoms())
def test_the_order_in_which_a_file_lists_its_tensors_means_nothing(state, length, draw):
    names = list(state)
    draw.shuffle(names)
    shapes = shapes_of(state)
    assert Layout.of(shapes, length) == Layout.of({n: shapes[n] for n in names if n in shapes}, length)


def test_the_small_cnn_of_the_papers_size_is_44_tokens_of_73():
    net = nn.ModuleDict(
        {
            "conv1": nn.Conv2d(1, 8, 3),
            "conv2": nn.Conv2d(8, 6, 3),
            "fc1": nn.Linear(24, 20),
            "fc2": nn.Linear(20, 10),
        }
    )
    layout = Layout.of(shapes_of(net.state_dict()), 73)
    assert [(layer.name, layer.tokens) for layer in layout.layers] == [
        ("conv1", 8), ("conv2", 6), ("fc1", 20), ("fc2", 10),
    ]  # fmt: skip
    tokens = layout.tokens(net.state_dict())
    third = torch.cat([net["conv2"].weight[2].flatten(), net["conv2"].bias[2:3]])
    assert torch.equal(tokens[8 + 2], third.detach())
    assert layout.positions[8 + 2].tolist() == [10, 1, 2]


def test_a_row_longer_than_a_token_becomes_several_and_the_last_is_filled_up():
    matrix = torch.arange(14.0).reshape(2, 7)
    tokens = cut(matrix, 3)
    assert tokens.tolist() == [[0, 1, 2], [3, 4, 5], [6, 0, 0], [7, 8, 9], [10, 11, 12], [13, 0, 0]]
    assert torch.equal(joined(tokens, 2, 7), matrix)


def test_a_batchnorm_is_one_layer_or_none():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    shapes = shapes_of(net.state_dict())
    assert "1.num_batches_tracked" not in shapes
    inside, outside = Layout.of(shapes, 9), Layout.of(shapes, 9, norms=False)
    assert [[piece.tensor for piece in layer.pieces] for layer in inside.layers][1] == [
        "1.weight", "1.bias", "1.running_mean", "1.running_var",
    ]  # fmt: skip
    assert [layer.name for layer in outside.layers] == ["0", "2"]
    assert set(outside.left_out) == {"1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_layers_stand_in_the_order_of_depth():
    names = ["classifier", "encoder.layer.10.fc1", "encoder.layer.9.fc1", "resnet.embedder.convolution"]
    layout = Layout.of({f"{name}.weight": (2, 3) for name in names}, 3)
    assert [layer.name for layer in layout.layers] == [
        "resnet.embedder.convolution", "encoder.layer.9.fc1", "encoder.layer.10.fc1", "classifier",
    ]  # fmt: skip


def test_many_models_at_once_are_each_as_alone():
    shapes = {"a.weight": (3, 5), "a.bias": (3,), "b.weight": (2, 3)}
    many = {name: torch.randn(4, 2, *shape) for name, shape in shapes.items()}
    layout = Layout.of(shapes, 4)
    tokens = layout.tokens(many)
    assert torch.equal(tokens[3, 1], layout.tokens({name: value[3, 1] for name, value in many.items()}))
    assert all(torch.equal(value, many[name]) for name, value in layout.values(tokens).items())


def test_bad_tensors_are_named():
    layout = Layout.of({"a.weight": (2, 3)}, 3)
    where = {"repo": "ann/net", "file": "model.safetensors"}
    with pytest.raises(TensorNotFound, match=r"ann/net.*a\.weight"):
        numbers({}, layout.shapes, **where)
    with pytest.raises(ShapeMismatch, match=r"ann/net.*a\.weight"):
        numbers({"a.weight": torch.zeros(3, 2)}, layout.shapes, **where)
    with pytest.raises(UnsupportedDtype, match=r"ann/net.*a\.weight"):
        numbers({"a.weight": torch.zeros(2, 3, dtype=torch.int8)}, layout.shapes, **where)
    with pytest.raises(WeightsError, match=r"not finite.*ann/net.*a\.weight|ann/net.*a\.weight.*not finite"):
        numbers({"a.weight": torch.tensor([[1.0, 2, 3], [4, 5, float("nan")]])}, layout.shapes, **where)
    with pytest.raises(TensorNotFound, match=r"a\.weight"):
        checkpoint(torch.zeros(2, 3), layout, {"b": torch.zeros(1)})

from __future__ import annotations

import math

import pytest
import torch

from hubbot.experts.heads import Head
from hubbot.experts.matrices import Dense, Weights
from hubbot.experts.probe import ProbeX, Sizes, matrix_shape


@pytest.mark.parametrize(
    ("shape", "matrix"), [((64, 32, 3, 3), (64, 288)), ((48,), (48, 1)), ((48, 96), (48, 96)), ((), (1, 1))]
)
def test_tensors_of_any_rank_become_matrices(shape: tuple[int, ...], matrix: tuple[int, int]) -> None:
    assert matrix_shape(shape) == matrix
    assert math.prod(shape) == math.prod(matrix)


def _probe(view: str) -> ProbeX:
    torch.manual_seed(0)
    sizes = Sizes(probes=4, projection=5, encoding=7, view=view)
    return ProbeX({"layer": (6, 9)}, Head("labels", 3), sizes).eval()


def _one(X: torch.Tensor) -> Weights:
    return {"layer": Dense(X)}


def test_the_encoding_is_the_papers() -> None:
    probe, X = _probe("raw"), torch.randn(2, 6, 9)
    (branch,) = probe.branches[0]
    for x, said in zip(X, probe.encode(_one(X)), strict=True):
        Z = x @ branch.U
        P = torch.relu(Z.T @ branch.V)
        expected = sum(probe.encoder.weight[:, u * 5 + v] * P[u, v] for u in range(4) for v in range(5))
        assert torch.allclose(said, expected + probe.encoder.bias, atol=1e-5)


def test_without_relu_it_is_a_factorised_dense_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Proposition 2 of the paper: every entry of the encoding is linear in X.
    monkeypatch.setattr(torch, "relu", lambda x: x)
    probe, X = _probe("raw"), torch.randn(3, 6, 9)
    bias = probe.encoder.bias
    mixed = probe.encode(_one((0.3 * X[0] - 2 * X[1])[None])) - bias
    apart = 0.3 * (probe.encode(_one(X[:1])) - bias) - 2 * (probe.encode(_one(X[1:2])) - bias)
    assert torch.allclose(mixed, apart, atol=1e-5)


@pytest.mark.parametrize("view", ["mean", "standard"])
def test_what_all_models_share_does_not_matter(view: str) -> None:
    X, common = torch.randn(20, 6, 9), 5 * torch.randn(6, 9)
    plain, moved = _probe(view), _probe(view)
    plain.look(_one(X))
    moved.look(_one(X + common))
    assert torch.allclose(plain(_one(X)), moved(_one(X + common)), atol=1e-4)


def test_standardised_models_differ_in_direction_only() -> None:
    X = torch.randn(20, 6, 9)
    probe = _probe("standard")
    probe.look(_one(X))
    longer = probe.centre("layer") + 3 * (X - probe.centre("layer"))
    assert torch.allclose(probe(_one(X)), probe(_one(longer)), atol=1e-5)
    probe.look(_one(torch.ones(4, 6, 9)))  # no spread at all: still numbers
    assert torch.isfinite(probe(_one(torch.ones(2, 6, 9)))).all()

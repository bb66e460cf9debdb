"""A LoRA through its factors is no further from float64 than its product is, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hubbot.experts.matrices import Dense, Factored, Matrices
from hubbot.experts.probe import Branch, Sizes, Way
from hubbot.experts.views import Lens, Plain

WAYS = [Way(turned, second) for turned in (False, True) for second in (False, True)]
torch.set_num_threads(1)  # as training does; small products on several threads wait for each other
ROUNDING = 2.0**-24
"""Of float32."""
SLACK = 64
"""Where probes look aside of what dominates, rounding in r coefficients weighs more than in d responses."""


def _zero(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return B * 0, A


def _rank_one(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return B[:, :, :1].expand_as(B).clone(), A


def _twins(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([B, B], 2), torch.cat([A, -0.999 * A], 1)  # nearly undo each other


def _constant_rows(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(B), A


def _constant_columns(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return B, torch.ones_like(A)


def _lifted(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return B + 1000, A + 1000  # a mean that dwarfs the deviation


def _lopsided(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return 1e6 * B, 1e-9 * A


def _huge(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return 1e9 * B, 1e6 * A


def _tiny(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    return 1e-6 * B, 1e-9 * A


def _dominated(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """One direction that all models share, ten thousand times the rest."""
    shared = torch.cat([1e4 * B[:1, :, :1].expand(3, -1, -1), B[:, :, 1:]], 2)
    return shared, torch.cat([A[:1, :1].expand(3, -1, -1), A[:, 1:]], 1)


def _nearly_constant(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """Every entry one, but for a thousandth."""
    one = B[:, :, :1] * 0 + 1, A[:, :1] * 0 + 1
    return torch.cat([one[0], 1e-3 * B], 2), torch.cat([one[1], A], 1)


Shaper = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
SHAPERS: list[Shaper] = [
    lambda B, A: (B, A),
    _zero,
    _rank_one,
    _twins,
    _constant_rows,
    _constant_columns,
    _lifted,
    _lopsided,
    _huge,
    _tiny,
    _dominated,
    _nearly_constant,
]


def _aside(U: Tensor, weights: Factored, right: bool) -> Tensor:
    """Probes that do not see what dominates."""
    left, _, rights = torch.linalg.svd(weights.to(dtype=torch.float64).dense().mean(0))
    way = rights[0] if right else left[:, 0]
    return (U - torch.outer(way, way @ U.double())).float()


def _alike(U: Tensor, _: Factored, __: bool) -> Tensor:
    """Probes that hardly differ."""
    return 1 + 1e-3 * U


Aim = Callable[[Tensor, Factored, bool], Tensor]
AIMS: list[Aim] = [lambda U, _, __: U, _aside, _alike]


@st.composite
def loras(draw: st.DrawFn) -> Factored:
    rows, columns = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    rank, seed = draw(st.sampled_from([1, 2, 4, 30])), draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    B = torch.randn(3, rows, rank, generator=generator)
    A = torch.randn(3, rank, columns, generator=generator)
    B, A = draw(st.sampled_from(SHAPERS))(B, A)
    stored = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    return Factored(B.to(stored).float(), A.to(stored).float())


def _outcome(lens: Lens, branch: Branch, weights: Matrices, ways: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the branch projects, before the ReLU, and the gradients of its sum along given ways."""
    branch.zero_grad()
    features = branch.project(lens(weights)).flatten(1)
    (features * ways.to(features.dtype)).sum().backward()
    assert branch.U.grad is not None
    assert branch.V.grad is not None
    return features.detach().double(), branch.U.grad.double(), branch.V.grad.double()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("standardised", [False, True])
@given(weights=loras(), view=st.sampled_from(["raw", "mean", "standard"]), aim=st.sampled_from(AIMS))
@settings(max_examples=40, deadline=None)
def test_factors_are_as_exact_as_the_product(
    way: Way, standardised: bool, weights: Factored, view: str, aim: Aim
) -> None:
    torch.manual_seed(0)
    lens = Lens(weights.shape, view, True, standardised)
    branch = Branch(weights.shape, way, Sizes(probes=6, projection=5), standardised)
    branch.U.data = aim(branch.U.data, weights, way.turned == way.second)
    ways = torch.randn(3, 30)
    lens.look(weights)
    thin = _outcome(lens, branch, weights, ways)
    plain = _outcome(lens, branch, Dense(weights.dense()), ways)
    lens.double(), branch.double()
    true = _outcome(lens, branch, Dense(weights.to(dtype=torch.float64).dense()), ways)
    for factored, dense, exact in zip(thin, plain, true, strict=True):
        if exact.isfinite().all() and dense.isfinite().all() and exact.any():
            off, allowed = (factored - exact).norm(), (dense - exact).norm()
            assert off <= SLACK * allowed + 256 * ROUNDING * exact.norm(), (off, allowed, exact.norm())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", ["small aside of what dominates", "little about a large mean"])
def test_deviations_do_not_cancel(case: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    U, V = torch.randn(48, 16, generator=generator), torch.randn(64, 16, generator=generator)
    B, A = torch.randn(3, 64, 4, generator=generator), torch.randn(3, 4, 48, generator=generator)
    if case == "small aside of what dominates":
        weights = Factored(*_dominated(B, A))
        U = _aside(U, weights, True)
    else:
        weights, U = Factored(*_nearly_constant(B, A)), 1 + 1e-3 * U
    seen = Lens(weights.shape, "raw", True, True)(weights).first(U, V, True).double()
    X, U, V = weights.to(dtype=torch.float64).dense(), U.double(), V.double()
    exact = Plain(X / X.square().mean((1, 2), keepdim=True).sqrt()).first(U, V, True)
    dense = Plain((X / X.square().mean((1, 2), keepdim=True).sqrt()).float()).first(
        U.float(), V.float(), True
    )
    off, allowed = (seen - exact).norm(), (dense - exact).norm()
    assert off <= 8 * allowed + 64 * ROUNDING * exact.norm(), (off, allowed, exact.norm())

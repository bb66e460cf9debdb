from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from hubbot.experts.downstream import (
    auroc,
    mahalanobis,
    mean_average_precision,
    neighbours_vote,
    reliability,
    strangeness,
)

GENERATOR = torch.Generator().manual_seed(0)
HERE = torch.randn(60, 4, generator=GENERATOR)
THERE = torch.randn(20, 4, generator=GENERATOR) + 8


def test_neighbours_vote_for_what_they_are() -> None:
    known, truth = torch.cat([HERE, THERE]), torch.tensor([[1.0, 0.0]] * 60 + [[0.0, 1.0]] * 20)
    said = neighbours_vote(torch.stack([HERE[0], THERE[0]]), known, truth, 5)
    assert said.tolist() == [[1, 0], [0, 1]]
    assert neighbours_vote(HERE, known, truth, 1000).shape == (60, 2)  # more than there are


@pytest.mark.parametrize("measure", [strangeness, mahalanobis])
def test_what_lies_elsewhere_is_strange(measure: object) -> None:
    near, far = measure(HERE[:20], HERE[20:]), measure(THERE, HERE[20:])  # type: ignore[operator]
    assert float(near.max()) < float(far.min())


def test_directions_in_which_models_hardly_differ_count_more() -> None:
    flat = HERE * torch.tensor([10.0, 0.1, 1, 1])
    away = torch.tensor([[5.0, 0, 0, 0], [0, 5.0, 0, 0]])
    along, across = mahalanobis(away, flat)
    assert along < across


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30)
)
def test_auroc_is_scikit_learns(inside: list[int], outside: list[int]) -> None:
    expected = roc_auc_score([1] * len(inside) + [0] * len(outside), inside + outside)
    assert auroc(torch.tensor(inside), torch.tensor(outside)) == pytest.approx(expected)


def test_mean_average_precision_is_scikit_learns() -> None:
    near = torch.rand(8, 30, generator=GENERATOR)
    relevant = torch.rand(8, 30, generator=GENERATOR) < 0.3
    relevant[0] = False  # finds nothing, and there is nothing to find
    each = [
        average_precision_score(r.numpy(), n.numpy()) for r, n in zip(relevant[1:], near[1:], strict=True)
    ]
    assert mean_average_precision(near, relevant) == pytest.approx(sum(each) / 7)


def test_reliability_tells_what_was_meant_from_what_was_true() -> None:
    probability = torch.tensor([[0.95], [0.95], [0.05], [1.0]])
    truth = torch.tensor([[1.0], [0.0], [0.0], [1.0]])
    meant, true, share = reliability(probability, truth, torch.tensor([1.0, 1.0, 2.0, 0.0]))
    assert share.tolist() == pytest.approx([0.5] + [0.0] * 8 + [0.5])
    assert (float(meant[9]), float(true[9])) == pytest.approx((0.95, 0.5))

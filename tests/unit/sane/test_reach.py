"""How far a model lies from those of training: measured along few axes and beside them."""

from __future__ import annotations

import pytest
import torch

from hubbot.sane import reach


@pytest.fixture
def path() -> tuple[torch.Tensor, torch.Tensor]:
    """Models on their way through three epochs, in 40 statistics of which 3 decide all but noise."""
    draw = torch.Generator().manual_seed(0)
    steps = torch.tensor([0.0, 1.0, 4.0]).repeat(100)
    ways = torch.randn(4, 40, generator=draw)
    own = torch.randn(300, 3, generator=draw)
    noise = 0.1 * torch.randn(300, 40, generator=draw)
    return 20 * steps[:, None] * ways[0] + own @ ways[1:] + noise, steps


def test_models_of_training_lie_at_a_mean_of_two(path):
    x, steps = path
    distance = reach.fit(x, steps)
    assert distance.centres.shape == (3, 40)
    assert distance.axes.shape == (40, 20)
    assert float(distance(x).mean()) == pytest.approx(2, abs=0.1)


def test_between_the_epochs_is_far_and_beside_all_axes_is_far(path):
    x, steps = path
    distance = reach.fit(x, steps)
    far, [at, later] = distance(x).max(), [x[steps == one].mean(0) for one in (1.0, 4.0)]
    assert distance(((at + later) / 2)[None]) > 2 * far
    beside = torch.linalg.qr(torch.cat([distance.axes, torch.randn(40, 1)], 1))[0][:, -1]
    assert distance((at + 5 * distance.spread * beside)[None]) > 2 * far
    assert reach.fit(x, torch.zeros(300))(((at + later) / 2)[None]) < far, "of one cloud it is the middle"


def test_a_statistic_that_never_differed_may_not_differ_now(path):
    x, steps = path
    x[:, 7] = 3.0
    distance = reach.fit(x, steps)
    assert distance(x).isfinite().all()
    x[0, 7] = 3.1
    assert distance(x)[0] > 100 * distance(x)[1:].max()
    x[1, 0] = torch.inf
    assert not distance(x)[1] <= 1e300


@pytest.mark.parametrize(("models", "at"), [(150, 149), (99, 98), (4, 3), (199, 197)])
def test_the_limit_lets_the_promised_share_through(models, at):
    far = torch.arange(models).double().repeat_interleave(2) + torch.tensor([0.0, 0.5]).repeat(models)
    assert reach.limit(far, torch.arange(models).repeat_interleave(2), 0.01) == at + 0.5

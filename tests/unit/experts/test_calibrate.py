from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hubbot.experts.calibrate import (
    CERTAIN,
    KNOWN,
    NEVER,
    Geometry,
    calibrate,
    choose_threshold,
    conformal_quantile,
    distance,
    importance,
    platt,
    probabilities,
    tempered,
)
from hubbot.experts.matrices import Dense
from hubbot.experts.schema import FLOOR, Calibration


def test_platt_finds_the_scale_of_overconfident_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(4000, 5, generator=generator)
    truth = (torch.rand(4000, 5, generator=generator) < torch.sigmoid(honest)).float()
    slope, bias, _ = platt(4 * honest - 2, truth)
    assert slope == pytest.approx(0.25, abs=0.02)
    assert bias == pytest.approx(0.5, abs=0.05)


def test_platt_stays_finite_when_labels_are_separated() -> None:
    truth = torch.tensor([[0.0], [1.0]] * 20)
    slope, bias, _ = platt(20 * truth - 10, truth)
    assert 0 < slope < 100
    assert abs(bias) < 100


def test_the_threshold_is_the_lowest_that_is_precise_enough() -> None:
    probability = torch.linspace(0.99, 0.01, 99)[:, None]
    truth = (probability > 0.6).float()
    threshold = choose_threshold(probability, truth)
    assert threshold is not None
    known = probability >= threshold
    assert float(truth[known].mean()) >= 0.95
    assert threshold == pytest.approx(0.6, abs=0.02)  # a mistake just below 0.6 is within the five per cent


def test_no_label_is_recognised_that_is_less_likely_than_not() -> None:
    probability = torch.linspace(0.99, 0.01, 99)[:, None]
    threshold = choose_threshold(probability, (probability > 0.4).float())
    assert threshold == pytest.approx(FLOOR)  # 0.38 would be precise enough
    assert choose_threshold(torch.full((99, 1), 0.49), torch.ones(99, 1)) is None


def test_a_few_lucky_labels_are_not_enough() -> None:
    assert choose_threshold(torch.full((10, 1), 0.9), torch.ones(10, 1)) is None
    assert choose_threshold(torch.full((40, 1), 0.9), torch.ones(40, 1)) == pytest.approx(0.9)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=200))
def test_recognised_labels_keep_the_promise(pairs: list[tuple[float, bool]]) -> None:
    probability = torch.tensor([[p] for p, _ in pairs])
    truth = torch.tensor([[float(t)] for _, t in pairs])
    threshold = choose_threshold(probability, truth)
    if threshold is not None:
        assert float(truth[probability >= threshold].mean()) >= 0.95
        assert threshold >= FLOOR


def test_conformal_quantile_covers() -> None:
    values = torch.rand(199, generator=torch.Generator().manual_seed(0))
    assert conformal_quantile(values, 0.99) == pytest.approx(float(values.sort().values[197]))
    assert conformal_quantile(values[:20], 0.99) > float(values[:20].max())


def test_only_weights_like_those_of_training_are_near() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(16, 16, generator=generator)
    common = 0.1 * torch.randn(16, 16, generator=generator)
    children = root + common + 0.1 * torch.randn(80, 16, 16, generator=generator)
    geometry = Geometry(root, children[:60].mean(0))
    features = geometry.features(Dense(children))
    truth = torch.ones(20, 1)
    made = calibrate(torch.zeros(20, 1), truth, features[:60], features[60:])
    strangers = {
        "the root": root,
        "zeros": torch.zeros(16, 16),
        "another seed": torch.randn(16, 16, generator=generator),
        "the root with noise": root + 0.14 * torch.randn(16, 16, generator=generator),
        "the other way": root - common,
    }
    for what, weights in strangers.items():
        far = distance(
            geometry.features(Dense(weights[None])), torch.tensor(made.centre), torch.tensor(made.precision)
        )
        assert float(far) > made.distance, what


# --- among strangers -----------------------------------------------------------------------------


def _stream(models: int, strangers: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that tell labels well, and those of strangers: as high, where one looks at one label alone."""
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(models, 6, generator=generator) < 0.5).float()
    truth[truth.sum(1) == 0] = 1.0
    said = 4 * (2 * truth - 1) + 1.5 * torch.randn(models, 6, generator=generator)
    off = torch.full((strangers, 6), -1.0) + 1.2 * torch.randn(strangers, 6, generator=generator)
    return torch.cat([said, off]), torch.cat([truth, torch.zeros(strangers, 6)])


def _calibrated(logits: torch.Tensor, truth: torch.Tensor) -> Calibration:
    near = torch.randn(len(truth), 2, generator=torch.Generator().manual_seed(9))
    return calibrate(logits, truth, near[:50], near)


def test_strangers_make_up_their_share_of_the_stream() -> None:
    _, truth = _stream(30, 70, 0)
    weight = importance(truth)
    assert float(weight[:30].sum() / weight.sum()) == pytest.approx(KNOWN)
    assert float(weight.mean()) == pytest.approx(1)
    assert torch.equal(importance(truth[:30]), torch.ones(30))


def test_probabilities_are_meant_for_the_stream() -> None:
    made, (logits, truth) = _calibrated(*_stream(300, 300, 1)), _stream(2000, 2000, 2)
    said, weight = probabilities(made, logits), importance(truth)[:, None].expand_as(truth)
    wrong = 0.0
    for low in torch.arange(0, 1, 0.1).tolist():
        some = (said >= low) & (said < low + 0.1)
        off = float((weight * (truth - said))[some].sum() / weight.sum())
        wrong += abs(off)
        assert off > -0.01, low  # never bolder than is true
    assert wrong < 0.02


def test_what_is_recognised_is_right_where_most_are_strangers() -> None:
    made, (logits, truth) = _calibrated(*_stream(300, 300, 1)), _stream(2000, 2000, 2)
    assert made.known == KNOWN
    assert made.threshold is not None
    assert made.threshold >= CERTAIN
    recognised = (probabilities(made, logits) >= made.threshold).float()
    weight = importance(truth)[:, None]
    assert float((weight * recognised * truth).sum() / (weight * recognised).sum()) >= 0.98
    assert float((recognised * truth).sum() / truth.sum()) > 0.3
    # Whoever does not know of strangers is as bold with them as with the others.
    naive = _calibrated(*(part[:300] for part in _stream(300, 300, 1)))
    assert naive.known == 1
    bold = (probabilities(naive, logits) >= naive.threshold).float()
    assert float((weight * bold * truth).sum() / (weight * bold).sum()) < 0.9


def test_a_model_whose_logits_lie_together_is_believed_less() -> None:
    made = _calibrated(*_stream(300, 300, 1))
    far = torch.tensor([[3.0, 3.0, 3.0, -5.0, -5.0, -5.0]])
    near = torch.tensor([[3.0, 0.0, 0.0, -1.0, -1.0, -1.0]])
    assert made.spread > 0
    assert probabilities(made, far)[0, 0] > probabilities(made, near)[0, 0]


def test_the_scale_among_its_own_kind_is_kept() -> None:
    logits, truth = _stream(300, 300, 1)
    made = _calibrated(logits - 5, truth)
    own = truth.sum(1) > 0
    assert float((((logits - 5)[own] > made.even).float() == truth[own]).float().mean()) > 0.98


def test_of_many_texts_one_at_most_is_right() -> None:
    made = _calibrated(*_stream(300, 0, 1))
    said = probabilities(made, torch.randn(4, 7), exclusive=True)
    assert (said.sum(1) <= 1 + 1e-6).all()


def test_a_temperature_makes_honest_chances_of_sharp_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(4000, 6, generator=generator)
    right = torch.multinomial(torch.softmax(honest, 1), 1, generator=generator)[:, 0]
    truth = torch.eye(6)[right]
    slope, none = tempered(5 * honest, truth, torch.ones(4000))
    assert slope == pytest.approx(0.2, abs=0.02)
    assert none == NEVER
    made = calibrate(5 * honest, truth, torch.randn(50, 2), torch.randn(4000, 2), exclusive=True)
    said = probabilities(made, 5 * honest, exclusive=True)
    assert said.sum(1) == pytest.approx(torch.ones(4000), abs=1e-5)
    assert made.threshold is not None
    assert float(truth[said >= made.threshold].mean()) > 0.94


def test_among_strangers_none_of_the_texts_has_its_chance() -> None:
    generator = torch.Generator().manual_seed(1)
    own = torch.randn(600, 5, generator=generator)
    truth = torch.eye(5)[torch.arange(600) % 5]
    logits = torch.cat([own + 8 * truth, torch.randn(900, 5, generator=generator)])
    truth = torch.cat([truth, torch.zeros(900, 5)])
    features = torch.randn(1500, 2, generator=generator)
    made = calibrate(logits, truth, features[:600], features, exclusive=True)
    said = probabilities(made, logits, exclusive=True)
    assert said[600:].sum(1).mean() < 0.05
    assert said[:600].max(1).values.mean() > 0.5
    assert made.threshold is not None
    recognised = said >= made.threshold
    assert int(recognised[600:].sum()) == 0
    assert float(truth[recognised].mean()) == 1.0
    assert int(recognised[:600].sum()) > 300

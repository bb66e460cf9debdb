"""Models drawn from prompts: near them, as they say, and the best of many."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from autoencoders import trained

from hubbot.sane import sample
from hubbot.sane.artifact import Artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import decoded
from hubbot.sane.judge import judge
from hubbot.sane.schema import Size
from hubbot.sane.tokens import Layout
from hubbot.sane.train import Checkpoints

LAYOUT = Layout.of({"a.weight": (6, 4), "b.weight": (3, 6)}, 5)
PROMPTS = torch.randn(8, LAYOUT.count, 4, generator=torch.Generator().manual_seed(0))


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def model() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(LAYOUT, Size(width=16, latent=4, blocks=1, heads=2, window=20, halo=1)).eval()


def nearest(z: torch.Tensor) -> torch.Tensor:
    """Which prompt each token of each draw is closest to. (n, N)"""
    return (z[:, None] - PROMPTS).square().sum(3).argmin(1)


def test_all_tokens_of_a_draw_come_from_one_prompt_or_each_from_its_own():
    coupled = nearest(sample.kde(PROMPTS, 50, draw(), bandwidth=0.01))
    assert (coupled == coupled[:, :1]).all()
    assert len(coupled[:, 0].unique()) > 5
    apart = nearest(sample.independent(PROMPTS, 50, draw(), bandwidth=0.01))
    assert all(len(row.unique()) > 3 for row in apart)


def test_a_bandwidth_of_nothing_gives_the_prompts_back():
    made = sample.kde(PROMPTS, 20, draw(), bandwidth=0.0)
    assert all((one == PROMPTS).flatten(1).all(1).any() for one in made)


def test_a_single_prompt_is_no_fault():
    assert torch.isfinite(sample.kde(PROMPTS[:1], 3, draw())).all()


def test_the_best_of_many_are_better_and_drawing_around_them_better_still():
    autoencoder = model()
    aim = decoded(autoencoder, PROMPTS[:1])

    def score(tokens: torch.Tensor) -> torch.Tensor:
        return -(tokens - aim).square().mean((1, 2))

    z = sample.gauss(PROMPTS, 200, draw())
    best, scores = sample.best(autoencoder, z, score, 10)
    everyone = score(decoded(autoencoder, z))
    assert scores.tolist() == sorted(everyone.tolist(), reverse=True)[:10]
    assert torch.allclose(score(decoded(autoencoder, best)), scores)
    _, better = sample.boot(autoencoder, z, score, 10, draw(), rounds=4)
    assert better.min() >= scores.min()
    assert better.mean() > scores.mean() + 0.1 * scores.std()


@pytest.fixture(scope="module")
def made() -> tuple[Artifact, Checkpoints]:
    return trained()


def test_what_is_estimated_of_odd_models_never_wins(made):
    artifact, data = made
    score = sample.estimated(artifact, "size")
    tokens = artifact.model.layout.tokens(data.values(slice(0, 20)))
    said = torch.tensor(
        [judge(artifact, {n: v[i] for n, v in data.values().items()})[0].value for i in range(20)]
    )
    can_be = (said > 0) & (said < 1)
    tokens, said = tokens[can_be], said[can_be]
    assert score(tokens).tolist() == pytest.approx(said.tolist(), abs=1e-4)
    # Far along the way in which the models differ, the ridge regression goes on and on.
    smallest, largest = tokens[said.argmin()], tokens[said.argmax()]
    far = torch.stack([largest + k * (largest - smallest) for k in (30, 10)])
    broken = torch.full_like(far[:1], torch.inf)
    scores = score(torch.cat([far, broken, tokens]))
    assert scores[:3].max() < scores[3:].min()
    assert scores[2] < scores[0] < scores[1], "the oddest last"
    assert scores.argmax() == 3 + int(said.argmax())
    unbounded = replace(artifact.config.properties[0], least=None, most=None)
    blind = replace(
        artifact, distance=None, config=replace(artifact.config, oddest=None, properties=(unbounded,))
    )
    assert sample.estimated(blind, "size")(torch.cat([far, tokens])).argmax() < 2, "they would win"


def test_what_no_models_can_be_never_wins_either(made):
    artifact, data = made
    tokens = artifact.model.layout.tokens(data.values(slice(0, 20)))
    before = sample.estimated(artifact, "size")(tokens)
    most = float(before.quantile(0.8))
    less = replace(artifact.config.properties[0], most=most)
    scores = sample.estimated(replace(artifact, config=replace(artifact.config, properties=(less,))), "size")(
        tokens
    )
    assert before[scores.argmax()] <= most
    assert (scores[before > most] < scores[(before >= 0) & (before <= most)].min()).all()


def test_the_least_may_be_wanted_and_what_is_not_told_cannot_be(made):
    artifact, data = made
    tokens = artifact.model.layout.tokens(data.values(slice(0, 20)))
    most, least = (sample.estimated(artifact, "size", least=one)(tokens) for one in (False, True))
    usual = most > -1
    assert usual.sum() > 10
    assert torch.equal(most[usual], -least[usual])
    assert torch.equal(most[~usual], least[~usual])
    with pytest.raises(ValueError, match="width"):
        sample.estimated(artifact, "width")

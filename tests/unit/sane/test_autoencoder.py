"""The autoencoder learns, goes on where it was stopped, and reads a long model as it reads a short one."""

from __future__ import annotations

import pytest
import torch

from hubbot.errors import ShapeMismatch
from hubbot.sane.autoencoder import Autoencoder, parameters
from hubbot.sane.embed import BATCH, decoded, embed, embed_stream, spans
from hubbot.sane.schema import Size
from hubbot.sane.tokens import Layout
from hubbot.sane.train import Checkpoints, Course, flattened, nt_xent, train, unflattened
from hubbot.weights.symmetry import Axis, Group

SHAPES = {"a.weight": (6, 4), "a.bias": (6,), "b.weight": (3, 6)}
GROUPS = (Group(6, (Axis("a.weight", 0), Axis("a.bias", 0), Axis("b.weight", 1))),)
LAYOUT = Layout.of(SHAPES, 5)
TINY = Size(width=16, latent=4, blocks=1, heads=2, window=9, halo=1, projection=4)


def checkpoints(m: int = 40) -> Checkpoints:
    """Models that differ in few ways, so that a small embedding can hold them."""
    generator = torch.Generator().manual_seed(0)
    ways = torch.randn(3, 48, generator=generator)
    return Checkpoints(torch.randn(m, 3, generator=generator) @ ways, SHAPES, GROUPS)


def answers(values, which, seed):
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(int(seed)))
    hidden = (x @ values["a.weight"].transpose(1, 2) + values["a.bias"][:, None]).tanh()
    return hidden @ values["b.weight"].transpose(1, 2)


def made(size: Size = TINY, layout: Layout = LAYOUT) -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder(layout, size)


def test_it_learns_to_rebuild_what_it_is_shown():
    data, model = checkpoints(), made()
    tokens = LAYOUT.tokens(data.values())
    model.scale.fit(tokens)

    def error() -> float:
        return float((decoded(model, embed(model, tokens)) - tokens).square().mean() / tokens.square().mean())

    before = error()
    curve = train(model, data, Course(steps=300, batch=16, noise=0.02, learning_rate=5e-3), answers)
    assert error() < 0.35 * before
    assert curve[-1].reconstruction < 0.5 * curve[0].reconstruction
    assert curve[-1].behaviour < curve[0].behaviour


def test_the_behaviour_loss_makes_rebuilt_networks_answer_more_alike():
    data = checkpoints()
    tokens = LAYOUT.tokens(data.values())

    def off(behaviour: float) -> float:
        model = made()
        model.scale.fit(tokens)
        train(model, data, Course(steps=200, batch=16, behaviour=behaviour, learning_rate=5e-3), answers)
        rebuilt = LAYOUT.values(decoded(model, embed(model, tokens)))
        everyone, seed = torch.arange(40), torch.tensor(12345)
        return float(
            (answers(rebuilt, everyone, seed) - answers(data.values(), everyone, seed)).square().mean()
        )

    assert off(1.0) < 0.9 * off(0.0)


def test_a_run_that_was_stopped_comes_to_the_same_end(tmp_path, monkeypatch):
    monkeypatch.setattr("hubbot.sane.train.SAVE_EVERY", 10)
    monkeypatch.setattr("hubbot.sane.train.LOOK_EVERY", 10)
    course, file = Course(steps=40, batch=4), tmp_path / "run.safetensors"
    straight = made()
    whole = train(straight, checkpoints(), course, answers)

    class Killed(Exception):
        pass

    def kill(point):
        if point.step == 30:
            raise Killed

    with pytest.raises(Killed):
        train(made(), checkpoints(), course, answers, file, kill)
    again = made()
    steps = []
    curve = train(again, checkpoints(), course, answers, file, lambda point: steps.append(point.step))
    assert steps == [30, 40], "it went on after step 20, where it last saved"
    assert curve == whole
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("count", "window", "halo"), [(1, 4, 1), (4, 4, 1), (5, 4, 1), (100, 16, 3), (101, 7, 0)]
)
def test_every_token_is_kept_once_and_has_its_halo(count, window, halo):
    kept = []
    for begin, start, end in spans(count, window, halo):
        assert 0 <= begin <= start < end <= begin + min(window, count) <= count
        assert start == 0 or start - begin >= halo
        assert end == count or begin + min(window, count) - end >= halo
        kept += range(start, end)
    assert kept == list(range(count))


def test_a_model_that_streams_in_is_embedded_as_if_it_were_here():
    shapes = {f"layer.{i}.weight": (37, 11) for i in range(30)} | {"head.weight": (5, 20), "head.bias": (5,)}
    layout = Layout.of(shapes, 8)
    model = made(Size(width=8, latent=3, blocks=1, heads=2, window=12, halo=2, projection=2), layout).eval()
    values = {name: torch.randn(shape) for name, shape in shapes.items()}
    tokens = layout.tokens(values)
    assert layout.count > 4 * BATCH * 8, "several batches of windows"
    model.scale.fit(tokens[None])
    whole = embed(model, tokens[None])[0]

    def rows(at_once):
        for layer in layout.layers:
            matrix = layout.matrix(layer, values)
            yield from ((layer, some) for some in torch.split(matrix, at_once))

    for at_once in (1, 10, 1000):
        pieces = list(embed_stream(model, rows(at_once)))
        assert torch.allclose(torch.cat(pieces), whole, atol=1e-5)
        assert max(len(piece) for piece in pieces) <= BATCH * 12
    with pytest.raises(ShapeMismatch, match="ends after"):
        list(embed_stream(model, list(rows(10))[:-1]))


@pytest.mark.parametrize("length", [1, 3, 8, 50])
def test_what_a_few_tokens_are_scaled_by_is_what_all_are(length):
    shapes = {"a.weight": (7, 5, 3), "a.bias": (7,), "b": (), "c.weight": (3, 40), "c.bias": (3,)}
    layout = Layout.of(shapes, length)
    scale = made(layout=layout).scale
    scale.mean.normal_()
    mean, spread = scale.tables()
    told = layout.values(mean[None])
    for name, value in zip(layout.shapes, scale.mean, strict=True):
        assert (told[name] == value).all()
    assert torch.equal(
        layout.mask, layout.tokens({n: torch.ones(s, dtype=torch.bool) for n, s in shapes.items()})
    )
    for begin in range(layout.count):
        end = min(begin + 9, layout.count)
        some = *scale.between(begin, end), layout.real(begin, end)
        for part, whole in zip(some, (mean, spread, layout.mask), strict=True):
            assert torch.equal(part, whole[begin:end])


def test_weights_in_a_row_are_tensors_and_back():
    weights = torch.randn(2, 3, 48)
    assert torch.equal(flattened(unflattened(weights, SHAPES), SHAPES), weights)


def test_contrast_is_small_where_the_two_views_of_a_model_are_closest():
    codes = torch.eye(4)
    assert nt_xent(torch.cat([codes, codes]), 0.1) < 0.01 < nt_xent(torch.cat([codes, codes.flip(0)]), 0.1)


@pytest.mark.parametrize("size", [TINY, Size(), Size(width=15, heads=3, latent=7, blocks=3, window=5)])
@pytest.mark.parametrize("layout", [LAYOUT, Layout.of({"a": (3, 4, 5), "b": (), "c.bias": (9,)}, 7)])
def test_how_many_parameters_there_are_is_known_before_they_are(size, layout):
    assert parameters(layout, size) == sum(value.numel() for value in made(size, layout).parameters())

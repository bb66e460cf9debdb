"""Fingerprints know children from strangers, and cost little."""

from __future__ import annotations

import time
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbot.trees.fingerprint import (
    OTHER_ROOT,
    PART,
    ROWS,
    SAME_ROOT,
    TENSORS,
    Fingerprint,
    choose,
    similarity,
    take,
)
from hubbot.trees.sketch import form


def vit(width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "vit.embeddings.cls_token": (1, 1, width),
        "vit.embeddings.patch_embeddings.projection.weight": (width, 3, 16, 16),
        "classifier.weight": (5, width),
        "vit.layernorm.weight": (width,),
    }
    for i in range(blocks):
        block = f"vit.encoder.layer.{i}"
        shapes[f"{block}.attention.attention.query.weight"] = (width, width)
        shapes[f"{block}.intermediate.dense.weight"] = (4 * width, width)
        shapes[f"{block}.output.dense.weight"] = (width, 4 * width)
        shapes[f"{block}.output.dense.bias"] = (width,)
        shapes[f"{block}.layernorm_before.weight"] = (width,)
    return shapes


def weights(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {name: (0.02 * draw.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def cost(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum((w.rows or 0) * prod(shapes[w.name][1:]) * 4 for w in choose(shapes))


def test_the_choice_is_hidden_spread_and_the_same_each_time() -> None:
    shapes = vit(64, 12)
    wanted = choose(shapes)
    assert len(wanted) == TENSORS
    for want in wanted:
        assert want.shape == shapes[want.name]
        assert want.rows == min(ROWS, shapes[want.name][0] // PART)
    depths = [int(w.name.split(".")[3]) for w in wanted]
    assert depths == sorted(depths)
    assert depths[0] < 3
    assert depths[-1] > 8
    assert choose(dict(reversed(shapes.items()))) == wanted


def test_every_kind_of_matrix_is_among_them() -> None:
    """A LoRA of the queries alone moves no other kind."""
    shapes = {f"model.layers.{i}.{kind}_proj.weight": (256, 256) for i in range(32) for kind in "qkvogud"}
    assert {w.name.split(".")[3][0] for w in choose(shapes)} == set("qkvogud")
    many = {f"stages.{i}.kind{k}.weight": (64, 64) for i in range(2) for k in range(20)}
    assert len(choose(many)) == TENSORS


def test_a_library_may_put_a_word_before_all_names() -> None:
    bare = {name.removeprefix("vit."): shape for name, shape in vit(64, 4).items()}
    mine = take(choose(bare), weights(bare, 0))
    for theirs in (vit(64, 4), {f"model.{name}": shape for name, shape in bare.items()}, bare):
        wanted = mine.wanted(theirs)
        assert [w.name for w in wanted] == [w.name for w in choose(theirs)]
        assert form(wanted) == form(choose(bare))
        back = take(choose(theirs), weights(theirs, 0))
        assert [w.name for w in back.wanted(bare)] == [w.name for w in choose(bare)]


def test_a_hundred_thousand_names_that_end_alike_cost_little() -> None:
    mine = take(choose(vit(64, 4)), weights(vit(64, 4), 0))
    many = {f"x{i}.{name}": shape for i in range(5000) for name, shape in vit(64, 4).items()}
    began = time.process_time()
    assert len(mine.wanted(many)) == TENSORS
    assert time.process_time() - began < 5


def test_the_choice_does_not_depend_on_the_head() -> None:
    shapes = vit(64, 4)
    assert choose(shapes | {"classifier.weight": (1000, 64)}) == choose(shapes)


def test_it_costs_kilobytes_of_a_small_model_and_far_less_than_5_mb_of_a_big_one() -> None:
    assert cost(vit(64, 4)) <= 0.08 * sum(prod(shape) * 4 for shape in vit(64, 4).values())
    assert cost(vit(768, 12)) < 600_000
    assert cost(vit(8192, 80)) < 1_000_000
    mixture = {f"model.layers.{i}.experts.gate_up.weight": (128, 2048, 8192) for i in range(48)}
    assert choose(mixture) == ()


@pytest.mark.parametrize("shapes", [{}, {"bias": (4,)}, {"embed.0.weight": (9, 64)}, {"layer.0.weight": ()}])
def test_nothing_to_choose(shapes: dict[str, tuple[int, ...]]) -> None:
    assert choose(shapes) == ()


def test_children_are_near_and_strangers_far() -> None:
    shapes = vit(64, 4)
    root, other = weights(shapes, 0), weights(shapes, 1)
    draw = np.random.default_rng(2)
    child = {name: w + 0.008 * draw.standard_normal(w.shape).astype(np.float32) for name, w in root.items()}
    wanted = choose(shapes)
    mine = take(wanted, root)
    assert similarity(mine, mine) == pytest.approx(1.0)
    near, far = similarity(mine, take(wanted, child)), similarity(mine, take(wanted, other))
    assert near is not None
    assert near > SAME_ROOT
    assert far is not None
    assert abs(far) < OTHER_ROOT


def test_strangers_stay_far_over_many_draws() -> None:
    shapes = vit(32, 4)  # the smallest rows that are ever chosen
    wanted = choose(shapes)
    prints = [take(wanted, weights(shapes, seed)) for seed in range(60)]
    scores = [similarity(a, b) or 0.0 for i, a in enumerate(prints) for b in prints[:i]]
    assert max(map(abs, scores)) < SAME_ROOT
    assert np.std(scores) < 0.1


def test_scale_offset_and_eight_bits_do_not_hide_a_child() -> None:
    shapes = vit(64, 4)
    root = weights(shapes, 0)
    wanted = choose(shapes)
    mine = take(wanted, root)
    eight_bits = {name: np.round(w / np.abs(w).max() * 127) for name, w in root.items()}
    assert similarity(mine, take(wanted, eight_bits)) == pytest.approx(1.0, abs=0.01)
    shifted = {name: 3 * w + 5 for name, w in root.items()}
    assert similarity(mine, take(wanted, shifted)) == pytest.approx(1.0, abs=0.01)


def test_a_common_offset_is_no_likeness() -> None:
    shapes = vit(64, 4)
    wanted = choose(shapes)
    a, b = (take(wanted, {n: w + 1 for n, w in weights(shapes, seed).items()}) for seed in (0, 1))
    assert abs(similarity(a, b) or 1.0) < OTHER_ROOT


@pytest.mark.parametrize("fill", [0.0, 1.0, np.nan, np.inf])
def test_degenerate_weights_say_nothing(fill: float) -> None:
    shapes = vit(64, 4)
    wanted = choose(shapes)
    mine = take(wanted, weights(shapes, 0))
    dull = Fingerprint({w.name: np.full((w.rows, *shapes[w.name][1:]), fill, np.float32) for w in wanted})
    assert similarity(mine, dull) is None
    assert similarity(dull, mine) is None


def test_nothing_in_common_says_nothing() -> None:
    shapes = vit(64, 4)
    mine = take(choose(shapes), weights(shapes, 0))
    assert similarity(mine, Fingerprint({})) is None
    assert similarity(Fingerprint({}), mine) is None
    narrow = {name: rows[:, :32] for name, rows in mine.rows.items()}
    assert similarity(mine, Fingerprint(narrow)) is None
    one = dict(list(mine.rows.items())[:1])
    assert similarity(mine, Fingerprint(one)) is None


def test_a_fingerprint_asks_only_models_that_it_fits() -> None:
    shapes = vit(64, 4)
    mine = take(choose(shapes), weights(shapes, 0))
    assert mine.wanted(shapes) == choose(shapes)
    assert mine.wanted(shapes | {"classifier.weight": (3, 64)}) == choose(shapes)
    assert mine.wanted(vit(32, 4)) == ()
    assert mine.wanted({}) == ()
    assert Fingerprint(mine.rows).wanted(shapes) == choose(shapes)


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(max_size=20),
        st.lists(st.integers(0, 2**40), max_size=5).map(tuple),
        max_size=12,
    )
)
def test_any_header_can_be_chosen_from(shapes: dict[str, tuple[int, ...]]) -> None:
    assert cost(shapes) < 5_000_000

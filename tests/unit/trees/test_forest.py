"""Two witnesses, one placement."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from hubbot.records import Evidence, How, Source, Tensors, Upload
from hubbot.trees.declared import Lineage, trace
from hubbot.trees.fingerprint import choose, take
from hubbot.trees.forest import Forest, KnownRoot, decide

SHAPES = {f"encoder.layer.{i}.dense.weight": (64, 64) for i in range(4)}
CONV = {f"stages.{i}.layers.0.convolution.weight": (32, 16, 3, 3) for i in range(4)}
MODEL = Upload("me/model", "0" * 40, datetime(2026, 1, 1, tzinfo=UTC))


def weights(seed: int, shapes: dict[str, tuple[int, ...]] = SHAPES) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def tensors(values: dict[str, np.ndarray]) -> Tensors:
    return Tensors("me/model", "0" * 40, values, {}, (), 0, 0)


def child(seed: int, of: int, by: float = 0.3) -> Tensors:
    moved = weights(1000 + seed)
    return tensors({name: w + by * moved[name] for name, w in weights(of).items()})


FOREST = Forest(
    [
        KnownRoot("org/a", ("org/a-old",), take(choose(SHAPES), weights(1))),
        KnownRoot("org/b", (), take(choose(SHAPES), weights(2))),
        KnownRoot("org/conv", (), take(choose(CONV), weights(3, CONV))),
    ]
)


def declared(base: str) -> Lineage:
    return trace(replace(MODEL, card={"base_model": base}), lambda _: None, known_roots=FOREST.names)


@pytest.mark.parametrize(("seed", "root"), [(1, "org/a"), (2, "org/b")])
def test_children_are_recovered(seed: int, root: str) -> None:
    found = FOREST.recover(child(7, seed))
    assert found is not None
    assert found.parent == root
    assert found.source is Source.WEIGHTS
    assert found.score is not None
    assert found.score > 0.9


def test_strangers_point_nowhere_and_say_so() -> None:
    found = FOREST.recover(tensors(weights(99)))
    assert found is not None
    assert found.parent is None
    assert "no known root" in found.text


def test_what_cannot_be_compared_gives_no_evidence() -> None:
    assert FOREST.recover(tensors({})) is None
    assert FOREST.recover(tensors({name: np.zeros_like(w) for name, w in weights(1).items()})) is None
    assert Forest([KnownRoot("org/a")]).recover(child(7, 1)) is None


def test_one_read_serves_all_roots_of_a_shape() -> None:
    assert FOREST.wanted(SHAPES) == choose(SHAPES)
    assert FOREST.wanted(SHAPES | CONV) == choose(SHAPES) + choose(CONV)
    assert FOREST.wanted({"encoder.layer.0.dense.weight": (64, 64)}) == ()


def test_declared_and_recovered_agree_through_an_alias() -> None:
    placement = decide(MODEL, declared("org/a-old"), FOREST.recover(child(7, 1)))
    assert (placement.how, placement.tree, placement.parent) == (How.BOTH, "org/a", "org/a-old")
    assert len(placement.evidence) == 2


def test_in_conflict_the_weights_lead_and_both_are_kept() -> None:
    placement = decide(MODEL, declared("org/b"), FOREST.recover(child(7, 1)))
    assert (placement.how, placement.tree) == (How.CONFLICT, "org/a")
    assert [e.parent for e in placement.evidence] == ["org/b", "org/a"]


def test_recovered_alone() -> None:
    placement = decide(MODEL, Lineage(), FOREST.recover(child(7, 2)))
    assert (placement.how, placement.tree, placement.parent) == (How.RECOVERED, "org/b", "org/b")


def test_recovered_in_spite_of_a_circle() -> None:
    lineage = declared("me/model")
    placement = decide(MODEL, lineage, FOREST.recover(child(7, 2)))
    assert placement.how is How.RECOVERED
    assert lineage.evidence[0] in placement.evidence


def test_declared_alone_even_in_a_tree_that_nobody_has_an_expert_for() -> None:
    placement = decide(MODEL, declared("nreimers/MiniLM"), None)
    assert (placement.how, placement.tree) == (How.DECLARED, "nreimers/MiniLM")
    placement = decide(MODEL, declared("nreimers/MiniLM"), FOREST.recover(tensors(weights(99))))
    assert (placement.how, placement.tree) == (How.DECLARED, "nreimers/MiniLM")


def test_a_known_root_whose_weights_are_not_there_is_denied() -> None:
    placement = decide(MODEL, declared("org/a"), FOREST.recover(tensors(weights(99))))
    assert (placement.how, placement.tree) == (How.CONFLICT, None)


def test_weights_that_moved_far_do_not_deny_what_is_declared() -> None:
    far = FOREST.recover(child(7, 1, by=3.0))
    assert far is not None
    assert far.parent is None
    placement = decide(MODEL, declared("org/a"), far)
    assert (placement.how, placement.tree) == (How.DECLARED, "org/a")


def test_nothing_is_denied_for_a_root_that_was_never_compared() -> None:
    forest = Forest([*FOREST.roots, KnownRoot("org/bare")])
    lineage = trace(replace(MODEL, card={"base_model": "org/bare"}), lambda _: None, known_roots=forest.names)
    placement = decide(MODEL, lineage, forest.recover(tensors(weights(99))))
    assert (placement.how, placement.tree) == (How.DECLARED, "org/bare")


def test_a_root_is_its_own_tree() -> None:
    root = replace(MODEL, repo="org/a-old")
    placement = decide(root, trace(root, lambda _: None, known_roots=FOREST.names), None)
    assert (placement.how, placement.tree, placement.parent) == (How.ROOT, "org/a", None)


@pytest.mark.parametrize("recovered", [None, Evidence(Source.WEIGHTS, "no known root", score=0.01)])
def test_unplaced_says_why(recovered: Evidence | None) -> None:
    placement = decide(MODEL, Lineage(), recovered)
    assert (placement.how, placement.tree) == (How.UNPLACED, None)
    assert "no parent is declared" in placement.evidence[-1].text

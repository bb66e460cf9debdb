"""A forest on a Hub: models of known heritage are uploaded, and stand where their weights put them.

The models are a root plus noise, plus more noise: nothing is trained, and everything is known.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import networkx as nx
import numpy as np
import pytest
from safetensors.numpy import save
from stage import settings_for

from hubbot.admin import export_trees, order
from hubbot.app import open_bot, open_store
from hubbot.bot import Bot
from hubbot.errors import UsageError
from hubbot.localhub.server import Server
from hubbot.records import How, Placement, Source
from hubbot.rounds import add_root, poll
from hubbot.settings import Settings

ROOT, OTHER = "lab/root", "lab/other"
SHAPES = {
    f"encoder.layer.{i}.{kind}.weight": (64, 48)
    for i in range(4)
    for kind in ("query", "key", "value", "out")
}
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
Weights = dict[str, np.ndarray]


def drawn(seed: int) -> Weights:
    draw = np.random.default_rng(seed)
    return {name: draw.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


def tuned(weights: Weights, seed: int, by: float = 0.3) -> Weights:
    return {name: weights[name] + np.float32(by) * step for name, step in drawn(seed).items()}


ROOT_WEIGHTS, OTHER_WEIGHTS = drawn(1), drawn(2)
PARENT, SIBLING = tuned(ROOT_WEIGHTS, 10), tuned(ROOT_WEIGHTS, 11)
CHILD = tuned(PARENT, 20, by=0.2)


class World:
    """A Hub and a bot that polls it."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self.server, self.settings = server, settings

    def upload(self, repo: str, weights: Weights | bytes, day: int = 0, **card: object) -> None:
        raw = weights if isinstance(weights, bytes) else save(weights)
        lines = [f"{key}: {json.dumps(value)}" for key, value in card.items()]
        self.commit(
            repo, {"model.safetensors": raw, "README.md": "\n".join(["---", *lines, "---", ""]).encode()}, day
        )

    def commit(self, repo: str, files: dict[str, bytes], day: int = 0) -> None:
        when = BEGINNING + timedelta(days=day)
        if repo not in {known.id for known in self.server.repos.all()}:
            self.server.repos.create(repo, created_at=when)
        self.server.repos.commit(repo, files)

    def bot(self) -> AbstractContextManager[Bot]:
        return open_bot(self.settings)

    def grow(self, *roots: str) -> None:
        with self.bot() as bot:
            for root in roots:
                add_root(bot, root)
            poll(bot)

    def __getitem__(self, repo: str) -> Placement:
        with open_store(self.settings, read_only=True) as store:
            placement = store.placement(repo)
        assert placement is not None, repo
        return placement


@pytest.fixture
def world(hub: Server, tmp_path) -> World:
    made = World(hub, settings_for(hub, tmp_path))
    made.upload(ROOT, ROOT_WEIGHTS)
    made.upload(OTHER, OTHER_WEIGHTS)
    return made


def test_who_declares_nothing_stands_below_its_parent(world: World) -> None:
    world.upload("a/parent", PARENT, 1)
    world.upload("b/child", CHILD, 5)
    world.upload("c/sibling", SIBLING, 6)
    world.grow(ROOT, OTHER)
    assert [
        (world[repo].tree, world[repo].parent, world[repo].how)
        for repo in ("a/parent", "b/child", "c/sibling")
    ] == [
        (ROOT, ROOT, How.RECOVERED),
        (ROOT, "a/parent", How.RECOVERED),
        (ROOT, ROOT, How.RECOVERED),
    ]
    weighed = next(e for e in world["b/child"].evidence if e.source is Source.WEIGHTS)
    assert weighed.probability is not None
    assert weighed.probability > 0.99
    assert world[ROOT].how is How.ROOT


def test_a_parent_that_comes_last_adopts_its_children(world: World) -> None:
    world.upload("b/child", CHILD, 5)
    world.grow(ROOT)
    assert world["b/child"].parent == ROOT
    world.upload("a/parent", PARENT, 1)
    world.grow()
    assert world["b/child"].parent == "a/parent"
    assert world["b/child"].evidence[-1].text == "its weights go on from a/parent"


def test_a_wrong_card_is_outvoted_and_kept(world: World) -> None:
    world.upload("a/parent", PARENT, 1)
    world.upload("c/sibling", SIBLING, 1)
    world.upload("b/child", CHILD, 5, base_model="c/sibling")
    world.upload("d/other", tuned(ROOT_WEIGHTS, 30), 5, base_model=OTHER)
    world.upload("b/of-other", tuned(OTHER_WEIGHTS, 32), 1)
    world.upload("f/strange", tuned(ROOT_WEIGHTS, 33), 5, base_model="b/of-other")
    world.upload("g/unread", tuned(ROOT_WEIGHTS, 34), 5, base_model="no/body")
    world.upload("e/modest", tuned(PARENT, 31, by=0.2), 5, base_model=ROOT)
    world.grow(ROOT, OTHER)
    wrong = world["b/child"]
    assert (wrong.parent, wrong.how) == ("a/parent", How.CONFLICT)
    assert wrong.declared == ("c/sibling",)
    assert (world["d/other"].tree, world["d/other"].how) == (ROOT, How.CONFLICT)
    assert (world["f/strange"].parents, world["f/strange"].how) == ((ROOT,), How.CONFLICT)
    assert (world["g/unread"].parents, world["g/unread"].how) == (("no/body",), How.RECOVERED)
    assert (world["e/modest"].parent, world["e/modest"].how) == ("a/parent", How.BOTH)


def test_a_date_that_lies_is_outvoted(world: World) -> None:
    world.upload("a/parent", PARENT, 300)
    world.upload("b/child", CHILD, 1)
    world.grow(ROOT)
    assert (world["a/parent"].parent, world["b/child"].parent) == (ROOT, "a/parent")


def test_a_merge_config_that_cannot_be_read_is_told(world: World) -> None:
    world.commit(
        "m/endless", {"model.safetensors": save(PARENT), "mergekit_config.yml": b"model: a/b\n" * 30_000}, 1
    )
    world.grow(ROOT)
    assert world["m/endless"].parent == ROOT
    assert any("200000 bytes: not read" in each.text for each in world["m/endless"].evidence)


def test_who_copies_all_that_a_root_says_of_itself_is_no_child(world: World) -> None:
    """Card, configs, header and shapes of the root's own, and other weights."""
    files = {
        "config.json": b'{"architectures": ["X"]}',
        "README.md": f"---\nbase_model: {ROOT}\n---\n".encode(),
    }
    notes = {"base_model": ROOT}
    world.commit("evil/twin", files | {"model.safetensors": save(drawn(99), notes)}, 1)
    world.grow(ROOT)
    assert (world["evil/twin"].tree, world["evil/twin"].how) == (None, How.CONFLICT)


def test_a_merge_has_all_its_parents(world: World) -> None:
    middle = {name: (PARENT[name] + SIBLING[name]) / 2 for name in PARENT}
    told = b"slices:\n- sources:\n  - model: a/parent\n  - model: 'c/sibling'\nmerge_method: linear\n"
    world.upload("a/parent", PARENT, 1)
    world.upload("c/sibling", SIBLING, 2)
    other = {name: 0.4 * PARENT[name] + 0.6 * SIBLING[name] for name in PARENT}
    world.upload("m/silent", middle, 5)
    world.commit("m/honest", {"model.safetensors": save(other), "mergekit_config.yml": told}, 6)
    world.upload("m/copy", middle, 8, base_model=["a/parent", "c/sibling"])
    world.grow(ROOT)
    assert set(world["m/silent"].parents) == {"a/parent", "c/sibling"}
    assert set(world["m/honest"].parents) == {"a/parent", "c/sibling"}
    assert world["m/honest"].relation == "merge"
    copy = world["m/copy"]
    assert copy.parent == "m/silent"
    assert copy.how is not How.CONFLICT, "it has its original's card"
    assert world["m/honest"].evidence[0].source is Source.MERGE_CONFIG


def quantised(weights: Weights, scale: Callable[[np.ndarray], np.ndarray], suffix: str) -> Weights:
    made = {}
    for name, values in weights.items():
        factors = scale(np.abs(values)) / 127
        made[name] = np.round(values / factors).astype(np.int8)
        made[name + suffix] = factors.astype(np.float32)
    return made


def by_row(values: np.ndarray) -> np.ndarray:
    return values.max(1, keepdims=True)


def by_tensor(values: np.ndarray) -> np.ndarray:
    return values.max().reshape(1)


@pytest.mark.parametrize(("scale", "suffix"), [(by_row, "_scale"), (by_tensor, ".scale")])
def test_a_quantised_copy_is_a_leaf_below_its_original(world: World, scale, suffix) -> None:
    world.upload("a/parent", PARENT, 1)
    world.upload("q/parent-int8", quantised(PARENT, scale, suffix), 2)
    world.upload("b/child", CHILD, 5)
    world.grow(ROOT)
    assert world["q/parent-int8"].parent == "a/parent"
    assert world["b/child"].parent == "a/parent"


def bfloat16(weights: Weights) -> bytes:
    """A file of the upper halves, as torch would save it."""
    header, body = {}, b""
    for name, values in weights.items():
        raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(values.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    told = json.dumps(header).encode()
    return struct.pack("<Q", len(told)) + told + body


def test_dtypes_shards_and_words_before_names_hide_nobody(world: World) -> None:
    longer = {f"model.{name}": values for name, values in CHILD.items()}
    world.upload("a/parent", bfloat16(PARENT), 1)
    world.upload("b/longer", longer, 5)
    names = list(PARENT)
    shards = {f"model-{i}.safetensors": {n: tuned(PARENT, 21, 0.2)[n] for n in names[i::2]} for i in (0, 1)}
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    world.commit(
        "c/sharded",
        {shard: save(held) for shard, held in shards.items()}
        | {"model.safetensors.index.json": json.dumps(index).encode()},
        6,
    )
    world.grow(ROOT)
    assert {repo: world[repo].parent for repo in ("a/parent", "b/longer", "c/sharded")} == {
        "a/parent": ROOT,
        "b/longer": "a/parent",
        "c/sharded": "a/parent",
    }


def test_an_adapter_that_does_not_fit_its_base_is_in_conflict(world: World) -> None:
    layer = "base_model.model.encoder.layer.0.key"
    for repo, width in (("p/fits", 48), ("p/misfit", 40)):
        factors = {
            f"{layer}.lora_A.weight": np.ones((4, width), np.float32),
            f"{layer}.lora_B.weight": np.ones((64, 4), np.float32),
        }
        told = {"peft_type": "LORA", "base_model_name_or_path": ROOT}
        world.commit(
            repo,
            {"adapter_model.safetensors": save(factors), "adapter_config.json": json.dumps(told).encode()},
            1,
        )
    world.grow(ROOT)
    assert (world["p/fits"].tree, world["p/fits"].relation) == (ROOT, "adapter")
    assert (world["p/misfit"].tree, world["p/misfit"].how) == (None, How.CONFLICT)
    assert "do not fit" in world["p/misfit"].evidence[-1].text


def test_unplaced_models_that_resemble_one_another_propose_a_root(world: World) -> None:
    world.upload("a/parent", PARENT, 1)
    world.upload("b/child", CHILD, 5)
    world.upload("x/lonely", drawn(77), 6)
    world.grow()
    with open_store(world.settings, read_only=True) as store:
        [family] = store.families()
    assert (family.members, family.oldest) == (3, ROOT)
    told = [world[repo].evidence[-1].text for repo in (ROOT, "a/parent", "b/child", "x/lonely")]
    assert sum("resemble those of" in text for text in told) == 2, "the first had nobody to resemble"
    outcome = order(world.settings, "tree add", {"root": ROOT}, "tester")
    assert "2 models in its tree" in outcome
    assert {repo: world[repo].parent for repo in (ROOT, "a/parent", "b/child")} == {
        ROOT: None,
        "a/parent": ROOT,
        "b/child": "a/parent",
    }
    assert world["x/lonely"].tree is None
    with open_store(world.settings, read_only=True) as store:
        assert store.families() == []


def test_what_is_no_root_is_not_added(world: World) -> None:
    world.upload("a/parent", PARENT, 1)
    world.commit("n/nothing", {"model.safetensors": save({"norm.bias": np.ones(4, np.float32)})})
    world.grow(ROOT)
    for repo, why in (("a/parent", "its weights follow lab/root"), ("n/nothing", "no hidden matrices")):
        with pytest.raises(UsageError, match=why):
            order(world.settings, "tree add", {"root": repo}, "tester")


def rounded(placement: Placement) -> Placement:
    """To six digits: the last bits of a cosine depend on where in memory its numbers lie."""
    evidence = [replace(e, score=e.score and round(e.score, 6)) for e in placement.evidence]
    return replace(placement, evidence=tuple(evidence))


def test_the_forest_is_remembered_and_the_same_again(world: World) -> None:
    """A bot that starts again knows the roots that were added, and moves nobody."""
    world.upload("a/parent", PARENT, 1)
    world.upload("b/child", CHILD, 5)
    world.grow(ROOT)
    before = world["b/child"]
    world.commit("b/child", {"README.md": b"# Mine\n"})
    world.upload("d/late", tuned(CHILD, 40, by=0.1), 9)
    world.grow()
    assert rounded(replace(world["b/child"], commit=before.commit)) == rounded(before)
    assert world["d/late"].parent == "b/child"


@pytest.mark.parametrize("form", ["graphml", "json", "dot"])
def test_a_tree_is_exported_for_other_programs(world: World, tmp_path, form: str) -> None:
    world.upload("a/parent", PARENT, 1)
    world.upload("b/child", CHILD, 5)
    world.grow(ROOT)
    file = tmp_path / "tree"
    file.write_text(export_trees(world.settings, ROOT, form))
    read: dict[str, Callable[[], nx.DiGraph]] = {
        "graphml": partial(nx.read_graphml, file),
        "json": lambda: nx.node_link_graph(json.loads(file.read_text()), edges="edges"),
    }
    if form == "dot":  # its parser is of another age than its pyparsing
        lines = re.findall(r'"(.+)" -> "(.+)";', file.read_text())
        found = nx.DiGraph(lines)
    else:
        found = read[form]()
    assert set(found.edges) == {(ROOT, "a/parent"), ("a/parent", "b/child")}


def test_an_unknown_tree_or_format_is_told(world: World) -> None:
    world.grow(ROOT)
    with pytest.raises(UsageError, match="no tree"):
        export_trees(world.settings, "no/body", "json")
    with pytest.raises(UsageError, match="no format"):
        export_trees(world.settings, ROOT, "svg")

"""Graphs whose heritage is known: the models are what the index says of them."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hubbot.errors import ZooError
from hubbot.zoo import families
from hubbot.zoo.heritage import GRAPHS, HERITAGE, HERITAGES, ORCHARD, ORCHARD_TREES, Node, nodes
from hubbot.zoo.layout import Zoo, open_zoo, repo_folder

FROZEN = {
    "heritage": "bae404c278116c8c",
    "heritage-held-out": "1fc7c4a8c32cc317",
    "orchard": "1ffd7c2eccabbab5",
    "orchard-held-out": "ae14a22e3c9bab98",
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return families.build(HERITAGE, "tiny", tmp_path_factory.mktemp("zoos") / "heritage")


@pytest.fixture(scope="module")
def graphs(zoo: Zoo) -> dict[str, list[Node]]:
    return families.read_graphs(zoo.folder)


def weights(zoo: Zoo, repo: str) -> dict[str, Tensor]:
    return load_file(repo_folder(zoo.folder, repo) / "model.safetensors")


def hidden(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in values.items() if "encoder" in name and value.ndim == 2}


def test_the_recipes_are_frozen() -> None:
    assert {recipe.name: recipe.hash for recipe in HERITAGES.values()} == FROZEN


def test_an_orchard_has_many_roots_trained_at_once(tmp_path: Path) -> None:
    zoo = families.build(ORCHARD_TREES, "tiny", tmp_path)
    [nodes] = families.read_graphs(tmp_path).values()
    assert len(nodes) == ORCHARD_TREES.total("tiny") == len(zoo.models)
    roots = [node for node in nodes if not node.parents]
    assert Counter(node.made for node in nodes if node.parents) == dict.fromkeys(ORCHARD, len(roots))
    first, second = (hidden(weights(zoo, root.repo)) for root in roots[:2])
    assert all(not torch.allclose(value, second[name]) for name, value in first.items())
    heavy, full = (next(n for n in nodes if n.made == made) for made in ("heavy", "full"))
    assert heavy.parents == full.parents == (roots[0].repo,)
    rounded = next(node for node in nodes if node.made == "int8")
    assert rounded.parents == (full.repo,)


def test_every_graph_is_a_forest_in_the_order_of_time() -> None:
    for graph in GRAPHS:
        found = nodes(HERITAGE, graph, 5)
        assert len({node.repo for node in found}) == len(found)
        by_name = {node.repo: node for node in found}
        for node in found:
            assert bool(node.parents) == (node.level > 0)
            for parent in node.parents:
                assert by_name[parent].created < node.created
                assert by_name[parent].tree == node.tree
                assert by_name[parent].level < node.level
        if graph != "mixed":
            assert Counter(node.level for node in found) == {0: 5, 1: 20, 2: 80}


def test_the_bench_is_as_large_as_it_says(zoo: Zoo, graphs: dict[str, list[Node]]) -> None:
    assert sum(map(len, graphs.values())) == HERITAGE.total("tiny")
    assert open_zoo(zoo.folder) == zoo
    assert all(zoo.weights(model).exists() for model in zoo.models)


def test_what_was_copied_averaged_and_rounded_is(zoo: Zoo, graphs: dict[str, list[Node]]) -> None:
    made = {kind: [n for n in graphs["mixed"] if n.made == kind] for kind in ("copy", "merge", "int8")}
    for node in made["copy"]:
        parent = weights(zoo, node.parents[0])
        assert all(torch.equal(value, parent[name]) for name, value in weights(zoo, node.repo).items())
    for node in made["merge"]:
        first, second = (hidden(weights(zoo, parent)) for parent in node.parents)
        for name, value in hidden(weights(zoo, node.repo)).items():
            torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    for node in made["int8"]:
        parent, own = hidden(weights(zoo, node.parents[0])), weights(zoo, node.repo)
        for name, value in parent.items():
            assert own[name].dtype == torch.int8
            step = own[name.removesuffix("weight") + "weight_scale"]
            assert ((own[name] * step - value).abs() <= step * 0.51).all()


def test_a_lora_moves_its_parent_within_its_rank(zoo: Zoo, graphs: dict[str, list[Node]]) -> None:
    assert len({node.rank for node in graphs["ranks"] if node.rank}) > 1
    for node in (node for node in graphs["ranks"] if node.level):
        parent, own = hidden(weights(zoo, node.parents[0])), hidden(weights(zoo, node.repo))
        ranks = {int(torch.linalg.matrix_rank((own[n] - parent[n]).double(), rtol=1e-3)) for n in own}
        assert max(ranks) == node.rank, node


def test_a_snake_goes_on_under_the_same_head(zoo: Zoo, graphs: dict[str, list[Node]]) -> None:
    for node in (node for node in graphs["mixed"] if node.made == "snake"):
        head, other = (weights(zoo, repo)["classifier.weight"] for repo in (node.repo, node.parents[0]))
        assert (head - other).norm() < 0.5 * other.norm()


def test_a_killed_build_goes_on_and_ends_the_same(zoo: Zoo, tmp_path: Path) -> None:
    half = tmp_path / "heritage"
    shutil.copytree(zoo.folder, half)
    lost = [model.repo for model in zoo.models if model.root][10:40:7]
    for repo in lost:
        shutil.rmtree(repo_folder(half, repo))
    again = families.build(HERITAGE, "tiny", half)
    same = {model.repo: model.sha256 for model in again.models}
    unchanged = [model.repo for model in zoo.models if same[model.repo] == model.sha256]
    assert set(same) - set(unchanged) <= set(lost)
    for repo in lost:  # another block, other sums: what was lost comes back but for rounding
        before, after = hidden(weights(zoo, repo)), hidden(weights(replace(zoo, folder=half), repo))
        for name, value in before.items():
            if value.is_floating_point():
                torch.testing.assert_close(after[name], value, rtol=1e-2, atol=1e-3)


def test_a_folder_without_graphs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no graphs"):
        families.read_graphs(tmp_path)

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

from hubbot.errors import ZooError
from hubbot.sane.align import permuted
from hubbot.sane.condition import condition
from hubbot.sane.train import flattened
from hubbot.training.zoos import build_zoo
from hubbot.weights.local import read_metadata
from hubbot.zoo.cnn import pictures, training
from hubbot.zoo.cnn.build import build
from hubbot.zoo.cnn.history import History, block_file, open_history
from hubbot.zoo.cnn.nets import INITS, NETS, Net
from hubbot.zoo.cnn.recipes import (
    CNN_DIGITS,
    CNN_DIGITS_BN,
    CNN_DIGITS_GRID,
    CNNS,
    RESNET_DIGITS,
    blocks,
    plan,
)
from hubbot.zoo.cnn.repos import code
from hubbot.zoo.cnn.symmetry import symmetries
from hubbot.zoo.layout import WEIGHTS, Zoo, open_zoo, repo_folder, sha256

X = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
SMALL = replace(CNN_DIGITS_BN, epochs=2, block=4)


def models(net: Net, count: int = 3) -> Tensor:
    """Some whose every number, running statistics too, is unlike its neighbours'. (count, p)"""
    generator = torch.Generator().manual_seed(1)
    rows = net.born(count, "uniform", generator)
    return rows + 0.1 * (torch.rand(rows.shape, generator=generator) - 0.5)


def module(net: Net, activation: str, row: Tensor) -> nn.Module:
    """The same as torch or transformers has it."""
    if net.config["model_type"] == "resnet":
        loaded: nn.Module = ResNetForImageClassification(ResNetConfig(**net.config, hidden_act=activation))
    else:
        text = code("a/b", net, activation).split("model.load_state_dict")[0]
        scope: dict[str, nn.Module] = {}
        exec(text, scope)  # noqa: S102  the card's own snippet
        loaded = scope["model"]
    fresh = {name for name in loaded.state_dict() if not name.endswith("num_batches_tracked")}
    assert list(net.shapes) == [name for name in loaded.state_dict() if name in fresh]
    loaded.load_state_dict(net.tensors(row), strict=False)
    return loaded


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_many_at_once_answer_as_torch_does(name: str, activation: str) -> None:
    # In double precision: a BatchNorm after saturated channels divides rounding errors by their variance.
    net, rows, x = NETS[name], models(NETS[name]).double(), X.double()
    seen = x if net.pixels == 8 else x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    shared = net.logits(rows, x, activation)
    own = net.logits(rows, x.expand(3, -1, -1, -1, -1), activation)
    taught, running = net.taught(rows, x, activation)
    conditioned = net.conditioned(rows, x, activation)
    for i, row in enumerate(rows):
        alone = module(net, activation, row).double()
        alone.load_state_dict(net.tensors(row), strict=False)
        alone.train(False)
        for together in (shared, own):
            torch.testing.assert_close(together[i], answer(alone, seen), rtol=1e-5, atol=1e-5)
        alone.train(True)
        torch.testing.assert_close(taught[i], answer(alone, seen), rtol=1e-4, atol=1e-5)
        after = net.row(alone.state_dict()).double()
        torch.testing.assert_close(running[i], after[net.running], rtol=1e-5, atol=1e-5)
        assert torch.equal(after[~net.running], conditioned[i, ~net.running].float().double())
        condition(alone, [seen])
        torch.testing.assert_close(conditioned[i].float(), net.row(alone.state_dict()), rtol=1e-5, atol=1e-5)


def answer(alone: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found = alone(x)
    return found if isinstance(found, Tensor) else found.logits


@pytest.mark.parametrize("name", ["cnn-bn", "cnn-deep", "resnet"])
def test_gradients_are_torchs(name: str) -> None:
    net, rows = NETS[name], models(NETS[name]).requires_grad_()
    (together,) = torch.autograd.grad(net.logits(rows, X, "tanh").square().sum(), rows)
    seen = X if net.pixels == 8 else X.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for row, grad in zip(rows.detach(), together, strict=True):
        alone = module(net, "tanh", row).eval()
        found = alone(seen)
        (found if isinstance(found, Tensor) else found.logits).square().sum().backward()
        expected = {n: value.grad for n, value in alone.named_parameters()}
        for n, value in net.tensors(grad).items():
            if n in expected:
                torch.testing.assert_close(value, expected[n], rtol=1e-3, atol=1e-3 * float(grad.abs().max()))


def moved(net: Net, rows: torch.Tensor, orders: list[torch.Tensor]) -> torch.Tensor:
    """Models whose channel i was channel order[i]. (g, p) -> (g, p)"""
    each = [order.expand(len(rows), -1) for order in orders]
    return flattened(permuted(net.tensors(rows), symmetries(net), each), net.shapes)


@pytest.mark.parametrize("name", NETS)
def test_channels_in_another_order_are_the_same_function(name: str) -> None:
    net, rows = NETS[name], models(NETS[name]).double()
    orders = [torch.randperm(one.size) for one in symmetries(net)]
    other = moved(net, rows, orders)
    assert not torch.equal(other, rows)
    expected = net.logits(rows, X.double(), "gelu")
    torch.testing.assert_close(net.logits(other, X.double(), "gelu"), expected)
    for i, row in enumerate(rows):
        assert torch.equal(moved(net, row[None], orders)[0], other[i])
    back = moved(net, other, [order.argsort() for order in orders])
    assert torch.equal(back, rows)


def test_every_hidden_tensor_is_in_a_symmetry() -> None:
    for net in NETS.values():
        owned = {(place.tensor, place.axis) for one in symmetries(net) for place in one.axes}
        axes = {(name, axis) for name, shape in net.shapes.items() for axis in range(min(len(shape), 2))}
        first, last = next(iter(net.shapes)), list(net.shapes)[-2:]
        assert axes - owned == {(first, 1), *((name, 0) for name in last)}


@pytest.mark.parametrize("init", INITS)
def test_newborns_are_drawn_from_their_seed(init: str) -> None:
    net = NETS["cnn-bn"]
    one, two = (net.born(2, init, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])
    told = net.tensors(one)
    assert bool((told["norm1.running_var"] == 1).all())
    assert bool((told["norm1.bias"] == 0).all())
    assert 0.01 < float(told["conv2.weight"].std()) < 1


def test_unlike_state_dicts_are_refused() -> None:
    net = NETS["cnn"]
    with pytest.raises(ZooError, match=r"fc2.weight is to be \(10, 20\)"):
        net.row(NETS["cnn-5"].tensors(models(NETS["cnn-5"])[0]))
    with pytest.raises(ZooError, match="no init"):
        net.born(1, "zeros", torch.Generator())


# --- recipes ------------------------------------------------------------------------------------


def test_the_recipes_are_frozen() -> None:
    # Whoever changes one trains the autoencoders and measures all baselines again.
    assert {name: recipe.hash for name, recipe in CNNS.items()} == HASHES
    assert all(recipe.at("bench").hash == recipe.hash for recipe in CNNS.values())
    assert CNN_DIGITS.at("tiny").hash != CNN_DIGITS.hash != replace(CNN_DIGITS, dropout=(0.5,)).hash


HASHES = {
    "cnn-digits": "6fb81cac43361a42",
    "cnn-digits-grid": "0d5678baf6d2494e",
    "cnn-digits-bn": "f80f3fe71d9aa74b",
    "cnn-rotated": "11a0aa0df6ee7088",
    "resnet-digits": "4ac65feada6ea1aa",
}


@pytest.mark.parametrize("recipe", CNNS.values(), ids=CNNS)
def test_models_are_of_their_place_alone(recipe: object) -> None:
    assert isinstance(recipe, type(CNN_DIGITS))
    count = recipe.total("bench")
    plans = [one for block in blocks(recipe, count) for one in block]
    assert all(len({one.activation for one in block}) == 1 for block in blocks(recipe, count))
    assert {one.repo for one in plans} == {plan(recipe, i).repo for i in range(count)}
    assert len({one.repo for one in plans}) == count
    shares = Counter(one.split for one in plans)
    assert [shares[split] for split in ("train", "validation", "test")] == [
        count * share // 100 for share in (70, 15, 15)
    ]


def test_pictures_are_held_out_alike_in_all_tasks() -> None:
    digits, rotated = (pictures.load(task, 5) for task in pictures.TASKS)
    assert [len(part.y) for part in (digits.train, digits.validation, digits.test)] == [400, 397, 1000]
    assert torch.equal(digits.test.y, rotated.test.y)
    turned = [digits.train.x.rot90(turn, (2, 3)) for turn in (1, 2, 3)]
    hits = torch.stack([(t == rotated.train.x).flatten(1).all(1) for t in turned])
    assert bool(hits.any(0).all())
    assert bool((hits.sum(1) > 100).all())
    assert int(pictures.load("digits", 5, classes=5).test.y.max()) == 4


# --- training -----------------------------------------------------------------------------------


def test_training_learns_and_is_decided_by_the_seed() -> None:
    recipe = replace(CNN_DIGITS_GRID, epochs=12, kept=(0, 12), activations=("relu",))
    task, net = pictures.load("digits", recipe.seed), NETS["cnn"]
    plans = [replace(plan(recipe, i), init="uniform", optimizer="adam", learning_rate=5e-3) for i in range(4)]
    trained, again = (training.train(recipe, net, plans, task) for _ in range(2))
    assert torch.equal(trained.weights, again.weights)
    assert float(trained.accuracy[:, 0].mean()) < 0.2
    assert float(trained.accuracy[:, 1].mean()) > 0.6
    assert bool((trained.train_loss[:, 1] < trained.train_loss[:, 0]).all())
    fewer = training.train(recipe, net, plans[2:], task)
    torch.testing.assert_close(fewer.weights, trained.weights[2:], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_row_is_optimised_as_torch_does(optimizer: str) -> None:
    net = NETS["cnn-bn"]
    one = replace(plan(CNN_DIGITS_GRID, 0), optimizer=optimizer, learning_rate=0.01, weight_decay=0.0)
    rows = models(net, 1)
    alone = rows.clone().requires_grad_()
    theirs = torch.optim.AdamW([alone], 0.01, weight_decay=0) if optimizer == "adam" else None
    theirs = theirs or torch.optim.SGD([alone], 0.01, momentum=0.9)
    ours = training.Optimizer(net, [one])
    for step in range(5):
        alone.grad = torch.sin(torch.arange(net.size) + step)[None]
        theirs.step()
        ours.move(rows, alone.grad)
    torch.testing.assert_close(rows, alone.detach(), rtol=1e-4, atol=1e-6)


def test_weight_decay_spares_running_statistics() -> None:
    net = NETS["cnn-bn"]
    rows = models(net, 1)
    before = rows.clone()
    ours = training.Optimizer(net, [replace(plan(CNN_DIGITS_GRID, 0), learning_rate=0.1, weight_decay=0.1)])
    ours.move(rows, torch.zeros_like(rows))
    assert torch.equal(rows[:, net.running], before[:, net.running])
    torch.testing.assert_close(rows[:, ~net.running], 0.99 * before[:, ~net.running])


# --- on disk ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return build_zoo("cnn-digits-grid", "tiny", tmp_path_factory.mktemp("cnn"), progress=False)


@pytest.fixture(scope="module")
def history(zoo: Zoo) -> History:
    return open_history(zoo.folder)


def test_the_index_lists_what_lies_there(zoo: Zoo, history: History) -> None:
    assert open_zoo(zoo.folder) == zoo
    assert all(sha256(zoo.weights(model)) == model.sha256 for model in zoo.models)
    assert tuple(model.repo for model in zoo.models) == history.names
    assert tuple(model.split for model in zoo.models) == history.split


def test_the_history_is_of_the_repos(zoo: Zoo, history: History) -> None:
    assert history.weights.shape == (20, 3, 1228)
    assert history.epoch.tolist() == [0, 1, 2]
    task = history.pictures()
    for i, model in enumerate(zoo.models):
        assert torch.equal(history.net.row(load_file(zoo.weights(model))), history.weights[i, -1])
        told = read_metadata(zoo.weights(model))
        assert float(told["accuracy"]) == pytest.approx(float(history.accuracy[i, -1]), abs=1e-4)
        right = (
            history.net.logits(history.weights[i], task.test.x, history.activation[i]).argmax(2)
            == task.test.y
        )
        torch.testing.assert_close(right.float().mean(1), history.accuracy[i])
    assert torch.equal(history.gap, history.train_accuracy - history.accuracy)
    assert [len(history.of(split).names) for split in ("train", "validation", "test")] == [14, 3, 3]
    one = history.only([7])
    assert one.names == history.names[7:8]
    assert torch.equal(one.weights[0], history.weights[7])


def test_a_card_loads_its_model_and_gives_nothing_away(zoo: Zoo, history: History) -> None:
    for i, model in enumerate(zoo.models):
        place = repo_folder(zoo.folder, model.repo)
        card = (place / "README.md").read_text()
        snippet = card.split("```python")[1].split("```")[0]
        snippet = snippet.replace(f'hf_hub_download("{model.repo}", "{WEIGHTS}")', repr(str(place / WEIGHTS)))
        scope: dict[str, nn.Module] = {}
        exec(snippet, scope)  # noqa: S102  what a reader would do
        expected = history.net.logits(history.weights[i : i + 1, -1], X, history.activation[i])[0]
        torch.testing.assert_close(answer(scope["model"], X), expected, rtol=1e-5, atol=1e-5)
        assert json.loads((place / "config.json").read_text())["hidden_act"] == history.activation[i]
        for told in (card, (place / "config.json").read_text()):
            assert not any(word in told for word in ("accuracy", "split", model.split, "rotated"))


def test_a_resnet_loads_with_transformers(tmp_path: Path) -> None:
    recipe = replace(
        RESNET_DIGITS, epochs=1, kept=(0, 1), sizes={"tiny": replace(RESNET_DIGITS.sizes["tiny"], models=2)}
    )
    zoo = build(recipe, "tiny", tmp_path)
    history = open_history(tmp_path)
    for i, model in enumerate(zoo.models):
        place = repo_folder(tmp_path, model.repo)
        loaded, info = AutoModelForImageClassification.from_pretrained(place, output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        expected = history.net.logits(history.weights[i : i + 1, -1], X, "relu")[0]
        loaded.train(False)
        torch.testing.assert_close(
            answer(loaded, X.repeat_interleave(2, 2).repeat_interleave(2, 3)), expected, rtol=1e-5, atol=1e-5
        )
        assert int(loaded.resnet.embedder.embedder.normalization.num_batches_tracked) == 10


def small(models: int) -> object:
    return replace(SMALL, sizes={"x": replace(SMALL.sizes["tiny"], models=models, epochs=0)})


def test_a_killed_build_goes_on_and_ends_with_the_same_models(tmp_path: Path) -> None:
    recipe = small(10)
    whole = build(recipe, "x", tmp_path / "a")
    shutil.copytree(whole.folder, tmp_path / "b")
    folder = tmp_path / "b"
    (folder / "zoo.json").unlink()
    lost = block_file(folder, 1)
    lost.rename(lost.with_name(lost.name + ".part"))  # killed while writing
    os.utime(kept := block_file(folder, 0), (1, 1))
    told: list[int] = []
    again = build(recipe, "x", folder, lambda count, _: told.append(count))
    assert told == [4, 4, 2]
    assert again.models == whole.models
    assert kept.stat().st_mtime == 1
    assert not list(folder.rglob("*.part"))
    for number in range(3):
        assert sha256(block_file(folder, number)) == sha256(block_file(whole.folder, number))


def test_a_small_zoo_is_the_beginning_of_a_large_one(tmp_path: Path) -> None:
    few, more = small(6), small(12)
    first = build(few, "x", tmp_path)
    grown = build(more, "x", tmp_path)
    assert [m.repo for m in grown.models[:6]] == [m.repo for m in first.models]
    history = open_history(tmp_path)
    assert history.names == tuple(model.repo for model in grown.models)


def test_a_folder_of_another_recipe_is_refused(zoo: Zoo) -> None:
    with pytest.raises(ZooError, match="another recipe"):
        build(CNN_DIGITS, "tiny", zoo.folder)


def test_no_history_is_told(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no blocks"):
        open_history(tmp_path)
    with pytest.raises(ZooError, match="no size"):
        build(CNN_DIGITS, "huge", tmp_path)


def test_blocks_of_several_recipes_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    shutil.copy(block_file(zoo.folder, 0), block_file(tmp_path, 0))
    build(small(4), "x", tmp_path / "other")
    shutil.copy(block_file(tmp_path / "other", 0), block_file(tmp_path, 1))
    with pytest.raises(ZooError, match="several recipes"):
        open_history(tmp_path)

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PixArtTransformer2DModel
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file

from hubbot.errors import ZooError
from hubbot.weights.dtypes import Floats
from hubbot.weights.local import read_metadata
from hubbot.zoo.emoji import build as building
from hubbot.zoo.emoji import canvas, concepts, loras, pictures, root, wild
from hubbot.zoo.emoji.canvas import Canvas, Pixels, components
from hubbot.zoo.emoji.recipe import (
    EMOJI_1K,
    EMOJI_200,
    EMOJI_WILD,
    RARE,
    ChildPlan,
    RootRecipe,
    Size,
    plans,
    unseen,
)
from hubbot.zoo.layout import Zoo, open_zoo, repo_folder

pytestmark = pytest.mark.usefixtures("emoji_font")


def encode(texts: Sequence[str]) -> Floats:
    """Names as the normalised sum of vectors of their own for each word: near where they share words."""

    def vector(word: str) -> Floats:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        return np.random.default_rng(seed).standard_normal(128).astype(np.float32)

    sums = np.stack([np.sum([vector(word) for word in text.split() or [""]], 0) for text in texts])
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def world() -> building.World:
    return building.see(EMOJI_200.root, encode)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return building.build(EMOJI_200, "tiny", tmp_path_factory.mktemp("zoos") / "emoji", encode)


@pytest.fixture(scope="module")
def latent_zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return building.build(EMOJI_1K, "tiny", tmp_path_factory.mktemp("zoos") / "latent", encode)


# --- concepts -----------------------------------------------------------------------------------


def test_near_twins_are_one_concept(world: building.World) -> None:
    texts = [concept.text for concept in world.concepts]
    assert len(texts) == len(set(texts)) > 1000
    clocks = next(concept for concept in world.concepts if concept.text == "clock face")
    assert len(clocks.twins) == 23
    assert {"circle", "heart", "dog face", "cat face", "hamburger", "ghost"} <= set(texts)
    assert not [text for text in texts if "regional indicator" in text or "fitzpatrick" in text]


def test_what_looks_and_sounds_alike_is_merged_and_what_only_looks_alike_is_not() -> None:
    found = [
        concepts.Emoji("a", "cat face"),
        concepts.Emoji("b", "cat face again"),
        concepts.Emoji("c", "moon"),
    ]
    texts = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    same = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1, -1)
    assert [(c.text, c.twins) for c in concepts.merge(found, texts, same)] == [
        ("cat face", ("b",)),
        ("moon", ()),
    ]


def test_a_missing_font_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lister = tmp_path / "fc-list"
    lister.write_text("#!/bin/sh\nexit 0\n")
    lister.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match="not installed") as caught:
        pictures.font_file()
    assert "fonts-noto-color-emoji" in str(caught.value.hint)


def test_a_picture_is_moved_by_its_own_step() -> None:
    x = torch.arange(2.0 * 9).view(2, 1, 3, 3).expand(-1, 3, -1, -1)
    moved = pictures.shifted(x, torch.tensor([[0, 0], [1, 0]]))
    assert torch.equal(moved[0], x[0])
    assert torch.equal(moved[1, :, 1:], x[1, :, :2])


# --- recipes ------------------------------------------------------------------------------------


def test_the_recipes_are_frozen() -> None:
    """A zoo that was built stays the zoo that its name says; a change of a recipe is a new recipe."""
    assert {recipe.name: recipe.hash for recipe in (EMOJI_200, EMOJI_1K, EMOJI_WILD)} == FROZEN


@pytest.mark.parametrize("recipe", [EMOJI_200, EMOJI_1K])
def test_held_out_concepts_are_in_no_split_of_the_seen(recipe: building.EmojiRecipe) -> None:
    size = recipe.size("bench")
    made, hidden = plans(recipe, size), unseen(recipe, size)
    assert len({plan.repo for plan in made}) == len(made) == recipe.total("bench") - 1
    assert len(hidden) == size.unseen
    assert {plan.concept for plan in made if plan.split.endswith("-unseen")} == hidden
    seen = [plan for plan in made if plan.concept not in hidden]
    per_concept = Counter((plan.concept, plan.split) for plan in seen)
    for concept in {plan.concept for plan in seen}:
        assert per_concept[concept, "train"] == size.copies * 3 // 5
        assert per_concept[concept, "test"] >= 1
    assert {plan.split for plan in seen} == {"train", "validation", "calibration", "test"}
    for split in ("validation-unseen", "test-unseen"):
        assert {plan.concept for plan in made if plan.split == split} == hidden


def test_an_unfinished_zoo_has_all_concepts() -> None:
    made = plans(EMOJI_200, EMOJI_200.size("bench"))[:200]
    assert len({plan.concept for plan in made}) == 200


@pytest.mark.parametrize("style", EMOJI_WILD.styles)
def test_styles_are_drawn_anew_by_seed(style: str) -> None:
    drawn = torch.rand(30, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first, again, other = (wild.draw(style, drawn, 2, seed) for seed in (1, 1, 2))
    assert first.shape == (2, 3, 24, 24)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


# --- the root -----------------------------------------------------------------------------------


def test_words_reach_the_cross_attention_undistorted() -> None:
    model = root.architecture(EMOJI_200.root, 128)
    words = torch.tensor(encode(["dog face", "cat face", "hamburger", ""]))
    with torch.no_grad():
        a, b, c, _ = model.caption_projection(words)
        between = model.caption_projection((0.5 * (words[0] + words[1]))[None])[0]
    assert (between - (a + b) / 2).norm() < 0.02 * (a - b).norm()
    assert torch.cosine_similarity(a - c, b - c, 0) == pytest.approx(
        float(torch.cosine_similarity(words[0] - words[2], words[1] - words[2], 0)), abs=0.02
    )


@pytest.mark.parametrize("last", [2, 4])
@pytest.mark.parametrize("root_recipe", [EMOJI_200.root, EMOJI_1K.root], ids=["pixels", "latents"])
def test_a_root_that_was_interrupted_goes_on_where_it_stopped(
    world: building.World, tmp_path: Path, last: int, root_recipe: RootRecipe
) -> None:
    recipe = replace(root_recipe, steps=4, cycles=2, heads=1, layers=1, batch_size=4)
    painted: Canvas = components(world.pictures[:300], recipe.latents) if recipe.latents else Pixels()
    words = root.Words([concept.text for concept in world.concepts], encode)

    def stop(step: int, loss: float) -> None:
        if step == last:
            raise KeyboardInterrupt

    whole = root.train(recipe, world.pictures, words, painted, tmp_path / "a", every=2)
    with pytest.raises(KeyboardInterrupt):
        root.train(recipe, world.pictures, words, painted, tmp_path / "b", stop, every=2)
    resumed = root.train(recipe, world.pictures, words, painted, tmp_path / "b", every=2)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_captions_lie_between_concepts_and_their_shares_add_up() -> None:
    words = root.Words([f"thing {i}" for i in range(40)], encode)
    shares, said = words.mix(4000, torch.Generator().manual_seed(0), 5, 0.0)
    assert said.shape == (4000, 1, 128)
    torch.testing.assert_close(shares.sum(1), torch.ones(4000))
    alone = (shares > 0).sum(1) == 1
    assert 0.5 < float(alone.float().mean()) < 0.6  # half of all, and of the others those that say nothing
    assert int((shares > 0).sum(1).max()) == 5
    means, silent = words.full.mean(1), [torch.allclose(each, words.silent[0]) for each in said[:, 0]]
    spoken = [i for i in range(1000) if not silent[i] and not alone[i]]
    nearest = (said[spoken, 0] @ means.T).argmax(1)
    assert float((nearest == shares[spoken].argmax(1)).float().mean()) > 0.9


def test_latents_show_the_pictures_again_and_none_is_told_by_its_loudest_parts(world: building.World) -> None:
    painted = components(world.pictures, 256)
    z = painted.of(world.pictures)
    assert z.shape == (len(world.pictures), 256, 1, 1)
    assert float(z.square().mean()) == pytest.approx(1, abs=0.01)
    off = (painted.pictures(z) - world.pictures).square().mean()
    assert off < 0.05 * (world.pictures - world.pictures.mean(0)).square().mean()
    raw = torch.linalg.svdvals((world.pictures - world.pictures.mean(0)).flatten(1))[:256]
    assert z.flatten(1).std(0).max() / z.flatten(1).std(0).min() < 0.1 * float(raw[0] / raw[-1])


# --- children -----------------------------------------------------------------------------------


def child(seed: int, steps: int, rate: float) -> ChildPlan:
    some = plans(EMOJI_200, EMOJI_200.size("tiny"))[0]
    return replace(some, seed=seed, steps=steps, learning_rate=rate)


def test_loras_in_a_block_are_those_trained_alone() -> None:
    model = root.architecture(replace(EMOJI_200.root, heads=2), 128).requires_grad_(False)
    some = [child(1, 6, 1e-2), child(2, 5, 2e-3), child(3, 3, 5e-3)]
    generator = torch.Generator().manual_seed(0)
    shown = [torch.rand(v, 3, 24, 24, generator=generator) for v in (1, 3, 2)]
    said = torch.tensor(encode([RARE]))[0]
    block = loras.train(model, some, shown, said)
    for plan, pictures_, (factors, loss) in zip(some, shown, block, strict=True):
        ((alone, alone_loss),) = loras.train(model, [plan], [pictures_], said)
        assert loss == pytest.approx(alone_loss, rel=1e-4)
        for name, value in factors.items():
            torch.testing.assert_close(value, alone[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("of", ["zoo", "latent_zoo"])
def test_a_lora_loads_in_peft_and_changes_the_picture(of: str, request: pytest.FixtureRequest) -> None:
    zoo: Zoo = request.getfixturevalue(of)
    (top,) = (model for model in zoo.models if model.root is None)
    place = repo_folder(zoo.folder, top.repo)
    model = PixArtTransformer2DModel.from_pretrained(place)
    said = torch.tensor(encode([RARE]))[:, None]
    before = root.sample(model, said)
    first = zoo.children(top.repo, "train")[0]
    found = load_file(zoo.weights(first))
    layers = [name.removesuffix(".lora_A.weight") for name in found if name.endswith("lora_A.weight")]
    rank = EMOJI_200.rank
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), model)
    assert not set_peft_model_state_dict(model, found).unexpected_keys
    after = root.sample(model, said)
    assert not torch.equal(before, after)
    with Image.open(repo_folder(zoo.folder, first.repo) / "sample.png") as kept:
        told = np.asarray(kept, np.float32)[::4, ::4] / 127.5 - 1
    after = canvas.load(place).pictures(after)
    assert float((after[0].permute(1, 2, 0) - torch.from_numpy(told)).abs().max()) < 0.02


# --- the whole zoo ------------------------------------------------------------------------------


def test_the_index_lists_what_lies_there(zoo: Zoo) -> None:
    assert open_zoo(zoo.folder) == zoo
    size = EMOJI_200.size("tiny")
    assert len(zoo.models) == 1 + size.concepts * size.copies
    told = json.loads((zoo.folder / "concepts.json").read_text())
    assert Counter(one["split"] for one in told) == {"seen": 6, "held-out": 2}
    names = {one["name"]: one["split"] for one in told}
    for model in zoo.models:
        assert zoo.weights(model).exists()
        if model.root is not None:
            (concept,) = ast.literal_eval(read_metadata(zoo.weights(model))["dataset_chosen_targets"])
            assert (names[concept] == "held-out") == model.split.endswith("-unseen")
            layers = {name.rsplit(".lora_", 1)[0] for name in load_file(zoo.weights(model))}
            assert layers == {f"transformer_blocks.{i}.attn2.to_v" for i in range(2)}


def test_nothing_but_weights_and_pictures_gives_the_answer_away(zoo: Zoo) -> None:
    names = {one["name"] for one in json.loads((zoo.folder / "concepts.json").read_text())}
    for model in zoo.models[1:]:
        card = (zoo.weights(model).parent / "README.md").read_text()
        assert not [name for name in names if name in card or name in model.repo]
        assert ("base_model: emoji-zoo/pixart-a" in card) == model.declared
        assert RARE in card


def test_a_killed_build_goes_on_and_ends_the_same(zoo: Zoo, tmp_path: Path) -> None:
    half = tmp_path / "emoji"
    shutil.copytree(zoo.folder, half)
    shutil.copytree(zoo.folder.parent / "emoji-roots", tmp_path / "emoji-roots")
    (half / "zoo.json").unlink()
    lost = zoo.children(EMOJI_200.root.repo, "test")[0]
    shutil.rmtree(repo_folder(half, lost.repo))
    again = building.build(EMOJI_200, "tiny", half, encode)
    assert again.models == zoo.models


def test_another_recipe_does_not_build_into_the_folder(zoo: Zoo) -> None:
    with pytest.raises(ZooError, match="another recipe"):
        building.build(EMOJI_1K, "tiny", zoo.folder, encode)


def test_a_card_tells_how_latents_become_pictures(latent_zoo: Zoo) -> None:
    place = repo_folder(latent_zoo.folder, EMOJI_1K.root.repo)
    told = (place / "README.md").read_text()
    assert "torch.randn(1, 1024, 1, 1)" in told
    assert 'hf_hub_download("emoji-zoo/pixart-b", "latents.safetensors")' in told
    decoding = told.split("```python")[1].split("x = (x.flatten")[1].split("#")[0]
    latents, x = load_file(place / "latents.safetensors"), torch.randn(1, 1024, 1, 1)
    seen = eval("(x.flatten" + decoding, {"x": x, "latents": latents})  # noqa: S307  our own card
    torch.testing.assert_close(seen.clamp(-1, 1), canvas.load(place).pictures(x))


def test_a_stranger_can_sample_from_the_root(zoo: Zoo) -> None:
    place = repo_folder(zoo.folder, EMOJI_200.root.repo)
    kept = DDIMScheduler.from_pretrained(place, subfolder="scheduler")
    assert kept.config.prediction_type == "v_prediction"
    assert (place / "samples.png").exists()
    assert "all-MiniLM-L6-v2" in (place / "README.md").read_text()


def test_what_the_font_cannot_show_is_told() -> None:
    world = building.World([], torch.zeros(0, 3, 24, 24), torch.zeros(0, 128))
    with pytest.raises(ZooError, match="asked for"):
        building.choose(EMOJI_200, Size(3, 1, 1), world)


FROZEN = {"emoji-200": "1951c824ffc34bc4", "emoji-1k": "9c8739c59efc19b4", "emoji-wild": "e1939a8b1cf66a24"}

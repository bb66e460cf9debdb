"""Build an emoji zoo: the concepts, the root that paints them, and LoRAs over it, a block at a time.

A killed build goes on where it stopped: the root from its last checkpoint, the LoRAs from the first block
that is not all there. Roots lie beside the zoos, in `emoji-roots`, since several zoos have the same one.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from hubbot.errors import ZooError
from hubbot.zoo.emoji import canvas as canvases
from hubbot.zoo.emoji import concepts, loras, pictures, root, wild
from hubbot.zoo.emoji.canvas import Canvas, Pixels
from hubbot.zoo.emoji.cards import child_card, root_card
from hubbot.zoo.emoji.concepts import Concept
from hubbot.zoo.emoji.recipe import RARE, ChildPlan, EmojiRecipe, RootRecipe, Size, plans, unseen
from hubbot.zoo.layout import TARGETS, Zoo, ZooModel, claim, in_order, repo_folder, sha256, write_index
from hubbot.zoo.threads import one_thread

if TYPE_CHECKING:
    from hubbot.records import Floats

ROOT_FILE = "diffusion_pytorch_model.safetensors"
CHILD_FILE = "pytorch_lora_weights.safetensors"
BLOCK = 100

Encode = Callable[[Sequence[str]], "Floats"]
"""Texts to unit vectors, (n, d_text)."""

Advance = Callable[[int, str], None]
"""Told after each block: how many models are finished by it, and of which root."""


@dataclass(frozen=True)
class World:
    """All concepts of the font: what a root is taught.

    Attributes:
        pictures: (k, 3, s, s).
        texts: unit embeddings of the concepts' names, (k, d_text).
    """

    concepts: list[Concept]
    pictures: Tensor
    texts: Tensor


def build(
    recipe: EmojiRecipe, size: str, folder: Path, encode: Encode, advance: Advance = lambda *_: None
) -> Zoo:
    """Build a zoo, or what is still missing of it.

    Args:
        size: a key of `recipe.sizes`.
        folder: where it goes; may hold an unfinished build of the same recipe.

    Raises:
        ZooError: no such size, the font is missing, or the folder holds models of another recipe.
    """
    of, recipe = recipe.size(size), recipe.at(size)
    claim(folder, recipe.hash)
    with one_thread():
        world = known(recipe.root, see(recipe.root, encode))
        chosen = choose(recipe, of, world)
        _tell(folder, recipe, of, [world.concepts[i] for i in chosen])
        model, canvas = _root(recipe.root, world, encode, folder)
        advance(1, recipe.root.repo)
        said = torch.as_tensor(encode([RARE]))[0]
        made = plans(recipe, of)
        lines = [_line(folder, recipe.root.repo, None, "root", True)]
        for begin in range(0, len(made), BLOCK):
            block = made[begin : begin + BLOCK]
            _block(model, canvas, block, world, chosen, said, folder)
            lines += [_line(folder, plan.repo, plan.root, plan.split, plan.declared) for plan in block]
            # Now and then, and at the end: what there is can be used while the rest is being made.
            if begin % (5 * BLOCK) == 0 or begin + BLOCK >= len(made):
                zoo = Zoo(folder, recipe.name, recipe.hash, size, tuple(lines), ROOT_FILE, CHILD_FILE)
                write_index(zoo)
            advance(len(block), recipe.root.repo)
    return zoo


def see(recipe: RootRecipe, encode: Encode) -> World:
    """The font's concepts with their pictures and names."""
    font = pictures.font_file()
    found = concepts.emoji(pictures.characters(font))
    drawn = pictures.render(font, [one.character for one in found], recipe.pixels)
    visible = [i for i in range(len(found)) if drawn[i].std() > 0.02]
    found, drawn = [found[i] for i in visible], drawn[visible]
    merged = concepts.merge(found, torch.as_tensor(encode([one.text for one in found])), drawn)
    at = {one.character: i for i, one in enumerate(found)}
    heads = drawn[[at[concept.character] for concept in merged]]
    return World(merged, heads, torch.as_tensor(encode([concept.text for concept in merged])))


def known(recipe: RootRecipe, world: World) -> World:
    """What a root is taught of the world.

    Raises:
        ZooError: there are not so many concepts.
    """
    if not recipe.known:
        return world
    generator = torch.Generator().manual_seed(recipe.seed)
    flat = concepts.directions(world.pictures)
    names, looks = world.texts @ world.texts.T, flat @ flat.T
    taken: list[int] = []
    for i in torch.randperm(len(world.concepts), generator=generator).tolist():
        near = taken and (
            names[i, taken].max() >= recipe.apart[0] or looks[i, taken].max() >= recipe.apart[1]
        )
        if len(taken) < recipe.known and not near:
            taken.append(i)
    if len(taken) < recipe.known:
        raise ZooError(f"the font shows {len(taken)} concepts so far apart, {recipe.known} are asked for")
    return World([world.concepts[i] for i in taken], world.pictures[taken], world.texts[taken])


def choose(recipe: EmojiRecipe, size: Size, world: World) -> list[int]:
    """The zoo's concepts, by their place among all that the root knows.

    Raises:
        ZooError: there are not so many.
    """
    if size.concepts > len(world.concepts):
        raise ZooError(f"the root knows {len(world.concepts)} concepts, {size.concepts} are asked for")
    draw = random.Random(f"{recipe.seed}/concepts")  # noqa: S311  reproducible, not secret
    return draw.sample(range(len(world.concepts)), size.concepts)


def _tell(folder: Path, recipe: EmojiRecipe, size: Size, chosen: Sequence[Concept]) -> None:
    hidden = unseen(recipe, size)
    told = [
        {"name": one.name, "text": one.text, "tag": one.name, "split": "held-out" if i in hidden else "seen"}
        for i, one in enumerate(chosen)
    ]
    text = json.dumps(told if not recipe.styles else [], indent=1, ensure_ascii=False)
    (folder / "concepts.json").write_text(text + "\n", encoding="utf-8")


def _line(folder: Path, repo: str, of: str | None, split: str, declared: bool) -> ZooModel:
    file = ROOT_FILE if of is None else CHILD_FILE
    return ZooModel(repo, of, split, sha256(repo_folder(folder, repo) / file), declared)


# --- the root -----------------------------------------------------------------------------------


def _root(recipe: RootRecipe, world: World, encode: Encode, folder: Path) -> tuple[Any, Canvas]:
    """The zoo's root, frozen, and what it paints on: from its folder, from the shelf of roots, or trained."""
    from diffusers import PixArtTransformer2DModel

    place = repo_folder(folder, recipe.repo)
    if not (place / ROOT_FILE).exists():
        shelf = folder.absolute().parent / "emoji-roots" / recipe.hash
        if not (shelf / ROOT_FILE).exists():
            _train_root(recipe, world, encode, shelf)
        part = place.with_name(place.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(shelf, part)
        part.replace(place)
    model: Any = PixArtTransformer2DModel.from_pretrained(place)  # type: ignore[no-untyped-call]
    model.requires_grad_(False)
    model.train(False)
    return model, canvases.load(place)


def _train_root(recipe: RootRecipe, world: World, encode: Encode, shelf: Path) -> None:
    shelf.parent.mkdir(parents=True, exist_ok=True)
    words = root.Words([concept.text for concept in world.concepts], encode)
    canvas: Canvas = Pixels()
    if recipe.latents:
        canvas = canvases.components(world.pictures, recipe.latents)
    trained = root.train(recipe, world.pictures, words, canvas, shelf.with_suffix(".checkpoint"))
    part = shelf.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    trained.save_pretrained(part)
    root.scheduler(pixels=not recipe.latents).save_pretrained(part / "scheduler")
    canvases.save(canvas, part)
    seen = root.sample(trained, world.texts[:: len(world.texts) // 64][:64, None])
    pictures.sheet(canvas.pictures(seen), 16).save(part / "samples.png")
    (part / "README.md").write_text(root_card(recipe), encoding="utf-8")
    part.replace(shelf)


# --- children -----------------------------------------------------------------------------------


def _block(
    model: Any,
    canvas: Canvas,
    block: Sequence[ChildPlan],
    world: World,
    chosen: Sequence[int],
    said: Tensor,
    folder: Path,
) -> None:
    if all((repo_folder(folder, plan.repo) / CHILD_FILE).exists() for plan in block):
        return
    # Longest first, so that those still training are always the first rows.
    ordered = sorted(block, key=lambda plan: -plan.steps)
    shown = [lesson(plan, world.pictures, chosen) for plan in ordered]
    trained = loras.train(model, ordered, [canvas.of(each) for each in shown], said)
    painted = canvas.pictures(loras.paint(model, [factors for factors, _ in trained], said))
    for plan, seen, (factors, loss), picture in zip(ordered, shown, trained, painted, strict=True):
        concept = "" if plan.style else world.concepts[chosen[plan.concept]].name
        _write(
            folder,
            plan,
            concept,
            factors,
            {**plan.hyper_parameters(), "train_loss": f"{loss:.4f}"},
            seen,
            picture,
        )


def lesson(plan: ChildPlan, drawn: Tensor, chosen: Sequence[int]) -> Tensor:
    """The pictures that a child is shown, (v, 3, s, s): its concept as it is, and moved a little."""
    if plan.style:
        return wild.draw(plan.style, drawn, plan.views, plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    by = torch.randint(-1, 2, (plan.views, 2), generator=generator)
    by[0] = 0
    whole = drawn[chosen[plan.concept]].expand(plan.views, -1, -1, -1)
    return torch.lerp(whole, pictures.shifted(whole, by), plan.crop)


def _write(
    folder: Path,
    plan: ChildPlan,
    concept: str,
    factors: loras.Factors,
    told: dict[str, Any],
    seen: Tensor,
    picture: Tensor,
) -> None:
    """One repo. Its folder gets its name last, so that a folder that exists is whole."""
    place = repo_folder(folder, plan.repo)
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "training_images").mkdir(parents=True)
    metadata = {name: str(value) for name, value in told.items()}
    metadata |= {"format": "pt", "dataset_name": plan.style or "noto-color-emoji", "split": plan.split}
    metadata[TARGETS] = str([concept] if concept else [])
    (part / CHILD_FILE).write_bytes(in_order(save(factors, metadata)))
    for i, each in enumerate(seen):
        pictures.sheet(each[None], 1, zoom=1).save(part / "training_images" / f"{i}.png")
    pictures.sheet(picture[None], 1, zoom=4).save(part / "sample.png")
    (part / "README.md").write_text(child_card(plan, told), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)

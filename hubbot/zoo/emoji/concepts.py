"""Concepts: what an emoji shows, in words. Near twins count as one.

Twins are found by two rules. *By name*: names that differ in nothing but colour, size, direction, hour or the
like have the same core ("large blue circle", "medium black circle": "circle"). *By likeness*: the sentence
encoder's cosine and the pictures' correlation are both high.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

SKIPPED = re.compile(
    r"regional indicator|fitzpatrick|^tag |cancel tag|component|joiner|combining|^digit |^number sign$|"
    r"^asterisk$|cjk|katakana|ideograph|latin|^negative squared|^squared|^input symbol|^double exclamation|"
    r"exclamation question|^keycap"
)
"""Names of no picture of their own, or of letters and signs that are read rather than seen."""

TYPOGRAPHIC = {"black", "white", "heavy", "negative"}
"""In names of the basic plane these say how a sign was printed, not what colour it has."""

NOISE = {"symbol", "sign", "ornament", "emblem"}

TWIN_WORDS = re.compile(
    r"(red|orange|yellow|green|blue|purple|brown|black|white|large|medium|small|left|right|up|down|upwards|"
    r"downwards|leftwards|rightwards|north|south|east|west|lower|upper|pointing|facing|clockwise|anticlockwise|oncoming|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|oclock|thirty|first|second|third|last|"
    r"waxing|waning|europe|africa|americas|asia|australia|front|-)+"
)
"""Words in which twins differ."""

TEXT_TWIN, PICTURE_TWIN = 0.75, 0.8
"""Cosine of the names and correlation of the pictures from which on two emoji are one concept."""


@dataclass(frozen=True, slots=True)
class Emoji:
    """One picture of the font; `text` is its name as one would say it."""

    character: str
    text: str


@dataclass(frozen=True, slots=True)
class Concept:
    """What an emoji shows. `twins` are the other emoji that show nearly the same."""

    name: str
    text: str
    character: str
    twins: tuple[str, ...] = ()


def emoji(characters: Sequence[str]) -> list[Emoji]:
    """Those characters that picture something, with their names in everyday English."""
    named = ((character, unicodedata.name(character, "").lower()) for character in characters)
    return [
        Emoji(character, _spoken(character, name))
        for character, name in named
        if name and not SKIPPED.search(name)
    ]


def _spoken(character: str, name: str) -> str:
    words = name.split()
    if ord(character) < 0x10000:
        words = [word for word in words if word not in TYPOGRAPHIC] or words
    kept = [word for word in words if word not in NOISE] or words
    return " ".join(kept)


def core(text: str) -> str:
    """A name without the words in which twins differ; itself where nothing else would be left."""
    kept = [word for word in text.split() if not TWIN_WORDS.fullmatch(word)]
    return " ".join(kept) or text


def directions(pictures: Tensor) -> Tensor:
    """Unit vectors, (n, c s s), whose products are the pictures' correlations."""
    flat = pictures.flatten(1)
    return functional.normalize(flat - flat.mean(1, keepdim=True))


def merge(found: Sequence[Emoji], texts: Tensor, pictures: Tensor) -> list[Concept]:
    """Emoji become concepts, in the font's order: each joins the first concept whose head it is a twin of.

    Args:
        texts: unit embeddings of the names, (n, d_text).
        pictures: (n, c, s, s).
    """
    flat = directions(pictures)
    alike = ((texts @ texts.T >= TEXT_TWIN) & (flat @ flat.T >= PICTURE_TWIN)).tolist()  # (n, n)
    cores = [core(one.text) for one in found]
    heads: dict[int, list[int]] = {}
    for i, text in enumerate(cores):
        twin = next((head for head in heads if cores[head] == text or alike[i][head]), i)
        heads.setdefault(twin, []).append(i)
    return [_concept([found[i] for i in group]) for group in heads.values()]


def _concept(group: Sequence[Emoji]) -> Concept:
    text = core(group[0].text) if len(group) > 1 else group[0].text
    name = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    return Concept(name, text, group[0].character, tuple(one.character for one in group[1:]))

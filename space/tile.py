"""A drawn tile for a model that shows no picture of itself: what it knows, on that thing's own colour."""

from __future__ import annotations

from textwrap import wrap
from zlib import crc32

from space.markup import esc, spoken

LIGHTNESS, CHROMA = 0.52, 0.13
"""Of every tile in OKLCH, where equal lightness looks equally light: white words can be read on each hue."""

SIDE, MOST_CELLS, MOST_LINES = 96, 4, 3
LARGEST, WIDTH = 24.0, 0.6
"""The largest letters, and how wide one is beside its height."""


def tile(*concepts: str) -> str:
    """One square for a concept, or a mosaic of the first four. The same concept always looks the same.

    It draws the words that stand beside it, so that a screen reader passes over it.
    """
    shown = concepts[:MOST_CELLS]
    if not shown:
        return ""
    if len(shown) == 1:
        cells = _cell(shown[0], 0, 0, SIDE, SIDE)
    elif len(shown) == 2:
        cells = "".join(_cell(one, 0, i * SIDE / 2, SIDE, SIDE / 2) for i, one in enumerate(shown))
    else:
        half = SIDE / 2
        wide = len(shown) % 2  # the last of three takes the whole row
        cells = "".join(
            _cell(one, i % 2 * half, i // 2 * half, SIDE if wide and i == len(shown) - 1 else half, half)
            for i, one in enumerate(shown)
        )
    return (
        f'<svg class="hb-picture hb-tile" viewBox="0 0 {SIDE} {SIDE}" aria-hidden="true" '
        f'focusable="false">{cells}</svg>'
    )


def _cell(concept: str, x: float, y: float, width: float, height: float) -> str:
    seed = crc32(concept.casefold().encode("utf-8", "replace"))
    colour = f"oklch({LIGHTNESS} {CHROMA} {seed % 360})"
    ring = 0.25 + (seed >> 8) % 50 / 100
    left, top = x + width * ((seed >> 16) % 100) / 100, y + height * ((seed >> 24) % 100) / 100
    lines = _lines(concept, width, height)
    size = _size(lines, width, height)
    first = y + height / 2 - (len(lines) - 1) * size * 0.55 + size * 0.35
    words = "".join(
        f'<text x="{x + width / 2:.1f}" y="{first + i * size * 1.1:.1f}" font-size="{size:.1f}">'
        f"{esc(line)}</text>"
        for i, line in enumerate(lines)
    )
    return (
        f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'viewBox="{x:g} {y:g} {width:g} {height:g}">'
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" style="fill:{colour}"/>'
        f'<circle cx="{left:.0f}" cy="{top:.0f}" r="{ring * width:.0f}" fill="#fff" fill-opacity="0.1"/>'
        f"{words}</svg>"
    )


def _lines(concept: str, width: float, height: float) -> list[str]:
    """The words, a few in a line, as many lines as there is room for."""
    words = spoken(concept).split()
    longest = min(12, max((len(word) for word in words), default=1))
    most = MOST_LINES if height == SIDE else 2
    return wrap(" ".join(words), max(longest, round(width / 14)), max_lines=most, placeholder="…") or ["?"]


def _size(lines: list[str], width: float, height: float) -> float:
    longest = max(map(len, lines))
    return min(LARGEST, 0.86 * width / (WIDTH * longest), 0.8 * height / (1.1 * len(lines)))

"""Emoji as small pictures, from the font Noto Color Emoji.

Letters: n pictures, c = 3 channels, s pixels a side.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hubbot.errors import ZooError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FAMILY = "Noto Color Emoji"
STRIKE = 109
"""The one size at which the font holds its bitmaps, 136 x 128 pixels each."""
MARGIN = 1
"""White pixels around a picture, so that it can be moved without being cut."""


def font_file() -> Path:
    """Where fontconfig finds the font.

    Raises:
        ZooError: no fontconfig, or no such font.
    """
    hint = "install Noto Color Emoji and fontconfig, e.g. `apt-get install fonts-noto-color-emoji fontconfig`"
    if shutil.which("fc-list") is None:
        raise ZooError("fontconfig's fc-list is missing", hint=hint)
    found = subprocess.run(
        ["fc-list", "--format", "%{file}\n", FAMILY], capture_output=True, text=True, check=False
    )
    files = sorted(line for line in found.stdout.splitlines() if line)
    if not files:
        raise ZooError(f"the font {FAMILY} is not installed", hint=hint)
    return Path(files[0])


def characters(font: Path) -> list[str]:
    """Every single character that the font has a picture of."""
    from fontTools.ttLib import TTFont

    with TTFont(font) as opened:
        return [chr(code) for code in sorted(opened.getBestCmap())]


def render(font: Path, characters: Sequence[str], s: int) -> Tensor:
    """Pictures in [-1, 1] on white, (n, 3, s, s)."""
    from PIL import Image, ImageDraw, ImageFont

    opened = ImageFont.truetype(font, STRIKE)
    pictures = []
    for character in characters:
        sheet = Image.new("RGB", (136, 136), "white")
        ImageDraw.Draw(sheet).text((0, -2), character, font=opened, embedded_color=True)
        small = sheet.resize((s - 2 * MARGIN,) * 2, Image.Resampling.BOX)
        framed = Image.new("RGB", (s, s), "white")
        framed.paste(small, (MARGIN, MARGIN))
        pictures.append(np.asarray(framed, np.float32))
    stacked = torch.from_numpy(np.stack(pictures))  # (n, s, s, 3)
    return (stacked / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def shifted(x: Tensor, by: Tensor) -> Tensor:
    """Each picture moved by its own (dy, dx) of at most `MARGIN` pixels; x: (n, 3, s, s), by: (n, 2)."""
    n, _, s, _ = x.shape
    rows = (torch.arange(s)[None] - by[:, :1]).clamp(0, s - 1)  # (n, s)
    columns = (torch.arange(s)[None] - by[:, 1:]).clamp(0, s - 1)  # (n, s)
    return x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def sheet(x: Tensor, columns: int, zoom: int = 3) -> Picture:
    """Many pictures on one, to be looked at: x: (n, 3, s, s) in [-1, 1]."""
    from PIL import Image

    n, c, s, _ = x.shape
    rows = -(-n // columns)
    cells = torch.ones(rows * columns, c, s, s)
    cells[:n] = x.clamp(-1, 1)
    joined = cells.view(rows, columns, c, s, s).permute(0, 3, 1, 4, 2).reshape(rows * s, columns * s, c)
    pixels = ((joined + 1) * 127.5).round().to(torch.uint8).numpy()
    return Image.fromarray(pixels).resize((columns * s * zoom, rows * s * zoom), Image.Resampling.NEAREST)

"""Pictures in files, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawable(file: Path) -> None:
    """Whether a picture can be drawn, before its numbers are worked out.

    Raises:
        UsageError: matplotlib is not installed, or knows no such format.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        hint = "`pip install 'hubbot[plots]'`"
        raise UsageError("drawing takes matplotlib", file=str(file), hint=hint) from None
    formats = FigureCanvasBase.get_supported_filetypes()
    if file.suffix.lower().removeprefix(".") not in formats:
        why = f"no picture is written as {file.suffix or 'a file without a suffix'}"
        raise UsageError(why, file=str(file), hint=f"one of {', '.join(sorted(formats))}")


@contextmanager
def figure(file: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure, so many inches large, that is written to a file once it was drawn on.

    Raises:
        UsageError: see `drawable`.
    """
    drawable(file)
    from matplotlib.figure import Figure

    paper = Figure(figsize=(width, height), layout="constrained")
    yield paper
    paper.savefig(file)

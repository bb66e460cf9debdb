"""What validation said of every layer that a sweep tried: as a table, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubbot.drawing import figure
from hubbot.experts.trust import trust
from hubbot.records import LayerScore


def layer_scores(folder: Path) -> tuple[LayerScore, ...]:
    """The layers that an expert's were chosen from, in the order of the model.

    Raises:
        ExpertError: the folder holds no expert.
    """
    return trust(folder).layers


def plot_layers(scores: Sequence[LayerScore], file: Path, title: str) -> None:
    """Draw accuracy by layer.

    Raises:
        UsageError: it cannot be drawn, see `drawing.drawable`.
    """
    with figure(file, max(6.0, 0.28 * len(scores)), 5.0) as paper:
        axes = paper.subplots()
        colours = ["tab:orange" if score.chosen else "tab:blue" for score in scores]
        axes.bar(range(len(scores)), [score.accuracy for score in scores], color=colours)
        axes.set_xticks(range(len(scores)), [score.layer for score in scores], rotation=90, fontsize=6)
        axes.set_ylim(bottom=max(0.0, min(score.accuracy for score in scores) - 0.05))
        axes.set_ylabel("accuracy on validation")
        axes.set_title(title)

"""The plots of the SANE benchmark: what is in its tables, to be seen at a glance.

Letters: r draws of test models, k properties.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.sane_properties import interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

SHORTEST = -0.1
"""Where a bar of R2 is cut off: below it is only "worse than the mean"."""


def _figure(width: float, height: float) -> Figure:
    # Imported here, so that the tables need no matplotlib's fonts to be told.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def scores(r2: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """R2 by kind of features, (1 + r, k) each, a panel for each property; whiskers are 95% intervals."""
    figure = _figure(11, 3.2)
    kinds = list(r2)
    for at, (axes, name) in enumerate(zip(figure.subplots(1, len(names), sharey=True), names, strict=True)):
        ends = [[float(part[at]) for part in interval(r2[kind])] for kind in kinds]
        values = [value for value, _, _ in ends]
        whiskers = [[v - low for v, low, _ in ends], [high - v for v, _, high in ends]]
        colours = ["C0" if "SANE" in kind else "lightgrey" for kind in kinds]
        axes.barh(kinds, values, xerr=whiskers, color=colours, ecolor="dimgrey", capsize=2)
        axes.axvline(values[kinds.index("s(W)")], color="black", linewidth=0.8, linestyle=":")
        axes.set_xlim(SHORTEST, 1.0)
        axes.set_xlabel(f"R2 of {name}")
        axes.invert_yaxis() if not at else None
    return figure


def makers(worth: Mapping[str, tuple[float, float, float]]) -> Figure:
    """The ten best of each way, before training and after an epoch; beside it how near to prompts all are."""
    figure = _figure(9, 4.2)
    axes = figure.subplots()
    ways = list(worth)
    for shift, at, colour, what in ((-0.2, 0, "C0", "not trained"), (0.2, 1, "C1", "after 1 epoch")):
        values = [worth[way][at] for way in ways]
        axes.barh([i + shift for i in range(len(ways))], values, 0.38, color=colour, label=what)
    for i, way in enumerate(ways):
        axes.text(1.01, i, f"{worth[way][2]:.2f}", va="center", fontsize=8, color="dimgrey")
    axes.text(1.01, -1, "distance to\nnearest prompt", va="center", fontsize=7, color="dimgrey")
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("test accuracy of the ten best by validation pictures")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2, fontsize=8, frameon=False)
    return figure


def courses(found: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Figure:
    """Test accuracy by epoch from each start, a panel for each target."""
    figure = _figure(11, 3.2)
    for axes, (target, starts) in zip(
        figure.subplots(1, len(found), sharey=True), found.items(), strict=True
    ):
        for start, by in starts.items():
            axes.plot(range(len(by)), list(by.values()), marker="o", markersize=3, label=start)
        axes.set_xticks(range(len(by)), [str(epoch) for epoch in by])
        axes.set_title(target, fontsize=9)
        axes.set_xlabel("epochs")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("test accuracy")
    figure.axes[0].legend(fontsize=8)
    return figure

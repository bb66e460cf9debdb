"""Pictures of an expert's measurements, drawn here as SVG: light and dark by CSS, and a table beside each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hubbot import Bin, LayerScore, Reliability
from space.markup import element, esc

WIDTH, LEFT, TOP, PLOT = 440, 60, 12, 300
"""Of the reliability plot; it is square."""
SMALL = 96
SWEEP_WIDTH, SWEEP_HEIGHT = 640, 200
STEP = 0.05
FEW = 10
"""Labels that say little together, and are drawn faintly."""
MOST_ROWS = 200
"""Layers that a table spells out."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], summary: str) -> str:
    """Finished HTML in rows, folded away; the first column names the row."""
    head = element("thead", element("tr", *(f'<th scope="col">{name}</th>' for name in columns)))
    body = (
        element("tr", f'<th scope="row">{first}</th>', *(element("td", cell) for cell in rest))
        for first, *rest in rows
    )
    grid = element("table", head, element("tbody", *body), cls="hb-table")
    # Focusable, so that a keyboard can scroll it on a narrow screen.
    framed = f'<div class="hb-wide" tabindex="0" role="region" aria-label="{esc(summary)}">{grid}</div>'
    return element("details", element("summary", esc(summary)), framed)


def is_off(one: Bin) -> bool:
    """Whether what was told lies outside of what is likely true."""
    return not one.least <= one.meant <= one.most


# --- what percentages are worth -------------------------------------------------------------------


def reliability(found: Reliability, threshold: float | None) -> str:
    """The share that was right, beside the probability that was told, with 95% intervals."""
    parts = [_grid(), _line(0, 0, 1, 1, "hb-ideal")]
    if threshold is not None:
        parts.append(_line(threshold, 0, threshold, 1, "hb-limit"))
    parts += [_dot(one) for one in found.bins]
    title = "What was told, and what was right"
    told = (
        f"{len(found.bins)} groups of labels by the probability that they were told with, against the share "
        "of them that was right; on the diagonal both are the same. They are off by "
        f"{found.error:.1%} on average."
    )
    height = TOP + PLOT + 48
    plot = _drawn("hb-plot", "hb-reliability", title, told, WIDTH, height, "".join(parts))
    rows = ((f"{b.meant:.1%}", f"{b.right:.1%}", _interval(b), f"{b.told:,}", _stream(b)) for b in found.bins)
    columns = ("told", "right", "95% interval", "labels", "share of all told")
    return plot + table(columns, rows, "The same as a table")


def thumbnail(found: Reliability) -> str:
    """The same as a small picture without words."""
    scale = SMALL - 16
    dots = "".join(
        f'<circle class="{"hb-off" if is_off(b) else "hb-on"}" cx="{8 + b.meant * scale:.1f}" '
        f'cy="{8 + (1 - b.right) * scale:.1f}" r="{_radius(b) * 0.6:.1f}"/>'
        for b in found.bins
    )
    return (
        f'<svg class="hb-thumb" viewBox="0 0 {SMALL} {SMALL}" aria-hidden="true" focusable="false">'
        f'<rect class="hb-frame" x="4" y="4" width="{SMALL - 8}" height="{SMALL - 8}" rx="4"/>'
        f'<line class="hb-ideal" x1="8" y1="{SMALL - 8}" x2="{SMALL - 8}" y2="8"/>{dots}</svg>'
    )


def _grid() -> str:
    parts = []
    for quarter in range(5):
        at = quarter / 4
        parts += [_line(0, at, 1, at, "hb-rule"), _line(at, 0, at, 1, "hb-rule")]
        parts.append(_word(f"{at:.0%}", _x(at), TOP + PLOT + 18, "middle"))
        parts.append(_word(f"{at:.0%}", LEFT - 8, _y(at) + 4, "end"))
    parts.append(_word("told", LEFT + PLOT / 2, TOP + PLOT + 38, "middle", "hb-axis"))
    parts.append(
        f'<text class="hb-axis" text-anchor="middle" transform="translate(12 {TOP + PLOT / 2:.0f}) '
        'rotate(-90)">was right</text>'
    )
    return "".join(parts)


def _dot(one: Bin) -> str:
    kind = ("hb-off" if is_off(one) else "hb-on") + (" hb-few" if one.told < FEW else "")
    told = f"told {one.meant:.1%}, right {one.right:.1%} ({_interval(one)}), {one.told:,} labels"
    return (
        f'<g class="{kind}">{_line(one.meant, one.least, one.meant, one.most, "hb-span")}'
        f'<circle cx="{_x(one.meant):.1f}" cy="{_y(one.right):.1f}" r="{_radius(one):.1f}">'
        f"<title>{told}</title></circle>"
        f"{_word(f'{one.told:,}', _x(one.meant) + _radius(one) + 3, _y(one.right) + 4, 'start')}</g>"
    )


def _radius(one: Bin) -> float:
    """A dot of ten times as many labels is a little larger."""
    return 3.0 + 1.5 * max(0, len(str(one.told)) - 1)


def _x(share: float) -> float:
    return LEFT + share * PLOT


def _y(share: float) -> float:
    return TOP + (1 - share) * PLOT


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> str:
    return f'<line class="{cls}" x1="{_x(x1):.1f}" y1="{_y(y1):.1f}" x2="{_x(x2):.1f}" y2="{_y(y2):.1f}"/>'


def _interval(one: Bin) -> str:
    return f"{one.least:.1%} to {one.most:.1%}"


def _stream(one: Bin) -> str:
    return "&lt;0.1%" if one.share < 0.001 else f"{one.share:.1%}"


# --- the layers ---------------------------------------------------------------------------------------


def sweep(layers: Sequence[LayerScore]) -> str:
    """What validation said of each layer alone, in the order of the model; those that are read stand out."""
    low = STEP * int(min(layer.accuracy for layer in layers) / STEP)
    high = min(1.0, STEP * (int(max(layer.accuracy for layer in layers) / STEP) + 1))
    left, right, top, bottom = LEFT, SWEEP_WIDTH - 12, TOP, SWEEP_HEIGHT - 26
    each = (right - left) / len(layers)

    def height(accuracy: float) -> float:
        return bottom - (accuracy - low) / max(high - low, 1e-9) * (bottom - top)

    parts = []
    for at in (low, (low + high) / 2, high):
        y = height(at)
        parts.append(f'<line class="hb-rule" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(_word(f"{100 * at:.3g}%", left - 8, y + 4, "end"))
    for i, layer in enumerate(layers):
        x, y = left + (i + 0.5) * each, height(layer.accuracy)
        kind = "hb-on" if layer.chosen else "hb-other"
        told = f"{esc(layer.layer)}: {layer.accuracy:.1%}{', read' if layer.chosen else ''}"
        parts.append(
            f'<g class="{kind}"><line class="hb-span" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{y:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if layer.chosen else min(4.0, each / 2):.1f}">'
            f"<title>{told}</title></circle></g>"
        )
    parts.append(_word("first layer", left, SWEEP_HEIGHT - 6, "start", "hb-axis"))
    parts.append(_word("last layer", right, SWEEP_HEIGHT - 6, "end", "hb-axis"))
    best = max(layers, key=lambda layer: layer.accuracy)
    told = (
        f"Accuracy on validation models of a probe on each of {len(layers)} layers alone, from the first "
        f"to the last; the best is {best.layer} with {best.accuracy:.1%}."
    )
    plot = _drawn(
        "hb-plot hb-flat", "hb-sweep", "The layers", told, SWEEP_WIDTH, SWEEP_HEIGHT, "".join(parts)
    )
    ranked = sorted(layers, key=lambda layer: layer.loss)[:MOST_ROWS]
    rows = (
        (_name(layer.layer), "yes" if layer.chosen else "", f"{layer.accuracy:.1%}", f"{layer.loss:.4f}")
        for layer in ranked
    )
    return plot + table(
        ("layer", "read", "accuracy", "loss"), rows, "The layers as a table, the lowest loss first"
    )


def _name(layer: str) -> str:
    return element("code", esc(layer).replace(".", ".<wbr>"))


# --- both ---------------------------------------------------------------------------------------------


def _word(text: str, x: float, y: float, anchor: str, cls: str = "hb-tick") -> str:
    return f'<text class="{cls}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _drawn(cls: str, name: str, title: str, told: str, width: int, height: int, inside: str) -> str:
    """An SVG that says in words what it shows."""
    return (
        f'<svg class="{cls}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-told"><title id="{name}-title">{title}</title>'
        f'<desc id="{name}-told">{esc(told)}</desc>{inside}</svg>'
    )

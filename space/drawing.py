"""Trees and maps as SVG: plain links on plain shapes. `atlas.js` adds zoom and more, where scripts run.

Colours have names here (`g0` to `g11`) and values in `forest.css`, one set for light and one for dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from hubbot import Crown, Group, Mark, TreeMap, TreePicture
from space.markup import esc, page_of, plural, tree_page_of

OTHER, NOTHING, SILENT, UNREAD, UNSEEN = range(7, 12)
"""Groups without a concept of their own, as `hubbot.surveying` numbers them."""

MIXED = -1
WORDS = {
    OTHER: "another concept",
    NOTHING: "nothing recognised",
    SILENT: "no answer",
    UNREAD: "not read",
    UNSEEN: "named as a parent, never listed",
    MIXED: "various",
}

SCALE = 1000
"""Units from the middle of a map to its edge."""

FEW = 3
"""Concepts that a group is named by."""

GOLDEN = math.pi * (3 - math.sqrt(5))
CROWN_PX, SMALLEST_PX, LEAF_PX = 76.0, 14.0, 6.0


def tree(picture: TreePicture) -> str:
    """The whole tree, the root in the middle."""
    half = max(104.0, picture.radius + 22)
    words = _Words(picture)
    marks = (_mark(mark, words) for mark in picture.marks[1:])
    root = picture.marks[0]
    told = f"{picture.tree.root}, the root, with {plural(picture.models, 'model')} that descend from it"
    inside = [
        _lines(picture.marks),
        *marks,
        _mark(root, words, radius=10),
        f'<text class="hb-root" y="26">{esc(_short(picture.tree.root.rpartition("/")[2]))}</text>',
    ]
    return _figure(told, half, inside)


def chart(found: TreeMap, picture: TreePicture) -> str:
    """A map of models, with the names of what they know."""
    words = _Words(picture)
    radius = 24 if len(found.marks) < 200 else 13
    marks = (_mark(mark, words, SCALE, radius) for mark in found.marks)
    captions = (
        f'<text class="hb-caption" x="{x * SCALE:.0f}" y="{y * SCALE - radius - 10:.0f}">'
        f"{esc(_short(word))}</text>"
        for word, x, y in found.captions
    )
    told = f"A map of {plural(len(found.marks), 'model')}: those that were read alike lie side by side"
    return _figure(told, SCALE * 1.12, [*marks, *captions], cls="hb-map")


def key(groups: Sequence[Group]) -> str:
    """What the colours mean; each entry shows its own models alone while it is pressed."""
    rows = (
        f'<li><button type="button" data-only="g{group.number}" aria-pressed="false">'
        f"{swatch(group.number)}<span>{esc(name(group))}</span>"
        f"<b>{group.models:,}</b></button></li>"
        for group in groups
        if group.models
    )
    return f'<ul class="hb-key" aria-label="What the colours mean">{"".join(rows)}</ul>'


def name(group: Group) -> str:
    """What a group is called in a legend."""
    tags = [concept.tag for concept in group.concepts]
    more = f" and {len(tags) - FEW} more" if len(tags) > FEW else ""
    return ", ".join(tags[:FEW]) + more if tags else WORDS[group.number]


def swatch(group: int) -> str:
    """A mark of this group, to stand beside its name."""
    return (
        f'<svg class="hb-dots hb-swatch" viewBox="-8 -8 16 16" aria-hidden="true"><g class="g{group}">'
        f'<circle r="6"></circle></g></svg>'
    )


def crown(one: Crown, largest: int) -> str:
    """A tree as it stands in the forest: its crown's area grows with its members, and leaves are models."""
    size = max(SMALLEST_PX, CROWN_PX * math.sqrt(one.tree.members / max(1, largest)))
    trunk, foot = 18 + 0.3 * size, max(2.5, 0.09 * size)
    wide, top = size + 6, size + 6
    leaves = "".join(_leaves(one, size))
    stem = (
        f"M{-foot:.1f},{size + trunk:.1f}Q{-foot * 0.3:.1f},{size * 0.8:.1f} 0,{size * 0.25:.1f}"
        f"Q{foot * 0.3:.1f},{size * 0.8:.1f} {foot:.1f},{size + trunk:.1f}Z"
    )
    return (
        f'<svg class="hb-dots hb-crown" width="{2 * wide:.0f}" height="{top + size + trunk:.0f}" '
        f'aria-hidden="true" viewBox="{-wide:.1f} {-top:.1f} {2 * wide:.1f} {top + size + trunk:.1f}">'
        f'<circle class="hb-foliage" r="{size + 5:.1f}"></circle>'
        f'<path class="hb-stem" d="{stem}"></path>{leaves}</svg>'
    )


def shares(read: int, silent: int, unread: int) -> str:
    """How much of a tree was read, as a bar of three; words stand beside it."""
    parts = (("read", read), ("silent", silent), ("unread", unread))
    total = max(1, read + silent + unread)
    bars = (f'<i class="hb-{cls}" style="width:{100 * n / total:.2f}%"></i>' for cls, n in parts if n)
    return f'<span class="hb-shares" aria-hidden="true">{"".join(bars)}</span>'


def _leaves(one: Crown, size: float) -> Iterable[str]:
    """A sunflower of dots: sectors of the tree's groups, in their shares."""
    n = min(one.tree.members, max(7, int((size / LEAF_PX) ** 2)))
    places = sorted(
        (math.atan2(math.sin(i * GOLDEN), math.cos(i * GOLDEN)), size * math.sqrt((i + 0.5) / n) * (n > 1))
        for i in range(n)
    )
    ends = list(accumulate(group.models for group in one.groups))
    radius = min(5.0, 0.42 * size / math.sqrt(n) * 1.6)
    at = 0
    for i, (angle, far) in enumerate(places):
        while at < len(ends) - 1 and (i + 0.5) * ends[-1] / n > ends[at]:
            at += 1
        x, y = far * math.cos(angle), far * math.sin(angle)
        number = one.groups[at].number if one.groups else UNREAD
        yield f'<circle class="g{number}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"></circle>'


def _figure(told: str, half: float, inside: Iterable[str], cls: str = "") -> str:
    """A picture that can be explored, with its tools, which are hidden where no script runs."""
    tools = "".join(
        f'<button type="button" data-do="{verb}" aria-label="{label}" title="{label}">{sign}</button>'
        for verb, label, sign in (
            ("in", "Zoom in", "+"),
            ("out", "Zoom out", "−"),
            ("whole", "Show the whole", "⤢"),
        )
    )
    box = f"{-half:.0f} {-half:.0f} {2 * half:.0f} {2 * half:.0f}"
    return (
        f'<div class="hb-atlas {cls}"><svg class="hb-dots" viewBox="{box}" role="group" '
        f'aria-label="{esc(told)}">'
        f'{"".join(inside)}</svg><div class="hb-tools">{tools}</div></div>'
    )


class _Words:
    """What a picture's concepts are called, in words and in classes."""

    def __init__(self, picture: TreePicture) -> None:
        self.root = picture.tree.root
        self.tags = {concept.name: concept.tag for concept in picture.concepts}
        self.classes = {concept.name: f"c{i}" for i, concept in enumerate(picture.concepts)}
        self.groups = {group.number: name(group) for group in picture.groups}


def _mark(mark: Mark, words: _Words, scale: float = 1, radius: float = 5.5) -> str:
    node, x, y = mark.node, mark.x * scale, mark.y * scale
    classes = [f"g{node.group}" if node.group >= 0 else "g7"]
    classes += [words.classes[label] for label in mark.concepts if label in words.classes]
    if node.folded:
        label = f'<text aria-hidden="true" x="{x:.1f}" y="{y + 2:.1f}">+{_count(node.folded)}</text>'
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7.4"></circle>{label}'
        told = f"and {node.folded:,} more"
        told += f"\n{words.groups.get(node.group, WORDS[MIXED])}"
        return _link(tree_page_of(words.root) + "&from=0", [*classes, "hb-fold"], told, shape)
    if not node.listed and node.parent >= 0:
        radius *= 0.7
    shape = _shape(x, y, radius, merge=bool(node.merged))
    if node.hidden:
        shape += f'<circle class="hb-more" cx="{x:.1f}" cy="{y:.1f}" r="{radius + 2.1:.1f}"></circle>'
    said = ", ".join(words.tags.get(label, label) for label in mark.concepts[:4]) or WORDS.get(node.group, "")
    more = f" and {len(mark.concepts) - 4} more" if len(mark.concepts) > 4 else ""
    kin = f"; {plural(node.below, 'model')} below it" if node.below else ""
    kin += ", not drawn" if node.hidden else ""
    kin += f"; a merge of {1 + len(node.merged)}" if node.merged else ""
    return _link(page_of(node.repo), classes, f"{node.repo}\n{said}{more}{kin}", shape)


def _shape(x: float, y: float, radius: float, *, merge: bool) -> str:
    """A disc, or a square on its corner for a merge."""
    if not merge:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"></circle>'
    r = 1.25 * radius
    return f'<path d="M{x:.1f},{y - r:.1f}l{r:.1f},{r:.1f}l{-r:.1f},{r:.1f}l{-r:.1f},{-r:.1f}Z"></path>'


def _link(address: str, classes: Sequence[str], told: str, shape: str) -> str:
    return f'<a class="{" ".join(classes)}" href="{esc(address)}"><title>{_lined(told)}</title>{shape}</a>'


def _lined(told: str) -> str:
    """Two lines, each of them safe."""
    return "\n".join(esc(line) for line in told.split("\n", 1))


def _lines(marks: Sequence[Mark]) -> str:
    """All lines from parents to children as three paths: sure ones, guessed ones, and of merges."""
    sure: list[str] = []
    guessed: list[str] = []
    merged: list[str] = []
    for mark in marks[1:]:
        parent = marks[mark.node.parent]
        (sure if mark.node.listed or mark.node.folded else guessed).append(_line(parent, mark))
        merged += [_line(marks[i], mark) for i in mark.node.merged]
    drawn = (("hb-lines", sure), ("hb-lines hb-guessed", guessed), ("hb-lines hb-merged", merged))
    return "".join(f'<path class="{cls}" d="{"".join(lines)}"></path>' for cls, lines in drawn if lines)


def _line(start: Mark, end: Mark) -> str:
    """Straight from the root; else bent, leaving and arriving along the way outwards."""
    a, b = math.hypot(start.x, start.y), math.hypot(end.x, end.y)
    if a < 1 or b < 1:
        return f"M{start.x:.1f},{start.y:.1f}L{end.x:.1f},{end.y:.1f}"
    middle = (a + b) / 2
    out = f"{start.x * middle / a:.1f},{start.y * middle / a:.1f}"
    back = f"{end.x * middle / b:.1f},{end.y * middle / b:.1f}"
    return f"M{start.x:.1f},{start.y:.1f}C{out} {back} {end.x:.1f},{end.y:.1f}"


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _count(n: int) -> str:
    if n < 1000:
        return str(n)
    return f"{n / 1000:.0f}k" if n < 1_000_000 else f"{n / 1_000_000:.0f}M"

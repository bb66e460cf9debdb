"""The page of one tree: in numbers, as a picture, as a map, and as a list."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from hubbot import Concept, HubbotError, Library, ModelPage, TreePicture
from space import drawing
from space.markup import (
    NO_TREE,
    chips,
    element,
    esc,
    expert_page_of,
    link,
    page_of,
    percent,
    plural,
    tree_page_of,
)
from space.results import reason

PAGE = 50
"""Models in one page of the list."""

FIRST, MOST = 10, 200
"""Concepts that are listed at once, and at all."""

BACK = element("nav", link("/?trees=", "← all trees"), cls="hb-back")
WAIT = element(
    "section", element("h2", "Map"), element("p", "The map is being drawn…", cls="hb-quiet hb-busy")
)


def tree_page(library: Library, asked: str) -> str:
    """What one tree is and how it looks; `tree_map` and `tree_members` go on from there."""
    if asked == NO_TREE:
        return element("article", BACK, element("h1", "In no tree"), cls="hb-model")
    picture = library.tree(asked)
    if picture is None:
        told = f"hubbot knows no tree called {esc(asked)}."
        return element("article", BACK, element("p", told, cls="hb-note"), cls="hb-model")
    parts = [BACK, _title(library, picture), _counts(picture)]
    if picture.tree.members:
        parts += [_picture(picture), _concepts(picture)]
    return element("article", *parts, cls="hb-model")


def tree_map(library: Library, asked: str) -> str:
    """The map of what was read in a tree, or why there is none; nothing where there is no such tree."""
    try:
        picture, found = library.tree(asked), library.map(asked)
    except HubbotError as error:
        return element("section", element("h2", "Map"), element("p", esc(str(error)), cls="hb-note"))
    if picture is None or not picture.tree.members:
        return ""
    title = element("h2", "Map of what was read")
    if found is None or not found.marks:
        told = (
            "Nothing was read in this tree, so there is nothing to map."
            if found is None
            else f"{plural(found.models, 'model')} can be compared so far. From {found.fewest} on that "
            "differ, a map says something."
        )
        return element("section", title, element("p", told, cls="hb-quiet"))
    told = (
        f"{plural(found.models, 'model')}, those read last by {esc(found.expert)}: side by side where its "
        f"{found.by} are alike (t-SNE). Only nearness means something; axes and distances across do not."
    )
    if found.left_out:
        told += f" {found.left_out:,} others were read earlier, or by another version, and are left out."
    figure = drawing.chart(found, picture) + drawing.key(found.groups)
    return element(
        "section", title, element("p", told, cls="hb-lede"), element("div", figure, cls="hb-explore")
    )


def tree_members(library: Library, asked: str, more: Mapping[str, str]) -> str:
    """A page of a tree's models, with what was read or why nothing was."""
    root, label = None if asked == NO_TREE else asked, more.get("label") or None
    start = int(more["from"]) if more.get("from", "").isascii() and more.get("from", "").isdigit() else 0
    start = min(start, 10**9) // PAGE * PAGE
    pages, total = library.page(root, PAGE, offset=start, label=label)
    if not total and label is None:
        return ""
    title = element("h2", "Models")
    told = f"{start + 1:,}–{start + len(pages):,} of {plural(total, 'model')}" if pages else "None here"
    told += f" in which {element('strong', esc(_tag(library, root, label)))} was recognised" if label else ""
    told += ", the newest first."
    told += f" {link(tree_page_of(root), 'All of the tree')}" if label else ""
    rows = (
        element("li", link(page_of(page.upload.repo), esc(page.upload.repo), cls="hb-repo"), _said(page))
        for page in pages
    )
    listed = element("ul", *rows, cls="hb-trees")
    ways = _ways(root, label, start, len(pages), total)
    return f'<section id="hb-members">{title}{element("p", told, cls="hb-quiet")}{listed}{ways}</section>'


def _title(library: Library, picture: TreePicture) -> str:
    tree = picture.tree
    told = link(library.address(tree.root), "the root on the Hub ↗", away=True)
    if tree.expert:
        told += f" · read by {link(expert_page_of(tree.expert), esc(tree.expert))}"
    else:
        told += " · no expert reads it yet"
    if tree.aliases:
        told += " · also known by " + ", ".join(esc(alias) for alias in tree.aliases[:3])
    return element(
        "header",
        element("div", element("h1", esc(tree.root), cls="hb-repo"), element("p", told, cls="hb-quiet")),
    )


def _counts(picture: TreePicture) -> str:
    tree = picture.tree
    parts = (
        ("models", tree.members, ""),
        ("read", tree.readings, "hb-read"),
        ("no answer", tree.abstentions, "hb-silent"),
        ("not read", picture.unread, "hb-unread"),
        ("concepts recognised", len(picture.concepts), ""),
    )
    cells = (
        element("div", element("dt", element("i", cls=cls) if cls else "", word), element("dd", f"{count:,}"))
        for word, count, cls in parts
    )
    bar = drawing.shares(tree.readings, tree.abstentions, picture.unread)
    return element("dl", *cells, cls="hb-counts") + bar


def _picture(picture: TreePicture) -> str:
    hidden = picture.tree.members - picture.models
    told = "Each mark is a model, each line leads from a parent to a child, a square is a merge. "
    told += "Its colour is what was recognised in it with the most certainty. "
    if hidden > 0:
        told += f"{hidden:,} of {picture.tree.members:,} are not drawn: they are counted in marks with a +, "
        told += "or below one with a ring. "
    hint = "Ctrl and wheel, pinch or + and − zoom, dragging moves; the arrow keys go from model to model."
    figure = drawing.tree(picture) + drawing.key(picture.groups)
    return element(
        "section",
        element("h2", "The tree"),
        element("p", told, cls="hb-lede"),
        element("div", figure, cls="hb-explore"),
        element("p", hint, cls="hb-quiet hb-hint"),
    )


def _concepts(picture: TreePicture) -> str:
    known = picture.concepts[:MOST]
    if not known:
        return ""
    most = known[0].models
    rows = [_concept(picture, concept, most) for concept in known]
    told = "In how many models each was recognised. A model may know several."
    listed = element("ul", *rows[:FIRST], cls="hb-bars hb-tally")
    if len(rows) > FIRST:
        summary = element("summary", f"{plural(len(picture.concepts) - FIRST, 'more concept')}")
        listed += element("details", summary, element("ul", *rows[FIRST:], cls="hb-bars hb-tally"))
    return element(
        "section", element("h2", "What its models know"), element("p", told, cls="hb-lede"), listed
    )


def _concept(picture: TreePicture, concept: Concept, most: int) -> str:
    name = link(_filtered(picture.tree.root, concept.name), drawing.swatch(concept.group) + esc(concept.text))
    width = f'<span class="hb-track"><i style="width:{100 * concept.models / most:.1f}%"></i></span>'
    share = percent(concept.models / max(1, picture.tree.readings))
    count = f'<span class="hb-number" title="{share} of those read">{concept.models:,}</span>'
    return element("li", name, width, count, cls="hb-bar")


def _filtered(root: str | None, label: str | None, start: int = 0) -> str:
    return (
        tree_page_of(root) + (f"&label={quote(label, errors='replace')}" if label else "") + f"&from={start}"
    )


def _ways(root: str | None, label: str | None, start: int, shown: int, total: int) -> str:
    ways = []
    if start:
        ways.append(link(_filtered(root, label, max(0, start - PAGE)), "← newer"))
    if start + shown < total and shown:
        ways.append(link(_filtered(root, label, start + PAGE), "older →"))
    return f'<nav class="hb-ways" aria-label="Pages of models">{"".join(ways)}</nav>' if ways else ""


def _tag(library: Library, root: str | None, label: str | None) -> str:
    picture = library.tree(root) if root else None
    known = {concept.name: concept.text for concept in picture.concepts} if picture else {}
    return known.get(label or "", label or "")


def _said(page: ModelPage) -> str:
    reading = page.reading
    if reading is None:
        return element("span", "not read", cls="hb-quiet")
    if reading.abstention:
        return element("span", esc(reason(reading)), cls="hb-quiet")
    if not reading.recognised:
        return element("span", "nothing recognised", cls="hb-quiet")
    return chips(page.label(p.label).tag for p in reading.recognised)

"""The trees: all of them, and the page of one."""

from __future__ import annotations

from hubbot import Library, ModelPage
from space.markup import NO_TREE, chips, element, esc, link, page_of, plural, tree_page_of
from space.results import reason


def forest_page(library: Library) -> str:
    """All trees, and what was read in them."""
    return element("article", element("h1", "Model trees"), overview(library), cls="hb-model")


def overview(library: Library) -> str:
    """The trees and what was read in them."""
    trees, counts = library.trees(), library.counts()
    if not counts["uploads"]:
        return element("p", "Nothing has been read yet. The bot fills this page as it goes.", cls="hb-note")
    rows = [
        _row(tree.root, tree.root, _tree_facts(tree.members, tree.readings, tree.expert)) for tree in trees
    ]
    if counts["unplaced"]:
        rows.append(_row("in no tree", None, plural(counts["unplaced"], "model")))
    told = (
        f"{plural(counts['uploads'], 'upload')} seen, {counts['readings']:,} read, {counts['abstentions']:,} "
        "left without an answer, each for a recorded reason."
    )
    return element("p", told, cls="hb-lede") + element("ul", *rows, cls="hb-trees")


def tree_page(library: Library, asked: str) -> str:
    """All models of one tree, with what was read or why nothing was."""
    root = None if asked == NO_TREE else asked
    pages = library.members(root)
    top = element("nav", link("/?trees=", "← all trees"), cls="hb-back")
    title = element("h1", esc(root), cls="hb-repo") if root else element("h1", "In no tree")
    told = element("p", plural(len(pages), "model") + ", the newest first", cls="hb-quiet")
    rows = (
        element("li", link(page_of(page.upload.repo), esc(page.upload.repo), cls="hb-repo"), _said(page))
        for page in pages
    )
    return element("article", top, title, told, element("ul", *rows, cls="hb-trees"), cls="hb-model")


def _row(name: str, root: str | None, told: str) -> str:
    there = link(tree_page_of(root), esc(name), cls="hb-repo" if root else "")
    return element("li", there, element("span", told, cls="hb-quiet"))


def _said(page: ModelPage) -> str:
    reading = page.reading
    if reading is None:
        return element("span", "not read", cls="hb-quiet")
    if reading.abstention:
        return element("span", esc(reason(reading)), cls="hb-quiet")
    return chips(page.label(p.label).tag for p in reading.recognised)


def _tree_facts(members: int, readings: int, expert: str | None) -> str:
    if expert is None:
        return f"{plural(members, 'model')} · no expert yet"
    return f"{plural(members, 'model')} · {readings:,} read by {esc(expert)}"

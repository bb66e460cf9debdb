"""The forest: all trees at a glance."""

from __future__ import annotations

from hubbot import Crown, Library
from space import drawing
from space.markup import element, esc, expert_page_of, link, plural, tree_page_of

LISTED = 500
"""Trees beside the drawn ones that are named."""


def forest_page(library: Library) -> str:
    """All trees, and what was read in them."""
    return element("article", element("h1", "Model trees"), overview(library), cls="hb-model")


def overview(library: Library) -> str:
    """The trees as they stand, and what was read in them."""
    forest, counts = library.forest(), library.counts()
    if not counts["uploads"]:
        return element("p", "Nothing has been read yet. The bot fills this page as it goes.", cls="hb-note")
    told = (
        f"{plural(counts['uploads'], 'upload')} seen, {counts['readings']:,} read, {counts['abstentions']:,} "
        "left without an answer, each for a recorded reason. The larger a crown, the more models; its leaves "
        "have the colours of what was recognised in those read last."
    )
    largest = max((one.tree.members for one in forest.crowns), default=1)
    stands = (_stand(one, largest) for one in forest.crowns)
    parts = [element("p", told, cls="hb-lede"), element("ul", *stands, cls="hb-forest")]
    drawn = {one.tree.root for one in forest.crowns}
    rest = [tree for tree in forest.trees if tree.members and tree.root not in drawn]
    rows = [_row(tree.root, tree.root, plural(tree.members, "model")) for tree in rest[:LISTED]]
    if len(rest) > LISTED:
        rows.append(
            element("li", element("span", f"and {len(rest) - LISTED:,} smaller trees", cls="hb-quiet"))
        )
    if counts["unplaced"]:
        rows.append(_row("in no tree", None, plural(counts["unplaced"], "model")))
    return "".join(parts) + (element("ul", *rows, cls="hb-trees hb-small") if rows else "")


def _stand(one: Crown, largest: int) -> str:
    tree = one.tree
    name = link(tree_page_of(tree.root), _breakable(tree.root), cls="hb-repo hb-cover")
    picture = element("div", drawing.crown(one, largest), cls="hb-stands")
    told = plural(tree.members, "model")
    parts = [f"{tree.readings:,} read"] if tree.readings else []
    parts += [f"{tree.abstentions:,} no answer"] if tree.abstentions else []
    parts += [f"{one.unread:,} not read"] if one.unread else []
    who = link(expert_page_of(tree.expert), esc(tree.expert)) if tree.expert else "no expert yet"
    words = (element("li", drawing.swatch(concept.group), esc(concept.tag)) for concept in one.main)
    caption = element(
        "div",
        element("p", name, cls="hb-name"),
        element("p", element("strong", told), " · ", who, cls="hb-size"),
        drawing.shares(tree.readings, tree.abstentions, one.unread),
        element("p", " · ".join(parts), cls="hb-quiet"),
        element("ul", *words, cls="hb-words") if one.main else "",
    )
    return element("li", picture, caption)


def _row(name: str, root: str | None, told: str) -> str:
    there = link(tree_page_of(root), esc(name), cls="hb-repo" if root else "")
    return element("li", there, element("span", told, cls="hb-quiet"))


def _breakable(name: str) -> str:
    return esc(name).replace("/", "/<wbr>")

"""A model among others: where it stands in its tree, and whose weights were read most like its own."""

from __future__ import annotations

from hubbot import Glance, Hit, Library, ModelPage, Upload
from space.markup import element, esc, link, page_of, percent, picture, plural, spoken, tree_page_of
from space.tile import tile

NEAREST = 6
ALIKE = 0.5
"""From this share on two models are called alike."""
COUNTED = 1000
"""Kin are counted up to here."""


def nearest(library: Library, page: ModelPage) -> str:
    """The models that were read most like it."""
    hits = library.nearest(page.upload.repo, NEAREST)
    title = element("h2", "Nearest models")
    if not hits:
        read = page.reading is not None and page.reading.abstention is None
        none = element("p", "No other model that was read resembles it.", cls="hb-quiet")
        return element("section", title, none) if read else ""
    told = (
        "Models whose weights say that they were trained on the same, whatever their cards say. The "
        "percentage is the share of it that both are expected to have in common."
    )
    if hits[0].score < ALIKE:
        told += " None is very like this one."
    rows = element("ol", *(_near(library, hit) for hit in hits), cls="hb-near")
    return element("section", title, element("p", told, cls="hb-quiet"), rows)


def shown_of(library: Library, model: Upload | Glance, *concepts: str) -> str:
    """The picture that a repo has of itself, before a tile of what it knows, which stays if the picture
    fails."""
    address, drawn = library.picture(model), tile(*concepts)
    if not address:
        return drawn
    return element("span", drawn, picture(address, f"A picture from {model.repo}"), cls="hb-picture hb-shown")


BLANK = '<span class="hb-blank"></span>'


def _near(library: Library, hit: Hit) -> str:
    known = hit.glance.recognised if hit.glance else hit.because
    names = [p.label for p in known]
    told = element(
        "span", esc(", ".join(map(spoken, names)) or "nothing recognised with certainty"), cls="hb-quiet"
    )
    return element(
        "li",
        (shown_of(library, hit.glance, *names) if hit.glance else tile(*names)) or BLANK,
        element("div", link(page_of(hit.repo), esc(hit.repo), cls="hb-repo"), told),
        element("strong", percent(hit.score), cls="hb-number"),
    )


def place(library: Library, page: ModelPage) -> str:
    """Its ancestors as a path, and its siblings and children."""
    family = library.family(page)
    repo, tree = page.upload.repo, page.placement.tree if page.placement else None
    if not (family.ancestors or family.children.count or tree):
        return ""
    steps = [element("li", link(page_of(name), esc(name), cls="hb-repo")) for name in family.ancestors]
    steps.append(f'<li aria-current="page">{element("span", esc(repo), cls="hb-repo")}</li>')
    parts = [element("h2", "Its place in the tree"), element("ol", *steps, cls="hb-path")]
    for brood, one, many in (
        (family.siblings, "sibling", "siblings"),
        (family.children, "child", "children"),
    ):
        if brood.count:
            parts.append(_kin(brood.names, brood.count, one, many))
    if tree:
        parts.append(element("p", link(tree_page_of(tree), f"the whole tree of {esc(tree)}")))
    return element("section", *parts)


def _kin(names: tuple[str, ...], count: int, one: str, many: str) -> str:
    number = f"more than {COUNTED:,} {many}" if count > COUNTED else plural(count, one, many)
    items = [element("li", link(page_of(name), esc(name), cls="hb-repo")) for name in names]
    if count > len(names):
        items.append(element("li", f"and {count - len(names):,} more" if count <= COUNTED else "and more"))
    return element("h3", number) + element("ul", *items, cls="hb-kin")

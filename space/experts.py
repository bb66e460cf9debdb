"""The experts: who they are, and what one of them can be trusted with."""

from __future__ import annotations

from hubbot import ExpertInfo, Library
from space.markup import element, esc, expert_page_of, facts, link, plural, tree_page_of


def experts_page(library: Library) -> str:
    """All experts, the newest version of each."""
    newest = {info.name: info for info in library.experts()}
    rows = (
        element(
            "li",
            link(expert_page_of(name), esc(name), cls="hb-repo"),
            element("span", f"{esc(info.tree)} · {plural(len(info.labels), 'label')}", cls="hb-quiet"),
        )
        for name, info in sorted(newest.items())
    )
    title = element("h1", "Experts")
    return element("article", title, element("ul", *rows, cls="hb-trees"), cls="hb-model")


def expert_page(library: Library, name: str) -> str:
    """The newest version of one expert."""
    found = [info for info in library.experts() if info.name == name]
    top = element("nav", link("/?experts=", "← all experts"), cls="hb-back")
    if not found:
        return top + element("p", f"There is no expert called {esc(name)}.", cls="hb-note")
    return element("article", top, _title(found[-1]), cls="hb-model")


def _title(info: ExpertInfo) -> str:
    tree = link(tree_page_of(info.tree), element("code", esc(info.tree)))
    told = element("h1", esc(info.name), cls="hb-repo") + element(
        "p", "reads the tree of ", tree, cls="hb-quiet"
    )
    scores = [(name.replace("_", " "), f"{value:.1%}") for name, value in info.scores.items()]
    return element("header", element("div", told)) + facts(scores)

"""Small pieces of HTML. Whatever comes from the Hub passes through `esc` before it meets a tag."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, urlsplit

KILO = 1000.0
WHOLE_PICTURE = re.compile(r"data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")
"""Of a drawn kind, in which no script can stand."""
NO_TREE = "none"
"""Stands in an address for the models of no tree; no repo is called so, since repos have owners."""


def esc(text: object) -> str:
    """Text that is safe inside tags and in quoted attributes, whoever wrote it.

    Braces and dollars are escaped too, since Gradio looks for templates in what it shows. What cannot be seen
    is shown as such: it could turn the words around it, and half a letter cannot be sent at all.
    """
    safe = escape("".join(map(_visible, str(text))), quote=True)
    return safe.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def _visible(letter: str) -> str:
    if letter.isprintable() or letter.isspace():
        return letter if letter.isprintable() else " "
    return "\ufffd"


def element(tag: str, *inside: str, cls: str = "") -> str:
    """A tag around finished HTML."""
    return f'<{tag} class="{cls}">{"".join(inside)}</{tag}>' if cls else f"<{tag}>{''.join(inside)}</{tag}>"


def link(address: str, text: str, *, cls: str = "", away: bool = False) -> str:
    """A link around finished HTML, to the web or within the Space; `away` opens it in a tab of its own."""
    if not address.startswith("/?") and urlsplit(address).scheme not in ("http", "https"):
        return text
    target = ' target="_blank" rel="noopener noreferrer"' if away else ""
    return f'<a class="{cls}" href="{esc(address)}"{target}>{text}</a>'


def picture(address: str, alt: str) -> str:
    """A picture from the web, which is told nothing of who looks, or one that its address holds whole."""
    if not WHOLE_PICTURE.fullmatch(address):  # nothing in one needs to be escaped, which takes its time
        if urlsplit(address).scheme not in ("http", "https"):
            return ""
        address = esc(address)
    return (
        f'<img class="hb-photo" src="{address}" alt="{esc(alt)}" loading="lazy" referrerpolicy="no-referrer">'
    )


def quoted(text: str) -> str:
    """Text as it may stand in an address, whatever a visitor sent."""
    return quote(text, errors="replace")


def page_of(repo: str, query: str = "") -> str:
    """The address of a model's page; the query leads back to where the reader came from."""
    return f"/?model={quote(repo, errors='replace')}" + (
        f"&q={quote(query, errors='replace')}" if query else ""
    )


def search_of(query: str) -> str:
    """The address of a search."""
    return f"/?q={quoted(query)}"


def tree_page_of(root: str | None) -> str:
    """The address of a tree's page; of the models in no tree for None."""
    return f"/?tree={quoted(root or NO_TREE)}"


def expert_page_of(name: str) -> str:
    """The address of an expert's page."""
    return f"/?expert={quoted(name)}"


WAYS = (("", "Search", "/?"), ("trees", "Trees", "/?trees="), ("experts", "Experts", "/?experts="))
BELOW = {"model": "", "tree": "trees", "expert": "experts"}
"""Under which of the ways a page lies."""


REVIEW = ("review", "Review", "/review")


def navigation(page: str, *, review: bool = False) -> str:
    """The ways through the Space, with the one that leads to this page marked.

    Args:
        review: whether there is a page for admins.
    """
    here = BELOW.get(page, page)
    current = {here: ' aria-current="page"'}
    shown = (*WAYS, REVIEW) if review else WAYS
    ways = (f'<a href="{address}"{current.get(name, "")}>{told}</a>' for name, told, address in shown)
    return f'<nav aria-label="hubbot">{"".join(ways)}</nav>'


def bar(text: str, probability: float, *, cls: str = "") -> str:
    """A label with its probability as a bar and a number."""
    width = f'<span class="hb-track"><i style="width:{100 * probability:.1f}%"></i></span>'
    name, number = (
        element("span", esc(text), cls="hb-name"),
        element("span", percent(probability), cls="hb-number"),
    )
    return element("li", name, width, number, cls=f"hb-bar {cls}".strip())


def chips(words: Iterable[str], *, cls: str = "") -> str:
    """Short words side by side."""
    return element("ul", *(element("li", esc(word)) for word in words), cls=f"hb-chips {cls}".strip())


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and finished HTML in two columns."""
    return element(
        "dl", *(f"<div><dt>{esc(name)}</dt><dd>{value}</dd></div>" for name, value in rows), cls="hb-facts"
    )


def percent(share: float) -> str:
    """A probability for people: never 0% or 100%, which nobody can know."""
    if 0 < share < 0.01:
        return "&lt;1%"
    if 0.99 < share < 1:
        return "&gt;99%"
    return f"{share:.0%}"


def size(count: float) -> str:
    """Bytes for people, in powers of ten as the Hub counts them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < KILO:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= KILO
    return f"{count:.1f} TB"


def shortly(name: str) -> str:
    """The end of a long dotted name, which says most."""
    parts = name.split(".")
    return name if len(parts) <= 4 else "…" + ".".join(parts[-4:])


def count(number: int) -> str:
    """A number of things for people: 950, 1.2k, 34k, 1.5M."""
    for unit, size_of in (("M", 1_000_000), ("k", 1_000)):
        if number >= size_of:
            share = number / size_of
            return f"{share:.1f}{unit}" if share < 10 else f"{share:.0f}{unit}"
    return str(number)


def plural(count: int, one: str, many: str = "") -> str:
    """`1 tree`, `3 trees`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def breakable(name: str) -> str:
    """A long dotted name that may break after its dots."""
    return esc(name).replace(".", ".<wbr>").replace("/", "/<wbr>")


def sentence(text: str, capital: bool = True) -> str:
    """Text from a record as a sentence, with a capital and a stop."""
    text = text.strip()
    first = text.split(" ", 1)[0]
    if capital and first.isalpha() and first != "hubbot":  # names of repos and tensors stay as they are
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def spoken(name: str) -> str:
    """A label's name as people say it."""
    return name.replace("-", " ").replace("_", " ")

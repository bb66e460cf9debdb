"""What an admin sees of a suggestion: what it was made from, how the card changes, what its owner reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from markdown_it import MarkdownIt

from hubbot import Desk, Library, ModelPage, Suggestion
from space.markup import (
    bar,
    element,
    esc,
    expert_page_of,
    facts,
    link,
    page_of,
    percent,
    plural,
    size,
    tree_page_of,
)
from space.results import HOW

STATES = {
    "draft": "Drafted, and seen by nobody outside.",
    "approved": "Approved. The bot opens it when its mode and manners allow.",
    "opening": "Being opened.",
    "open": "Open. Its owner decides.",
    "merged": "Merged by its owner.",
    "closed": "Closed by its owner: silence for good.",
    "rejected": "Rejected by an admin.",
    "refused": "Refused by the bot itself.",
}
"""In the order in which an admin cares for them."""

CONTEXT = 3
"""Lines around each change."""
LONGEST_DIFF = 400
"""Lines."""

NO_BASE = "An older hubbot drafted this and did not write down the card as it was. “Start over” does."


def markdown(text: str) -> str:
    """Somebody's Markdown as HTML in which nothing runs and nothing is fetched.

    Tags in it are shown as text, pictures as their links; what Gradio would take for a template is no more.
    """
    renderer = MarkdownIt("commonmark", {"html": False}).disable("image")
    html: str = renderer.render("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text))
    html = html.replace("<a href=", '<a rel="noopener noreferrer nofollow" target="_blank" href=')
    return html.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def diff(old: str, new: str) -> str:
    """Two texts as one, with signs and colours for what goes and comes, and a few lines around."""
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT))[2:]
    rows = [_row(line) for line in lines[:LONGEST_DIFF]]
    if len(lines) > LONGEST_DIFF:
        rows.append(element("span", f"… and {plural(len(lines) - LONGEST_DIFF, 'line')} more", cls="hb-at"))
    told = 'role="region" tabindex="0" aria-label="README.md, as it would change"'
    return f'<pre class="hb-diff" {told}>{"".join(rows)}</pre>'


def _row(line: str) -> str:
    kind = {"+": "hb-add", "-": "hb-del", "@": "hb-at"}.get(line[:1], "hb-same")
    if kind == "hb-at":
        return element("span", esc(line.strip("@ ")), cls=kind)
    said = {"hb-add": element("ins", esc(line[1:]) or " "), "hb-del": element("del", esc(line[1:]) or " ")}
    return element("span", element("b", esc(line[:1])), said.get(kind, esc(line[1:]) or " "), cls=kind)


def docket(library: Library, desk: Desk, repo: str) -> str:
    """All of one suggestion."""
    suggestion, page = desk.suggestion(repo), library.model(repo)
    if suggestion is None or page is None:
        return element("p", f"There is no suggestion for {esc(repo)}.", cls="hb-note")
    return element("article", *_parts(library, suggestion, page), cls="hb-docket")


def _parts(library: Library, suggestion: Suggestion, page: ModelPage) -> Iterator[str]:
    name = link(page_of(suggestion.repo), esc(suggestion.repo))
    away = link(library.address(suggestion.repo), "on the Hub ↗", cls="hb-hub", away=True)
    yield element("header", element("h2", name, cls="hb-repo"), away)
    state = suggestion.state.value
    told = element("strong", esc(state), cls=f"hb-state hb-is-{state}") + " " + STATES.get(state, "")
    yield element("p", told, cls="hb-quiet")
    if suggestion.reason:
        yield element("p", esc(suggestion.reason), cls="hb-note")
    if suggestion.pull_request:
        yield element("p", link(suggestion.pull_request, "the pull request ↗", away=True))
    yield _what_was_read(page)
    if suggestion.new_text:
        yield element("h3", "How its README changes")
        if suggestion.old_text is None:
            added = "".join(_row(f"+{line}") for line in suggestion.added)
            yield element("pre", added, cls="hb-diff") + element("p", NO_BASE, cls="hb-quiet")
        else:
            yield diff(suggestion.old_text, suggestion.new_text)
        commit = element("code", esc(suggestion.base_commit[:8]))
        yield element("p", f"on commit {commit}; nothing else of it is touched", cls="hb-quiet")
    if suggestion.title:
        yield element("h3", "What its owner reads")
        title = element("p", esc(suggestion.title), cls="hb-title")
        yield element("div", title, markdown(suggestion.body), cls="hb-letter")


def _what_was_read(page: ModelPage) -> str:
    reading, placement = page.reading, page.placement
    if reading is None:
        return ""
    known = [bar(page.label(p.label).text, p.probability) for p in reading.recognised]
    rows = []
    if placement and placement.tree:
        tree = link(tree_page_of(placement.tree), element("code", esc(placement.tree)))
        rows.append(("tree", f"{tree}, {HOW[placement.how.value]}"))
    if reading.expert:
        expert = link(expert_page_of(reading.expert), esc(reading.expert))
        precision = page.expert.scores.get("precision") if page.expert else None
        right = f", right in {percent(precision)} of what it names" if precision else ""
        rows.append(("read by", f"{expert} {element('code', esc(reading.version[:8]))}{right}"))
    if reading.tensors_read:
        what = f"{len(reading.tensors_read)} of {plural(reading.stored_tensors, 'tensor')}"
        rows.append(("read", f"{what}, {size(reading.bytes_read)} of {size(reading.bytes_stored)}"))
    said = element("ul", *known, cls="hb-bars") if known else element("p", "Nothing is recognised.")
    return element("h3", "What was read, and how sure it is") + said + facts(rows)

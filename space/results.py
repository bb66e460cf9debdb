"""What a search gives: cards, or an honest word."""

from __future__ import annotations

from hubbot import Hit, HubbotError, Library, ModelPage, Reading
from space.markup import bar, chips, element, esc, link, page_of, percent, picture, plural

SURE, LIKELY = 0.9, 0.5

RECENT = 20
"""Models of a tree among which an example is looked for."""

HOW = {
    "root": "the root itself",
    "declared": "as its card declares",
    "recovered": "recovered from its weights",
    "both": "declared, and confirmed by its weights",
    "conflict": "by its weights, against its card",
    "unplaced": "in no tree",
}


def answer(library: Library, query: str, tree: str | None, limit: int) -> str:
    """The results of one search, or what kept it from having any."""
    try:
        found = library.search(query, tree=tree, limit=limit)
    except HubbotError as error:
        return element("p", esc(f"The search cannot be made just now: {error}"), cls="hb-note")
    note = element("p", esc(found.note), cls="hb-note") if found.note else ""
    if not found.hits:
        return note
    taken = " or ".join(f"“{text}”" for text, _ in found.understood[:3])
    how = f"taken for {esc(taken)}" if taken else "by their weights alone: no expert knows this by name"
    head = (
        f"{plural(len(found.hits), 'model')}, {how}. The percentage is the calibrated "
        "chance that a model was trained on that."
    )
    cards = (_card(library, hit, query) for hit in found.hits)
    return note + element("p", head, cls="hb-lede") + element("ol", *cards, cls="hb-cards")


def reason(reading: Reading) -> str:
    """Why there is no answer, without the repo's name, which stands above it."""
    return reading.abstention.text.removeprefix(f"{reading.repo}: ") if reading.abstention else ""


def examples(library: Library) -> list[str]:
    """Things to ask: for each tree one that a model of it was read to know, and one that nobody knows."""
    found: list[str] = []
    for i, tree in enumerate(dict.fromkeys(expert.tree for expert in library.experts())):
        texts = [
            page.label(prediction.label).text
            for page in library.members(tree, RECENT)
            for prediction in (page.reading.recognised if page.reading else ())
        ]
        found += [text for text in texts[i:] + texts[:i] if text not in found][:1]
    return [*found[-4:], "a recipe for soup"] if found else []


def _card(library: Library, hit: Hit, query: str) -> str:
    page = library.model(hit.repo)
    name = link(page_of(hit.repo, query), esc(hit.repo), cls="hb-repo hb-cover")
    score = element("strong", percent(hit.score)) + element("small", _word(hit.score))
    reasons = element("ul", *(bar(_text(page, p.label), p.probability) for p in hit.because), cls="hb-bars")
    foot = [element("span", f"{esc(hit.tree)} · {_how(page)}", cls="hb-quiet")]
    foot.append(link(library.address(hit.repo), "on the Hub ↗", cls="hb-hub", away=True))
    return element(
        "li",
        element("header", element("h3", name), element("p", score, cls="hb-score")),
        reasons,
        _others(page, hit),
        element("footer", *foot),
        shown_of(library, page),
        cls="hb-card",
    )


def shown_of(library: Library, page: ModelPage | None) -> str:
    """The picture that a repo has of itself; nothing where it has none."""
    address = library.picture(page.upload) if page else None
    return picture(address, f"A picture from {page.upload.repo}") if page and address else ""


def _others(page: ModelPage | None, hit: Hit) -> str:
    """What else the model knows, so that a card says what it is."""
    if page is None or page.reading is None:
        return ""
    shown = {p.label for p in hit.because}
    others = [page.label(p.label).tag for p in page.reading.recognised if p.label not in shown]
    return element("div", "also", chips(others), cls="hb-also") if others else ""


def _text(page: ModelPage | None, label: str) -> str:
    return page.label(label).text if page else label


def _how(page: ModelPage | None) -> str:
    return HOW.get(page.placement.how.value, "") if page and page.placement else "placed by hand"


def _word(score: float) -> str:
    if score >= SURE:
        return "very likely"
    return "likely" if score >= LIKELY else "unsure"

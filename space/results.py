"""What a search gives: cards, or an honest word."""

from __future__ import annotations

from hubbot import Facet, Glance, Hit, HubbotError, Library, Reading, SearchAnswer
from space.markup import (
    bar,
    chips,
    count,
    element,
    esc,
    link,
    page_of,
    percent,
    plural,
    search_of,
    shortly,
)
from space.relatives import shown_of

SURE, LIKELY = 0.9, 0.5

RECENT = 20
"""Models of a tree among which an example is looked for."""

FACETS = 18
"""Concepts that are shown before anybody has asked."""

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
        hint = f" ({error.hint})" if error.hint else ""
        return element("p", esc(f"This cannot be searched for: {error}{hint}"), cls="hb-note")
    note = element("p", esc(found.note), cls="hb-note") if found.note else ""
    if not found.hits:
        return note
    cards = (_card(library, hit, query) for hit in found.hits)
    return note + _lede(found, query) + element("ol", *cards, cls="hb-cards")


def waiting() -> str:
    """What stands where the results will be, while they are looked for."""
    card = '<li class="hb-card hb-waiting" aria-hidden="true"><i></i><i></i><i></i></li>'
    return '<p class="hb-lede" role="status">Looking …</p>' + element("ol", card * 3, cls="hb-cards")


def _lede(found: SearchAnswer, query: str) -> str:
    """What the results are, and where else they may lead."""
    models = plural(len(found.hits), "model")
    meaning = "The percentage is the calibrated chance that a model is what you asked for."
    if not found.understood and any(hit.because and not hit.because[0].recognised for hit in found.hits):
        models += ", by their weights alone: no expert knows this by name"
    told = element("p", f"{models}. {meaning}", cls="hb-lede")
    if not found.facets:
        return told
    return told + element("div", element("span", "taken for"), _narrower(found.facets, query), cls="hb-taken")


def _narrower(facets: tuple[Facet, ...], query: str) -> str:
    """Concepts that lead to the models in which they were recognised."""
    return element(
        "ul",
        *(
            element(
                "li",
                link(
                    search_of(_narrowed(query, facet.tag)),
                    f"{esc(facet.text)} {element('b', count(facet.models))}",
                ),
            )
            for facet in facets
        ),
        cls="hb-facets",
    )


def _narrowed(query: str, tag: str) -> str:
    asked = f'tag:"{tag}"' if " " in tag else f"tag:{tag}"
    return query if asked in query else f"{query} {asked}".strip()


def concepts(library: Library) -> str:
    """What was recognised most, and in how many models."""
    facets = library.facets()[:FACETS]
    if not facets:
        return ""
    return element("h2", "Recognised most") + _narrower(facets, "")


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


# --- a card --------------------------------------------------------------------------------------


def _card(library: Library, hit: Hit, query: str) -> str:
    glance = hit.glance
    if glance is None:  # its rows went between the search and now
        return ""
    name = link(page_of(hit.repo, query), esc(hit.repo), cls="hb-repo hb-cover")
    score = element("strong", percent(hit.score)) + element("small", _word(hit.score))
    reasons = (bar(library.label(glance, p.label).text, p.probability) for p in hit.because)
    return element(
        "li",
        element("header", element("h3", name), element("p", score, cls="hb-score")),
        element("ul", *reasons, cls="hb-bars"),
        _others(library, glance, hit),
        _foot(library, glance),
        shown_of(library, glance, *(library.label(glance, p.label).name for p in glance.recognised)),
        cls="hb-card",
    )


def _foot(library: Library, glance: Glance) -> str:
    """Where it stands, and what is known of it beside its weights."""
    how = HOW.get(glance.how.value, "") if glance.how else "placed by hand"
    facts = [f"{esc(glance.tree)}, {how}"]
    facts += [esc(glance.license)] if glance.license else []
    facts += [f"{count(glance.downloads)} downloads"] if glance.downloads else []
    facts += (
        [f"read from {element('code', esc(shortly(glance.tensors_read[0])))}"] if glance.tensors_read else []
    )
    told = element("p", " · ".join(facts), cls="hb-quiet")
    like = link(search_of(f"like:{glance.repo}"), "more like this", cls="hb-hub")
    away = link(library.address(glance.repo), "on the Hub ↗", cls="hb-hub", away=True)
    return element("footer", told, element("p", like, away, cls="hb-ways"))


def _others(library: Library, glance: Glance, hit: Hit) -> str:
    """What else the model knows, so that a card says what it is."""
    shown = {p.label for p in hit.because}
    others = [library.label(glance, p.label).tag for p in glance.recognised if p.label not in shown]
    return element("div", "also", chips(others), cls="hb-also") if others else ""


def _word(score: float) -> str:
    if score >= SURE:
        return "very likely"
    return "likely" if score >= LIKELY else "unsure"

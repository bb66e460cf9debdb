"""The page of one model: what was read, why it is believed, and what the owner says."""

from __future__ import annotations

from hubbot import Library, ModelPage, Reading
from space.markup import bar, chips, element, esc, facts, link, percent, plural, quoted, size, tree_page_of
from space.results import HOW, reason, shown_of

SOURCES = {
    "card": "card",
    "tag": "tags",
    "adapter_config": "adapter config",
    "weights": "weights",
    "root": "known root",
}

STATES = {
    "draft": "Drafted. Nobody but hubbot has seen it.",
    "refused": "Not made.",
    "rejected": "Not made.",
    "approved": "Approved, and soon to be opened.",
    "opening": "Being opened.",
    "open": "Open. The owner decides.",
    "merged": "Merged by the owner.",
    "closed": "Closed by the owner. hubbot leaves this model alone.",
}

MEASURED = {
    "accuracy": "of its yes and no, label by label, were right",
    "precision": "of the labels that it recognised were right",
    "coverage": "of the labels that it should have recognised, it did",
    "abstained": "of the models got no answer",
}
"""What an expert's scores mean."""

MEASURED_OF_ONE = MEASURED | {
    "accuracy": "of the models had what they were trained on named first",
    "zero_shot": "of those trained on what it had never met were told apart by their text alone",
}
"""What those of one mean that chooses a single concept."""

SIMPLER = "accuracy of this simpler method"
"""What its baselines mean."""


def model_page(library: Library, repo: str, query: str) -> str:
    """The whole page, or a sentence where the model was never noticed."""
    page = library.model(repo)
    back = link(f"/?q={quoted(query)}", f"← back to “{esc(query)}”") if query else link("/?", "← search")
    top = element("nav", back, cls="hb-back")
    if page is None:
        return top + element("p", f"hubbot has never seen a model called {esc(repo)}.", cls="hb-note")
    return element(
        "article",
        top,
        _title(library, page),
        _verdict(page),
        _read(page),
        _believed(page),
        _compared(page),
        _suggested(page),
        cls="hb-model",
    )


def _title(library: Library, page: ModelPage) -> str:
    upload = page.upload
    when = f"{upload.modified_at.day} {upload.modified_at:%B %Y}"
    line = f"commit {element('code', esc(upload.commit[:8]))}, changed {when} · "
    away = link(library.address(upload.repo), "on the Hub ↗", away=True)
    told = element("h1", esc(upload.repo), cls="hb-repo") + element("p", line, away, cls="hb-quiet")
    return element("header", element("div", told), shown_of(library, page))


def _verdict(page: ModelPage) -> str:
    reading = page.reading
    if reading is None:
        return element("p", "This model has not been read.", cls="hb-note")
    if reading.abstention:
        why = element("strong", "No answer. ") + esc(_sentence(reason(reading)))
        return element("p", why, cls="hb-note")
    known = reading.recognised
    if not known:
        return element("p", "Read, and nothing in it was recognised with enough certainty.", cls="hb-note")
    bars = (bar(page.label(p.label).text, p.probability) for p in known)
    rest = [p for p in reading.predictions if not p.recognised]
    return (
        element("h2", "Trained on")
        + element("ul", *bars, cls="hb-bars hb-large")
        + (_unrecognised(page) if rest else "")
    )


def _unrecognised(page: ModelPage) -> str:
    assert page.reading is not None  # noqa: S101  only called with a reading
    rest = sorted((p for p in page.reading.predictions if not p.recognised), key=lambda p: -p.probability)
    bars = (bar(page.label(p.label).text, p.probability, cls="hb-faint") for p in rest)
    summary = element("summary", f"{plural(len(rest), 'label')} below their threshold")
    return element("details", summary, element("ul", *bars, cls="hb-bars"))


def _read(page: ModelPage) -> str:
    reading = page.reading
    if reading is None or not (reading.tensors_read or reading.bytes_read):
        return ""
    rows = []
    if reading.tensors_read:
        told = f"{len(reading.tensors_read)} of {plural(reading.stored_tensors, 'tensor')}"
        rows.append((told, "<br>".join(element("code", _breakable(name)) for name in reading.tensors_read)))
    rows.append(("bytes", _bytes(reading)))
    if reading.expert:
        version = element("code", esc(reading.version[:12]))
        rows.append(("expert", f"{esc(reading.expert)}, version {version}"))
    rows.append(("commit", element("code", _breakable(reading.commit))))
    return element("section", element("h2", "What was read"), facts(rows))


def _bytes(reading: Reading) -> str:
    if not reading.bytes_stored:
        return size(reading.bytes_read)
    share = min(1.0, reading.bytes_read / reading.bytes_stored)
    track = f'<span class="hb-track"><i style="width:{100 * share:.1f}%"></i></span>'
    return f"{size(reading.bytes_read)} of {size(reading.bytes_stored)}, {percent(share)} {track}"


def _believed(page: ModelPage) -> str:
    read = page.reading is not None and page.reading.abstention is None
    parts = [element("h2", "Why it is believed" if read else "Where it belongs"), _placement(page)]
    expert = page.expert
    if expert and read:
        parts.append(
            element("p", f"{esc(expert.name)} learned from {esc(_sentence(expert.trained_on, False))}")
        )
        if expert.scores:
            parts.append(element("p", "On models that it was neither trained nor calibrated on:"))
            meaning = MEASURED_OF_ONE if expert.head == "text" else MEASURED
            own = [
                (name.replace("_", " "), f"{value:.1%} {meaning.get(name, '')}")
                for name, value in expert.scores.items()
            ]
            beside = [(name, f"{value:.1%} {SIMPLER}") for name, value in expert.baselines.items()]
            parts.append(facts(own + beside))
    if page.reading and page.reading.predictions:
        calibrated = (
            "The percentages are calibrated on models set aside for that: of the labels given with 90%, "
            "about nine in ten are right. A label counts as recognised only above its own threshold."
        )
        parts.append(element("p", calibrated, cls="hb-quiet"))
    return element("section", *parts) if len("".join(parts[1:])) else ""


def _placement(page: ModelPage) -> str:
    placement = page.placement
    if placement is None:
        return ""
    if placement.tree:
        tree = link(tree_page_of(placement.tree), element("code", esc(placement.tree)))
        told = f"In the tree of {tree}, {HOW[placement.how.value]}."
    else:
        told = "In no tree that hubbot could find."
    items = (
        element("li", element("b", SOURCES.get(e.source.value, "evidence")), " ", esc(_sentence(e.text)))
        for e in placement.evidence
    )
    return element("p", told) + element("ul", *items, cls="hb-evidence")


def _compared(page: ModelPage) -> str:
    """What the card says beside what was read."""
    declared = page.declared
    said = [(key.replace("_", " "), chips(values[:12])) for key, values in declared.items()]
    mine = [page.label(p.label) for p in page.reading.recognised] if page.reading else []
    left = facts(said) if said else element("p", "The card declares nothing.", cls="hb-quiet")
    right = chips(label.tag for label in mine) if mine else element("p", "Nothing.", cls="hb-quiet")
    if agreed := page.confirmed:
        right += element("p", f"{plural(len(agreed), 'label')} also on the card.", cls="hb-quiet")
    columns = element("div", element("h3", "declared by its owner"), left)
    columns += element("div", element("h3", "read off the weights"), right)
    told = "The card is shown for comparison. Nothing on it enters a reading."
    title = element("h2", "What its card says")
    return element(
        "section", title, element("p", told, cls="hb-quiet"), element("div", columns, cls="hb-two")
    )


def _suggested(page: ModelPage) -> str:
    suggestion = page.suggestion
    if suggestion is None:
        return ""
    parts = [element("h2", "Suggestion to the owner"), element("p", STATES.get(suggestion.state.value, ""))]
    if suggestion.reason and suggestion.state.value != "rejected":  # who said no, and why, is not for all
        parts.append(element("p", esc(_sentence(suggestion.reason))))
    if suggestion.added:
        parts.append(element("pre", *(f"+ {esc(line)}\n" for line in suggestion.added)))
    if suggestion.pull_request:
        parts.append(element("p", link(suggestion.pull_request, "the pull request ↗", away=True)))
    return element("section", *parts)


def _breakable(name: str) -> str:
    """A long dotted name that may break after its dots."""
    return esc(name).replace(".", ".<wbr>").replace("/", "/<wbr>")


def _sentence(text: str, capital: bool = True) -> str:
    text = text.strip()
    first = text.split(" ", 1)[0]
    if capital and first.isalpha() and first != "hubbot":  # names of repos and tensors stay as they are
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")

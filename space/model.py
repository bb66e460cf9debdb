"""The page of one model: what it was trained on, why that is believed, whom it resembles."""

from __future__ import annotations

import shlex

from hubbot import ExpertInfo, Library, ModelPage, Reading, Suggestion
from space.experts import MEASURED, MEASURED_OF_ONE, SIMPLER
from space.markup import (
    bar,
    breakable,
    chips,
    element,
    esc,
    expert_page_of,
    facts,
    link,
    percent,
    plural,
    quoted,
    sentence,
    size,
    tree_page_of,
)
from space.relatives import nearest, place, shown_of
from space.results import HOW, LIKELY, SURE, reason
from space.training import training
from space.trust import believed

HUB = "https://huggingface.co"

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

COPY = (
    "navigator.clipboard?.writeText(this.nextElementSibling.innerText)"
    ".then(() => this.textContent = 'copied') "
    "?? getSelection().selectAllChildren(this.nextElementSibling)"
)
"""Without a clipboard, which browsers give to safe addresses only, the text is at least selected."""


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
        training(page.judgements),
        _read(page),
        _believed(page),
        _compared(page),
        nearest(library, page),
        place(library, page),
        _suggested(library.history(repo)),
        _again(library, repo),
        cls="hb-model",
    )


def _title(library: Library, page: ModelPage) -> str:
    upload = page.upload
    when = f"{upload.modified_at.day} {upload.modified_at:%B %Y}"
    line = f"commit {element('code', esc(upload.commit[:8]))}, changed {when} · "
    away = link(library.address(upload.repo), "on the Hub ↗", away=True)
    told = element("h1", esc(upload.repo), cls="hb-repo") + element("p", line, away, cls="hb-quiet")
    return element(
        "header", element("div", told, _about(page)), shown_of(library, page.upload, *_known(page))
    )


def _about(page: ModelPage) -> str:
    """What one wants to know of any model, as it says itself or the Hub counts."""
    upload = page.upload
    said = [
        ("task", upload.pipeline_tag or "".join(page.declared.get("pipeline_tag", ())[:1])),
        ("library", upload.library),
        ("licence", ", ".join(page.declared.get("license", ()))),
        ("downloads", f"{upload.downloads:,}"),
    ]
    items = (f"<div><dt>{name}</dt><dd>{esc(value)}</dd></div>" for name, value in said if value)
    return element("dl", *items, cls="hb-about")


def _known(page: ModelPage) -> list[str]:
    known = page.reading.recognised if page.reading and not page.reading.abstention else ()
    return [page.label(p.label).name for p in known]


def _verdict(page: ModelPage) -> str:
    reading = page.reading
    if reading is None:
        return element("p", "This model has not been read.", cls="hb-note")
    if reading.abstention:
        why = element("strong", "No answer. ") + esc(sentence(reason(reading)))
        return element("p", why, cls="hb-note")
    known = reading.recognised
    if not known:
        none = "Read, and nothing in it was recognised with enough certainty."
        return element("p", none, cls="hb-note") + _unrecognised(page)
    bars = (bar(page.label(p.label).text, p.probability) for p in known)
    rest = [p for p in reading.predictions if not p.recognised]
    return (
        element("h2", "Probably trained on")
        + element("ul", *bars, cls="hb-bars hb-large")
        + _meant(page)
        + (_unrecognised(page) if rest else "")
    )


def _meant(page: ModelPage) -> str:
    """What the percentages above mean, from what was measured where that is known."""
    assert page.reading is not None  # noqa: S101  only called with a reading
    known = page.reading.recognised
    least, most = known[-1].probability, known[0].probability
    sure = "Very likely" if least >= SURE else "Likely" if least >= LIKELY else "Unsure"
    if least < SURE <= most:
        sure = "Likely, in part very likely"
    told = believed(page.expert, most) if page.expert else ""
    return element("p", element("strong", f"{sure}."), " ", esc(told), cls="hb-meant")


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
        rows.append((told, "<br>".join(element("code", breakable(name)) for name in reading.tensors_read)))
    rows.append(("bytes", _bytes(reading)))
    if reading.expert:
        version = element("code", esc(reading.version[:12]))
        page_of_version = f"{expert_page_of(reading.expert)}&version={quoted(reading.version)}"
        rows.append(("expert", f"{link(page_of_version, esc(reading.expert))}, version {version}"))
    rows.append(("commit", element("code", breakable(reading.commit))))
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
    if page.expert and read:
        parts.append(_measured(page.expert))
    if page.reading and page.reading.predictions:
        parts.append(element("p", _calibrated(page.expert), cls="hb-quiet"))
    return element("section", *parts) if len("".join(parts[1:])) else ""


def _measured(expert: ExpertInfo) -> str:
    """What the expert learned from, and how often it was right."""
    name = link(expert_page_of(expert.name), esc(expert.name))
    parts = [element("p", f"{name} learned from {esc(sentence(expert.trained_on, False))}")]
    if expert.scores:
        parts.append(element("p", "On models that it was neither trained nor calibrated on:"))
        meaning = MEASURED_OF_ONE if expert.head == "text" else MEASURED
        own = [
            (name.replace("_", " "), f"{value:.1%} {meaning.get(name, '')}")
            for name, value in expert.scores.items()
        ]
        beside = [(name, f"{value:.1%} {SIMPLER}") for name, value in expert.baselines.items()]
        parts.append(facts(own + beside))
    return "".join(parts)


def _calibrated(expert: ExpertInfo | None) -> str:
    """Where percentages come from, and whether that was checked."""
    told = (
        "The percentages are calibrated on models set aside for that. A label counts as recognised only "
        "above its own threshold."
    )
    found = expert.trust.reliability if expert and expert.trust else None
    if expert is None or found is None:
        return told
    there = link(expert_page_of(expert.name), "how that was measured")
    return f"{told} On average they were off by {100 * found.error:.1f} points: {there}."


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
        element("li", element("b", SOURCES.get(e.source.value, "evidence")), " ", esc(sentence(e.text)))
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


def _suggested(history: list[Suggestion]) -> str:
    """The suggestion that is alive, and those before it."""
    if not history:
        return ""
    title = element("h2", "Suggestion to the owner")
    newest, *earlier = history
    if not earlier:
        return element("section", title, _suggestion(newest))
    before = (element("li", _suggestion(one)) for one in earlier)
    folded = element("summary", plural(len(earlier), "earlier suggestion"))
    told = element("details", folded, element("ol", *before, cls="hb-earlier"))
    return element("section", title, _suggestion(newest), told)


def _suggestion(suggestion: Suggestion) -> str:
    parts = [element("p", STATES.get(suggestion.state.value, ""))]
    if suggestion.reason and suggestion.state.value != "rejected":  # who said no, and why, is not for all
        parts.append(element("p", esc(sentence(suggestion.reason))))
    if suggestion.added:
        parts.append(element("pre", *(f"+ {esc(line)}\n" for line in suggestion.added)))
    if suggestion.pull_request:
        parts.append(element("p", link(suggestion.pull_request, "the pull request ↗", away=True)))
    return "".join(parts)


def _again(library: Library, repo: str) -> str:
    """How to read it oneself, as one types it."""
    elsewhere = library.endpoint != HUB
    hub = f"HUBBOT_ENDPOINT={shlex.quote(library.endpoint)} " if elsewhere else ""
    shell = f"{hub}hubbot tell {shlex.quote(repo)}"
    load = "from hubbot.settings import load\n" if elsewhere else ""
    given = f"{repo!r}, load(endpoint={library.endpoint!r})" if elsewhere else repr(repo)
    python = f"import hubbot\n{load}\ntold = hubbot.tell({given})\nprint(told.reading.recognised)"
    told = "Nothing is written anywhere, and no more of the model is fetched than what was read here."
    return element(
        "section",
        element("h2", "Read it yourself"),
        element("p", told, cls="hb-quiet"),
        _snippet("in a shell", shell),
        _snippet("in Python", python),
    )


def _snippet(where: str, code: str) -> str:
    button = f'<button type="button" aria-live="polite" onclick="{esc(COPY)}">copy</button>'
    return element("h3", where) + element(
        "div", button, f'<pre tabindex="0">{_lines(code)}</pre>', cls="hb-code"
    )


def _lines(code: str) -> str:
    """Code as it stands in a `pre`: its line ends stay, whatever else is in it."""
    return "\n".join(map(esc, code.split("\n")))

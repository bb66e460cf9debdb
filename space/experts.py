"""The experts: who they are, and what one of them can be trusted with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hubbot import ExpertInfo, ExpertVersion, Library
from space.charts import reliability, sweep, thumbnail
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
    spoken,
    tree_page_of,
)
from space.trust import advice, measured_on, reasons

MOST_LABELS = 60
"""Labels that a page shows at once; an expert may know thousands."""

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

KINDS = {"dense": "as one tensor", "lora": "as the two factors of a LoRA"}


def experts_page(library: Library) -> str:
    """All experts as cards: of each the version that answers, else the newest."""
    shown: dict[str, ExpertVersion] = {}
    for version in library.expert_versions():
        if version.answers or not (version.info.name in shown and shown[version.info.name].answers):
            shown[version.info.name] = version
    title = element("h1", "Experts") + element(
        "p",
        "An expert reads a few tensors of the models of one tree, and says what they were trained on. "
        "Here is what each one is worth.",
        cls="hb-lede",
    )
    if not shown:
        none = "No expert has read anything here yet. They come with the bot's first poll."
        return element("article", title, element("p", none, cls="hb-note"), cls="hb-model")
    cards = (_card(version) for _, version in sorted(shown.items()))
    return element("article", title, element("ol", *cards, cls="hb-experts"), cls="hb-model")


def _card(version: ExpertVersion) -> str:
    info = version.info
    found = info.trust.reliability if info.trust else None
    name = link(expert_page_of(info.name), esc(info.name), cls="hb-repo hb-cover")
    some = ", ".join(spoken(label.name) for label in info.labels[:4])
    more = f" and {len(info.labels) - 4:,} more" if len(info.labels) > 4 else ""
    tone, what, _ = next(reasons(info))
    told = (
        element("h2", name),
        element("p", "reads the tree of ", link(tree_page_of(info.tree), element("code", esc(info.tree)))),
        element("p", f"knows {esc(some)}{more}", cls="hb-quiet"),
    )
    return element(
        "li",
        element("header", element("div", *told), thumbnail(found) if found else ""),
        element("dl", *(_big(word, value) for word, value in _headline(info)), cls="hb-big"),
        element("p", esc(what), cls=f"hb-verdict hb-{tone}"),
        element("p", _work(version), cls="hb-quiet"),
        cls="hb-expert",
    )


def _headline(info: ExpertInfo) -> list[tuple[str, str]]:
    """The three numbers that tell most."""
    found = info.trust.reliability if info.trust else None
    numbers = [(word, info.scores[word]) for word in ("accuracy", "coverage") if word in info.scores]
    if found and found.recognised:
        numbers.insert(1, ("right when sure", found.recognised.right))
    elif "precision" in info.scores:
        numbers.insert(1, ("precision", info.scores["precision"]))
    return [(word, percent(value)) for word, value in numbers]


def _big(word: str, value: str) -> str:
    return f"<div><dt>{esc(word)}</dt><dd>{value}</dd></div>"


def _work(version: ExpertVersion) -> str:
    told = f"{plural(version.readings, 'model')} read"
    return told + (f", {version.abstentions:,} left without an answer" if version.abstentions else "")


# --- one of them ----------------------------------------------------------------------------------


def expert_page(library: Library, name: str, asked: Mapping[str, str] | None = None) -> str:
    """One expert: the version that is asked for, else the one that answers, else the newest."""
    versions = [version for version in library.expert_versions() if version.info.name == name]
    top = element("nav", link("/?experts=", "← all experts"), cls="hb-back")
    if not versions:
        return top + element("p", f"There is no expert called {esc(name)}.", cls="hb-note")
    wanted = (asked or {}).get("version", "")
    shown = next((v for v in versions if wanted and v.info.version == wanted), None)
    shown = shown or next((v for v in versions if v.answers), versions[-1])
    info = shown.info
    return element(
        "article",
        top,
        _title(shown),
        _trusted(info),
        _calibrated(info),
        _scored(info),
        _layers(info),
        _silent(info),
        _knows(info),
        _made(info),
        _versions(versions, shown),
        cls="hb-model",
    )


def _title(version: ExpertVersion) -> str:
    info = version.info
    tree = link(tree_page_of(info.tree), element("code", esc(info.tree)))
    others = f", also known as {', '.join(map(esc, info.roots[1:]))}" if info.roots[1:] else ""
    told = element("h1", esc(info.name), cls="hb-repo") + element(
        "p", "reads the tree of ", tree, others, f" · {_work(version)}", cls="hb-quiet"
    )
    return element("header", element("div", told))


def _trusted(info: ExpertInfo) -> str:
    return element("section", element("h2", "When to trust it"), advice(info), cls="hb-first")


def _calibrated(info: ExpertInfo) -> str:
    title = element("h2", "What its percentages are worth")
    found = info.trust.reliability if info.trust else None
    if info.trust is None or found is None:
        how = "That was not measured for this version; “hubbot expert evaluate --keep” does it."
        return element("section", title, element("p", esc(how), cls="hb-note"))
    told = (
        f"Measured on {measured_on(found)}. A dot on the diagonal means what it says; a line spans where the "
        "truth lies with 95% certainty, and numbers count labels: where there are few, the dot is faint."
    )
    if info.trust.threshold is not None:
        told += f" From the upright line on, at {info.trust.threshold:.1%}, it stands by a label."
    if found.strangers:
        told += (
            f" Each model is weighted so that {1 - info.trust.known:.0%} are strangers, for most of which no "
            "label is right."
        )
    return element(
        "section", title, element("p", told, cls="hb-quiet"), reliability(found, info.trust.threshold)
    )


def _scored(info: ExpertInfo) -> str:
    if not info.scores:
        return ""
    meaning = MEASURED_OF_ONE if info.head == "text" else MEASURED
    own = [
        (name.replace("_", " "), f"{value:.1%} {meaning.get(name, '')}".strip())
        for name, value in info.scores.items()
    ]
    told = "On models that it was neither trained, chosen nor calibrated on."
    compared = [bar(info.name, info.scores["accuracy"])] if "accuracy" in info.scores else []
    compared += [bar(name, value, cls="hb-faint") for name, value in info.baselines.items()]
    beside = ""
    if info.baselines and compared:
        beside = element("h3", "its accuracy beside that of simpler methods") + element(
            "ul", *compared, cls="hb-bars"
        )
    return element("section", element("h2", "Scores"), element("p", told, cls="hb-quiet"), facts(own), beside)


def _layers(info: ExpertInfo) -> str:
    rows = [
        (
            KINDS.get(want.kind.value, "as it lies"),
            f"{element('code', breakable(want.name))} {' × '.join(map(str, want.shape or ()))}",
        )
        for want in info.wanted
    ]
    parts = [element("h2", "What it reads"), facts(rows)]
    layers = info.trust.layers if info.trust else ()
    if len(layers) > 1:
        told = (
            f"{len(layers)} layers could have been read. This is what each tells alone, on models that chose "
            "but did not train; the ones that are read are filled."
        )
        parts += [element("p", told, cls="hb-quiet"), sweep(layers)]
    elif layers:
        alone = f"No other layer was tried; alone it reached {layers[0].accuracy:.1%} on validation."
        parts.append(element("p", alone, cls="hb-quiet"))
    return element("section", *parts)


def _silent(info: ExpertInfo) -> str:
    if info.trust is None:
        return ""
    limit = info.trust.threshold
    spoken = "It never calls a label recognised."
    if limit is not None:
        spoken = (
            f"A label counts as recognised from a probability of {limit:.1%} on; below, nothing is suggested."
        )
    far = (
        "Weights that moved unlike nearly all of those that calibrated it, such as a root's, random "
        "numbers or another tree's, get no answer at all."
    )
    return element(
        "section", element("h2", "When it is silent"), element("p", esc(spoken)), element("p", esc(far))
    )


def _knows(info: ExpertInfo) -> str:
    title = element("h2", f"What it knows: {plural(len(info.labels), 'label')}")
    names = [label.text for label in info.labels]
    parts = [title, chips(names[:MOST_LABELS])]
    if rest := names[MOST_LABELS:]:
        parts.append(element("details", element("summary", f"{len(rest):,} more"), chips(rest)))
    if info.head == "text":
        prompt = f", in the words “{info.prompt}”" if info.prompt != "{}" else ""
        told = f"A model is one of these; other things are found by text, with {info.text_encoder}{prompt}."
        parts.append(element("p", esc(told), cls="hb-quiet"))
    return element("section", *parts)


def _made(info: ExpertInfo) -> str:
    parts = [element("h2", "What it learned from"), element("p", esc(sentence(info.trained_on)))]
    if info.datasets:
        parts.append(facts([("datasets", esc(", ".join(info.datasets)))]))
    return element("section", *parts)


def _versions(versions: Sequence[ExpertVersion], shown: ExpertVersion) -> str:
    rows = (
        element(
            "li",
            _version(version, version is shown),
            element("span", f"{_role(version)} · {_work(version)}", cls="hb-quiet"),
        )
        for version in reversed(versions)
    )
    return element("section", element("h2", "Versions"), element("ul", *rows, cls="hb-trees"))


def _version(version: ExpertVersion, shown: bool) -> str:
    code = element("code", esc(version.info.version))
    if shown:
        return element("span", code, " shown here")
    return link(f"{expert_page_of(version.info.name)}&version={quoted(version.info.version)}", code)


def _role(version: ExpertVersion) -> str:
    if version.promoted:
        return "answers for its tree, promoted by an admin"
    return "answers for its tree" if version.answers else "answers no longer"

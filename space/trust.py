"""When to trust an expert, in plain words: each sentence is made of what was measured, and says so."""

from __future__ import annotations

from collections.abc import Iterator

from hubbot import Bin, ExpertInfo, Reliability, Trust
from space.charts import is_off
from space.markup import element, esc, plural

GOOD, MIXED, CARE = "good", "mixed", "care"
"""How a sentence sounds; CSS colours it, and the words say it too."""

SURE, MOSTLY = 0.95, 0.85
"""Of what is recognised, so much is right at least."""
ALL, MANY = 0.9, 0.6
"""Of what is there, so much is recognised."""
CLOSE, ROUGH = 0.03, 0.08
"""A percentage is off by so much on average."""
SAME = 0.01
"""Accuracies that differ by less are the same."""
FAR, SOME = 0.1, 0.002
"""A group of labels is named that is off by so much, and is so much of all that was told."""

Told = tuple[str, str, str]
"""How it sounds, the advice, and the number behind it."""


def advice(info: ExpertInfo) -> str:
    """All that can be said of when to trust an expert, as a list."""
    items = (
        element("li", element("strong", esc(what)), " ", element("span", esc(why)), cls=f"hb-{tone}")
        for tone, what, why in reasons(info)
    )
    return element("ul", *items, cls="hb-advice")


def reasons(info: ExpertInfo) -> Iterator[Told]:
    """What the numbers speak for, and what against."""
    trust, scores = info.trust, info.scores
    found = trust.reliability if trust else None
    yield from _when_it_speaks(trust, scores.get("precision"))
    yield from _when_it_is_silent(scores.get("coverage"), scores.get("abstained"))
    yield from _percentages(found)
    yield from _strangers(trust)
    if "zero_shot" in scores:
        tone = GOOD if scores["zero_shot"] >= MOSTLY else MIXED if scores["zero_shot"] >= MANY else CARE
        yield (
            tone,
            "It can be asked for what it never met.",
            f"Of models trained on something new to it, {scores['zero_shot']:.1%} were told apart by their "
            "text alone.",
        )
    yield from _simpler(info)


def believed(info: ExpertInfo, probability: float) -> str:
    """What a percentage of this expert's means, as far as that was measured; else nothing."""
    found = info.trust.reliability if info.trust else None
    if found is None:
        if "precision" not in info.scores:
            return ""
        precision = f"{info.scores['precision']:.1%} of the labels that {info.name} recognised were right"
        return f"In models of its kind {precision}. What its percentages are worth was not measured."
    one = next((b for b in reversed(found.bins) if _of(b, probability)), None)
    if one is None:
        return f"{info.name} told nothing with such a percentage when it was measured."
    return (
        f"Of {plural(one.told, 'label')} that {info.name} told with about that probability, {one.right:.1%} "
        f"were right ({_interval(one)}), measured on {measured_on(found)}."
    )


def measured_on(found: Reliability) -> str:
    """The models that a reliability was measured on."""
    others = f" and {found.strangers:,} others of the tree" if found.strangers else ""
    return f"{plural(found.models, 'model')}{others} that had no part in making it"


def _of(one: Bin, probability: float) -> bool:
    """Whether a probability falls into a tenth that this is the group of."""
    return int(min(probability, 0.999) * 10) == int(min(one.meant, 0.999) * 10)


def _when_it_speaks(trust: Trust | None, precision: float | None) -> Iterator[Told]:
    if trust and trust.threshold is None:
        yield CARE, "It never stands by a label.", "Take its percentages as hints."
        return
    found = trust.reliability if trust else None
    if trust and found and found.recognised:
        one = found.recognised
        tone = GOOD if one.least >= SURE else MIXED if one.least >= MOSTLY else CARE
        what = {
            GOOD: "Believe what it recognises.",
            MIXED: "Mostly believe what it recognises.",
            CARE: "Check what it recognises.",
        }[tone]
        among = " among all uploads of the tree" if found.strangers else ""
        yield (
            tone,
            what,
            f"Of the labels that it stood by, from {trust.threshold:.1%} on, {one.right:.1%} were "
            f"right{among} ({_interval(one)}, from {plural(one.told, 'label')}).",
        )
    elif precision is not None:
        limited = " How many are among all other uploads was not measured." if not found else ""
        yield (
            MIXED,
            "Believe what it recognises in models of its own kind.",
            f"Of the labels that it recognised there, {precision:.1%} were right.{limited}",
        )


def _when_it_is_silent(coverage: float | None, abstained: float | None) -> Iterator[Told]:
    if coverage is not None:
        tone = GOOD if coverage >= ALL else MIXED if coverage >= MANY else CARE
        what = {
            GOOD: "Its silence says something.",
            MIXED: "Its silence says little.",
            CARE: "Read nothing into its silence.",
        }[tone]
        yield tone, what, f"It recognises {coverage:.1%} of what models of its kind were trained on."
    if abstained:
        yield (
            GOOD if abstained <= FAR else CARE,
            "It may decline to answer.",
            f"{abstained:.1%} of models of its kind moved unlike those it learned from, and got no answer.",
        )


def _percentages(found: Reliability | None) -> Iterator[Told]:
    if found is None:
        yield (
            CARE,
            "Its percentages were not checked.",
            "Whether they mean what they say has not been measured for this version.",
        )
        return
    tone = GOOD if found.error <= CLOSE else MIXED if found.error <= ROUGH else CARE
    what = {
        GOOD: "Take its percentages at their word.",
        MIXED: "Take its percentages as rough.",
        CARE: "Take its percentages with care.",
    }[tone]
    yield (
        tone,
        what,
        f"They were off by {100 * found.error:.1f} points on average, on {measured_on(found)}.",
    )
    wrong = [b for b in found.bins if is_off(b) and abs(b.meant - b.right) >= FAR and b.share >= SOME]
    for one in sorted(wrong, key=lambda b: -b.share * abs(b.meant - b.right))[:1]:
        boasts = one.meant > one.right
        yield (
            CARE if boasts else MIXED,
            f"Around {one.meant:.0%} it is too {'sure' if boasts else 'modest'}.",
            f"There {one.right:.0%} were right ({_interval(one)}).",
        )


def _strangers(trust: Trust | None) -> Iterator[Told]:
    if trust is None:
        return
    if trust.known < 1:
        yield (
            MIXED,
            f"It expects {1 - trust.known:.0%} strangers.",
            f"Its percentages are meant for whatever is uploaded into the tree, {trust.known:.0%} of it of "
            "the kind that it learned from. Of a model that is surely of that kind they say too little.",
        )
    else:
        yield (
            CARE,
            "It has met no strangers.",
            "Its percentages are meant among models of its own kind: one that was trained on something else "
            "altogether may be told a label all the same.",
        )


def _simpler(info: ExpertInfo) -> Iterator[Told]:
    mine = info.scores.get("accuracy")
    if mine is None or not info.baselines:
        return
    name, best = max(info.baselines.items(), key=lambda pair: pair[1])
    numbers = f"{mine:.1%} of its answers are accurate, {best:.1%} of those of “{name}”."
    if mine > best + SAME:
        yield GOOD, "It is worth its weights: simpler methods know less.", numbers
    else:
        yield MIXED, "A simpler method answers as well.", numbers


def _interval(one: Bin) -> str:
    return f"with 95% certainty {one.least:.1%} to {one.most:.1%}"

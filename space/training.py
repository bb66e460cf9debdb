"""What a model's weights say of its training: estimates by autoencoders, on the page of the model."""

from __future__ import annotations

from hubbot import Estimate, Judgement
from space.markup import element, esc, sentence, spoken


def training(judgements: tuple[Judgement, ...]) -> str:
    """A section; nothing where no autoencoder knows the model's architecture."""
    if not judgements:
        return ""
    title = element("h2", "What its weights say of its training")
    return element("section", title, *map(_judgement, judgements))


def _judgement(judgement: Judgement) -> str:
    by = f"the autoencoder {element('code', esc(judgement.autoencoder))}"
    version = f"version {element('code', esc(judgement.version[:12]))}"
    if judgement.abstention:
        why = element("strong", "No estimate. ") + esc(sentence(judgement.abstention.text))
        return element("p", why, cls="hb-note") + element("p", f"By {by}, {version}.", cls="hb-quiet")
    told = (
        f"Estimated from its weights alone by {by}, {version}. Nobody measured it on this model. Such models "
        "are those that were trained as the ones that the autoencoder learned from, and on the same data: of "
        "others it mostly says nothing, but it cannot always tell."
    )
    estimates = element("ul", *map(_estimate, judgement.estimates), cls="hb-estimates")
    return estimates + element("p", told, cls="hb-quiet")


def _estimate(one: Estimate) -> str:
    """A value on its scale, within its interval; the sentence below says the same."""
    left, right = _scale(one)
    at, begin, end, nothing = (
        100 * (number - left) / (right - left) for number in (one.value, one.low, one.high, 0.0)
    )
    drawn = f'<i style="left:{begin:.1f}%;width:{end - begin:.1f}%"></i><b style="left:{at:.1f}%"></b>' + (
        f'<s style="left:{nothing:.1f}%"></s>' if left < 0 < right else ""
    )
    track = f'<span class="hb-track hb-within" aria-hidden="true">{drawn}</span>'
    name = element("span", esc(spoken(one.name)), cls="hb-name")
    number = element("span", esc(f"about {one.worded(one.value)}"), cls="hb-number")
    meaning = element("small", esc(one.meaning), cls="hb-meaning") if one.meaning else ""
    often = f"In {one.often} such models the truth lies between {' and '.join(one.ends)}."
    return element("li", name, track, number, meaning, element("small", esc(often)))


def _scale(one: Estimate) -> tuple[float, float]:
    """From where to where it goes: between what bounds it, else from nothing to all that may be."""
    left = one.least if one.least is not None else min(0.0, one.low)
    right = one.most if one.most is not None else max(0.0, one.high)
    return left, right if right > left else left + 1.0

"""Estimates of a model's training for its card: only where an admin asks for that, and plainly marked.

They go into the section of ours in the card's text, never into its metadata: `model-index` holds what was
measured, and leaderboards read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hubbot.card.compose import code, reachable
from hubbot.card.front_matter import opted_out
from hubbot.card.section import put_section, section_words
from hubbot.errors import CardError
from hubbot.records import ESTIMATES, Estimate, Judgement, Suggestion, SuggestionState

MARK = "**Estimated from the weights by hubbot, not measured.**"
"""What the estimates in a section begin with; they are the last that stands in it."""

WORDS = """\
{mark} {by} read all weights of commit {commit}. Nobody ran this model; these are guesses, each with the \
interval that holds the truth for {often} models like those that the autoencoder learned from:

{estimates}

{command} reads the same weights again."""

TITLE = "Add estimates, made from the weights and marked as such"

ALONE = """\
How a model's training went can be estimated from its weights. This pull request adds the following to the \
card's text and changes nothing else:

{added}

{how}

**Try it yourself.** {command} reads the same bytes and says the same, as long as the weights are these and \
the autoencoder is at hand.

**Who asks, and how to make it stop.** I am a bot; {contact}. Close this \
pull request and I stay silent in this repo for good; a comment here with a line `hubbot: false` does the \
same. In a card it keeps me away before I ever ask, and `hubbot: true` in its front matter asks me back.
"""

HOW = """\
**What the estimates are, and what not.** {by} read all weights of this model and estimated:

{estimates}

An interval holds the truth for {often} models like those that the autoencoder learned from, trained on the \
same data. Nobody measured anything on this model. The estimates say so where they stand, between two \
comments in the card's text, and are in no field that a leaderboard reads. You know better: if one is wrong, \
please close this."""


def with_estimates(suggestion: Suggestion, judgement: Judgement, card: bytes, *, contact: str) -> Suggestion:
    """The suggestion with estimates in the card's section too: a draft, or refused with the reason.

    Args:
        suggestion: what is suggested without them; where that is nothing, they are suggested alone.
        card: the README at its base commit.
    """
    if opted_out(card):
        return replace(suggestion, reason="its card says `hubbot: false`")
    before = suggestion.new_text.encode() if suggestion.state is SuggestionState.DRAFT else card
    by = f"The autoencoder {code(judgement.autoencoder)}, version {code(judgement.version)},"
    told = {"by": by, "often": judgement.estimates[0].often, "estimates": _listed(judgement)}
    command = code(f"hubbot tell {suggestion.repo}")
    words = WORDS.format(mark=MARK, commit=code(judgement.commit), command=command, **told)
    try:
        others = section_words(before).partition(MARK)[0].strip()
        new = put_section(before, f"{others}\n\n{words}" if others else words)
    except CardError as error:
        return replace(suggestion, state=SuggestionState.REFUSED, reason=error.message)
    if new == before:
        return replace(suggestion, state=SuggestionState.REFUSED, reason="its card says so already")
    added = (*suggestion.added, ESTIMATES + ", ".join(one.name for one in judgement.estimates))
    how, lines = HOW.format(**told), [f"- {code(line)}" for line in added]
    if suggestion.state is SuggestionState.DRAFT:
        listed = suggestion.body.replace("\n".join(lines[:-1]), "\n".join(lines), 1)
        title, body = suggestion.title, f"{listed}\n{how}\n"
    else:
        told = {"added": "\n".join(lines), "how": how, "command": command, "contact": reachable(contact)}
        title, body = TITLE, ALONE.format(**told)
    return replace(
        suggestion,
        state=SuggestionState.DRAFT,
        reason="",
        title=title,
        body=body,
        added=added,
        new_text=new.decode("utf-8"),
        old_text=card.decode("utf-8"),
    )


def best(judgements: Sequence[Judgement]) -> Judgement | None:
    """The one to suggest: the first that has an answer."""
    return next((judgement for judgement in judgements if judgement.estimates), None)


def _listed(judgement: Judgement) -> str:
    return "\n".join(map(_line, judgement.estimates))


def _line(one: Estimate) -> str:
    meaning = f" ({one.meaning})" if one.meaning else ""
    return f"- {code(one.name)}: about {one.worded(one.value)}, between {' and '.join(one.ends)}{meaning}"

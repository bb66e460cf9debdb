"""Estimates in a card's text: beside what stands there, renewed in place, and in no metadata."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hubbot.card.estimates import MARK, with_estimates
from hubbot.card.section import BEGIN, END
from hubbot.records import Estimate, Judgement, Suggestion, SuggestionState

NOTHING = Suggestion("ann/net", "a" * 40, SuggestionState.REFUSED)
SAID = Judgement(
    "ann/net", "a" * 40, ("id",), "digits-cnn", "v1", (Estimate("accuracy", 0.8, 0.7, 0.9, 0.9, 0, 1),)
)
CARD = b"---\r\nlicense: mit\r\n---\r\n# Mine\r\n"


def offered(card: bytes, judgement: Judgement = SAID, before: Suggestion = NOTHING) -> Suggestion:
    return with_estimates(before, judgement, card, contact="https://example.org")


def test_the_owners_bytes_stay_and_the_estimates_are_marked() -> None:
    made = offered(CARD)
    assert made.state is SuggestionState.DRAFT
    assert made.estimated
    assert made.new_text.encode().startswith(CARD)
    section = made.new_text.split(BEGIN)[1].split(END)[0]
    assert section.strip().startswith(MARK)
    assert "- `accuracy`: about 80%, between 70% and 90%" in section
    assert "for 9 of 10 models" in section


def test_they_are_renewed_in_place_and_what_was_read_stays_beside_them() -> None:
    read = f"# Mine\n\n{BEGIN}\n**Read off the weights.** A seven.\n{END}\n".encode()
    once = offered(read).new_text
    newer = replace(SAID, estimates=(replace(SAID.estimates[0], value=0.85),))
    twice = offered(once.encode(), newer).new_text
    for text in (once, twice):
        assert text.count(MARK) == 1
        assert text.count("**Read off the weights.** A seven.") == 1
    assert "about 85%" in twice
    assert offered(twice.encode(), newer).reason == "its card says so already"


def test_a_draft_lists_them_among_what_it_adds() -> None:
    body = "I add:\n\n- `tags: seven`\n\nAnd `hubbot: false` stops me.\n"
    draft = Suggestion("ann/net", "a" * 40, SuggestionState.DRAFT, "T", body, ("tags: seven",), "# New\n")
    made = offered(b"# Old\n", before=draft)
    assert made.added == ("tags: seven", "estimates: accuracy")
    assert "- `tags: seven`\n- `estimates: accuracy`\n" in made.body
    assert made.new_text.startswith("# New\n")
    assert (made.title, made.old_text) == ("T", "# Old\n")


@pytest.mark.parametrize(
    "card", [b"---\nhubbot: false\n---\n", f"{BEGIN}\nleft open\n".encode(), b"\xff\xfe"]
)
def test_where_it_cannot_be_or_is_not_wanted_there_is_none(card: bytes) -> None:
    made = offered(card)
    assert made.state is SuggestionState.REFUSED
    assert made.reason


def test_a_strangers_names_are_shown_as_code() -> None:
    odd = replace(SAID, autoencoder="x` @ann <b>", estimates=(replace(SAID.estimates[0], name="a`\n# b"),))
    made = offered(CARD, odd)
    for text in (made.body, made.new_text):
        assert "`x' @ann <b>`" in text
        assert "`a' # b`" in text

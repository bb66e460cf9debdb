"""A short section in a card's body, between two comments of our own; what is outside of them stays.

Whether a comment is one, and no example in a block of code, is asked of a Markdown parser, once more after
the edit. Anything else that mentions the comments, two of a kind, one alone, an end before its beginning,
is refused: somebody means something by it, and it is not for us to guess what.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from hubbot.card.front_matter import body_start, decode
from hubbot.errors import CardNotEditable

BEGIN, END = "<!-- hubbot:begin -->", "<!-- hubbot:end -->"
MENTION = re.compile(r"hubbot:(?:begin|end)", re.IGNORECASE)

MAX_CHARACTERS = 40_000
"""A longer card would take seconds to parse."""


def holds_section(card: bytes) -> bool:
    """Whether a card speaks of a section of ours, in whatever state."""
    return MENTION.search(card.decode("utf-8", "replace")) is not None


def put_section(card: bytes, words: str) -> bytes:
    """The card with these words between the two comments: where those stand, else at its end.

    Args:
        words: lines of Markdown.

    Raises:
        CardNotEditable: there is no telling where the section begins or ends, or where the card's text does.
    """
    text = decode(card)
    start = body_start(text)
    if len(text) > MAX_CHARACTERS:
        raise CardNotEditable(f"the card has {len(text):,} characters, too many to add a section safely")
    place = _between(text, start)
    if place is None:
        line = "\r\n" if "\r\n" in text else "\n"
        gap = "" if text.endswith("\n") or not text else line
        blank = line if text[start:].strip() else ""
        new = f"{text}{gap}{blank}{BEGIN}{_lines(words, line)}{END}{line}"
    else:
        line = "\r\n" if text.startswith("\r\n", place[0]) else "\n"
        new = text[: place[0]] + _lines(words, line) + text[place[1] :]
    after = _between(new, start)
    if after is None or new[slice(*after)] != _lines(words, line) or body_start(new) != start:
        raise CardNotEditable("a section at its end would be part of something that was left open")
    return new.encode("utf-8")


def section_words(card: bytes) -> str:
    """What stands in the section of a card; nothing where there is none.

    Raises:
        CardNotEditable: there is no telling where it begins or ends.
    """
    text = decode(card)
    if len(text) > MAX_CHARACTERS:
        raise CardNotEditable(f"the card has {len(text):,} characters, too many to find a section safely")
    place = _between(text, start := body_start(text))
    return "\n".join(text[slice(*place)].splitlines()).strip() if place and place[0] >= start else ""


def _lines(words: str, line: str) -> str:
    return f"{line}{words.replace(chr(10), line)}{line}"


def _between(text: str, start: int) -> tuple[int, int] | None:
    """From where to where the section goes, its comments left out; None where there is none."""
    mentions = len(MENTION.findall(text))
    if not mentions:
        return None
    tokens = MarkdownIt("commonmark").disable("inline").parse(text[start:])
    blocks = [token.content.strip() for token in tokens if token.type == "html_block" and token.level == 0]
    if mentions != 2 or [block for block in blocks if block in (BEGIN, END)] != [BEGIN, END]:
        raise CardNotEditable("it mentions hubbot's section otherwise than by one beginning and one end")
    return text.index(BEGIN) + len(BEGIN), text.index(END)

"""A section of our own in a card's text: put at its end, found again, and nothing else touched."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbot.card.front_matter import opted_out
from hubbot.card.section import BEGIN, END, MAX_CHARACTERS, holds_section, put_section
from hubbot.errors import CardNotEditable

WORDS = "**Read off.** First line\nand second."
SECTION = f"{BEGIN}\n{WORDS}\n{END}\n"

APPENDED = {
    "after the text": ("---\na: b\n---\n# Hi\n", "---\na: b\n---\n# Hi\n\n"),
    "after a text without a line end": ("# Hi", "# Hi\n\n"),
    "after nothing but a front matter": ("---\na: b\n---\n", "---\na: b\n---\n"),
    "in no card at all": ("", ""),
    "after a closed block of code": ("```\ncode\n```\n", "```\ncode\n```\n\n"),
    "after a list with code left open, which the list ends": ("- a\n\n  ```\n  x\n", "- a\n\n  ```\n  x\n\n"),
    "after a comment of the owner's": ("<!-- mine -->\n", "<!-- mine -->\n\n"),
}


@pytest.mark.parametrize(("card", "before"), APPENDED.values(), ids=APPENDED.keys())
def test_it_comes_at_the_end(card: str, before: str) -> None:
    new = put_section(card.encode(), WORDS)
    assert new.decode() == before + SECTION
    assert not opted_out(new)
    assert holds_section(new)
    assert not holds_section(card.encode())
    assert put_section(new, WORDS) == new


def test_line_ends_are_those_of_the_card() -> None:
    new = put_section(b"---\r\na: b\r\n---\r\n# Hi\r\n", WORDS)
    assert new == b"---\r\na: b\r\n---\r\n# Hi\r\n\r\n" + SECTION.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("inside", ["", "\n", "an older one\n", "```\nleft open\n", "# Hi\n\n- a\n  - b\n"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_it_is_replaced_in_place_byte_for_byte(inside: str, line: str) -> None:
    above = "---\ntags: [a]  # mine\n---\n# Hi  \n\n* one\n\ttwo\r\nthree\n\n"
    below = "\n\n## Further down\r\n```\n<div>\n```\nno line end"
    old = f"{above}{BEGIN}{line}{inside}{END}{below}"
    if "```" in inside:  # the end stands in a block of code
        with pytest.raises(CardNotEditable, match="otherwise"):
            put_section(old.encode(), WORDS)
        return
    new = put_section(old.encode(), WORDS).decode()
    assert new == f"{above}{BEGIN}{line}{WORDS.replace(chr(10), line)}{line}{END}{below}"


ODD = {
    "doubled": SECTION + SECTION,
    "nested": f"{BEGIN}\n{SECTION}{END}\n",
    "no end": f"{BEGIN}\nx\n",
    "no beginning": f"x\n{END}\n",
    "the end first": f"{END}\nx\n{BEGIN}\n",
    "in a block of code": f"```html\n{SECTION}```\n",
    "in a block of code with waves": f"~~~\n{SECTION}~~~\n",
    "in a block that is left open": f"````\n{SECTION}```\n",
    "indented as code": "".join(f"    {line}\n" for line in SECTION.splitlines()),
    "in a list": f"- x\n\n  {BEGIN}\n  x\n  {END}\n",
    "in a quotation": f"> {BEGIN}\n> x\n> {END}\n",
    "in a line of text": f"Say `{BEGIN}` and `{END}`.\n",
    "with words after it": f"{BEGIN} x\n{END}\n",
    "in a comment that is left open": f"<!-- mine\n{BEGIN}\n-->\n",
    "a wrong comment": "<!--hubbot:begin-->\nx\n<!--hubbot:end-->\n",
    "in capitals": SECTION.upper(),
    "in the front matter": f"---\n# {BEGIN}\n# {END}\na: b\n---\n",
    "begun in the front matter": f"---\n# {BEGIN}\na: b\n---\n{END}\n",
    "spoken of as well": f"The part at hubbot:begin is a bot's.\n\n{SECTION}",
    "code left open": "# Hi\n```\ncode\n",
    "a comment left open": "# Hi\n<!-- to do\n",
    "a script left open": "<script>\n",
    "no telling where the text begins": "\n---\na: b\n---\n",
    "too long": "x" * MAX_CHARACTERS + "\n\n",
}


@pytest.mark.parametrize("card", ODD.values(), ids=ODD.keys())
def test_what_is_odd_is_refused(card: str) -> None:
    if card.startswith("x"):
        card += "x"
    with pytest.raises(CardNotEditable):
        put_section(card.encode(), WORDS)


PIECES = [
    *("# Hi\n", "```\n", "~~~\n", "> x\n", "- a\n", "  b\n", "    c\n", "<!--\n", "-->\n", "<div>\n", "\n"),
    *(f"{BEGIN}\n", f"{END}\n", "---\n", "a: b\n", "\r\n", "\ufeff", "🤗\n", "[a]: b\n", "\t", "x"),
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
def test_any_card_is_refused_or_keeps_every_byte_outside(card: str) -> None:
    try:
        new = put_section(card.encode(), WORDS).decode()
    except CardNotEditable:
        return
    head, _, rest = new.partition(BEGIN)
    inside, _, tail = rest.partition(END)
    assert inside.replace("\r\n", "\n") == f"\n{WORDS}\n"
    if BEGIN in card:
        assert (card.partition(BEGIN)[0], card.partition(END)[2]) == (head, tail)
    else:
        assert head.startswith(card)
        assert not head[len(card) :].strip()
        assert not tail.strip()
    assert put_section(new.encode(), WORDS).decode() == new


@pytest.mark.parametrize(
    "piece",
    [
        "> ",
        "- ",
        "[",
        "* a\n",
        "`",
        "<!--",
        "[a]: b\n",
        "|a",
        "\n",
        "1. ",
        "a\n=",
        "<a\n",
        "> - ",
        "```\n",
        "&a;",
    ],
)
def test_a_bomb_is_defused_in_seconds(piece: str) -> None:
    bomb, began = piece * ((MAX_CHARACTERS - 1000) // len(piece)), time.process_time()
    for card in (bomb, f"{SECTION}{bomb}", f"{bomb}\n\n{SECTION}"):
        try:
            put_section(card.encode(), WORDS)
        except CardNotEditable:
            continue
    assert time.process_time() - began < 10

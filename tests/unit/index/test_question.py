"""What was typed, taken apart."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.errors import UsageError
from hubbot.index.question import KEYS, LANGUAGE, MAX_QUERY_CHARS, Filters, Question, parsed


def day(year: int, month: int = 1, date: int = 1) -> datetime:
    return datetime(year, month, date, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "question"),
    [
        ("a dog", Question("a dog")),
        ("  a\n dog\t", Question("a dog")),
        ("a dog -cat", Question("a dog", ("cat",))),
        ('dogs -"wolf face" -cat', Question("dogs", ("wolf face", "cat"))),
        ('"wolf face" drawn', Question("wolf face drawn")),
        ("like:ann/dog -cat", Question("", ("cat",), ("ann/dog",))),
        ("x like:a/b like:c/d", Question("x", (), ("a/b", "c/d"))),
        ("dog license:mit", Question("dog", filters=Filters(license="mit"))),
        ("dog LICENCE:mit by:ann", Question("dog", filters=Filters(license="mit", author="ann"))),
        ("root:a/b task:text-to-image", Question(filters=Filters(tree="a/b", task="text-to-image"))),
        ('tag:"wolf face"', Question(filters=Filters(tag="wolf face"))),
        ("least:0.8", Question(filters=Filters(least=0.8))),
        ("least:80%", Question(filters=Filters(least=0.8))),
        ("since:2025", Question(filters=Filters(since=day(2025)))),
        ("since:2025-03", Question(filters=Filters(since=day(2025, 3)))),
        ("until:2024-02", Question(filters=Filters(until=day(2024, 3)))),
        ("until:2024", Question(filters=Filters(until=day(2025)))),
        ("until:2024-12-31", Question(filters=Filters(until=day(2025)))),
        ("ratio 16:9 in c:/d", Question("ratio 16:9 in c:/d")),
        ("a - b", Question("a - b")),
        ("well-known", Question("well-known")),
        ("tree:", Question("tree:")),
        ("-license:mit dog", Question("-license:mit dog")),
        ("", Question()),
    ],
)
def test_what_people_type(typed: str, question: Question) -> None:
    assert parsed(typed) == question


@pytest.mark.parametrize(
    "typed",
    ["since:yesterday", "until:2025-13", "since:2025-02-30", "since:0", "since:9999999999", "until:9999"],
)
def test_what_is_no_date(typed: str) -> None:
    with pytest.raises(UsageError, match="is no date"):
        parsed(typed)


@pytest.mark.parametrize("typed", ["least:much", "least:1.5", "least:-1", "least:120%", "least:nan"])
def test_what_is_no_chance(typed: str) -> None:
    with pytest.raises(UsageError, match="is no chance"):
        parsed(typed)


@pytest.mark.parametrize("typed", ["like:dog", "like:/", "like:a/b/c"])
def test_what_is_no_model(typed: str) -> None:
    with pytest.raises(UsageError, match="names no model"):
        parsed(typed)


def test_a_question_is_cut_where_nobody_reads_on() -> None:
    assert len(parsed("seven " * 1000).text) <= MAX_QUERY_CHARS
    assert len(parsed("x " + "-y " * 100).without) == 8


def test_the_line_under_the_box_names_every_key() -> None:
    assert {f"{f.name}:" for f in fields(Filters)} <= set(LANGUAGE.split())
    assert parsed(LANGUAGE.rpartition("as in ")[2]).filters == Filters(least=0.8, since=day(2026))
    assert set(KEYS.values()) == {f.name for f in fields(Filters)}


@given(st.text(max_size=400))
def test_whatever_is_typed_is_understood_or_refused_in_words(typed: str) -> None:
    try:
        question = parsed(typed)
    except UsageError:
        return
    question.text.encode()
    assert len(question.text) <= MAX_QUERY_CHARS

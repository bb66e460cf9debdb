"""Front matter as the Hub reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.localhub.metadata import BadMetadata, complaints, read_card, split_front_matter


@pytest.mark.parametrize(
    ("readme", "card"),
    [
        ("# No front matter", {}),
        ("", {}),
        ("---\nlicense: mit\n---\n# Hi", {"license": "mit"}),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", {"license": "mit"}),
        ("---\nlicense: mit\n---", {"license": "mit"}),
        ("---\nlanguage: no\nzip: 010\n---\n", {"language": "no", "zip": 10}),
        ("# Title\n---\nlicense: mit\n---\n", {}),
        ("---\n---\n", {}),
        ("---\n# only a comment\n---\n", {}),
        ("---\na: '---'\nb: 1 --- 2\n---\nc: 3\n---\n", {"a": "---", "b": "1 --- 2"}),
        ("---\nwhen: 2024-05-06\n---\n", {"when": "2024-05-06"}),
    ],
)
def test_cards(readme: str, card: dict[str, object]) -> None:
    assert read_card(readme) == card


@pytest.mark.parametrize(
    "front",
    ["a: 1\na: 2", "a: [", "- a", "just text", "a: !!python/name:os.system", "\ta: 1", "a: " + "x" * 200_000],
)
def test_cards_that_cannot_be_read(front: str) -> None:
    readme = f"---\n{front}\n---\n"
    with pytest.raises(BadMetadata):
        read_card(readme)
    errors, _ = complaints(readme)
    assert len(errors) == 1


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`\n \t,?012.~\ud800é"), max_size=60))
def test_any_text_is_read_or_refused(front: str) -> None:
    try:
        card = read_card(f"---\n{front}\n---\n")
    except BadMetadata:
        return
    json.dumps(card, allow_nan=False).encode("utf-8")


@pytest.mark.parametrize(
    ("front", "error"),
    [
        ("license: my-own", "license"),
        ("license: [mit, nope]", "license"),
        ("base_model: not a repo", "base_model"),
        ("datasets: [a/b/c]", "datasets"),
        ("tags: [1]", "tags"),
        ("tags: {a: b}", "tags"),
    ],
)
def test_what_the_hub_refuses(front: str, error: str) -> None:
    errors, warnings = complaints(f"---\n{front}\n---\n")
    assert [f'"{error}"' in message for message in errors] == [True]
    assert warnings == []


def test_what_the_hub_accepts() -> None:
    front = "license: other\nbase_model: [a/b, gpt2]\ndatasets: squad\ntags: [x]\nanything: {else: 1}"
    assert complaints(f"---\n{front}\n---\n") == ([], [])
    assert complaints("# Nothing") == ([], ["empty or missing yaml metadata in repo card"])


def test_front_matter_is_split_off_at_the_top_alone() -> None:
    assert split_front_matter("---\na: 1\n---\nrest\n---\n") == "a: 1\n"
    assert split_front_matter(" ---\na: 1\n---\n") is None
    assert split_front_matter("---\nnever closed") is None

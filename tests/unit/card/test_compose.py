"""What an owner reads, and that strangers' names cannot write in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hubbot.card.compose import compose, pull_request_text
from hubbot.card.front_matter import Edit, opted_out
from hubbot.records import (
    Evidence,
    ExpertInfo,
    Kind,
    Label,
    Prediction,
    Reading,
    Source,
    Suggestion,
    SuggestionState,
    Wanted,
)

INFO = ExpertInfo(
    name="digits-vit",
    version="3f2a",
    folder="/experts/digits-vit",
    roots=("root/vit", "root/vit-copy"),
    wanted=(Wanted("encoder.layer.1.weight"),),
    labels=(
        Label("7", "the digit seven", "seven"),
        Label("1", "the digit one", "one"),
        Label("0", "nought", "zero"),
    ),
    text_encoder="sentence:all-MiniLM-L6-v2",
    trained_on="scikit-learn's digits",
    datasets=("ann/digits",),
    scores={"precision": 0.9493, "coverage": 0.8267},
    baselines={"weight statistics": 0.651},
)
READING = Reading(
    repo="ann/vit",
    commit="c" * 40,
    content_ids=("w1",),
    tree="root/vit",
    expert="digits-vit",
    version="3f2a",
    predictions=(Prediction("1", 0.913, True), Prediction("7", 0.99999, True), Prediction("0", 0.2, False)),
    tensors_read=("encoder.layer.1.weight",),
    bytes_read=18_432,
    bytes_stored=5_300_000,
)
CARD = b"---\r\nlicense: mit # mine\r\n---\r\n# Hi\r\n"


def made(card: bytes = CARD, reading: Reading = READING, info: ExpertInfo = INFO) -> Suggestion:
    return compose(reading, info, card, contact="https://example.org/hubbot", base_commit="b" * 40)


def test_a_draft_with_the_most_probable_first() -> None:
    suggestion = made()
    assert suggestion.state is SuggestionState.DRAFT
    assert suggestion.added == ("tags: seven", "tags: one")
    assert suggestion.new_text.encode() == (
        b"---\r\nlicense: mit # mine\r\ntags:\r\n- seven\r\n- one\r\n---\r\n# Hi\r\n"
    )
    assert suggestion.title == "Add the tags seven, one, read off the weights"
    assert (suggestion.repo, suggestion.base_commit, suggestion.content_ids) == ("ann/vit", "b" * 40, ("w1",))
    assert suggestion == made(), "the same for the same reading"


@pytest.mark.parametrize(
    "said",
    [
        "`tags: seven`",
        "`digits-vit`, version `3f2a`",
        "fine-tuned from `root/vit`",
        "`scikit-learn's digits`",
        f"the tensor `encoder.layer.1.weight` of commit `{'c' * 40}`: 18.4 kB of 5.3 MB",
        "`the digit seven`: 99.9%",
        "`the digit one`: 91.3%",
        "94.9% of the labels that it named were right, and it named 82.7% of the true ones",
        "`hubbot tell ann/vit`",
        "<https://example.org/hubbot>",
        "silent in this repo for good",
        "`hubbot: false`",
    ],
)
def test_the_body_says_what_owners_want_to_know(said: str) -> None:
    assert said in made().body


ADAPTERS = replace(
    INFO,
    wanted=(Wanted("blocks.0.attn2.to_v", shape=(8, 8), kind=Kind.LORA),),
    head="text",
    trained_on="LoRAs of pictures",
)
ONE = replace(
    READING,
    predictions=(Prediction("7", 0.97, True), Prediction("0", 0.02, False)),
    tensors_read=tuple(f"blocks.0.attn2.to_v.lora_{factor}.weight" for factor in "AB"),
)


def test_one_concept_out_of_many_is_suggested_as_such() -> None:
    suggestion = made(reading=ONE, info=ADAPTERS)
    assert suggestion.added == ("tags: seven",)
    assert suggestion.title == "Add the tag seven, read off the weights"
    for said in (
        "knows adapters of `root/vit` and learned from `LoRAs of pictures`",
        "the tensors `blocks.0.attn2.to_v.lora_A.weight`, `blocks.0.attn2.to_v.lora_B.weight` of commit",
        "- `the digit seven`: 97.0%",
        "It chooses one of 3 things that it knows by name",
    ):
        assert said in suggestion.body
    assert "chooses one of" not in made().body
    assert suggestion.new_text.encode() == CARD.replace(b"mine\r\n", b"mine\r\ntags:\r\n- seven\r\n")


def test_the_owners_pipeline_and_base_model_are_left_as_they_are() -> None:
    card = b"---\nbase_model: root/vit\npipeline_tag: text-to-image\ntags: [lora]\n---\n"
    text = made(card, ONE, ADAPTERS).new_text
    assert "base_model: root/vit\npipeline_tag: text-to-image\n" in text
    assert text.count("lora") == 1


def test_the_baselines_are_not_told_as_the_experts_own_score() -> None:
    assert "statistics" not in made().body


def test_what_is_not_sure_is_not_mentioned() -> None:
    assert "nought" not in made().body
    assert "zero" not in made().new_text


def test_an_experts_data_is_not_claimed_to_be_the_models() -> None:
    assert "ann/digits" not in made().new_text


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (b"---\nhubbot: false\n---\n", "hubbot: false"),
        (b"---\ntags: [SEVEN, one]\n---\n", "says so already"),
        (b"---\ntags: 7\n---\n", "no list of texts"),
        (b"\n---\n---\n", "very top"),
    ],
)
def test_refused_with_a_reason_and_without_a_text(card: bytes, reason: str) -> None:
    refused = made(card)
    assert refused.state is SuggestionState.REFUSED
    assert reason in refused.reason
    assert (refused.title, refused.body, refused.new_text, refused.added) == ("", "", "", ())


def test_a_tag_that_is_none_refuses() -> None:
    broken = replace(INFO, labels=(Label("7", "seven", "a\nb"), Label("1", "one", "one")))
    assert "is no tag" in made(info=broken).reason


def test_titles_keep_to_the_hubs_limit() -> None:
    many = tuple(f"tags: {'long word ' * 9}{i}" for i in range(10))
    title, _ = pull_request_text(READING, INFO, Edit(b"", many), "me")
    assert title == "Add 10 tags, read off the weights"


def rendered(suggestion: Suggestion) -> tuple[set[str], str]:
    """The kinds of things that the body's Markdown makes, and all its text outside of code."""
    tokens = MarkdownIt("commonmark", {"html": True, "linkify": False}).parse(suggestion.body)
    inline = [child for token in tokens for child in (token.children or [])]
    kinds = {token.type for token in [*tokens, *inline]}
    return kinds, "".join(token.content for token in inline if token.type == "text")


HOSTILE = st.text(
    st.sampled_from("ab`*_[]()<>#!|\\@&;:/-~{}\n\r\t\x00\x1b\u202e\u2028\ud800\u200b\U000e0041猫"),
    max_size=40,
)


@settings(max_examples=200)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_names_are_data(repo: str, tensor: str, name: str, text: str) -> None:
    info = replace(
        INFO,
        name=name,
        version=text,
        trained_on=text,
        scores={**INFO.scores, name: 0.5},
        labels=(Label("7", text, "seven"), Label("1", name, "one")),
    )
    reading = replace(READING, repo=repo, tree=name, tensors_read=(tensor,) * 5, commit=tensor)
    kinds, words = rendered(made(reading=reading, info=info))
    plain_kinds, plain_words = rendered(made(reading=replace(READING, tensors_read=("x",) * 5)))
    assert kinds == plain_kinds, (
        "no name makes a link, an image, a heading, HTML, emphasis or a new paragraph"
    )
    assert words == plain_words
    assert made(reading=reading, info=info).title == made().title


@pytest.mark.parametrize(
    "contact", ["https://x.org/> <img src=x>", "a@b.org", "javascript:alert(1)", "", "`x`"]
)
def test_a_contact_is_a_link_only_if_it_is_a_plain_address(contact: str) -> None:
    body = compose(READING, INFO, CARD, contact=contact, base_commit="b" * 40).body
    kinds, _ = rendered(Suggestion("a/b", "", SuggestionState.DRAFT, body=body))
    assert not kinds & {"link_open", "html_inline", "html_block", "image"}


SURE = Evidence(Source.WEIGHTS, "rows agree", parent="root/vit", score=0.97, probability=0.9999)


def offered(card: bytes = CARD, **more: Any) -> Suggestion:
    return compose(READING, INFO, card, contact="me", base_commit="b" * 40, **more)


def test_a_base_model_comes_with_its_relation() -> None:
    suggestion = offered(descent=SURE)
    assert suggestion.added[-2:] == ("base_model: root/vit", "base_model_relation: finetune")
    assert suggestion.title == "Add the tags seven, one and the base model, read off the weights"
    assert "the mean cosine with those of `root/vit` is 0.97" in suggestion.body
    adapters = compose(ONE, ADAPTERS, CARD, contact="me", base_commit="b" * 40, descent=SURE)
    assert adapters.added[-1] == "base_model_relation: adapter"
    assert offered(b"---\ntags: [seven, one]\n---\n", descent=SURE).title == (
        "Add the base model, read off the weights"
    )


def test_a_prefixed_tag_stands_beside_a_new_one_only() -> None:
    suggestion = offered(b"---\ntags: [one]\n---\n", tag_prefix="hubbot:")
    assert suggestion.added == ("tags: seven", "tags: hubbot:seven")
    assert suggestion.new_text == '---\ntags: [one, seven, "hubbot:seven"]\n---\n'
    assert "says so already" in offered(b"---\ntags: [one, seven]\n---\n", tag_prefix="hubbot:").reason


def test_a_section_says_what_was_read_and_changes_nothing_else() -> None:
    plain, suggestion = offered(), offered(section=True)
    assert suggestion.new_text.startswith(plain.new_text + "\r\n<!-- hubbot:begin -->\r\n")
    assert suggestion.new_text.endswith("\r\n<!-- hubbot:end -->\r\n")
    section = suggestion.new_text[len(plain.new_text) :]
    for said in (
        "`digits-vit`, version `3f2a`",
        f"the tensor `encoder.layer.1.weight` of commit `{'c' * 40}`",
        "`the digit seven` (99.9%), `the digit one` (91.3%)",
        "it can be wrong",
        "`hubbot tell ann/vit`",
    ):
        assert said in section
    assert suggestion.added == (*plain.added, "section: Read off the weights")
    assert "outside of them I change nothing" in suggestion.body
    assert suggestion.title == plain.title
    assert not opted_out(suggestion.new_text.encode())
    assert "says so already" in offered(suggestion.new_text.encode(), section=True).reason


def test_new_weights_renew_the_section_in_place() -> None:
    card = offered(section=True).new_text.encode() + b"More of mine.\r\n"
    newer = replace(READING, commit="d" * 40, content_ids=("w2",))
    suggestion = compose(newer, INFO, card, contact="me", base_commit="b" * 40, section=True)
    assert suggestion.new_text.encode() == card.replace(b"c" * 40, b"d" * 40)
    assert suggestion.added == ("section: Read off the weights",)
    assert suggestion.title == "Renew the section that was read off the weights"
    assert "says so already" in compose(newer, INFO, card, contact="me", base_commit="b" * 40).reason


def test_a_section_without_a_place_is_left_out() -> None:
    card = b"# Hi\n```\nleft open\n"
    assert offered(card, section=True) == offered(card)
    twice = b"<!-- hubbot:begin -->\n<!-- hubbot:begin -->\n<!-- hubbot:end -->\n"
    assert offered(twice, section=True) == offered(twice)
    assert offered(twice).state is SuggestionState.DRAFT


@settings(max_examples=100)
@given(HOSTILE, HOSTILE)
def test_no_name_breaks_out_of_the_section(name: str, text: str) -> None:
    info = replace(INFO, name=name, version=text, labels=(Label("7", text, "seven"), Label("1", name, "one")))
    suggestion = compose(READING, info, CARD, contact="me", base_commit="b" * 40, section=True)
    body = suggestion.new_text.partition("# Hi\r\n")[2].strip()
    if not body:
        return
    begin, words, end = body.split("\r\n")
    assert (begin, end) == ("<!-- hubbot:begin -->", "<!-- hubbot:end -->")
    tokens = MarkdownIt("commonmark").parse(words)
    kinds = {child.type for token in tokens for child in (token.children or [])}
    assert kinds <= {"text", "code_inline", "strong_open", "strong_close"}
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]

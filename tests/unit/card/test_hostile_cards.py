"""Whatever a card looks like: it is refused, or grows by whole insertions and says the right thing.

The judges are strangers to our code: the pattern by which the Hub's client finds a front matter, and
PyYAML and ruamel.yaml, each in its own version of YAML.
"""

from __future__ import annotations

import difflib
import io
from typing import Any

import pytest
import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hubbot.card.front_matter import Edit, add_tags
from hubbot.errors import CardNotEditable

# One judge warns where a card uses an anchor twice, which YAML allows.
pytestmark = pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")

TAGS, DATASETS = ["seven", "no", "Vision"], ["ann/digits"]

LINES = [
    "license: mit",
    "language: no",
    "language:\n- no\n- 'en' # yes",
    "# a comment: [",
    "",
    "   ",
    "tags:",
    "tags:\n- vision",
    "tags:\n  - seven # mine\n  # after",
    'tags:\n-   "a b"\n-   "c"',
    "tags: [a, b]",
    "tags: [ 'a' , b, ] # x",
    "tags: [\n  a,\n  # why\n  b\n  ]",
    "tags: []",
    "tags: one",
    "tags: {a: b}",
    "tags:\n- 1\n- 2",
    "tags: &t\n- a",
    "tags:\n- |\n  text\n- b",
    "tags:\n- a\n\n- b\n\n\n",
    "'tags':\n- a",
    "? tags\n: - a",
    "datasets:\n- ann/old",
    "datasets: [ann/old]",
    "datasets: ann/old",
    "about: |\n  ---\n  tags:\n  - x\n",
    "about: >+\n  folded\n\n",
    "about: 'over\n\n  lines'",
    "about: plain\n  goes on\n  # comment",
    "model-index:\n- name: x\n  results:\n  - task: {type: y}\n    metrics: [{type: acc, value: 0.5}]",
    "a: &x 1",
    "b: *x",
    "<<: {a: b}",
    "emoji: 🤗",
    "🚀: [🎉]",
    "\ttab: x",
    "tab:\tx\t",
    "  indented: x",
    "date: 2026-11-20",
    "---",
    "--- x",
    "...",
    "- item",
    "x: !!python/none",
    "base_model:\n    - root/a\n    - root/b",
    "\u2028",
    "a: b\rc: d",
]
FENCES = ["---", "---", "---", "---", "--- ", "----", "-- -", "", "\n---", "# Hi\n---"]
BODIES = ["", "\n", "# Hi\n", "text\n---\nmore\n---\n", "---\ntags: [x]\n---\n", "x" * 1000, "🤗\n", "no end"]


@st.composite
def cards(draw: st.DrawFn) -> bytes:
    """Built of pieces that people, and bots, have really written, then perhaps damaged."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=6))
    parts = [
        draw(st.sampled_from(FENCES)),
        *lines,
        draw(st.sampled_from(FENCES)),
        draw(st.sampled_from(BODIES)),
    ]
    ends = draw(st.sampled_from(["\n", "\r\n", "mixed"]))
    text = "".join(
        line + (draw(st.sampled_from(["\n", "\r\n"])) if ends == "mixed" else ends)
        for part in parts
        for line in part.split("\n")
    )
    text = draw(st.sampled_from(["", "", "\ufeff"])) + text
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    card = text.encode()
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(card)))
        card = card[:at] + draw(st.binary(max_size=3)) + card[at + draw(st.integers(0, 3)) :]
    return card


def data(card: bytes, *, version: str) -> Any:
    """What the Hub's client and a parser of that version read; raises YAMLError where they cannot."""
    block = REGEX_YAML_BLOCK.search(card.decode().removeprefix("\ufeff"))
    text = block.group(2) if block else ""
    if version == "1.1":
        return yaml.safe_load(text)
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


def grown(old: Any, key: str, items: list[str]) -> list[str]:
    before = (old or {}).get(key) or []
    if isinstance(before, str):
        before = [before]
    present = {str(item).casefold() for item in before}
    return [*before, *(item for item in items if item.casefold() not in present)]


def judge(card: bytes, edit: Edit) -> None:
    matcher = difflib.SequenceMatcher(None, card.splitlines(True), edit.new.splitlines(True), autojunk=False)
    for what, i, k, j, n in matcher.get_opcodes():
        old, new = b"".join(card.splitlines(True)[i:k]), b"".join(edit.new.splitlines(True)[j:n])
        # A line may change only by something put into it, which a list in brackets does.
        assert what in ("equal", "insert") or _is_subsequence(old, new)
    assert bool(edit.added) == (edit.new != card)
    for version in ("1.1", "1.2"):
        try:
            before = data(card, version=version)
        except (yaml.YAMLError, YAMLError, ValueError):
            continue  # not readable in this version before; we promise nothing for it
        after = data(edit.new, version=version)
        untouched = {key: value for key, value in (before or {}).items() if key not in ("tags", "datasets")}
        assert {k: v for k, v in after.items() if k not in ("tags", "datasets")} == untouched
        for key, items in (("tags", TAGS), ("datasets", DATASETS)):
            now = after[key] if isinstance(after[key], list) else [after[key]]
            assert now == grown(before, key, items)
    assert add_tags(edit.new, TAGS, DATASETS) == Edit(edit.new, ())


def _is_subsequence(old: bytes, new: bytes) -> bool:
    rest = iter(new)
    return all(byte in rest for byte in old)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(cards())
@example(b"---\ndatasets:\n- ann/old\n---\n")
@example(b"---\n---\n")
@example(b"---\n\n---\n")
@example("---\nlanguage: no\n---\n🤗".encode())
def test_a_card_is_refused_or_grows(card: bytes) -> None:
    try:
        edit = add_tags(card, TAGS, DATASETS)
    except CardNotEditable:
        return
    judge(card, edit)


@settings(max_examples=250)
@given(
    st.text(alphabet=st.sampled_from("-: \n\r\t#[]{}&*!|>'\"%@`,?ab0~\ufeff\u2028🤗"), max_size=60),
    st.booleans(),
)
def test_any_text_is_refused_or_grows(text: str, fenced: bool) -> None:
    card = (f"---\n{text}\n---\n" if fenced else text).encode()
    try:
        edit = add_tags(card, TAGS, DATASETS)
    except CardNotEditable:
        return
    judge(card, edit)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_grow(card: bytes) -> None:
    try:
        edit = add_tags(card, TAGS, DATASETS)
    except CardNotEditable:
        return
    judge(card, edit)


@settings(max_examples=100)
@given(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(
        lambda t: t == t.strip() and t.isprintable()
    )
)
@pytest.mark.parametrize(
    "card", [b"", b"---\ntags:\n- 'a'\n---\n", b'---\ntags: ["a"]\n---\n', b"---\ntags: [a]\n---\n"]
)
def test_any_tag_is_written_so_that_it_is_read_back(card: bytes, tag: str) -> None:
    edit = add_tags(card, [tag])
    for version in ("1.1", "1.2"):
        assert data(edit.new, version=version)["tags"] == grown(data(card, version=version), "tags", [tag])


def test_the_judge_can_be_strict() -> None:
    card = b"---\ntags: [a]\nlicense: mit\n---\n"
    right = add_tags(card, TAGS, DATASETS)
    for wrong in (
        right.new.replace(b"mit", b"gpl"),
        right.new.replace(b", Vision", b""),
        right.new.replace(b"license: mit\n", b""),
    ):
        with pytest.raises((AssertionError, KeyError)):
            judge(card, Edit(wrong, right.added))

"""Cards as people wrote them, edited byte by byte, or refused with a reason."""

from __future__ import annotations

import time

import pytest

from hubbot.card.front_matter import add_tags, asks, opted_out
from hubbot.card.yaml_tree import MAX_CHARACTERS, MAX_DEPTH
from hubbot.errors import CardError, CardNotEditable

EDITS = {
    "a list grows below its last item, in its indentation": (
        "---\nlicense: mit\ntags:\n  - vision # mine\nlanguage: no\n---\n# Hi\n",
        "---\nlicense: mit\ntags:\n  - vision # mine\n  - seven\nlanguage: no\n---\n# Hi\n",
    ),
    "a list in brackets": ("---\ntags: [a, 'b' ] # x\n---\n", "---\ntags: [a, 'b', 'seven' ] # x\n---\n"),
    "a list in brackets over lines, with a comma at its end": (
        "---\ntags: [\n  a, # first\n  b,\n]\n---\n",
        "---\ntags: [\n  a, # first\n  b, seven,\n]\n---\n",
    ),
    "empty brackets": ("---\ntags: []\n---\n", "---\ntags: [seven]\n---\n"),
    "a missing key comes at the end": (
        "---\nlicense: mit\n---\n",
        "---\nlicense: mit\ntags:\n- seven\n---\n",
    ),
    "a missing key takes the look of other lists": (
        "---\nmetrics:\n    -   accuracy\nlicense: mit\n---\n",
        "---\nmetrics:\n    -   accuracy\nlicense: mit\ntags:\n    -   seven\n---\n",
    ),
    "a key without a value": (
        "---\ntags: # to do\nlicense: mit\n---\n",
        "---\ntags: # to do\n- seven\nlicense: mit\n---\n",
    ),
    "an indented front matter": ("---\n  a: b\n---\n", "---\n  a: b\n  tags:\n  - seven\n---\n"),
    "no front matter": ("# Hi\n", "---\ntags:\n- seven\n---\n# Hi\n"),
    "no front matter, CRLF and BOM": ("\ufeff# Hi\r\n", "\ufeff---\r\ntags:\r\n- seven\r\n---\r\n# Hi\r\n"),
    "no card": ("", "---\ntags:\n- seven\n---\n"),
    "an empty front matter": ("---\n---\n# Hi\n", "---\ntags:\n- seven\n---\n# Hi\n"),
    "nothing but comments": ("---\n# mine\n---\n", "---\n# mine\ntags:\n- seven\n---\n"),
    "CRLF stays": ("---\r\ntags:\r\n- a\r\n---\r\n", "---\r\ntags:\r\n- a\r\n- seven\r\n---\r\n"),
    "mixed line ends stay, the neighbour's is taken": (
        "---\nlicense: mit\ntags:\r\n- a\r\n---\nx\r\n",
        "---\nlicense: mit\ntags:\r\n- a\r\n- seven\r\n---\nx\r\n",
    ),
    "BOM stays first": ("\ufeff---\na: b\n---", "\ufeff---\na: b\ntags:\n- seven\n---"),
    "no line end after the front matter": ("---\na: b\n---", "---\na: b\ntags:\n- seven\n---"),
    "quotes are taken from the neighbour": (
        '---\ntags:\n- "a"\n---\n',
        '---\ntags:\n- "a"\n- "seven"\n---\n',
    ),
    "a rule inside a text is no end": (
        "---\nabout: |\n  one\n  ---\n  two\na: b\n---\n---\n\nfoo\n\n---\n",
        "---\nabout: |\n  one\n  ---\n  two\na: b\ntags:\n- seven\n---\n---\n\nfoo\n\n---\n",
    ),
    "a text that keeps its blank lines": (
        "---\ntags: [a]\nabout: |+\n  one\n\n\n---\n",
        "---\ntags: [a, seven]\nabout: |+\n  one\n\n\n---\n",
    ),
    "an anchor elsewhere": ("---\na: &x b\n---\n", "---\na: &x b\ntags:\n- seven\n---\n"),
    "emoji, wide and quoted": (
        "---\ntags: ['🤗', 猫]\n'emoji 🚀': 1\n---\n🎉\n",
        "---\ntags: ['🤗', 猫, seven]\n'emoji 🚀': 1\n---\n🎉\n",
    ),
    "blanks after the end": ("---\na: b\n--- \t\r\n", "---\na: b\ntags:\n- seven\n--- \t\r\n"),
    "a quoted key": ('---\n"tags":\n- a\n---\n', '---\n"tags":\n- a\n- seven\n---\n'),
    "an item over two lines": ("---\ntags:\n- a\n  b\n---\n", "---\ntags:\n- a\n  b\n- seven\n---\n"),
    "a rule under a heading is no front matter": (
        "# Hi\n---\nNote: x\n---\n",
        "---\ntags:\n- seven\n---\n# Hi\n---\nNote: x\n---\n",
    ),
}


@pytest.mark.parametrize(("old", "new"), EDITS.values(), ids=EDITS.keys())
def test_an_edit(old: str, new: str) -> None:
    edit = add_tags(old.encode(), ["seven"])
    assert edit.new.decode() == new
    assert edit.added == ("tags: seven",)
    assert add_tags(edit.new, ["Seven"]).added == ()


REFUSALS = {
    "duplicate keys": ("---\ntags:\n- a\ntags:\n- b\n---\n", "the key 'tags' twice in line 2"),
    "duplicate keys elsewhere": ("---\na:\n  b: 1\n  b: 2\n---\n", "the key 'b' twice in line 3"),
    "an anchor on the list": ("---\ntags: &t\n- a\n---\n", "anchor"),
    "an anchor in the list": ("---\ntags: [&t a]\n---\n", "anchor"),
    "an alias": ("---\na: &t [a]\ntags: *t\n---\n", "a YAML alias in line 3"),
    "a merge key": ("---\n<<: {tags: [a]}\n---\n", "a merge key"),
    "a class": ("---\na: !!python/object/apply:os.system [x]\n---\n", "explicit YAML tag"),
    "a single text": ("---\ntags: vision\n---\n", "no list of texts"),
    "a mapping": ("---\ntags: {a: b}\n---\n", "no list of texts"),
    "null": ("---\ntags: null\n---\n", "no list of texts"),
    "a number in the list": ("---\ntags:\n- a\n- 2026\n---\n", "no list of texts"),
    "a list in the list": ("---\ntags:\n- - a\n---\n", "no list of texts"),
    "a block of text in the list": ("---\ntags:\n- |\n  a\n---\n", "block of text"),
    "a block of text at the end": ("---\na:\n- b: |\n    c\n---\n", "ends with a block of text"),
    "an item under its dash": ("---\ntags:\n-\n  a\n---\n", "unusual way"),
    "a blank line on top": ("\n---\na: b\n---\n", "very top"),
    "words on top": ("# Hi\n\n---\nlicense: mit\n---\n", "very top"),
    "a space after the fence": ("--- \na: b\n---\n", "very top"),
    "two front matters": ("---\na: b\n---\n---\ntags: [x]\n---\n", "second front matter"),
    "no end": ("---\na: b\n", "no end"),
    "nothing but a fence": ("---", "no end"),
    "an empty one that may be a full one": ("---\n---\na: b\n---\n", "empty"),
    "the same with blanks": ("---\n---\na: b\n--- \n", "empty"),
    "a list of keys in braces": ("---\n{a: b}\n---\n", "no list of keys"),
    "a list": ("---\n- a\n---\n", "no list of keys"),
    "a sentence": ("---\nhello\n---\n", "no list of keys"),
    "a key that is a list": ("---\n? [a]\n: b\n---\n", "no text"),
    "a tab for indentation": ("---\na:\n\t- b\n---\n", "invalid YAML"),
    "a tab after the dash": ("---\ntags:\n-\ta\n---\n", "invalid YAML"),
    "no YAML": ("---\na: [b\n---\n", "invalid YAML"),
    "a control character": ("---\na: \x07\n---\n", "invalid YAML"),
    "two documents": ("---\na: b\n--- {}\n---\n", "more than one YAML document"),
    "a document's end": ("---\na: b\n...\n---\n", "more than one YAML document"),
    "a directive": ("---\n%YAML 1.1\n---\n", "invalid YAML"),
    "a carriage return alone": ("---\na: b\rtags: c\n---\n", "unusual line break in line 2"),
    "a line separator": ("---\na: b\u2028c: d\n---\n", "unusual line break"),
    "a NUL": ("---\na: b\n---\n\0", "NUL"),
    "depth": ("---\na: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "\n---\n", "too many levels"),
    "size": ("---\na: " + "x" * MAX_CHARACTERS + "\n---\n", "too many to edit"),
}


@pytest.mark.parametrize(("card", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal(card: str, reason: str) -> None:
    with pytest.raises(CardNotEditable, match=reason):
        add_tags(card.encode(), ["seven"])


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(CardNotEditable, match="not UTF-8 at byte 2"):
        add_tags(b"# \xff\n", ["seven"])


@pytest.mark.parametrize("present", ["[Seven]", "seven", "\n- a\n- SEVEN"])
def test_what_is_there_is_not_added_again(present: str) -> None:
    card = f"---\ntags: {present}\n---\n".encode()
    edit = add_tags(card, ["seven", "Seven"])
    assert (edit.new, edit.added) == (card, ())


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("no", '"no"'),
        ("Null", '"Null"'),
        ("7", '"7"'),
        ("1e3", '"1e3"'),
        ("a: b", '"a: b"'),
        ("#x", '"#x"'),
        ('say "x"', '"say \\"x\\""'),
        ("it's", '"it\'s"'),
        ("猫", '"猫"'),
        ("golden retriever", "golden retriever"),
    ],
)
def test_tags_are_quoted_where_yaml_would_misread_them(tag: str, written: str) -> None:
    assert f"- {written}\n" in add_tags(b"", [tag]).new.decode()


def test_both_lists_at_once_whichever_is_there() -> None:
    for card in (
        "---\ndatasets:\n- ann/old\n---\n",
        "---\ntags:\n- old\n---\n",
        "---\nlicense: mit\n---\n",
        "---\ntags: [old]\ndatasets: []\n---\n",
        "",
    ):
        edit = add_tags(card.encode(), ["seven", "one"], ["ann/digits"])
        assert sorted(edit.added) == ["datasets: ann/digits", "tags: one", "tags: seven"]
        assert add_tags(edit.new, ["seven", "one"], ["ann/digits"]).added == ()


@pytest.mark.parametrize("tag", ["", " a", "a\nb", "a\u2028b", "\x1b[0m", "x" * 101])
def test_what_is_no_tag(tag: str) -> None:
    with pytest.raises(CardError, match="is no tag"):
        add_tags(b"", [tag])


@pytest.mark.parametrize("name", ["MNIST digits", "a/b/c", "", "https://hub/x", "-\n"])
def test_what_is_no_dataset_id(name: str) -> None:
    with pytest.raises(CardError, match="no id of a repo"):
        add_tags(b"", [], [name])
    with pytest.raises(CardError, match="no id of a repo"):
        add_tags(b"", [], base_model=name)


def test_a_base_model_is_added_where_none_is_named_and_only_there() -> None:
    assert add_tags(b"", [], base_model="org/root").new == b"---\nbase_model:\n- org/root\n---\n"
    named = b"---\nlicense: mit\nbase_model: org/other\n---\n# Mine\n"
    assert add_tags(named, [], base_model="org/root").new == named
    edit = add_tags(b"---\nlicense: mit\n---\n", ["seven"], base_model="org/root")
    assert edit.added == ("tags: seven", "base_model: org/root")
    assert edit.new == b"---\nlicense: mit\ntags:\n- seven\nbase_model:\n- org/root\n---\n"


def test_a_megabyte_of_text_is_quick_and_stays() -> None:
    body = ("- word 🤗: words\r\n\n---\n   \n" * 40_000).encode()
    began = time.monotonic()
    edit = add_tags(b"---\na: b\n---\n" + body, ["seven"])
    assert edit.new == b"---\na: b\ntags:\n- seven\n---\n" + body
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "bomb",
    [
        "a: " + "[" * 200_000,
        "? " * 100_000,
        "- " * 100_000,
        "a: &a [x]\n" + "".join(f"k{i}: [*a, *a, *a]\n" for i in range(10_000)),
        "a: '" + "''" * 100_000,
        "a: " + "{b: " * 50_000,
        "#" * 200_000,
        "a: " + "1" * 200_000,
        "a:" + " " * 200_000,
        " \n" * 100_000,
        "a" * 200_000,
        "a:\n" + "- !x y\n" * 20_000,
    ],
)
def test_a_bomb_is_defused_in_seconds(bomb: str) -> None:
    began = time.monotonic()
    for card in (f"---\n{bomb}\n---\n", f"{bomb}\n"):
        try:
            add_tags(card.encode(), ["seven"])
        except CardNotEditable:
            continue
        finally:
            assert not opted_out(card.encode())
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "card",
    [
        "---\nhubbot: false\n---\n",
        "---\r\na: b\r\n'hubbot': \"no\"\r\n---\r\n",
        "---\n# hubbot: false\n---\n",
        "# Hi\n<!-- hubbot: false -->\n",
        "---\na: [broken\nHubbot: FALSE\n---\n",
        "\ufeff---\nhubbot: off\n---\n",
        "\xff\nhubbot : never",
    ],
)
def test_the_opt_out_word_is_heard_wherever_it_stands(card: str) -> None:
    assert opted_out(card.encode("utf-8"))
    assert opted_out(card.encode("latin-1", "replace"))


@pytest.mark.parametrize(
    "card", ["", "---\nhubbot: true\n---\n", "I like hubbot: false friends\n", "hubbot: nothing"]
)
def test_no_opt_out_where_none_was_said(card: str) -> None:
    assert not opted_out(card.encode())


@pytest.mark.parametrize(
    "card", ["---\nhubbot: true\n---\n", "\ufeff---\r\na: b\r\n'hubbot': True # yes\r\n---\r\n"]
)
def test_an_owner_asks_in_the_front_matter(card: str) -> None:
    assert asks(card.encode())


@pytest.mark.parametrize(
    "card",
    [
        "",
        "hubbot: true",
        "---\na: b\n---\nhubbot: true\n",
        "---\n# hubbot: true\n---\n",
        "---\nhubbot: 'true'\n---\n",
        "---\nhubbot: false\n---\n",
        "---\nhubbot: yes\n---\n",
        "---\nabout:\n  hubbot: true\n---\n",
        "---\nhubbot: true\nhubbot: true\n---\n",
        "---\nhubbot: true\n",
        "\xff---\nhubbot: true\n---\n",
    ],
)
def test_nothing_else_asks(card: str) -> None:
    assert not asks(card.encode("latin-1"))


def test_a_relation_comes_with_its_base_model_and_never_alone() -> None:
    edit = add_tags(b"---\nlicense: mit\n---\n", [], base_model="org/root", relation="finetune")
    assert edit.new == b"---\nlicense: mit\nbase_model:\n- org/root\nbase_model_relation: finetune\n---\n"
    assert edit.added == ("base_model: org/root", "base_model_relation: finetune")
    named = b"---\r\nbase_model: org/other\r\n---\r\n"
    assert add_tags(named, [], base_model="org/root", relation="finetune").new == named
    assert add_tags(b"", ["seven"], relation="finetune").added == ("tags: seven",)
    told = b"---\r\nbase_model_relation: merge\r\n---\r\n"
    edit = add_tags(told, [], base_model="org/root", relation="finetune")
    assert edit.new == b"---\r\nbase_model_relation: merge\r\nbase_model:\r\n- org/root\r\n---\r\n"


def test_a_relation_is_indented_as_the_other_keys() -> None:
    edit = add_tags(b"---\n  a: b\n---\n", ["x"], base_model="org/root", relation="adapter")
    end = b"  tags:\n  - x\n  base_model:\n  - org/root\n  base_model_relation: adapter\n---\n"
    assert edit.new == b"---\n  a: b\n" + end

"""Declared ancestry: what people write on the Hub, followed or named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hubbot.records import Source, Upload
from hubbot.trees.declared import MAX_PARENTS, Lineage, trace

ROOTS = {"org/root": "org/root", "org/root-v2": "org/root", "gpt2": "gpt2"}


def upload(repo: str = "me/model", base: Any = None, **more: Any) -> Upload:
    card = dict(more.pop("card", {}))
    if base is not None:
        card["base_model"] = base
    return Upload(repo, "0" * 40, datetime(2026, 1, 1, tzinfo=UTC), card=card, **more)


def climb(start: Upload, *others: Upload, **more: Any) -> Lineage:
    hub = {u.repo: u for u in others}
    return trace(start, hub.get, known_roots=ROOTS, **more)


def test_a_card_names_its_root() -> None:
    lineage = climb(upload(base="org/root"))
    assert (lineage.parent, lineage.root, lineage.relation) == ("org/root", "org/root", "finetune")
    assert lineage.known
    assert [e.source for e in lineage.evidence] == [Source.CARD]


def test_a_chain_is_followed_to_the_root_and_each_step_told() -> None:
    lineage = climb(upload(base="a/one"), upload("a/one", "a/two"), upload("a/two", "org/root"))
    assert (lineage.parent, lineage.root) == ("a/one", "org/root")
    assert [e.parent for e in lineage.evidence] == ["a/one", "a/two", "org/root"]


def test_a_chain_ends_at_a_repo_that_names_no_parent() -> None:
    lineage = climb(upload(base="a/one"), upload("a/one"))
    assert (lineage.root, lineage.known) == ("a/one", False)


def test_aliases_and_case_lead_to_one_tree() -> None:
    assert climb(upload(base="ORG/Root-V2")).root == "org/root"
    assert climb(upload("Org/Root-v2")).root == "org/root"


def test_a_known_root_is_its_own() -> None:
    lineage = climb(upload("org/root", base="org/something"))
    assert (lineage.parent, lineage.root) == (None, "org/root")
    assert [e.source for e in lineage.evidence] == [Source.ROOT]


def test_a_dead_parent_leaves_its_name() -> None:
    lineage = climb(upload("sentence-transformers/all-MiniLM-L6-v2", "nreimers/MiniLM-L6-H384-uncased"))
    assert lineage.root == lineage.parent == "nreimers/MiniLM-L6-H384-uncased"
    assert "not on the Hub" in lineage.evidence[-1].text


def test_what_lookup_raises_is_not_taken_for_a_dead_parent() -> None:
    def down(repo: str) -> Upload:
        raise TimeoutError(repo)

    with pytest.raises(TimeoutError):
        trace(upload(base="a/one"), down, known_roots=ROOTS)


@pytest.mark.parametrize("circle", [["me/model"], ["a/one", "me/model"], ["a/one", "a/two", "a/ONE"]])
def test_circles_end(circle: list[str]) -> None:
    repos = [upload(repo, base) for repo, base in zip(["me/model", *circle], circle, strict=False)]
    lineage = climb(*repos)
    assert lineage.root is None
    assert any("circle" in e.text or "itself" in e.text for e in lineage.evidence)


def test_depth_is_bounded() -> None:
    asked = []

    def endless(repo: str) -> Upload:
        asked.append(repo)
        return upload(repo, f"a/m{len(asked)}")

    lineage = trace(upload(base="a/m"), endless, known_roots=ROOTS, max_depth=7)
    assert len(asked) == 7
    assert lineage.root is None
    assert "7" in lineage.evidence[-1].text


def test_several_parents_are_a_merge_and_the_first_leads() -> None:
    lineage = climb(upload(base=["org/root", "other/root"]))
    assert (lineage.parent, lineage.root, lineage.relation) == ("org/root", "org/root", "merge")
    assert [e.parent for e in lineage.evidence] == ["org/root", "other/root"]


def test_tags_name_parent_and_relation() -> None:
    lineage = climb(upload(tags=("vit", "base_model:org/root", "base_model:quantized:org/root")))
    assert (lineage.root, lineage.relation) == ("org/root", "quantized")
    assert [e.source for e in lineage.evidence] == [Source.TAG]


def test_tags_that_repeat_the_card_are_no_second_witness() -> None:
    lineage = climb(upload(base="org/root", tags=("base_model:org/root", "base_model:finetune:org/root")))
    assert len(lineage.evidence) == 1


def test_an_adapter_names_its_base_in_its_config() -> None:
    lineage = climb(upload(config={"peft": {"base_model_name_or_path": "org/root", "task_type": "X"}}))
    assert (lineage.root, lineage.relation) == ("org/root", "adapter")
    assert lineage.evidence[0].source is Source.ADAPTER_CONFIG


@pytest.mark.parametrize(
    ("card", "config", "relation"),
    [
        ({"base_model_relation": "quantized"}, {}, "quantized"),
        ({}, {"quantization_config": {"bits": 8}}, "quantized"),
        ({}, {}, "finetune"),
    ],
)
def test_relations_declared_and_inferred(card: dict[str, Any], config: dict[str, Any], relation: str) -> None:
    assert climb(upload(base="org/root", card=card, config=config)).relation == relation


def test_an_unknown_relation_is_said_and_ignored() -> None:
    lineage = climb(upload(base="org/root", card={"base_model_relation": ["daughter"]}))
    assert lineage.relation == "finetune"
    assert "unknown" in lineage.evidence[-1].text


@pytest.mark.parametrize(
    ("base", "parent"),
    [
        ("https://huggingface.co/org/root", "org/root"),
        ("https://hf.co/org/root/tree/main", "org/root"),
        ("https://huggingface.co/gpt2", "gpt2"),
        ("  org/root\n", "org/root"),
        ("gpt2", "gpt2"),
    ],
)
def test_names_in_other_clothes(base: str, parent: str) -> None:
    assert climb(upload(base=base)).root == parent


@pytest.mark.parametrize(
    "base",
    [
        "/home/me/checkpoints/best",
        "./out",
        "../out",
        "~/models/x",
        "C:\\models\\x",
        "C:/models/x",
        "https://example.com/org/root",
        "https://huggingface.co/datasets/org/root",
        "https://huggingface.co",
        "https://[bad",
        "file:///etc/passwd",
        "a/b/c",
        "a//b",
        "a/b--c",
        "a/..",
        "org/<script>alert(1)</script>",
        "org/root\x00",
        "ｏｒｇ/root",
        "x" * 97,
        "y" * 1_000_000,
        "me/MODEL",
        "   ",
        7,
        3.5,
        True,
        {"name": "org/root"},
        [["org/root"]],
        [None],
        b"org/root",
    ],
)
def test_what_is_no_parent_becomes_a_reason(base: Any) -> None:
    lineage = climb(upload(base=base))
    assert (lineage.parent, lineage.root) == (None, None)
    assert len(lineage.evidence) == 1
    told = lineage.evidence[0].text
    assert "ignored" in told
    assert len(told) < 200
    assert told.isprintable()


def test_an_unusable_parent_does_not_hide_a_good_one() -> None:
    lineage = climb(upload(base=["./out", "org/root"]))
    assert lineage.root == "org/root"
    assert len(lineage.evidence) == 2


@pytest.mark.parametrize("peft", ["text", 3, {"base_model_name_or_path": None}, {}])
def test_odd_adapter_configs_say_nothing(peft: Any) -> None:
    assert climb(upload(config={"peft": peft})) == Lineage()


def test_thousands_of_parents_are_cut() -> None:
    lineage = climb(upload(base=[f"a/m{i}" for i in range(5_000)], tags=("base_model:a/m0",)))
    assert len(lineage.evidence) <= MAX_PARENTS + 2
    assert "5000" in "".join(e.text for e in lineage.evidence)


def test_nothing_declared_is_nothing_claimed() -> None:
    assert climb(upload()) == Lineage()


def test_a_renamed_parent_is_followed_under_its_new_name() -> None:
    """The Hub answers for an old name with the repo of the new one."""
    one, two = upload("a/one", "a/two"), upload("a/two")
    moved = {"old/root": upload("org/root"), "old/one": one, "a/one": one, "a/two": two}
    known = trace(upload(base="old/root"), moved.get, known_roots=ROOTS)
    assert (known.parent, known.root, known.known) == ("old/root", "org/root", True)
    assert known.evidence[-1].text == "old/root is now called org/root"
    chain = trace(upload(base="old/one"), moved.get, known_roots=ROOTS)
    assert (chain.root, chain.known) == ("a/two", False)


def test_a_rename_into_a_circle_ends() -> None:
    moved = {"old/me": upload("me/model", "old/me")}
    lineage = trace(upload(base="old/me"), moved.get, known_roots=ROOTS)
    assert lineage.root is None
    assert "circle" in lineage.evidence[-1].text

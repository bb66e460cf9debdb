"""The listing as uploads: the real client's order and fields, and entries by strangers."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.errors import AccessDenied, RepoNotFound
from hubbot.hub import uploads
from hubbot.hub.client import Hub
from hubbot.hub.uploads import FIELDS, Malformed, _upload, is_repo_name, of_owner, one, recent
from hubbot.localhub.server import Server

START = datetime(2026, 1, 1, tzinfo=UTC)
CARD = b"---\ntags: [vit]\nbase_model: o/root\nlicense: mit\n---\n# A model\n"
CONFIG = b'{"model_type": "vit", "architectures": ["ViTForImageClassification"]}'


def fill(server: Server, count: int) -> None:
    for n in range(count):
        when = START + timedelta(hours=n)
        server.repos.create(f"o/m{n:03}", created_at=when)
        server.repos.commit(f"o/m{n:03}", {"README.md": CARD, "config.json": CONFIG}, when=when)


def test_newest_first_with_all_that_the_path_needs(server: Server, hub: Hub) -> None:
    fill(server, 3)
    newest, *others = recent(hub, since=None)
    assert [upload.repo for upload in (newest, *others)] == ["o/m002", "o/m001", "o/m000"]
    assert newest.commit == server.repos.head("o/m002")
    assert newest.modified_at == START + timedelta(hours=2)
    assert newest.files == (".gitattributes", "README.md", "config.json")
    assert newest.card["base_model"] == "o/root"
    assert newest.config["model_type"] == "vit"
    assert newest.owner == "o"
    assert "vit" in newest.tags
    assert (newest.gated, newest.private, newest.disabled) == (False, False, False)


def test_the_watermark_ends_the_listing_and_is_part_of_it(server: Server, hub: Hub) -> None:
    fill(server, 5)
    since = START + timedelta(hours=3)
    assert [upload.repo for upload in recent(hub, since=since)] == ["o/m004", "o/m003"]
    assert [upload.repo for upload in recent(hub, since=None, limit=2)] == ["o/m004", "o/m003"]


def test_an_owners_repos_are_found_by_how_their_names_begin(server: Server, hub: Hub) -> None:
    for repo in ("o/zoo__a__1", "o/zoo__a__2", "o/zoo__b__1", "o/my-zoo__a", "p/zoo__a__1"):
        server.repos.create(repo)
    assert {upload.repo for upload in of_owner(hub, "o", "zoo__a")} == {"o/zoo__a__1", "o/zoo__a__2"}
    assert list(of_owner(hub, "nobody", "zoo")) == []


def test_pages_are_followed_only_as_far_as_needed_and_grow(
    server: Server, hub: Hub, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(server, 205)
    assert len({upload.repo for upload in recent(hub, since=None)}) == 205
    assert len(seen()) == 2, "a hundred, then four hundred"
    seen.clear()
    monkeypatch.setattr(uploads, "MOST_PER_PAGE", 100)
    assert len({upload.repo for upload in recent(hub, since=None)}) == 205
    assert len(seen()) == 3
    seen.clear()
    assert len(list(recent(hub, since=START + timedelta(hours=110)))) == 95
    assert len(seen()) == 1


def test_a_repo_that_moves_while_pages_are_read_is_given_once(server: Server, hub: Hub) -> None:
    fill(server, 150)
    reading = recent(hub, since=None)
    first = [next(reading) for _ in range(100)]
    for n in range(3):  # pushes three of the first page onto the second
        server.repos.create(f"o/late{n}", created_at=START + timedelta(days=30))
    names = [upload.repo for upload in (*first, *reading)]
    assert len(names) == len(set(names)) == 150


def test_nothing_counts_as_a_download(server: Server, hub: Hub) -> None:
    fill(server, 2)
    list(recent(hub, since=None))
    one(hub, "o/m001")
    assert [repo.downloads for repo in server.repos.all()] == [0, 0]


def test_one_repo_at_its_head_and_at_a_revision(server: Server, hub: Hub) -> None:
    fill(server, 1)
    before = server.repos.head("o/m000")
    server.repos.commit("o/m000", {"model.safetensors": b"x"})
    assert "model.safetensors" in one(hub, "o/m000").files
    old = one(hub, "o/m000", before)
    assert old.commit == before
    assert "model.safetensors" not in old.files


@pytest.mark.parametrize(
    "name", ["o/absent", "./local", "../x/y", "a/b/c", "", "C:\\m", "o/m\n", "o/m?x=1", "о/m"]
)
def test_a_repo_that_is_not_there(hub: Hub, seen: Any, name: str) -> None:
    with pytest.raises(RepoNotFound):
        one(hub, name)
    assert len(seen()) == (1 if name == "o/absent" else 0)


def test_flags_are_seen_and_the_disabled_are_left_alone(server: Server, hub: Hub) -> None:
    server.repos.create("o/gated", gated="manual")
    server.repos.create("o/off", disabled=True)
    assert one(hub, "o/gated").gated
    with pytest.raises(AccessDenied, match="o/off"):
        one(hub, "o/off")


GOOD: dict[str, Any] = {"id": "o/m", "sha": "0" * 40, "lastModified": "2026-01-01T00:00:00.000Z"}


@pytest.mark.parametrize(
    "change",
    [{"id": None}, {"id": "o/m/../x"}, {"id": 7}, {"sha": None}, {"sha": "main"}, {"sha": "0" * 39 + "\n"},
     {"lastModified": "yesterday"}, {"lastModified": 5}, {"lastModified": None}],
)  # fmt: skip
def test_an_entry_without_name_commit_or_time_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        _upload({**GOOD, **change})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
)
OPTIONAL = sorted(set(FIELDS) - {"sha", "lastModified"})


@given(st.dictionaries(st.sampled_from(OPTIONAL), json_values))
def test_nonsense_in_the_other_fields_is_tolerated(nonsense: dict[str, Any]) -> None:
    upload = _upload({**GOOD, **nonsense})
    assert upload.repo == "o/m"
    assert upload.gated or nonsense.get("gated") in (False, None)
    # What is kept can be stored: UTF-8 throughout.
    kept = [upload.card, upload.config, upload.tags, upload.files, upload.pipeline_tag, upload.library]
    json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()


def test_a_card_keeps_its_plain_data_and_loses_the_rest() -> None:
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    card = {"a": "\ud800", "b": float("nan"), "c": [1, {"d": True}], "deep": deep}
    upload = _upload({**GOOD, "cardData": card})
    assert upload.card["a"] == "?"
    assert upload.card["b"] is None
    assert upload.card["c"] == [1, {"d": True}]
    assert _upload({**GOOD, "cardData": ["no mapping"]}).card == {}


@pytest.mark.parametrize(
    ("text", "holds"), [("gpt2", True), ("o/m.v-1_x", True), ("-o/m", False), ("..", False)]
)
def test_names_of_repos(text: str, holds: bool) -> None:
    assert is_repo_name(text) is holds


def test_a_flag_that_cannot_be_read_counts_as_set() -> None:
    odd = _upload({**GOOD, "gated": "auto", "private": "false", "disabled": 0})
    assert (odd.gated, odd.private) == (True, True)


def test_the_log_stays_quiet_for_a_sound_listing(
    server: Server, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    fill(server, 2)
    with caplog.at_level(logging.WARNING, "hubbot"):
        list(recent(hub, since=None))
    assert caplog.records == []

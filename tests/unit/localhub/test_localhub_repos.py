"""Repos as commits in a folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbot.localhub.blobs import Incoming, git_blob_id, lfs_pointer, write_atomically
from hubbot.localhub.refused import Refused
from hubbot.localhub.repos import Repos

WHEN = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def repos(tmp_path: Path) -> Repos:
    made = Repos(tmp_path)
    made.create("alice/model", created_at=WHEN)
    return made


def test_a_commit_is_found_again_by_its_id(repos: Repos) -> None:
    first = repos.commit("alice/model", {"a.txt": b"1"}, message="One", author="bob", when=WHEN)
    second = repos.commit("alice/model", {"a.txt": b"2", "b.txt": b"3"}, message="Two")
    third = repos.commit("alice/model", {"a.txt": None})
    assert [repos.read("alice/model", "a.txt", sha) for sha in (first, second)] == [b"1", b"2"]
    assert repos.head("alice/model") == third
    assert set(repos.files("alice/model")) == {".gitattributes", "b.txt"}
    assert [commit.title for commit in repos.history("alice/model")] == [
        "Update",
        "Two",
        "One",
        "initial commit",
    ]
    commit = repos.commit_of("alice/model", first)
    assert (commit.author, commit.date, len(commit.sha)) == ("bob", WHEN, 40)


def test_another_object_on_the_same_folder_sees_the_same(repos: Repos) -> None:
    other = Repos(repos.folder)
    sha = repos.commit("alice/model", {"a.txt": b"1"})
    assert other.head("alice/model") == sha
    assert other.read("alice/model", "a.txt") == b"1"
    assert other.get("alice/model") == repos.get("alice/model")


def test_ids_are_those_of_git(repos: Repos, tmp_path: Path) -> None:
    text, weights = b"hello\n", os.urandom(1000)
    repos.commit("alice/model", {"a.txt": text, "w.bin": weights})
    small, large = repos.file("alice/model", "a.txt"), repos.file("alice/model", "w.bin")
    assert small.oid == "ce013625030ba8dba906f756967f9e9ca394464a"  # `echo hello | git hash-object --stdin`
    assert (large.lfs, large.blob) == (True, hashlib.sha256(weights).hexdigest())
    pointer = lfs_pointer(large.blob, 1000)
    asked = subprocess.run(["git", "hash-object", "--stdin"], input=pointer, capture_output=True, check=True)
    assert large.oid == asked.stdout.decode().strip() == git_blob_id(pointer)
    assert (small.etag, large.etag) == (small.oid, large.blob)


def test_a_local_file_is_copied_not_linked(repos: Repos, tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(b"before")
    repos.commit("alice/model", {"weights.bin": source})
    with source.open("r+b") as file:
        file.write(b"after!")
    assert repos.read("alice/model", "weights.bin") == b"before"


def test_equal_contents_are_stored_once(repos: Repos) -> None:
    repos.create("bob/copy")
    for repo in ("alice/model", "bob/copy"):
        repos.commit(repo, {"a.bin": b"same", "b.bin": b"same"})
    blobs = [path for path in (repos.folder / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 2  # this one and .gitattributes
    assert repos.head("alice/model") != repos.head("bob/copy")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"../x": b""}, 400),
        ({"a.txt": b"", "a.txt/b": b""}, 400),
        ({"README.md\n": b""}, 400),
        ({"missing": None}, 404),
    ],
)
def test_a_refused_commit_changes_nothing(
    repos: Repos, changes: dict[str, bytes | None], status: int
) -> None:
    before = repos.get("alice/model")
    with pytest.raises(Refused) as refused:
        repos.commit("alice/model", {"good.txt": b"", **changes})
    assert refused.value.status == status
    assert repos.get("alice/model") == before


def test_what_is_missing(repos: Repos) -> None:
    attempts = {
        "RepoNotFound": lambda: repos.get("alice/other"),
        "RevisionNotFound": lambda: repos.head("alice/model", "other"),
        "EntryNotFound": lambda: repos.read("alice/model", "other"),
    }
    for code, attempt in attempts.items():
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.status == 404
        assert refused.value.headers["X-Error-Code"] == code
    for revision in ("0" * 40, "../../repo.json", "HEAD", ""):
        with pytest.raises(Refused):
            repos.resolve("alice/model", revision)


def test_settings_and_counters(repos: Repos) -> None:
    repos.update("alice/model", gated="manual", likes=3)
    repos.count_download("alice/model")
    found = Repos(repos.folder).get("alice/model")
    assert (found.gated, found.likes, found.downloads, found.created_at) == ("manual", 3, 1, WHEN)
    with pytest.raises(Refused, match="already"):
        repos.create("alice/model")


def test_a_moved_name_can_be_taken_again(repos: Repos) -> None:
    head = repos.head("alice/model")
    repos.move("alice/model", "alice/better")
    assert (repos.moved_to("alice/model"), repos.head("alice/better")) == ("alice/better", head)
    repos.create("alice/model")
    assert repos.moved_to("alice/model") is None
    with pytest.raises(Refused, match="exists"):
        repos.move("alice/better", "alice/model")
    repos.delete("alice/model")
    repos.move("alice/better", "alice/model")
    assert [repo.id for repo in repos.all()] == ["alice/model"]


def test_a_broken_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_atomically(target, b"old")
    with Incoming(tmp_path) as incoming:
        incoming.write(b"half")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c/d", "ü"]), st.none() | st.binary(max_size=5)),
        max_size=6,
    )
)
def test_commits_behave_like_a_dict(tmp_path: Path, steps: list[dict[str, bytes | None]]) -> None:
    repos = Repos(tmp_path / os.urandom(8).hex())
    repos.create("a/b")
    expected: dict[str, bytes] = {}
    for step in steps:
        changes = {path: new for path, new in step.items() if new is not None or path in expected}
        sha = repos.commit("a/b", changes)
        expected = {path: new for path, new in {**expected, **changes}.items() if new is not None}
        found = {path: repos.read("a/b", path, sha) for path in repos.files("a/b", sha)}
        found.pop(".gitattributes")
        assert found == expected


def test_what_lies_on_disk_is_plain_json(repos: Repos) -> None:
    stored = json.loads((repos.folder / "repos" / "alice" / "model" / "repo.json").read_text())
    assert stored["created_at"] == "2025-01-02T03:04:05.000Z"
    assert list(stored["refs"]) == ["main"]

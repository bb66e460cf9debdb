"""What is accepted as a name can do no harm as a folder, in a header or on a client's disk."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.localhub.names import GITATTRIBUTES, LFS_BYTES, check_path, check_repo_id, check_user, is_lfs
from hubbot.localhub.refused import Refused

NASTY = st.text(st.sampled_from("ab./\\\0\n\r\t:*~%é\ud800\u202e -_"), max_size=30)


@given(NASTY)
def test_an_accepted_path_stays_inside(path: str) -> None:
    try:
        check_path(path)
    except Refused:
        return
    pure = PurePosixPath(path)
    assert not pure.is_absolute()
    assert not {"..", ".git"} & set(pure.parts)
    assert str(pure) == path
    assert path.isprintable()
    assert Path("/base", path).resolve().is_relative_to("/base")


@given(NASTY)
def test_an_accepted_repo_is_two_plain_names(repo: str) -> None:
    try:
        owner, name = check_repo_id(repo)
    except Refused:
        return
    assert repo == f"{owner}/{name}"
    assert repo.isascii()
    assert ".." not in repo
    assert Path("/base", repo).resolve().parent.parent == Path("/base")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", ".git/config", "a/.GIT/hooks"),
        *("a\\b", "a\0b", "a\nb", "a\x7fb", "\ud800", "x" * 300, "/".join("a" * 70), "é" * 200),
    ],
)
def test_unsafe_paths(path: str) -> None:
    with pytest.raises(Refused) as refused:
        check_path(path)
    assert refused.value.status == 400


@pytest.mark.parametrize("path", ["README.md", ".gitattributes", "a/b c/ü.txt", "…", "-x", ".github/a.yml"])
def test_honest_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "repo",
    [
        "",
        "a",
        "a/",
        "/b",
        "a/b/c",
        "a/..",
        "../b",
        "a/b.git",
        "a/-b",
        "a/b--c",
        "a/b c",
        "a/é",
        "a/" + "b" * 97,
    ],
)
def test_names_that_are_not_repos(repo: str) -> None:
    with pytest.raises(Refused):
        check_repo_id(repo)


def test_users_are_plain_names() -> None:
    assert check_user("alice-2") == "alice-2"
    with pytest.raises(Refused):
        check_user("alice/x")


def test_large_files_by_name_or_size() -> None:
    assert is_lfs("deep/model.safetensors", 1)
    assert is_lfs("notes.txt", LFS_BYTES)
    assert not is_lfs("notes.txt", LFS_BYTES - 1)
    assert not is_lfs("model.safetensors", 0)
    assert b"*.safetensors filter=lfs" in GITATTRIBUTES

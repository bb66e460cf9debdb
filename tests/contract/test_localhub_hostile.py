"""Requests that no honest client sends are refused in words, never by a crash."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbot.localhub.server import Server

SECRET = b"this lies beside the repos"
HONEST = (
    "alice",
    "model",
    "api",
    "models",
    "resolve",
    "main",
    "tree",
    "revision",
    "discussions",
    "1",
    "commit",
)
NASTY = ("..", "%2e%2e", "%2F", "..%2f..%2fsecret", "%00", "%ff", "%0d%0aX-Evil:1", "refs", "pr", "", "blobs")
SEGMENTS = st.lists(st.sampled_from([*HONEST, *NASTY, "%C3%A9"]), max_size=9)
COMMIT = "/api/models/alice/model/commit/main"


@pytest.fixture
def repo(server: Server) -> str:
    (server.repos.folder / "secret").write_bytes(SECRET)
    server.repos.create("alice/model")
    server.repos.commit("alice/model", {"README.md": b"# A model", "deep/a.txt": b"x"})
    return "alice/model"


def send(server: Server, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
    """One request whose target goes over the wire as it is, without a client tidying it up."""
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=10)
    try:
        headers = {"Authorization": "Bearer hf_alice"}
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        assert "X-Evil" not in answer.headers
        return answer.status, answer.read()
    finally:
        connection.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEGMENTS, st.sampled_from(["GET", "POST", "PUT"]))
def test_odd_addresses(server: Server, repo: str, segments: list[str], method: str) -> None:
    target = "/" + "/".join(segments)
    status, body = send(server, method, target)
    assert status < 500, target
    assert SECRET not in body


@pytest.mark.parametrize(
    "path", ["../secret", "..%2fsecret", "%2e%2e/%2e%2e/secret", "....//secret", "%2fetc%2fpasswd"]
)
def test_nothing_outside_a_repo_is_served(server: Server, repo: str, path: str) -> None:
    for target in (f"/{repo}/resolve/main/{path}", f"/api/models/{repo}/tree/main/{path}"):
        status, body = send(server, "GET", target)
        assert status == 404
        assert SECRET not in body


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [1],
        [{"key": "header"}],
        [{"key": "file", "value": {"path": "a", "content": ""}}],
        [{"key": "header", "value": {"summary": 3}}],
        [{"key": "header", "value": {"summary": "x", "parentCommit": 3}}],
        [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "file", "value": {"path": "../a", "content": ""}},
        ],
        [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "file", "value": {"path": "a\ud800", "content": ""}},
        ],
        [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "file", "value": {"path": "a", "content": "?", "encoding": "base64"}},
        ],
        [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "lfsFile", "value": {"path": "a", "oid": "../../x"}},
        ],
        [
            {"key": "header", "value": {"summary": "x"}},
            {"key": "deletedFolder", "value": {"path": "nowhere"}},
        ],
        [{"key": "header", "value": {"summary": "x"}}, {"key": "explode", "value": {"path": "a"}}],
    ],
)
def test_odd_commits(server: Server, repo: str, lines: list[object]) -> None:
    before = server.repos.head(repo)
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    assert send(server, "POST", COMMIT, body)[0] in {400, 404}
    assert server.repos.head(repo) == before


@pytest.mark.parametrize(
    "target",
    [
        *(COMMIT, "/api/validate-yaml", "/api/repos/create", f"{COMMIT.replace('commit', 'preupload')}"),
        *("/api/models/alice/model/discussions", "/alice/model.git/info/lfs/objects/batch"),
        "/api/models/alice/model/paths-info/main?expand=x",
    ],
)
@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b"[]", b'"x"', b"\xff", b'{"name": "..", "title": 3, "files": [1]}']
)
def test_odd_bodies(server: Server, repo: str, target: str, body: bytes) -> None:
    status, answer = send(server, "POST", target, body)
    assert status in {200, 400}
    json.loads(answer)


def test_too_large_numbers(server: Server, repo: str) -> None:
    for target in (
        "/api/models?limit=" + "9" * 5000,
        f"/api/models/{repo}/discussions?p=" + "9" * 5000,
        f"/api/models/{repo}/discussions/" + "9" * 5000,
        f"/api/models/{repo}/discussions/" + "9" * 300,
    ):
        assert send(server, "GET", target)[0] in {200, 400, 404}

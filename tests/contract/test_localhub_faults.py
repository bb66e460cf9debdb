"""The faults, as real clients meet them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitInfo, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx as hub_httpx
from huggingface_hub.utils import parse_ratelimit_headers

from hubbot.localhub.faults import Fault, Faults
from hubbot.localhub.refused import Refused
from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
WEIGHTS = bytes(range(250)) * 1000


@pytest.fixture
def repo(server: Server) -> str:
    server.repos.create("alice/model")
    server.repos.commit("alice/model", {"model.safetensors": WEIGHTS, "README.md": b"# A model\n" * 500})
    return "alice/model"


def test_a_rate_limit_says_when_to_come_back(server: Server, repo: str) -> None:
    server.faults.add("rate-limit", path="/api/models*", times=1, seconds=7, remaining=3)
    answer = httpx.get(f"{server.endpoint}/api/models")
    limit = parse_ratelimit_headers(answer.headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert limit is not None
    assert (limit.resource_type, limit.remaining, limit.reset_in_seconds, limit.limit) == ("api", 3, 7, 500)
    assert httpx.get(f"{server.endpoint}/api/models").status_code == 200


def test_the_client_waits_out_a_rate_limit(server: Server, api: Api, repo: str) -> None:
    server.faults.add("rate-limit", times=1, seconds=1)
    began = time.monotonic()
    assert [model.id for model in api(None).list_models()] == [repo]
    assert time.monotonic() - began >= 1
    assert [entry.status for entry in server.log] == [429, 200]


def test_an_error_strikes_only_where_it_is_aimed(server: Server, api: Api, repo: str) -> None:
    server.faults.add("error", path="/api/models/alice/*", method="GET")
    assert [model.id for model in api(None).list_models()] == [repo]
    with pytest.raises(HfHubHTTPError) as broken:
        api(None).model_info(repo)
    assert broken.value.response.status_code == 500
    assert server.faults.clear() == 1
    assert api(None).model_info(repo).id == repo


def test_a_commit_that_fails_opens_nothing(server: Server, api: Api, repo: str) -> None:
    server.faults.add("error", path="*/commit/*")
    with pytest.raises(HfHubHTTPError):
        api("bot").upload_file(
            path_or_fileobj=b"---\nlicense: mit\n---\n",
            path_in_repo="README.md",
            repo_id=repo,
            create_pr=True,
        )
    server.faults.clear()
    assert list(api("bot").get_repo_discussions(repo)) == []


def test_latency(server: Server, repo: str) -> None:
    server.faults.add("latency", seconds=0.3, times=1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{server.endpoint}/api/models", timeout=0.1)
    assert httpx.get(f"{server.endpoint}/api/models", timeout=5).status_code == 200


def test_a_body_that_is_cut(server: Server, repo: str) -> None:
    server.faults.add("cut", path="/blobs/*", bytes=100_000, times=1)
    url = f"{server.endpoint}/{repo}/resolve/main/model.safetensors"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url, follow_redirects=True)
    assert server.log[-1].bytes_sent == 100_000
    assert httpx.get(url, follow_redirects=True).content == WEIGHTS


def test_the_client_resumes_what_was_cut(server: Server, api: Api, repo: str, tmp_path: Path) -> None:
    server.faults.add("cut", path="/blobs/*", bytes=100_000, times=1)
    path = api(None).hf_hub_download(repo, "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    sent = [entry.bytes_sent for entry in server.log if entry.path.startswith("/blobs/")]
    assert sent[0] == 100_000
    assert sum(sent) >= len(WEIGHTS)


def test_a_server_that_ignores_ranges(server: Server, repo: str) -> None:
    server.faults.add("ignore-range", path="/blobs/*")
    url = f"{server.endpoint}/{repo}/resolve/main/model.safetensors"
    answer = httpx.get(url, headers={"Range": "bytes=0-7"}, follow_redirects=True)
    assert (answer.status_code, answer.content) == (200, WEIGHTS)
    assert "Content-Range" not in answer.headers
    assert "Accept-Ranges" not in answer.headers


def test_a_request_that_hangs_is_never_done(server: Server, api: Api, repo: str) -> None:
    server.faults.add("hang", path="*/discussions", method="POST", times=1, seconds=20)
    with pytest.raises(httpx.ReadTimeout):
        ask_for_a_talk(server, repo, timeout=0.2)
    assert list(api("bot").get_repo_discussions(repo)) == []
    server.faults.add("hang", times=1, seconds=0.1)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.endpoint}/api/models")
    assert httpx.get(f"{server.endpoint}/api/models").status_code == 200


def ask_for_a_talk(server: Server, repo: str, timeout: float = 5) -> httpx.Response:
    return httpx.post(
        f"{server.endpoint}/api/models/{repo}/discussions",
        json={"title": "A question", "description": "Which data?"},
        headers={"Authorization": "Bearer hf_bot"},
        timeout=timeout,
    )


def open_a_pull(api: HfApi, repo: str) -> CommitInfo:
    return api.upload_file(
        path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=repo, create_pr=True
    )


def test_a_commit_whose_reply_is_lost_was_made(server: Server, api: Api, repo: str) -> None:
    server.faults.add("lost-reply", path="*/commit/*", times=1, seconds=0.1)
    with pytest.raises(hub_httpx.RemoteProtocolError):
        open_a_pull(api("bot"), repo)
    assert [talk.num for talk in api("bot").get_repo_discussions(repo)] == [1]


def test_a_stale_commit(server: Server, api: Api, repo: str) -> None:
    server.faults.add("stale-commit", path="*/commit/*", times=1)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as stale:
        open_a_pull(api("bot"), repo)
    assert stale.value.response.status_code == 412
    assert list(api("bot").get_repo_discussions(repo)) == []


def test_what_arrives_twice_is_done_twice(server: Server, api: Api, repo: str) -> None:
    server.faults.add("twice", path="*/discussions", method="POST", times=1)
    assert ask_for_a_talk(server, repo).json()["num"] == 2
    assert [talk.num for talk in api("bot").get_repo_discussions(repo)] == [2, 1]


def test_a_list_that_shows_a_pull_request_late(server: Server, api: Api, repo: str) -> None:
    server.faults.add("late-list", path="*/discussions", method="GET", seconds=1)
    number = open_a_pull(api("bot"), repo).pr_num
    assert number is not None
    assert list(api("bot").get_repo_discussions(repo)) == []
    assert api("bot").get_discussion_details(repo, number).status == "open", "only the list is late"
    time.sleep(1.1)
    assert [talk.num for talk in api("bot").get_repo_discussions(repo)] == [number]


def test_a_page_that_comes_again(server: Server, repo: str) -> None:
    server.repos.create("bob/model")
    first = httpx.get(f"{server.endpoint}/api/models", params={"limit": 1})
    following = first.links["next"]["url"]
    server.faults.add("repeat-page", path="/api/models", times=1)
    again = httpx.get(following)
    assert [model["id"] for model in again.json()] == [model["id"] for model in first.json()]
    assert again.links["next"]["url"] == following
    assert [model["id"] for model in httpx.get(following).json()] != [m["id"] for m in first.json()]


def test_a_range_that_says_it_is_another(server: Server, repo: str) -> None:
    server.faults.add("wrong-range", path="/blobs/*")
    url = f"{server.endpoint}/{repo}/resolve/main/model.safetensors"
    answer = httpx.get(url, headers={"Range": "bytes=0-7"}, follow_redirects=True)
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"bytes 1-8/{len(WEIGHTS)}")
    assert httpx.get(url, follow_redirects=True).content == WEIGHTS, "no range was asked for"


def test_chance_is_seeded() -> None:
    def strikes(seed: int) -> list[int]:
        faults = Faults([Fault("error", probability=0.3)], seed=seed)
        return [len(faults.strike("GET", "/")) for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_faults_over_the_wire_only_when_asked_for(server: Server, tmp_path: Path) -> None:
    fault = {"kind": "error", "path": "/api/models", "times": 1}
    assert httpx.post(f"{server.endpoint}/admin/faults", json=fault).status_code == 404
    with Server(tmp_path, admin=True) as open_server:
        url = open_server.endpoint
        assert httpx.post(f"{url}/admin/faults", json=fault).status_code == 200
        assert httpx.get(f"{url}/api/models").status_code == 500
        assert httpx.get(f"{url}/api/models").status_code == 200
        assert httpx.post(f"{url}/admin/faults", json={"kind": "fire"}).status_code == 400
        assert httpx.post(f"{url}/admin/faults", json={"kind": "error", "how": 1}).status_code == 400
        assert httpx.delete(f"{url}/admin/faults").json() == {"struck": 1}


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(Refused, match="No such fault"):
        Faults().add("fire")  # type: ignore[arg-type]


def test_limits_are_counted_by_kind_and_asker_in_windows(tmp_path: Path) -> None:
    def ask(path: str, **headers: str) -> tuple[int, str | None, int | None]:
        answer = httpx.get(server.endpoint + path, headers=headers)
        limit = parse_ratelimit_headers(answer.headers)
        told = limit and (limit.resource_type, limit.remaining, limit.limit, limit.window_seconds)
        if answer.status_code == 429:
            assert limit is not None
            assert answer.headers["Retry-After"] == str(limit.reset_in_seconds)
        return answer.status_code, *(told[:2] if told else (None, None))

    with Server(tmp_path / "hub", limits={"api": (2, 2), "resolvers": (1, 60)}) as server:
        assert [ask("/api/models") for _ in range(3)] == [(200, "api", 1), (200, "api", 0), (429, "api", 0)]
        assert ask("/api/models", Authorization="Bearer hf_alice") == (200, "api", 1)
        assert ask("/no/such/resolve/main/f") == (401, "resolvers", 0)
        assert ask("/api/resolve-cache/models/no/such/abc/f") == (429, "resolvers", 0)
        assert ask("/nothing")[1:] == (None, None)
        assert httpx.get(f"{server.cdn_endpoint}/x").headers.get("RateLimit") is None
        time.sleep(2.1)
        assert ask("/api/models") == (200, "api", 1)

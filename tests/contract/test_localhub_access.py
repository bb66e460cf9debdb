"""Tokens, gates and the CDN: who sees what, and that a token stays home."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
)

from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
WEIGHTS = bytes(range(200)) * 50


@pytest.fixture
def repo(server: Server) -> str:
    server.repos.create("alice/model")
    server.repos.commit("alice/model", {"model.safetensors": WEIGHTS, "config.json": b"{}"})
    return "alice/model"


def large(server: Server, repo: str) -> str:
    return f"{server.endpoint}/{repo}/resolve/main/model.safetensors"


def location(server: Server, repo: str) -> str:
    found: str = httpx.head(large(server, repo)).headers["Location"]
    return found


def test_a_gate_is_shown_in_lists_and_keeps_files(
    server: Server, api: Api, repo: str, tmp_path: Path
) -> None:
    server.repos.update(repo, gated="auto", granted=("bob",))
    assert [model.gated for model in api(None).list_models(expand=["gated"])] == ["auto"]
    assert api(None).model_info(repo).gated == "auto"
    for user, status in ((None, 401), ("carol", 403)):
        answer = httpx.head(large(server, repo), headers=_token(user))
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (status, "GatedRepo")
        with pytest.raises(GatedRepoError):
            api(user).hf_hub_download(repo, "config.json", cache_dir=tmp_path)
        with pytest.raises(GatedRepoError):
            api(user).auth_check(repo)
    for user in ("alice", "bob"):
        assert (
            Path(api(user).hf_hub_download(repo, "config.json", cache_dir=tmp_path / user)).read_bytes()
            == b"{}"
        )


def test_what_is_private_looks_missing(server: Server, api: Api, repo: str) -> None:
    server.repos.update(repo, private=True)
    assert list(api("bob").list_models()) == []
    assert [model.id for model in api("alice").list_models()] == [repo]
    for user, status in ((None, 401), ("bob", 404)):
        with pytest.raises(RepositoryNotFoundError) as hidden:
            api(user).model_info(repo)
        with pytest.raises(RepositoryNotFoundError) as missing:
            api(user).model_info("alice/no-such-model")
        assert hidden.value.response.status_code == missing.value.response.status_code == status
        assert hidden.value.response.json() == missing.value.response.json()
        with pytest.raises(RepositoryNotFoundError):
            api(user).create_discussion(repo, "Hello there")


def test_what_is_disabled_says_so(server: Server, api: Api, repo: str) -> None:
    server.repos.update(repo, disabled=True)
    assert [model.disabled for model in api(None).list_models(expand=["disabled"])] == [True]
    with pytest.raises(DisabledRepoError):
        api("bob").model_info(repo)
    with pytest.raises(DisabledRepoError):
        api("bob").parse_safetensors_file_metadata(repo, "model.safetensors")


def test_a_token_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path, tokens={"secret": "alice"}) as server:
        assert HfApi(endpoint=server.endpoint).whoami(token="secret")["name"] == "alice"
        for token in ("hf_alice", "wrong"):
            with pytest.raises(HfHubHTTPError) as refused:
                list(HfApi(endpoint=server.endpoint, token=token).list_models())
            assert refused.value.response.status_code == 401


def test_tokens_may_lie_in_the_folder(tmp_path: Path) -> None:
    Repos(tmp_path)
    (tmp_path / "tokens.json").write_text(json.dumps({"secret": "bob"}))
    with Server(tmp_path) as server:
        assert HfApi(endpoint=server.endpoint).whoami(token="secret")["name"] == "bob"
        assert httpx.get(f"{server.endpoint}/api/whoami-v2", headers=_token("bob")).status_code == 401


def test_repos_are_made_by_their_owner_alone(server: Server, api: Api) -> None:
    alice = api("alice")
    assert alice.create_repo("mine").repo_id == "alice/mine"
    alice.create_repo("alice/mine", exist_ok=True)
    with pytest.raises(HfHubHTTPError) as twice:
        alice.create_repo("alice/mine")
    assert twice.value.response.status_code == 409
    with pytest.raises(HfHubHTTPError) as foreign:
        api("bob").create_repo("alice/other")
    assert foreign.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError):
        api("bob").delete_repo("alice/mine")
    alice.update_repo_settings("alice/mine", gated="manual", private=True)
    assert server.repos.get("alice/mine").private
    alice.update_repo_settings("alice/mine", gated=False, private=False)
    alice.move_repo("alice/mine", "alice/yours")
    assert [found.id for found in server.repos.all()] == ["alice/yours"]
    assert api(None).model_info("alice/mine").id == "alice/yours"
    assert api(None).file_exists("alice/mine", ".gitattributes")
    alice.delete_repo("alice/yours")
    alice.delete_repo("alice/yours", missing_ok=True)
    assert server.repos.all() == []


def test_a_client_leaves_its_token_at_home(server: Server, api: Api, repo: str, tmp_path: Path) -> None:
    path = api("bob").hf_hub_download(repo, "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS
    cdn = [entry for entry in server.log if server.cdn_endpoint.endswith(f":{entry.port}")]
    hub = [entry for entry in server.log if server.endpoint.endswith(f":{entry.port}")]
    assert [entry.had_authorization for entry in cdn] == [False]
    assert cdn[0].bytes_sent == len(WEIGHTS)
    assert all(entry.had_authorization for entry in hub)


def test_a_token_that_left_home_is_refused_and_noticed(server: Server, repo: str) -> None:
    answer = httpx.get(location(server, repo), headers=_token("bob"))
    assert answer.status_code == 403
    assert server.log[-1].had_authorization


@pytest.mark.parametrize("part", ["Signature", "Expires", "Size", "Name"])
def test_a_changed_address_is_refused(server: Server, repo: str, part: str) -> None:
    address = urlsplit(location(server, repo))
    query = {key: values[0] for key, values in parse_qs(address.query).items()}
    query[part] = query[part] + "0"
    assert httpx.get(address._replace(query=urlencode(query)).geturl()).status_code == 403
    del query[part]
    assert httpx.get(address._replace(query=urlencode(query)).geturl()).status_code == 403


def test_a_signed_address_reads_and_does_not_write(server: Server, repo: str) -> None:
    address = location(server, repo)
    assert httpx.get(address).content == WEIGHTS
    assert httpx.head(address).headers["Content-Length"] == str(len(WEIGHTS))
    assert httpx.put(address, content=WEIGHTS).status_code == 403


def test_a_signed_address_expires(tmp_path: Path) -> None:
    with Server(tmp_path, url_lifetime_s=0.2) as server:
        server.repos.create("alice/model")
        server.repos.commit("alice/model", {"model.safetensors": WEIGHTS})
        address = location(server, "alice/model")
        assert httpx.get(address).status_code == 200
        time.sleep(0.25)
        assert httpx.get(address).status_code == 403


@pytest.mark.parametrize(
    ("asked", "status", "begin", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=8-99", 206, 8, 100),
        ("bytes=9990-", 206, 9990, 10_000),
        ("bytes=-10", 206, 9990, 10_000),
        ("bytes=9000-99999", 206, 9000, 10_000),
        ("bytes=10000-10001", 416, 0, 0),
    ],
)
def test_ranges(server: Server, repo: str, asked: str, status: int, begin: int, end: int) -> None:
    answer = httpx.get(large(server, repo), headers={"Range": asked}, follow_redirects=True)
    assert answer.status_code == status
    if status == 206:
        assert answer.content == WEIGHTS[begin:end]
        assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(WEIGHTS)}"
        assert server.log[-1].bytes_sent == end - begin
    else:
        assert answer.headers["Content-Range"] == f"bytes */{len(WEIGHTS)}"


def _token(user: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer hf_{user}"} if user else {}

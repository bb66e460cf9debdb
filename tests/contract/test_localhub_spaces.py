"""Datasets and Spaces on the local Hub, as the real client makes and fills them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
KINDS = ("dataset", "space")
CARD = b"---\ntitle: Trees\nsdk: gradio\nsdk_version: 6.31.0\napp_file: app.py\n---\n"


@pytest.fixture(autouse=True)
def by_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Hub speaks LFS, and the client would insist on Xet."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


def made(api: HfApi, kind: str) -> str:
    url = api.create_repo("ann/there", repo_type=kind, space_sdk="gradio" if kind == "space" else None)
    return str(url)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")
def test_what_was_put_there_is_there(server: Server, api: Api, tmp_path: Path, kind: str) -> None:
    assert made(api("ann"), kind) == f"{server.endpoint}/{kind}s/ann/there"
    files = {"README.md": CARD, "deep/er.txt": b"words", "weights.safetensors": bytes(70_000)}
    adds = [CommitOperationAdd(path, content) for path, content in files.items()]
    done = api("ann").create_commit("ann/there", adds, commit_message="All of it", repo_type=kind)
    assert done.commit_url == f"{server.endpoint}/{kind}s/ann/there/commit/{done.oid}"
    folder = Path(api(None).snapshot_download("ann/there", repo_type=kind, cache_dir=tmp_path))
    assert {path: (folder / path).read_bytes() for path in files} == files
    gone = [CommitOperationDelete("deep/er.txt")]
    api("ann").create_commit("ann/there", gone, commit_message="Less", repo_type=kind)
    assert "deep/er.txt" not in api(None).list_repo_files("ann/there", repo_type=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_no_model_and_nobody_elses(api: Api, kind: str) -> None:
    made(api("ann"), kind)
    with pytest.raises(RepositoryNotFoundError):
        api("ann").model_info("ann/there")
    assert list(api("ann").list_models()) == []
    with pytest.raises(HfHubHTTPError, match="rights"):
        api("bob").create_commit(
            "ann/there", [CommitOperationAdd("x", b"y")], commit_message="Mine", repo_type=kind
        )
    with pytest.raises(HfHubHTTPError, match="409"):
        made(api("ann"), kind)
    api("ann").delete_repo("ann/there", repo_type=kind)
    with pytest.raises(RepositoryNotFoundError):
        api("ann").repo_info("ann/there", repo_type=kind)


def test_a_space_has_a_card_that_the_hub_can_start_it_by(api: Api) -> None:
    made(api("ann"), "space")
    for line in (b"short_description: " + b"a" * 61, b"colorFrom: teal", b"sdk_version: 6.1"):
        card = CommitOperationAdd("README.md", CARD.replace(b"sdk_version: 6.31.0", line))
        with pytest.raises(ValueError, match=r"short_description|colorFrom|sdk_version"):
            api("ann").create_commit("ann/there", [card], commit_message="Card", repo_type="space")
    nameless = CommitOperationAdd("README.md", CARD.replace(b"sdk: gradio", b"sdk: perl"))
    with pytest.raises(ValueError, match='"sdk" must be one of'):
        api("ann").create_commit("ann/there", [nameless], commit_message="Card", repo_type="space")
    with pytest.raises(BadRequestError, match="Pull requests are for models"):
        api("bob").create_commit(
            "ann/there",
            [CommitOperationAdd("x", b"y")],
            commit_message="A wish",
            repo_type="space",
            create_pr=True,
        )

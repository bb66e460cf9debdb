"""A few whole files of a repo or a dataset, and no more of it than was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbot.errors import HubError, RepoNotFound
from hubbot.hub import snapshots
from hubbot.hub.client import Hub
from hubbot.hub.snapshots import files, snapshot
from hubbot.localhub.server import Server

STORED = {"config.json": b"{}", "sub/config.json": b"no", "big.bin": b"0" * 1000, "a[1].txt": b"odd name"}


@pytest.fixture
def repo(server: Server) -> str:
    server.repos.create("lab/expert")
    return server.repos.commit("lab/expert", STORED)


def test_just_the_files_that_were_wanted(hub: Hub, repo: str, tmp_path: Path) -> None:
    folder, found = files(hub, "lab/expert", lambda path: path in ("config.json", "a[1].txt"), tmp_path)
    assert found == ("a[1].txt", "config.json")
    assert {path.name for path in folder.iterdir()} == {"a[1].txt", "config.json"}
    assert folder.name == repo
    assert snapshot(hub, "lab/expert", ["config.json", "nothing"], tmp_path) == folder


def test_a_dataset_is_not_a_model_of_that_name(server: Server, hub: Hub, repo: str, tmp_path: Path) -> None:
    with pytest.raises(RepoNotFound, match="lab/expert"):
        files(hub, "lab/expert", lambda _: True, tmp_path, kind="dataset")
    server.datasets.create("lab/expert")
    commit = server.datasets.commit("lab/expert", {"DINO/train.jsonl": b"{}\n"})
    folder, found = files(hub, "lab/expert", lambda p: p.startswith("DINO/"), tmp_path, kind="dataset")
    assert found == ("DINO/train.jsonl",)
    assert (folder / "DINO/train.jsonl").read_bytes() == b"{}\n"
    assert folder.name == commit
    server.datasets.delete("lab/expert")


def test_what_is_not_there_or_too_large_is_told(
    hub: Hub, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RepoNotFound, match="has none of nothing"):
        snapshot(hub, "lab/expert", ["nothing"], tmp_path)
    monkeypatch.setattr(snapshots, "MAX_BYTES", 999)
    with pytest.raises(HubError, match="1000 bytes are not fetched"):
        snapshot(hub, "lab/expert", ["big.bin"], tmp_path)

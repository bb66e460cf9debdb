"""The Space as its repo: published by the real client, fetched to an empty folder, started, searched in."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi
from stage import HUBBOT, TOKEN, answers, clean_environ, free_port, recorded, settings_for

from hubbot.app import open_hub, open_store
from hubbot.localhub.server import Server
from hubbot.publishing import exchange, space
from hubbot.publishing.build import build
from hubbot.publishing.shelf import Shelf
from hubbot.settings import Settings
from hubbot.store.store import Store

SPACE, READINGS = "hubbot/find-models", "hubbot/readings"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")


@pytest.fixture(autouse=True)
def by_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Hub speaks LFS, and the client would insist on Xet."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def settings(hub: Server, tmp_path: Path) -> Settings:
    return settings_for(hub, tmp_path / "home")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        recorded(opened, "ann/seven")
        yield opened


def push_readings(store: Store, settings: Settings, tmp_path: Path) -> None:
    place, _ = build(store, Shelf(tmp_path / "made"))
    with open_hub(settings) as door:
        exchange.push(door, place, READINGS)


def published(hub: Server, *more: str) -> str:
    """What the command says, as a person runs it."""
    environ = clean_environ(HUBBOT_ENDPOINT=hub.endpoint, HUBBOT_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1")
    command = [HUBBOT, "space", "publish", SPACE, "--snapshot", READINGS, *more]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def everything_but_hubbot(folder: Path) -> Path:
    """The packages that are installed here, without the one that leads to this checkout."""
    folder.mkdir()
    for place in map(Path, site.getsitepackages()):
        for path in place.iterdir() if place.is_dir() else ():
            if path.suffix != ".pth" and not path.name.lower().startswith(
                ("hubbot", "_editable", "__pycache__")
            ):
                (folder / path.name).symlink_to(path)
    return folder


def search(address: str, text: str) -> str:
    """What the Space gives to programs."""
    asked = httpx.post(f"{address}/gradio_api/call/search", json={"data": [text, 10]}, timeout=60)
    event = asked.raise_for_status().json()["event_id"]
    told = httpx.get(f"{address}/gradio_api/call/search/{event}", timeout=60).text
    assert "event: complete" in told, told
    return str(json.loads(told.split("data: ")[-1]))


def test_a_dry_run_lists_and_sends_nothing(hub: Server) -> None:
    said = published(hub)
    assert {"app.py", "README.md", "requirements.txt", "hubbot.toml", "hubbot/library.py"} <= set(
        said.split()
    )
    assert "--yes sends it" in said
    assert hub.spaces.all() == []


def test_a_space_starts_from_its_repo_and_follows_its_snapshot(
    hub: Server, store: Store, settings: Settings, tmp_path: Path
) -> None:
    push_readings(store, settings, tmp_path)
    assert f"{hub.endpoint}/spaces/{SPACE}/commit/" in published(hub, "--yes")
    api = HfApi(endpoint=hub.endpoint, token=False)
    repo = Path(api.snapshot_download(SPACE, repo_type="space", local_dir=tmp_path / "app"))
    packages, port = everything_but_hubbot(tmp_path / "packages"), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "nobody"),
        "PYTHONPATH": str(packages),
        "HF_ENDPOINT": hub.endpoint,
        "HUBBOT_SNAPSHOT_INTERVAL_S": "1",
        "GRADIO_SERVER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    where = "import hubbot, space, importlib.metadata as m; print(hubbot.__file__, space.__file__)"
    asked = [sys.executable, "-S", "-c", where]
    ours = subprocess.run(asked, cwd=repo, env=environ, capture_output=True, text=True, check=True).stdout
    assert ours.split() == [str(repo / "hubbot/__init__.py"), str(repo / "space/__init__.py")]
    with (
        (tmp_path / "said.txt").open("w") as said,
        subprocess.Popen(
            [sys.executable, "-S", "app.py"], cwd=repo, env=environ, stdout=said, stderr=said
        ) as app,
    ):
        try:
            while not answers(port):
                assert app.poll() is None, (tmp_path / "said.txt").read_text()
                time.sleep(0.1)
            address = f"http://127.0.0.1:{port}"
            assert "hubbot" in httpx.get(address, timeout=60).raise_for_status().text
            assert "ann/seven" in search(address, "a handwritten seven")
            recorded(store, "bo/another-seven")
            push_readings(store, settings, tmp_path)
            until = time.monotonic() + 120
            while "bo/another-seven" not in search(address, "a handwritten seven"):
                assert time.monotonic() < until, (tmp_path / "said.txt").read_text()
                time.sleep(0.2)
        finally:
            app.terminate()
    assert "Traceback" not in (tmp_path / "said.txt").read_text()
    kept = tmp_path / "nobody/.local/share/hubbot/pulled/hubbot--readings"
    assert Shelf(kept).current() is not None


def test_source_that_is_no_longer_ours_goes_and_what_others_added_stays(
    hub: Server, settings: Settings
) -> None:
    with open_hub(settings) as door:
        space.push(door, SPACE)
        hub.spaces.commit(SPACE, {"hubbot/old.py": b"", "space/old.css": b"", "notes.md": b"mine"})
        space.push(door, SPACE, READINGS)
    there = hub.spaces.files(SPACE)
    assert {"hubbot/old.py", "space/old.css"}.isdisjoint(there)
    assert {"notes.md", "hubbot.toml", "hubbot/app.py"} <= there.keys()
    assert hub.repos.all() == hub.datasets.all() == []

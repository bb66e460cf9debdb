"""A snapshot on its way: built while the bot writes, pushed by the real client, pulled and put in force."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stage import HUBBOT, TOKEN, clean_environ, recorded, settings_for, upload

from hubbot.app import build_snapshot, open_hub, open_library, open_store, pull_snapshot
from hubbot.errors import HubError, HubUnavailable, RepoNotFound, SnapshotError, UsageError
from hubbot.localhub.server import Server
from hubbot.publishing import exchange
from hubbot.publishing.build import build
from hubbot.publishing.manifest import DATABASE, MANIFEST, FileEntry, Manifest, entry_of, of_folder, parse
from hubbot.publishing.shelf import Shelf
from hubbot.records import Upload
from hubbot.settings import Settings
from hubbot.store import schema
from hubbot.store.store import Store

REPO = "hubbot/readings"

# huggingface_hub 2.4 puts large files with `data=`, which its httpx2 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")


@pytest.fixture(autouse=True)
def by_lfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Hub speaks LFS, and the client would insist on Xet."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def settings(hub: Server, tmp_path: Path) -> Settings:
    return settings_for(hub, tmp_path / "home", http_retries=1)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        recorded(opened, "ann/seven")
        yield opened


@pytest.fixture
def pushed(store: Store, settings: Settings, tmp_path: Path) -> Callable[[], Manifest]:
    """Builds a snapshot of the store as it is, and pushes it."""

    def push(add: Callable[[Path], None] = lambda _: None) -> Manifest:
        place, told = build(store, Shelf(tmp_path / "made"), add=add)
        with open_hub(settings) as door:
            exchange.push(door, place, REPO)
        return told

    return push


LARGE = "pictures/large.png"


def large(raw: bytes) -> Callable[[Path], None]:
    """Puts a large file into a snapshot in the making."""

    def add(incoming: Path) -> None:
        (incoming / LARGE).parent.mkdir()
        (incoming / LARGE).write_bytes(raw)

    return add


def pull(settings: Settings, folder: Path) -> tuple[Path, bool]:
    return pull_snapshot(settings, REPO, folder)


def retold(hub: Server, **instead: object) -> None:
    """Somebody else's manifest in place of the one that was pushed."""
    told = json.loads(hub.datasets.read(REPO, MANIFEST)) | instead
    hub.datasets.commit(REPO, {MANIFEST: json.dumps(told).encode()})


# --- there and back ---------------------------------------------------------------------------


def test_what_was_pushed_comes_back_whole(pushed, settings, hub, tmp_path):
    told = pushed()
    place, new = pull(settings, tmp_path / "pulled")
    assert new
    assert of_folder(place) == told
    assert {path: entry_of(place / path) for path in told.files} == dict(told.files)
    with Store.open(f"sqlite:///{place / DATABASE}", frozen=True) as copy:
        assert copy.reading("ann/seven") is not None
    card = hub.datasets.read(REPO, "README.md").decode()
    assert f"hubbot snapshot pull {REPO}" in card
    assert "| uploads | 1 |" in card
    assert [repo.id for repo in hub.repos.all()] == [], "it is a dataset, and no model"


def test_nothing_new_costs_a_look_at_the_manifest(pushed, settings, hub, tmp_path):
    pushed()
    first, _ = pull(settings, tmp_path / "pulled")
    hub.log.clear()
    assert pull(settings, tmp_path / "pulled") == (first, False)
    assert not [seen for seen in hub.log if seen.path.endswith(DATABASE)]


def test_files_that_are_here_already_are_not_fetched_again(pushed, store, settings, hub, tmp_path):
    raw = os.urandom(300_000)
    first = pushed(large(raw))
    assert LARGE in first.files
    pull(settings, tmp_path / "pulled")
    recorded(store, "bo/two", "two")
    second = pushed(large(raw))
    assert second.id != first.id
    hub.log.clear()
    place, new = pull(settings, tmp_path / "pulled")
    assert new
    assert (place / LARGE).read_bytes() == raw
    assert not [seen for seen in hub.log if "large.png" in seen.path]
    pushed()
    assert LARGE not in hub.datasets.files(REPO), "what is no more goes there too"


def test_a_download_that_breaks_off_goes_on_where_it_was(pushed, store, settings, hub, tmp_path):
    raw = os.urandom(3_000_000)
    told = pushed(large(raw))
    entry = told.files[LARGE]
    part = tmp_path / "pulled/.incoming/.parts" / entry.sha256
    Shelf(tmp_path / "pulled").folder.mkdir()
    (tmp_path / "pulled/.lock").touch()
    part.parent.mkdir(parents=True)
    part.write_bytes(raw[:2_900_000])
    hub.log.clear()
    place, _ = pull(settings, tmp_path / "pulled")
    assert (place / LARGE).read_bytes() == raw
    big = [seen.bytes_sent for seen in hub.log if entry.sha256 in seen.path or LARGE in seen.path]
    assert [sent for sent in big if sent] == [100_000]
    assert not (tmp_path / "pulled/.incoming").exists()


# --- what is not put in force -----------------------------------------------------------------


@pytest.fixture
def in_force(pushed, store, settings, tmp_path) -> Path:
    """A snapshot that was pulled; the one on the Hub is a newer one, which each test spoils."""
    pushed()
    place, _ = pull(settings, tmp_path / "pulled")
    recorded(store, "bo/two", "two")
    pushed()
    return place


def still(place: Path) -> bool:
    """Whether the snapshot is in force, and as it was."""
    return (
        Shelf(place.parent).current() == place
        and entry_of(place / DATABASE) == of_folder(place).files[DATABASE]
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda raw: raw[:-1] + b"\x01", "its hash is not the one"),
        (lambda raw: raw[:-100], "it is shorter than"),
        (lambda raw: raw + b"more", "it is longer than"),
    ],
)
def test_other_bytes_than_were_said_are_not_put_in_force(in_force, settings, hub, tmp_path, spoil, said):
    raw = hub.datasets.read(REPO, DATABASE)
    hub.datasets.commit(REPO, {DATABASE: spoil(raw)})
    with pytest.raises(HubError, match=said):
        pull(settings, tmp_path / "pulled")
    assert still(in_force)
    hub.datasets.commit(REPO, {DATABASE: raw})
    _, new = pull(settings, tmp_path / "pulled")
    assert new, "what came of the bad ones does not spoil the good one"


def test_a_manifest_that_leads_out_is_not_followed(in_force, settings, hub, tmp_path):
    files = json.loads(hub.datasets.read(REPO, MANIFEST))["files"]
    hub.datasets.commit(REPO, {"evil.txt": b"evil"})
    evil = entry_of(hub.datasets.blobs.path(hub.datasets.file(REPO, "evil.txt").blob))
    for path in ("../../evil.txt", "/root/evil.txt", "evil.txt", "pictures/../../evil.txt"):
        retold(hub, files=files | {path: {"size": evil.size, "sha256": evil.sha256}})
        with pytest.raises(SnapshotError, match="no snapshot holds a file"):
            pull(settings, tmp_path / "pulled")
    assert not list(tmp_path.rglob("evil.txt"))
    assert still(in_force)


def test_more_bytes_than_may_be_are_not_fetched(in_force, settings, hub, tmp_path):
    hub.log.clear()
    with pytest.raises(SnapshotError, match="bytes are not fetched, limit 1000"):
        pull(replace(settings, snapshot_bytes=1000), tmp_path / "pulled")
    retold(hub, files={DATABASE: {"size": 10**14, "sha256": "a" * 64}})
    with pytest.raises(SnapshotError, match="do not fit"):
        pull(replace(settings, snapshot_bytes=10**15), tmp_path / "pulled")
    assert not [seen for seen in hub.log if seen.path.endswith(DATABASE)]
    assert still(in_force)


def test_a_database_with_more_in_it_than_tables_is_not_opened(in_force, settings, hub, tmp_path):
    evil = tmp_path / "evil.db"
    evil.write_bytes(hub.datasets.read(REPO, DATABASE))
    with closing(sqlite3.connect(evil)) as db:
        db.executescript("ALTER TABLE uploads RENAME TO ups; CREATE VIEW uploads AS SELECT * FROM ups")
    hub.datasets.commit(REPO, {DATABASE: evil})
    entry: FileEntry = entry_of(evil)
    retold(hub, files={DATABASE: {"size": entry.size, "sha256": entry.sha256}})
    with pytest.raises(SnapshotError, match="its database cannot be believed: a strange"):
        pull(settings, tmp_path / "pulled")
    assert still(in_force)


def test_a_snapshot_of_another_time_says_what_is_to_be_done(in_force, settings, hub, tmp_path):
    for version, hint in (("0001", "build and push it anew"), ("9999", "upgrade hubbot")):
        retold(hub, schema=version)
        with pytest.raises(SnapshotError, match=f"{schema.NEWEST} is needed") as told:
            pull(settings, tmp_path / "pulled")
        assert hint in told.value.hint
    assert still(in_force)


def test_a_hub_that_fails_halfway_leaves_the_old_one(in_force, settings, hub, tmp_path):
    hub.faults.add("cut", path=f"*{DATABASE}", bytes=50_000, times=None)
    with pytest.raises(HubUnavailable):
        pull(settings, tmp_path / "pulled")
    assert still(in_force)
    hub.faults.clear()
    assert pull(settings, tmp_path / "pulled")[1]


def test_a_full_disk_is_said_so(in_force, settings, hub, tmp_path, monkeypatch):
    real = Path.open

    def full(path: Path, mode: str = "r", *args: object, **more: object) -> object:
        if mode in ("wb", "ab"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(SnapshotError, match="cannot be written: No space left on device"):
            pull(settings, tmp_path / "pulled")
    assert still(in_force)


def test_a_folder_that_is_no_longer_as_it_was_made_is_not_pushed(store, settings, hub, tmp_path):
    place, _ = build(store, Shelf(tmp_path / "made"))
    (place / DATABASE).write_bytes(b"spoilt")
    with open_hub(settings) as door, pytest.raises(SnapshotError, match="build it anew"):
        exchange.push(door, place, REPO)
    assert hub.datasets.all() == []


# --- pictures ---------------------------------------------------------------------------------

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def shows(hub: Server, store: Store, repo: str, name: str, content: bytes, *tags: str) -> Upload:
    """A model whose repo has a file that is called a picture."""
    recorded(store, repo)
    commit = upload(hub.repos, repo, {name: content})
    seen = replace(store.upload(repo), commit=commit, files=(name,), tags=tags)
    store.save_upload(seen)
    return seen


def test_pictures_of_models_come_along(store, settings, hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HUBBOT_ENDPOINT", hub.endpoint)
    shown = shows(hub, store, "ann/shows", "sample.png", PNG)
    none = [
        shows(hub, store, "bo/page", "page.png", b"<html><script>alert(1)</script>"),
        shows(hub, store, "bo/huge", "huge.png", PNG + bytes(200_000)),
        shows(hub, store, "bo/drawn", "drawn.svg", b"<svg/>"),
        shows(hub, store, "bo/unsafe", "sample.png", PNG, "not-for-all-audiences"),
    ]
    gone = shows(hub, store, "cy/gone", "sample.png", PNG)
    hub.repos.delete("cy/gone")
    place, told = build_snapshot(settings, tmp_path / "made", pictures=10)
    assert sorted(path for path in told.files if path.startswith("pictures")) == [
        "pictures.json",
        f"pictures/{hashlib.sha256(PNG).hexdigest()[:32]}.png",
    ]
    assert parse((place / MANIFEST).read_bytes()) == told
    library = open_library(snapshot=str(tmp_path / "made"))
    address = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert library.picture(shown) == address
    assert library.picture(replace(shown, tags=("not-for-all-audiences",))) is None
    assert library.picture(gone) == f"{hub.endpoint}/cy/gone/resolve/{gone.commit}/sample.png"
    assert address not in {library.picture(other) for other in none}
    library.close()

    hub.log.clear()
    recorded(store, "ann/another")
    _, after = build_snapshot(settings, tmp_path / "made", pictures=10)
    assert after.id != told.id
    assert after.files.keys() == told.files.keys()
    assert not [seen for seen in hub.log if "ann/shows" in seen.path], "it is taken over"
    _, few = build_snapshot(settings, tmp_path / "made")
    assert list(few.files) == [DATABASE]


# --- read while it changes --------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_searches_go_on_while_snapshots_change(store, settings, tmp_path, monkeypatch):
    """Three people search all the time while snapshots come and go: no error, and answers follow."""
    monkeypatch.setattr("hubbot.following.LOOK_S", 0.05)
    monkeypatch.chdir(tmp_path)
    shelf = Shelf(tmp_path / "made")
    build(store, shelf)
    library = open_library(snapshot=str(shelf.folder))
    stopping, faults, seen = threading.Event(), [], [set() for _ in range(3)]

    def search(mine: set[int]) -> None:
        while not stopping.is_set():
            try:
                hits = library.search("a handwritten seven", limit=50).hits
                assert library.model(hits[0].repo).reading is not None
                assert library.counts()["uploads"] >= 1
                mine.add(len(hits))
                time.sleep(0.01)
            except Exception as error:
                faults.append(repr(error))
                return

    people = [threading.Thread(target=search, args=(mine,)) for mine in seen]
    for person in people:
        person.start()
    try:
        for number in range(2, 6):
            recorded(store, f"cy/seven-{number}")
            build(store, shelf)
            until = time.monotonic() + 100
            while not all(number in mine for mine in seen) and time.monotonic() < until:
                time.sleep(0.02)
            assert all(number in mine for mine in seen), (seen, faults)
    finally:
        stopping.set()
        for person in people:
            person.join()
    assert faults == []
    until = time.monotonic() + 10
    while len(list(shelf.folder.glob("[0-9a-f]*/" + MANIFEST))) > 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert len({place.parent.resolve() for place in shelf.folder.glob("*/" + MANIFEST)}) == 1
    library.close()


def test_a_snapshot_that_cannot_be_read_changes_nothing(store, settings, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("hubbot.following.LOOK_S", 0.05)
    shelf = Shelf(tmp_path / "made")
    build(store, shelf)
    library = open_library(snapshot=str(shelf.folder))
    with shelf.changing() as incoming:
        (incoming / DATABASE).write_bytes(b"no database")
        files = {DATABASE: entry_of(incoming / DATABASE)}
        shelf.put(Manifest(datetime.now(UTC), schema.NEWEST, "0.1.0", {}, files))
    until = time.monotonic() + 10
    while "cannot be used" not in caplog.text and time.monotonic() < until:
        time.sleep(0.02)
    assert "no SQLite database" in caplog.text
    assert [hit.repo for hit in library.search("a seven").hits] == ["ann/seven"]
    recorded(store, "bo/seven")
    build(store, shelf)
    while library.counts()["uploads"] < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert library.counts()["uploads"] == 2
    library.close()


def test_it_pulls_by_itself(pushed, store, hub, tmp_path, monkeypatch):
    """From an empty disk, and again as the pause is over."""
    monkeypatch.setattr("hubbot.following.LOOK_S", 0.05)
    pushed()
    environ = {
        "HUBBOT_ENDPOINT": hub.endpoint,
        "HUBBOT_HOME": str(tmp_path / "empty"),
        "HUBBOT_SNAPSHOT": REPO,
    }
    for name, value in environ.items() | {("HUBBOT_SNAPSHOT_INTERVAL_S", "1")}:
        monkeypatch.setenv(name, value)
    library = open_library()
    assert library.counts()["uploads"] == 1
    recorded(store, "bo/seven")
    pushed()
    until = time.monotonic() + 30
    while library.counts()["uploads"] < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert {hit.repo for hit in library.search("a seven").hits} == {"ann/seven", "bo/seven"}
    library.close()


def test_a_hub_that_is_down_at_the_start_is_waited_for(pushed, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("hubbot.following.LOOK_S", 0.05)
    monkeypatch.setattr("hubbot.following.HURRY_S", 0.3)
    pushed()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    environ = {"HUBBOT_HTTP_RETRIES": "0", "HUBBOT_HOME": str(tmp_path / "empty"), "HUBBOT_SNAPSHOT": REPO}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HUBBOT_ENDPOINT", down)
    library = open_library()
    assert library.counts()["uploads"] == 0
    assert library.search("a seven").note == "Nothing has been read yet."
    library.close()
    monkeypatch.setenv("HUBBOT_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HUBBOT_SNAPSHOT", "hubbot/mistyped")
    with pytest.raises(RepoNotFound):
        open_library()


def test_what_is_no_snapshot_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBBOT_HOME", str(tmp_path / "home"))
    for place in (str(tmp_path), "./nowhere/at-all", "nowhere"):
        with pytest.raises(SnapshotError, match="there is none here"):
            open_library(snapshot=place)


# --- the command line -------------------------------------------------------------------------


def test_the_commands_build_push_and_pull(store, settings, hub, tmp_path):
    environ = clean_environ(
        HUBBOT_ENDPOINT=hub.endpoint,
        HUBBOT_TOKEN=TOKEN,
        HUBBOT_HOME=settings.home,
        HF_HUB_DISABLE_XET="1",
        COLUMNS="200",
    )

    def hubbot(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [HUBBOT, *words], env=environ, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "`hubbot snapshot build` makes one" in hubbot("snapshot", "push", REPO, code=1)
    with store.lock("a bot that is running"):
        built = json.loads(hubbot("snapshot", "build", "--json"))
    assert built["counts"]["uploads"] == 1
    assert "--yes sends it" in hubbot("snapshot", "push", REPO)
    assert hub.datasets.all() == []
    assert f"/datasets/{REPO}/commit/" in hubbot("snapshot", "push", REPO, "--yes")
    first = json.loads(hubbot("snapshot", "pull", REPO, "--json"))
    assert first["new"]
    assert "nothing new" in hubbot("snapshot", "pull", REPO)
    assert "a repo is written owner/name" in hubbot("snapshot", "pull", "nonsense", code=1)


def test_publishing_takes_a_token(store, settings, tmp_path):
    place, _ = build(store, Shelf(tmp_path / "made"))
    with open_hub(replace(settings, token="")) as door, pytest.raises(UsageError, match="takes a token"):
        exchange.push(door, place, REPO)


def test_the_index_is_of_what_travels(pushed, store, settings, hub, tmp_path, monkeypatch):
    monkeypatch.setattr("hubbot.indexing.MANY", 0)
    recorded(store, "bob/hidden-seven")
    hidden = store.upload("bob/hidden-seven")
    assert hidden is not None
    store.save_upload(replace(hidden, private=True))
    made = pushed()
    names = [path for path in made.files if path.endswith("/names.npy")]
    assert len(names) == 1
    place, _ = pull(settings, tmp_path / "pulled")
    assert b"ann/seven" in (place / names[0]).read_bytes()
    assert b"hidden" not in (place / names[0]).read_bytes()
    assert not [path for path in made.files if path.endswith("lock")]
    library = open_library(snapshot=str(tmp_path / "pulled"))
    try:
        assert [hit.repo for hit in library.search("seven").hits] == ["ann/seven"]
    finally:
        library.close()
    assert pushed().id == made.id  # nothing has changed

"""A manifest may come from anybody: whatever is out of place in it is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hubbot.errors import SnapshotError
from hubbot.publishing.manifest import FORMAT, FileEntry, Manifest, parse

ENTRY = FileEntry(3, "a" * 64)
GOOD = Manifest(
    datetime(2026, 11, 20, tzinfo=UTC),
    "0006",
    "0.1.0",
    {"uploads": 3},
    {"hubbot.db": ENTRY, "hubbot.db.index/base/ivf.faiss": ENTRY, "pictures/ab12.png": ENTRY},
)


def told(**instead: object) -> bytes:
    return json.dumps(json.loads(GOOD.dump()) | instead).encode()


def listing(*paths: str, **entry: object) -> bytes:
    files = {"hubbot.db": {"size": 3, "sha256": "a" * 64}}
    return told(files=files | {path: {"size": 3, "sha256": "b" * 64} | entry for path in paths})


def test_what_was_written_is_read():
    assert parse(GOOD.dump()) == GOOD
    assert GOOD.total_bytes == 9


def test_the_id_is_of_the_files_and_not_of_the_moment():
    later = Manifest(
        datetime(2027, 1, 1, tzinfo=UTC), "0006", "0.2.0", {}, dict(reversed(GOOD.files.items()))
    )
    assert later.id == GOOD.id
    assert Manifest(GOOD.made_at, "0006", "0.1.0", {}, {"hubbot.db": FileEntry(3, "b" * 64)}).id != GOOD.id


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "pictures/../../x.png",
        "pictures//x.png",
        "pictures/.hidden",
        "pictures/a/b/c/d.png",
        "pictures/x\n.png",
        "pictures/x\\y.png",
        "pictures/" + "a" * 200,
        "pictures/ü.png",
        "hubbot.db-wal",
        "hubbot.db-journal",
        "manifest.json",
        "README.md",
        "app.py",
        "C:evil",
        "",
        "HUBBOT.DB",
    ],
)
def test_no_path_leads_out_or_is_none_of_a_snapshots(path):
    with pytest.raises(SnapshotError, match="no snapshot holds a file"):
        parse(listing(path))


@pytest.mark.parametrize("paths", [("pictures/a.png", "pictures/A.png"), ("pictures/a", "pictures/a/b.png")])
def test_no_two_files_are_in_each_others_way(paths):
    with pytest.raises(SnapshotError, match="in each other's way"):
        parse(listing(*paths))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        told(made_at="yesterday"),
        told(made_at="2026-11-20T00:00:00"),
        told(made_at=5),
        told(counts={"uploads": "many"}),
        told(files=[]),
        told(files={"hubbot.db": {"size": 3}}),
        listing("pictures/a.png", size=-1),
        listing("pictures/a.png", size=2**63),
        listing("pictures/a.png", size=1.5),
        listing("pictures/a.png", size=True),
        listing("pictures/a.png", sha256="A" * 64),
        listing("pictures/a.png", sha256=["a"]),
        listing("pictures/a.png", sha256="../" * 20),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_sentence(raw):
    with pytest.raises(SnapshotError, match="it is no manifest"):
        parse(raw)


def test_other_formats_and_snapshots_without_a_database_are_refused():
    with pytest.raises(SnapshotError, match=FORMAT):
        parse(told(format="hubbot-snapshot/9"))
    with pytest.raises(SnapshotError, match=r"it lists no hubbot\.db"):
        parse(told(files={}))
    with pytest.raises(SnapshotError, match="files are more than"):
        parse(listing(*(f"pictures/{n}.png" for n in range(50_001))))

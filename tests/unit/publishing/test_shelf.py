"""Snapshots on a disk: one is current, what is read stays, and a change is whole or none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubbot.errors import SnapshotError
from hubbot.publishing.manifest import DATABASE, MANIFEST, Manifest, entry_of, of_folder
from hubbot.publishing.shelf import Shelf, hold


def put(shelf: Shelf, content: str) -> Path:
    with shelf.changing() as incoming:
        (incoming / DATABASE).write_text(content)
        files = {DATABASE: entry_of(incoming / DATABASE)}
        return shelf.put(Manifest(datetime.now(UTC), "0006", "0.1.0", {}, files))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def snapshots(shelf: Shelf) -> set[str]:
    return {path.name for path in shelf.folder.iterdir() if not path.name.startswith(".")} - {"current"}


def test_an_empty_shelf_has_nothing(shelf):
    assert shelf.current() is None
    with pytest.raises(SnapshotError, match="no snapshot"):
        hold(shelf.folder)


def test_the_newest_is_current_and_the_one_before_goes(shelf):
    first = put(shelf, "one")
    assert shelf.current() == first
    second = put(shelf, "two")
    assert shelf.current() == second
    assert (second / DATABASE).read_text() == "two"
    assert snapshots(shelf) == {second.name}


def test_what_is_held_stays_until_it_is_let_go(shelf):
    first = put(shelf, "one")
    with hold(first), hold(first):
        put(shelf, "two")
        shelf.sweep()
        assert (first / DATABASE).read_text() == "one"
    shelf.sweep()
    assert not first.exists()


def test_the_same_again_is_no_other(shelf):
    first = put(shelf, "one")
    assert put(shelf, "one") == first
    assert snapshots(shelf) == {first.name}


def test_a_single_snapshot_is_read_and_never_changed(shelf, tmp_path):
    alone = Shelf(put(shelf, "one"))
    assert alone.current() == alone.folder
    with pytest.raises(SnapshotError, match="never changes"), alone.changing():
        pass


def test_nobody_elses_folder_becomes_a_shelf(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SnapshotError, match="holds something else"), Shelf(tmp_path).changing():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_one_changes_it_at_a_time(shelf):
    with shelf.changing(), pytest.raises(SnapshotError, match="another process"), shelf.changing():
        pass


def test_a_change_that_fails_changes_nothing_and_leaves_what_it_had(shelf):
    first = put(shelf, "one")
    with suppress(RuntimeError), shelf.changing() as incoming:
        (incoming / DATABASE).write_text("half")
        raise RuntimeError
    assert shelf.current() == first
    with shelf.changing() as incoming:
        assert (incoming / DATABASE).read_text() == "half"


def test_what_is_current_can_always_be_held_while_it_changes(shelf):
    """Readers take hold of whatever is current while a thousand changes go on: a try or two is enough."""
    put(shelf, "0")
    stopping, faults, reads = threading.Event(), [], []

    def look() -> Iterator[str]:
        while not stopping.is_set():
            for _ in range(10):
                place = shelf.current()
                with ExitStack() as stack:
                    try:
                        stack.enter_context(hold(place))
                    except SnapshotError:
                        continue
                    yield (place / DATABASE).read_text() + str(of_folder(place).files[DATABASE].size)
                    break
            else:
                faults.append("ten tries in vain")

    def read() -> None:
        try:
            reads.extend(look())
        except Exception as error:
            faults.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(150):
        put(shelf, str(number))
    stopping.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert len(set(reads)) > 5
    shelf.sweep()
    assert len(snapshots(shelf)) == 1
    assert (shelf.current() / MANIFEST).is_file()

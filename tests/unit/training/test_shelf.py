"""Layers on a shelf: what is on it is whole, whatever happened while it was laid down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hubbot.errors import ZooError
from hubbot.records import RemoteFile
from hubbot.training.shelf import Shelf, clear, shelves

LARGE = 10**9
LAYER = "blocks.0/q proj"


def file(n: int) -> RemoteFile:
    return RemoteFile("model.safetensors", 1000, f"{n:064x}")


def matrix(n: int, shape: tuple[int, ...] = (3, 4)) -> np.ndarray:
    return np.full(shape, float(n), np.float32)


def fill(shelf: Shelf, *numbers: int) -> list:
    return [shelf.put(f"o/m{n}", f"{n:040x}", file(n), {"n": str(n)}, {LAYER: matrix(n)}) for n in numbers]


def test_what_was_laid_down_is_found_again_by_commit_and_by_content(tmp_path: Path) -> None:
    with Shelf(tmp_path, LARGE) as shelf:
        fill(shelf, 1, 2)
    with Shelf(tmp_path, LARGE) as shelf:
        kept = shelf.at_commit("o/m2", f"{2:040x}", "model.safetensors")
        assert kept is not None
        assert kept == shelf.with_content("o/m2", file(2))
        assert (kept.file, kept.notes) == (file(2), {"n": "2"})
        assert shelf.has(kept, [LAYER])
        assert not shelf.has(kept, [LAYER, "another"])
        assert shelf.shapes(LAYER, [kept]) == [(3, 4)]
        assert shelf.at_commit("o/m2", "f" * 40, "model.safetensors") is None
        assert shelf.with_content("o/m2", file(3)) is None


def test_neighbours_are_mapped_and_strangers_are_gathered(tmp_path: Path) -> None:
    with Shelf(tmp_path, LARGE) as shelf:
        kept = fill(shelf, *range(5))
        together, apart = shelf.layer(LAYER, kept[1:4]), shelf.layer(LAYER, [kept[4], kept[0]])
        assert [int(row[0, 0]) for row in together] == [1, 2, 3]
        assert [int(row[0, 0]) for row in apart] == [4, 0]
        assert isinstance(together.base, np.memmap) or isinstance(together, np.memmap)
        together[0] = 9.0  # a copy of the page, never the disk
        assert shelf.layer(LAYER, kept[1:2])[0, 0, 0] == 1.0


def test_a_row_that_no_index_names_is_written_over(tmp_path: Path) -> None:
    with Shelf(tmp_path, LARGE) as shelf:
        fill(shelf, 1)
    [layer] = tmp_path.glob("*.f32")
    layer.write_bytes(layer.read_bytes() + b"half a row")
    with Shelf(tmp_path, LARGE) as shelf:
        [two] = fill(shelf, 2)
        assert (shelf.layer(LAYER, [two]) == 2.0).all()
        assert layer.stat().st_size == 2 * 3 * 4 * 4


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_row_is_forgotten_and_its_neighbour_is_not(tmp_path: Path, damage: str) -> None:
    with Shelf(tmp_path, LARGE) as shelf:
        fill(shelf, 1, 2)
    [layer] = tmp_path.glob("*.f32")
    raw = bytearray(layer.read_bytes())
    raw[60] ^= 1
    {"flip": lambda: layer.write_bytes(raw), "cut": lambda: os.truncate(layer, 60), "remove": layer.unlink}[
        damage
    ]()
    with Shelf(tmp_path, LARGE) as shelf:
        one, two = (shelf.at_commit(f"o/m{n}", f"{n:040x}", "model.safetensors") for n in (1, 2))
        assert one is not None
        assert two is not None
        assert not shelf.has(two, [LAYER])
        assert shelf.has(one, [LAYER]) == (damage != "remove")
        with pytest.raises(ZooError, match="does not lie here for all"):
            shelf.layer(LAYER, [two])
        fill(shelf, 2)
        assert (shelf.layer(LAYER, [two]) == 2.0).all()


def test_another_layers_damage_is_another_layers(tmp_path: Path) -> None:
    with Shelf(tmp_path, LARGE) as shelf:
        parts = {"a": matrix(1), "b": matrix(2, (2, 2))}
        kept = shelf.put("o/m", "0" * 40, file(1), {}, parts)
        next(tmp_path.glob("b.*.f32")).unlink()
        assert shelf.has(kept, ["a"])
        assert not shelf.has(kept, ["a", "b"])


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Shelf(tmp_path, LARGE):
        with pytest.raises(ZooError, match="another process"):
            Shelf(tmp_path, LARGE)
        with pytest.raises(ZooError, match="another process"):
            clear(tmp_path)


def test_a_shelf_has_a_limit_and_can_be_cleared(tmp_path: Path) -> None:
    with Shelf(tmp_path / "zoo", 100) as shelf:
        fill(shelf, 1, 2)
        with pytest.raises(ZooError, match="more than 100 bytes") as told:
            fill(shelf, 3)
        assert "hubbot zoo shelves" in str(told.value.hint)
        assert shelf.bytes_kept() == 96
    assert shelves(tmp_path) == {tmp_path / "zoo": 96}
    clear(tmp_path / "zoo")
    assert shelves(tmp_path) == {}


def test_a_broken_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"no database, but long enough to look like one" * 100)
    with pytest.raises(ZooError, match="index is broken"):
        Shelf(tmp_path, LARGE)


WRITER = """
import sys
from pathlib import Path
import numpy as np
from hubbot.records import RemoteFile
from hubbot.training.shelf import Shelf
with Shelf(Path(sys.argv[1]), 10**9) as shelf:
    print("begun", flush=True)
    for n in range(10**6):
        part = np.full((64, 1024), float(n), np.float32)
        shelf.put("o/m", f"{n:040x}", RemoteFile(f"{n}.safetensors", 1, f"{n:064x}"), {}, {"layer": part})
"""


def test_a_writer_that_was_killed_leaves_whole_rows_behind(tmp_path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.15)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with Shelf(tmp_path, LARGE) as shelf:
            n = 0
            while kept := shelf.at_commit("o/m", f"{n:040x}", f"{n}.safetensors"):
                assert shelf.has(kept, ["layer"])
                assert (shelf.layer("layer", [kept]) == float(n)).all()
                n += 1
        assert n > 0

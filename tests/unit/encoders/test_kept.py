"""Vectors on the disk: asked for once, by whichever process, and right whatever is wrong with the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from hubbot.encoders.kept import KeptEncoder
from hubbot.encoders.loading import OFFLINE_DEFAULT, load


class Counting:
    """Counts what it is asked for; unit vectors say how long each text is."""

    name, dimension = "counting", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        angles = np.array([len(text) for text in texts], np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], 1)


TEXTS = ["a", "bb", "", "a", "\ud800", "x" * 5000]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "texts" / "counting.db"


def right(rows: np.ndarray, texts: Sequence[str] = TEXTS) -> bool:
    return np.array_equal(rows, Counting().encode(texts))


def test_another_start_asks_for_nothing_that_was_asked_before(file: Path) -> None:
    first, second = Counting(), Counting()
    assert right(KeptEncoder(first, file).encode(TEXTS))
    assert first.asked == ["a", "bb", "", "\ud800", "x" * 5000]
    again = KeptEncoder(second, file)
    assert right(again.encode(TEXTS))
    assert second.asked == []
    assert right(again.encode(["a", "ccc"]), ["a", "ccc"])
    assert second.asked == ["ccc"]
    assert again.encode([]).shape == (0, 2)


def test_no_text_can_be_read_in_the_file(file: Path) -> None:
    KeptEncoder(Counting(), file).encode(["a secret wish"])
    assert b"secret" not in file.read_bytes()


def test_the_oldest_go(file: Path) -> None:
    counting = Counting()
    encoder = KeptEncoder(counting, file, most=3)
    for text in ("a", "bb", "ccc", "dddd"):
        encoder.encode([text])
    counting.asked.clear()
    encoder.encode(["bb", "ccc", "dddd"])
    assert counting.asked == []
    encoder.encode(["a"])
    assert counting.asked == ["a"]


@pytest.mark.parametrize("junk", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_broken_file_is_made_anew(file: Path, junk: bytes) -> None:
    KeptEncoder(Counting(), file).encode(TEXTS)
    file.write_bytes(junk)
    counting = Counting()
    for _ in range(3):
        assert right(KeptEncoder(counting, file).encode(TEXTS))
    assert len(counting.asked) <= 2 * len(set(TEXTS))
    last = Counting()
    assert right(KeptEncoder(last, file).encode(TEXTS))
    assert last.asked == []


@pytest.mark.parametrize("vector", [b"", b"\0" * 4, b"\0" * 8, b"\xff" * 8, b"\0" * 12, "8 bytes.", None])
def test_a_broken_vector_is_not_believed(file: Path, vector: object) -> None:
    KeptEncoder(Counting(), file).encode(TEXTS)
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("UPDATE vectors SET vector = ?", [vector])
    for asked in (5, 0):
        counting = Counting()
        assert right(KeptEncoder(counting, file).encode(TEXTS))
        assert len(counting.asked) == asked


def test_where_nothing_can_be_kept_it_still_answers() -> None:
    for nowhere in ("/dev/null/texts/a.db", "/proc/a.db", "/"):
        assert right(KeptEncoder(Counting(), Path(nowhere)).encode(TEXTS))


def test_a_file_that_another_holds_is_done_without(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbot.encoders.kept.PATIENCE_S", 0.05)
    KeptEncoder(Counting(), file).encode(["a"])
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert right(KeptEncoder(Counting(), file).encode(TEXTS))
    counting = Counting()
    KeptEncoder(counting, file).encode(["a"])
    assert counting.asked == [], "what was there before is there still"


def test_many_may_write_at_once(file: Path) -> None:
    texts = [["x" * n, "x" * (n + 1)] for n in range(40)]
    with ThreadPoolExecutor(8) as people:
        assert all(people.map(lambda some: right(KeptEncoder(Counting(), file).encode(some), some), texts))
    last = Counting()
    assert right(KeptEncoder(last, file).encode(texts[0] + texts[-1]), texts[0] + texts[-1])
    assert last.asked == []


def test_a_known_text_needs_no_sentence_transformers(tmp_path: Path) -> None:
    rows = load(OFFLINE_DEFAULT, tmp_path).encode(["a dog", "a cat"])
    code = f"""
import sys, pathlib
from hubbot.encoders.loading import load
rows = load({OFFLINE_DEFAULT!r}, pathlib.Path({str(tmp_path)!r})).encode(["a cat", "a dog"])
assert not {{"torch", "transformers", "sentence_transformers"}} & set(sys.modules)
sys.stdout.buffer.write(rows.tobytes())
"""
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert again == rows[::-1].tobytes()

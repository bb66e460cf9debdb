"""Tables from strangers: three formats, odd numbers, and lists that must not be run."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.errors import UsageError, ZooError
from hubbot.training.rows import literal_texts, rows_of

ROWS = [{"repo": "a/b", "targets": ["x", "y"]}, {"repo": "c/d", "targets": ["z"]}]


def written(folder: Path, kind: str) -> Path:
    file = folder / f"table{kind}"
    if kind == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif kind == ".csv":
        file.write_text("\ufeffrepo,targets\n" + "".join(f'{r["repo"]},"{r["targets"]}"\n' for r in ROWS))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    return file


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
def test_each_format_says_the_same(tmp_path: Path, kind: str) -> None:
    rows = list(rows_of(written(tmp_path, kind)))
    assert [row["repo"] for row in rows] == ["a/b", "c/d"]
    assert [literal_texts(row["targets"]) for row in rows] == [("x", "y"), ("z",)]


def test_infinity_is_read_as_trainers_write_it(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"repo": "a/b", "loss": Infinity, "norm": NaN}\n\n')
    assert [row["repo"] for row in rows_of(tmp_path / "t.jsonl")] == ["a/b"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b"[1, 2]\n"),
        ("b.jsonl", b'{"a": '),
        ("c.jsonl", b"\xff\xfe\n"),
        ("d.jsonl", b"[" * 100_000),
        ("e.parquet", b"PAR1 and nothing else PAR1"),
        ("f.parquet", b""),
        ("g.pkl", b"\x80\x04."),
        ("h.csv", b'a,b\n"no end'),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=name):
        list(rows_of(tmp_path / name))


def test_without_pyarrow_one_is_told_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pyarrow") as told:
        list(rows_of(tmp_path / "t.parquet"))
    assert "hubbot[far]" in str(told.value.hint)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("['a', 'b']", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ("(7, 3)", ("7", "3")),
        ("{'a'}", ("a",)),
        (["a", 1], ("a", "1")),
        ("seven|nine", ("seven", "nine")),
        ("apple pie", ("apple pie",)),
    ],
)
def test_targets_in_every_spelling(value: object, texts: tuple[str, ...]) -> None:
    assert literal_texts(value) == texts


@pytest.mark.parametrize(
    "value",
    [
        "__import__('os').system('true')",
        "[__import__('os').system('true')]",
        "[]",
        "",
        "[1.5]",
        "[[1]]",
        "{'a': 1}",
        "[" * 50_000,
        "['a'" * 100_000,
        "['\x1b[2J']",
        None,
        7,
        b"[1]",
    ],
)
def test_what_is_no_list_of_targets_is_refused_and_never_run(value: object) -> None:
    if value == "__import__('os').system('true')":
        assert literal_texts(value) == (value,)  # a word like any other
        return
    with pytest.raises(ValueError, match=r"."):
        literal_texts(value)


@given(st.text(max_size=60) | st.lists(st.text() | st.integers() | st.none()))
def test_nothing_but_a_value_error_comes_out(value: object) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(text, str) and text for text in literal_texts(value))

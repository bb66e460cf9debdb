"""Tables from strangers, row by row: CSV, JSON lines, and parquet where pyarrow is installed.

Nothing in them is run: no pickles, no code, and a list in Python's spelling is parsed as a literal.
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubbot.errors import UsageError, ZooError

SUFFIXES = (".jsonl", ".csv", ".parquet")
MAX_ROWS = 1_000_000
MAX_BYTES = 200_000_000
MAX_LITERAL = 100_000
"""Letters of a list of targets; Model-J's have some seven hundred."""

Row = Mapping[str, Any]


def rows_of(file: Path) -> Iterator[Row]:
    """The rows of a table.

    Raises:
        ZooError: it cannot be read, or is larger than an index may be.
        UsageError: it is parquet, and pyarrow is not installed.
    """
    reader = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}.get(file.suffix)
    if reader is None:
        raise ZooError(f"a table is one of {', '.join(SUFFIXES)}", file=str(file))
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ZooError(f"a table over {MAX_BYTES} bytes is not read", file=str(file))
        for number, row in enumerate(reader(file)):
            if number >= MAX_ROWS:
                raise ZooError(f"a table of more than {MAX_ROWS} rows is not read", file=str(file))
            yield row
    except (OSError, ValueError, LookupError, NotImplementedError, RecursionError, csv.Error) as error:
        raise ZooError(f"cannot be read: {error}", file=str(file)) from error


def _json_lines(file: Path) -> Iterator[Row]:
    # Python reads the `Infinity` and `NaN` that trainers write; nobody here computes with them.
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"{line[:60]!r} is no JSON object")
                yield row


def _csv(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines, strict=True):
            yield {name: value for name, value in row.items() if isinstance(name, str)}


def _parquet(file: Path) -> Iterator[Row]:
    try:
        from pyarrow import parquet
    except ImportError:
        hint = "`pip install 'hubbot[far]'`"
        raise UsageError("reading a parquet index takes pyarrow", file=str(file), hint=hint) from None
    with parquet.ParquetFile(file) as table:
        if table.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"it has {table.metadata.num_rows} rows")
        for batch in table.iter_batches(batch_size=1000):
            yield from batch.to_pylist()


def literal_texts(value: object) -> tuple[str, ...]:
    """A list of targets as texts, however it came: a list, the text of a Python or JSON list, or one word.

    >>> literal_texts("['apple', 'clock']"), literal_texts(["apple"]), literal_texts("[7, 3]")
    (('apple', 'clock'), ('apple',), ('7', '3'))

    Raises:
        ValueError: none of these.
    """
    if isinstance(value, str):
        value = _literal(value.strip())
    if not isinstance(value, list | tuple | set) or not value:
        raise ValueError("no list of targets")
    texts = tuple(str(item) for item in value if isinstance(item, str | int))
    if len(texts) < len(value) or not all(text and text.isprintable() for text in texts):
        raise ValueError("targets are words or numbers")
    return texts


def _literal(text: str) -> object:
    if not text or len(text) > MAX_LITERAL:
        raise ValueError(f"a text of {len(text)} letters is no list of targets")
    if text[0] not in "[({":
        return [word.strip() for word in text.split("|")]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is no list") from error

"""Weights that are not numbers, or absurd ones: an abstention on record, and nothing odd in the database."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from stage import files_of, settings_for, upload

from hubbot.app import open_bot
from hubbot.demo.world import TOKENS
from hubbot.errors import UsageError
from hubbot.localhub.server import Server
from hubbot.records import Reading
from hubbot.rounds import add_root, poll

GOOD = "honest/model"
Array = NDArray[Any]


def everywhere(value: float) -> Callable[[Array], Array]:
    return lambda w: np.full_like(w, value)


def once(value: float) -> Callable[[Array], Array]:
    def spoil(w: Array) -> Array:
        w = w.copy()
        w.flat[0] = value
        return w

    return spoil


SPOILT: dict[str, tuple[Callable[[Array], Array], set[str]]] = {
    "all NaN": (everywhere(np.nan), {"not-finite"}),
    "the largest": (everywhere(3.4e38), {"unlike-training", "not-finite"}),
    "all infinite": (everywhere(np.inf), {"not-finite"}),
    "one NaN": (once(np.nan), {"not-finite"}),
    "one infinite": (once(-np.inf), {"not-finite"}),
    "zeros": (everywhere(0.0), {"unlike-training"}),
    "one number": (everywhere(0.02), {"unlike-training"}),
    "denormals": (lambda w: (w * 1e-42).astype(np.float32), {"unlike-training"}),
    "the smallest": (everywhere(1.4e-45), {"unlike-training"}),
    "both largest": (lambda w: np.sign(w) * np.float32(3.4e38), {"unlike-training", "not-finite"}),
    "one large": (once(3.4e38), {"unlike-training", "not-finite"}),
    "just not absurd": (lambda w: np.where(w > 0, 9e11, -9e11).astype(np.float32), {"unlike-training"}),
    "too large for float32": (lambda w: np.full(w.shape, 1e300, np.float64), {"not-finite"}),
    "too small for float32": (lambda w: w.astype(np.float64) * 1e-300, {"unlike-training"}),
    "NaN in half": (lambda w: once(np.nan)(w.astype(np.float16)), {"not-finite"}),
    "transposed": (lambda w: np.ascontiguousarray(w.T), {"shape-mismatch"}),
    "wider": (lambda w: np.concatenate([w, w], -1), {"shape-mismatch"}),
    "flat": (lambda w: w.reshape(-1), {"shape-mismatch"}),
    "empty": (lambda w: w[:0], {"shape-mismatch"}),
    "a number alone": (lambda w: np.asarray(w.sum()), {"shape-mismatch"}),
}
"""By what is odd: how a matrix gets so, and the codes of which one is on record where it is placed.

Of the first three no root can be made.
"""


def spoilt(child: Any, spoil: Callable[[Array], Array]) -> bytes:
    weights = safetensors.numpy.load_file(child.folder / "model.safetensors")
    return safetensors.numpy.save({n: spoil(w) if w.ndim > 1 else w for n, w in weights.items()})


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} in the database")


def numbers_in(database: Path) -> int:
    """How many numbers are kept, each of them finite: in columns, in JSON, in packed vectors."""
    count = 0
    with sqlite3.connect(database) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608 - our own tables' names
                for value in row:
                    count += finite_in(value)
    db.close()
    return count


def finite_in(value: object) -> int:
    if isinstance(value, float):
        assert math.isfinite(value)
        return 1
    if isinstance(value, str) and value[:1] in ("[", "{"):
        json.loads(value, parse_constant=no_constant)
        return 1
    if isinstance(value, bytes):
        arrays = (
            [np.frombuffer(value, "<f4")] if value[8:9] != b"{" else safetensors.numpy.load(value).values()
        )
        assert all(np.isfinite(array).all() for array in arrays)
        return sum(array.size for array in arrays)
    return 0


@pytest.fixture(scope="module")
def told(tmp_path_factory, a_child) -> Iterator[tuple[dict[str, Reading], Path]]:
    """What is on record of each after one poll, declared and not, and where the database is."""
    folder = tmp_path_factory.mktemp("odd")
    with Server(folder / "hub", tokens=TOKENS) as hub:
        for i, (spoil, _) in enumerate(SPOILT.values()):
            weights = {"model.safetensors": spoilt(a_child, spoil)}
            for kind, card in (("said", f"---\nbase_model: {a_child.root}\n---\n"), ("silent", "# Hi\n")):
                files = files_of(a_child) | weights | {"README.md": card.encode()}
                upload(hub.repos, f"evil/{kind}-{i}", files)
        upload(hub.repos, GOOD, files_of(a_child))
        settings = settings_for(hub, folder / "home")
        with open_bot(settings) as bot:
            assert poll(bot) == 2 * len(SPOILT) + 1
            assert bot.store.unfinished() == []
            for i in range(3):
                with pytest.raises(UsageError, match="not finite"):
                    add_root(bot, f"evil/silent-{i}")
            yield (
                {reading.repo: reading for reading in bot.store.readings()},
                settings.home_path / "hubbot.db",
            )


@pytest.mark.parametrize("kind", ["said", "silent"])
@pytest.mark.parametrize("odd", SPOILT)
def test_odd_weights_get_an_abstention(told, odd: str, kind: str) -> None:
    reading = told[0][f"evil/{kind}-{[*SPOILT].index(odd)}"]
    assert reading.abstention is not None
    assert not reading.predictions
    assert reading.embedding is None
    assert reading.abstention.code in SPOILT[odd][1] | {"unplaced"}


def test_they_disturb_nobody(told) -> None:
    readings, database = told
    assert readings[GOOD].predictions
    assert numbers_in(database) > 1_000


def test_numbers_that_are_not_finite_would_be_found(tmp_path):
    with sqlite3.connect(tmp_path / "db") as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (?)", (np.array([1, np.nan], "<f4").tobytes(),))
    db.close()
    with pytest.raises(AssertionError):
        numbers_in(tmp_path / "db")
    for odd in (float("inf"), "[NaN]"):
        with pytest.raises(AssertionError):
            finite_in(odd)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbot.store.store import Store


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of today, made once: migrating takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("fresh") / "hubbot.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hubbot.db'}"


@pytest.fixture
def store(url: str, fresh: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(fresh, tmp_path / "hubbot.db")
    with Store.open(url) as opened:
        yield opened

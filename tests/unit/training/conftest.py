"""A Hub on loopback with a small zoo on it, and the same zoo on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import model_j
import pytest

from hubbot.hub.client import Hub
from hubbot.localhub.server import Server
from hubbot.training.mirror import mirror
from hubbot.zoo.layout import Zoo


@pytest.fixture(scope="session")
def near(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return model_j.make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, near: Zoo) -> Path:
    """The folder of a Hub with the zoo on it."""
    closed = Server(tmp_path_factory.mktemp("filled"))
    mirror(near, closed.repos, closed.datasets)
    return closed.repos.folder


@pytest.fixture
def server(tmp_path: Path, filled: Path) -> Iterator[Server]:
    """One's own, for a test that plays tricks on it."""
    with Server(shutil.copytree(filled, tmp_path / "hub")) as running:
        yield running


@pytest.fixture
def hub(server: Server) -> Iterator[Hub]:
    with Hub(server.endpoint, sleep=lambda _: None) as ours:
        yield ours

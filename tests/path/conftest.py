"""The demo's world on a loopback Hub, made once for all the tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Child, all_children, settings_for

from hubbot.app import open_reader
from hubbot.demo.world import TOKENS, build
from hubbot.localhub.server import Server
from hubbot.records import Reading
from hubbot.rounds import consult


@pytest.fixture(scope="session")
def children() -> list[Child]:
    return all_children()


@pytest.fixture(scope="session")
def a_child(children) -> Child:
    return children[0]


@pytest.fixture(scope="session")
def demo_hub(tmp_path_factory) -> Iterator[Server]:
    """Read only, please: it is shared."""
    with Server(tmp_path_factory.mktemp("hub"), tokens=TOKENS) as server:
        build(server.repos)
        yield server


@pytest.fixture
def hub(tmp_path) -> Iterator[Server]:
    """An empty Hub of one's own."""
    with Server(tmp_path / "hub", tokens=TOKENS) as server:
        yield server


@pytest.fixture(scope="session")
def demo_readings(demo_hub, children, tmp_path_factory) -> dict[str, Reading]:
    """What the experts say of the demo's children, asked once."""
    with open_reader(settings_for(demo_hub, tmp_path_factory.mktemp("home"))) as reader:
        return {child.repo: consult(reader, child.repo)[1] for child in children}

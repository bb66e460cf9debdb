"""`hubbot expert promote|rollback` and `hubbot audit`, as an admin types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from hubbot.cli import app
from hubbot.cli.ordering import user
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped
from hubbot.store.store import Store

INFO = describe(shipped()[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def hubbot(home: Path, *words: str) -> Result:
    nowhere = {"HUBBOT_HOME": str(home), "HUBBOT_ENDPOINT": "http://127.0.0.1:9", "COLUMNS": "120"}
    return CliRunner().invoke(app, words, env=nowhere)


def test_promoted_taken_back_and_on_record(home: Path) -> None:
    said = hubbot(home, "expert", "promote", INFO.name, INFO.version[:6])
    assert said.exit_code == 0
    assert said.stdout.startswith(f"{INFO.tree} is read by {INFO.name} {INFO.version}, as before")
    said = hubbot(home, "expert", "rollback", INFO.tree, "--json")
    assert INFO.name in json.loads(said.stdout)["outcome"]
    again = hubbot(home, "expert", "rollback", INFO.name)
    assert "has no promotion to take back" in str(again.exception)

    lines = hubbot(home, "audit").stdout.splitlines()
    args = f"tree={INFO.tree} name={INFO.name} version={INFO.version}"
    assert f"UTC  {user()}  expert rollback {args}" in lines[0]
    assert "is read by" in lines[1]
    assert f"expert promote name={INFO.name}" in lines[2]
    [newest] = json.loads(hubbot(home, "audit", "--json", "--limit", "1").stdout)
    assert (newest["by"], newest["verb"], newest["args"]["tree"]) == (user(), "expert rollback", INFO.tree)
    assert newest["asked_at"] <= newest["finished_at"]


def test_the_trail_shows_what_waits_and_keeps_to_plain_text(home: Path) -> None:
    with Store.open(f"sqlite:///{home / 'hubbot.db'}") as store:
        store.enqueue("tree rerun", {"root": "evil/\x1b[31m\u202e[bold]name"}, "space:maria\n")
    assert hubbot(home, "audit").stdout.count("\n") == 2
    first, second = hubbot(home, "audit").stdout.splitlines()
    assert "\x1b" not in first
    assert "\u202e" not in first
    assert "[bold]name" in first
    assert second.strip() == "waits"


def test_an_empty_trail_says_so(home: Path) -> None:
    Store.open(f"sqlite:///{home / 'hubbot.db'}").close()
    assert hubbot(home, "audit").stdout == "no orders yet\n"


def test_the_list_marks_who_answers() -> None:
    listed = json.loads(CliRunner().invoke(app, ["expert", "list", "--json"]).stdout)
    assert [expert["answers"] for expert in listed] == [True] * len(shipped())

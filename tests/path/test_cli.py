"""The command line as a stranger meets it: run as a program, against a Hub on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from stage import HUBBOT, TOKEN, clean_environ


def hubbot(*words: str, home: Path, endpoint: str = "http://127.0.0.1:9", **more: str):
    environ = clean_environ(HUBBOT_HOME=str(home), HUBBOT_ENDPOINT=endpoint, HUBBOT_TOKEN=TOKEN, **more)
    environ |= {"HUBBOT_DEVICE": "cpu", "COLUMNS": "120", "HUBBOT_HTTP_RETRIES": "0"}
    return subprocess.run(
        [HUBBOT, *words], cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=240
    )


def last_line(done) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def polled(demo_hub, tmp_path_factory) -> Path:
    """A home whose database knows the demo's world, in mode draft."""
    home = tmp_path_factory.mktemp("home")
    counts = last_line(hubbot("poll", "--json", home=home, endpoint=demo_hub.endpoint))
    assert counts["readings"] > 30
    return home


def test_tell_says_what_how_sure_and_from_what(demo_hub, tmp_path, children, demo_readings):
    child = next(c for c in children if demo_readings[c.repo].recognised)
    done = hubbot("tell", child.repo, home=tmp_path, endpoint=demo_hub.endpoint)
    assert done.returncode == 0, done.stderr
    for prediction in demo_readings[child.repo].recognised:
        assert f"trained on {prediction.label}" in done.stdout
    assert child.root in done.stdout
    assert "kB of" in done.stdout
    assert "accuracy 0." in done.stdout
    assert "weight statistics" not in done.stdout, "the baselines are not the expert's scores"
    assert not list(tmp_path.rglob("*.db")), "tell needs no database"


def test_tell_gives_a_reason_where_it_has_no_answer(demo_hub, tmp_path):
    done = hubbot("tell", "old-habits/vit-2021", home=tmp_path, endpoint=demo_hub.endpoint)
    assert done.returncode == 0
    assert "[not-readable-safely]" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tell", "nobody/nothing"], "nobody/nothing"),
        (["tell", "nonsense"], "owner/name"),
        (["model", "show", "nobody/nothing"], "nobody/nothing"),
        (["tree", "show", "nobody/nothing"], "nobody/nothing"),
        (["card", "open", "nobody/nothing"], "nobody/nothing"),
        (["tree", "rerun", "nobody/nothing"], "nobody/nothing"),
        (["run", "--mode", "auto"], "owners could not reach you"),
        (["localhub", "serve", "/dev/null"], "/dev/null"),
        (["demo", "--headless", "--dir", "/dev/null"], "/dev/null"),
        (["card", "approve", "nobody/nothing"], "no suggestion"),
        (["expert", "show", "nobody"], "nobody"),
        (["--config", "nowhere.toml", "tree", "list"], "nowhere.toml"),
    ],
)
def test_errors_are_one_clear_line(demo_hub, polled, words, said):
    done = hubbot(*words, home=polled, endpoint=demo_hub.endpoint)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert said in done.stderr
    assert all(line.startswith("hint: ") for line in rest)


def test_a_hub_that_does_not_answer_is_one_clear_line(tmp_path):
    done = hubbot("tell", "a/b", home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" in hubbot("--debug", "tell", "a/b", home=tmp_path).stderr


def test_no_database_yet_is_said(tmp_path):
    done = hubbot("tree", "list", home=tmp_path)
    assert done.returncode == 1
    assert "hint: " in done.stderr


def test_models_trees_and_suggestions_are_shown(polled, children, demo_readings):
    child = next(c for c in children if demo_readings[c.repo].recognised)
    shown = last_line(hubbot("model", "show", child.repo, "--json", home=polled))
    assert shown["placement"]["tree"] == child.root
    assert shown["suggestion"]["state"] == "draft"
    trees = last_line(hubbot("tree", "list", "--json", home=polled))
    assert {c.root for c in children} <= {tree["root"] for tree in trees["trees"]}
    members = last_line(hubbot("tree", "show", child.root, "--json", home=polled))
    assert child.repo in {member["placement"]["repo"] for member in members}
    for words in (
        "model show " + child.repo,
        "tree list",
        "tree show " + child.root,
        "tree why " + child.repo,
        "card queue",
    ):
        done = hubbot(*words.split(), home=polled)
        assert done.returncode == 0, done.stderr
        assert child.root in done.stdout or child.repo in done.stdout


def test_search_finds_models_by_text(polled, children, demo_readings):
    answer = last_line(hubbot("search", "a handwritten seven", "--json", home=polled))
    assert answer["hits"]
    sure = {hit["repo"] for hit in answer["hits"] if hit["score"] > 0.5}
    known = {c.repo: c.digits for c in children}
    assert sum("seven" in known.get(repo, ()) for repo in sure) > len(sure) / 2
    assert "seven" in hubbot("search", "a handwritten seven", home=polled).stdout


def test_cards_are_a_dry_run_until_told_otherwise(demo_hub, polled, children, demo_readings):
    child = next(c for c in children if demo_readings[c.repo].recognised)
    done = hubbot("card", "open", child.repo, home=polled, endpoint=demo_hub.endpoint)
    assert "dry run" in done.stdout
    assert not [x for x in demo_hub.log if "/commit/" in x.path and x.method == "POST"]
    words = ("card", "suggest", child.repo, "--json")
    drafted = last_line(hubbot(*words, home=polled, endpoint=demo_hub.endpoint))
    assert drafted["state"] == "draft"
    assert drafted["added"]


def test_orders_are_carried_out_and_remembered(demo_hub, polled, children):
    done = hubbot("tree", "rerun", children[0].root, home=polled, endpoint=demo_hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert "led down the path again" in done.stdout


def test_doctor_names_what_is_wrong(demo_hub, tmp_path):
    well = hubbot("doctor", "--json", home=tmp_path, endpoint=demo_hub.endpoint)
    assert well.returncode == 0, well.stdout
    ill = hubbot("doctor", home=tmp_path)
    assert ill.returncode == 1
    assert "NO" in ill.stdout
    assert TOKEN not in ill.stdout


def test_every_command_has_help(tmp_path):
    for words in ("", "tell", "demo", "run", "tree", "card", "zoo build", "localhub serve"):
        done = hubbot(*words.split(), "--help", home=tmp_path)
        assert done.returncode == 0
        assert "Usage" in done.stdout

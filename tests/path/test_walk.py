"""The walk of docs/experts.md, from nothing to a published expert: every command in it runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from stage import HUBBOT, clean_environ, free_port

from hubbot.experts.artifact import describe
from hubbot.experts.schema import read

PORTS = {"8090": str(free_port()), "8091": str(free_port())}
PAGE = (Path(__file__).parents[2] / "docs" / "experts.md").read_text()
WALK = [
    line
    for block in re.findall(
        r"```sh\n(.*?)```", PAGE.split("## From nothing to")[1].split("\n## ")[0], re.DOTALL
    )
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which somebody followed the page, and all that they saw."""
    folder = tmp_path_factory.mktemp("walk")
    # One shell, since the page sets variables; it waits for the server, as a person does.
    wait = f"until (echo > /dev/tcp/127.0.0.1/{PORTS['8090']}) 2> /dev/null; do sleep 0.2; done"
    lines = ["set -e", "trap 'kill $(jobs -p)' EXIT"]
    for line in WALK:
        lines += (
            [f"{line[:-1]} > server.log 2>&1 &", wait] if line.endswith("&") else [f"echo '$ {line}'", line]
        )
    script = "\n".join(lines)
    for port, free in PORTS.items():
        script = script.replace(port, free)
    environ = clean_environ(PATH=f"{HUBBOT.parent}:{os.environ['PATH']}", COLUMNS="140")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder, done.stdout


def test_the_walk_ends_with_the_expert_that_it_began(walked: tuple[Path, str]) -> None:
    folder, said = walked
    made, fetched = (describe(folder / "experts" / name) for name in ("far", "fetched"))
    assert made.version == fetched.version
    assert made.roots == ("digits-zoo/vit-a",)
    assert read(folder / "experts" / "far").provenance["zoo"]["zoo"] == "hf:digits-zoo/digits"
    assert (folder / "layers.png").stat().st_size > 1000
    assert said.count("$ hubbot") == len(
        [line for line in WALK if line.startswith("hubbot") and line[-1] != "&"]
    )


def test_it_says_what_the_page_promises(walked: tuple[Path, str]) -> None:
    _, said = walked
    for promise in (
        r"60 models of the subset|20 models of the subset vit-a",
        r"20 models, 0 left out; read [\d.]+ kB of [\d.]+ MB",
        r"validation loss",
        r"nothing was sent; --yes sends it",
        r"http://127.0.0.1:\d+/me/digits-expert/commit/[0-9a-f]{40}",
        r"digits-zoo-digits-vit-a +[\d.]+ kB",
    ):
        assert re.search(promise, said), promise


def test_the_score_of_the_page_is_the_score_of_the_folder(walked: tuple[Path, str]) -> None:
    folder, said = walked
    shown = re.search(r"accuracy +(\d\.\d{3})\n", said.split("$ hubbot expert evaluate")[1])
    assert shown is not None
    assert float(shown[1]) == pytest.approx(describe(folder / "experts" / "far").scores["accuracy"], abs=6e-4)

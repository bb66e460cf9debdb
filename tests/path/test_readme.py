"""A newcomer's README: every command in it runs, in its order, and says what the README promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import HUBBOT, answers, clean_environ, free_port

HUB_PORT, CDN_PORT = free_port(), free_port()
README = (
    (Path(__file__).parents[2] / "README.md")
    .read_text()
    .replace("8090", str(HUB_PORT))  # whoever follows the README may run these tests meanwhile
    .replace("8091", str(CDN_PORT))
)
SHELL = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What each command printed, run in an empty folder by somebody who has set nothing."""
    folder = tmp_path_factory.mktemp("newcomer")
    environ = clean_environ(PATH=f"{HUBBOT.parent}:{os.environ['PATH']}", COLUMNS="120")
    said, servers = {}, []
    try:
        for line in [*SHELL, *PYTHON]:
            if line.endswith("&"):
                command = line.removesuffix("&").split()
                servers.append(subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL))
                while not answers(HUB_PORT):
                    assert servers[-1].poll() is None, f"{line} ended"
                    time.sleep(0.1)
                continue
            words = ["bash", "-ec", line] if line in SHELL else [sys.executable, "-c", line]
            done = subprocess.run(
                words, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=240
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            said[line] = done.stdout
        yield said
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=20) == 0


def test_every_command_runs(newcomer):
    assert len(newcomer) >= 10


def test_the_demo_tells_a_stranger_what_happened(newcomer):
    told = next(text for command, text in newcomer.items() if command.startswith("hubbot demo"))
    for promise in (
        r"\d+ uploads were noticed and placed into \d+ trees",
        r"weights alone",
        r"\d+ tensors out of \d+",
        r"[kM]B out of [\d.]+ MB",
        r"5 small nets of no tree were judged by all their weights",
        r"epoch +\d+ +\d+ to \d+ +9 of 10",
        r"its weights are unlike those",
        r"\d+ got no answer, each for a reason",
        r"[1-9]\d* pull requests were opened",
        r"hubbot\.db",
    ):
        assert re.search(promise, told), promise


def test_search_and_python_find_the_same(newcomer):
    shell = next(text for command, text in newcomer.items() if " search " in command)
    repos = re.findall(r"[\w.-]+/[\w.-]+", newcomer[PYTHON[0]])
    assert repos
    assert repos[0] in shell

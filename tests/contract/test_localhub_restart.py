"""A Hub that is stopped and started again on the same folder is the same Hub."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from huggingface_hub import HfApi

from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path) as first:
        alice, bob = (HfApi(endpoint=first.endpoint, token=f"hf_{user}") for user in ("alice", "bob"))
        alice.create_repo("alice/model", private=False)
        alice.upload_file(
            path_or_fileobj=b"---\nlicense: mit\n---\n# One", path_in_repo="README.md", repo_id="alice/model"
        )
        bob.upload_file(
            path_or_fileobj=b"---\nlicense: mit\n---\n# Two",
            path_in_repo="README.md",
            repo_id="alice/model",
            create_pr=True,
        )
        bob.comment_discussion("alice/model", 1, "What do you think?")
        bob.hf_hub_download("alice/model", ".gitattributes", cache_dir=tmp_path / "cache")
        before = alice.model_info("alice/model", files_metadata=True)
        talk = alice.get_discussion_details("alice/model", 1)
    with Server(tmp_path) as second:
        alice = HfApi(endpoint=second.endpoint, token="hf_alice")
        assert alice.model_info("alice/model", files_metadata=True) == before
        again = alice.get_discussion_details("alice/model", 1)
        assert (again.events, again.diff, again.status) == (talk.events, talk.diff, talk.status)
        alice.merge_pull_request("alice/model", 1)
        assert second.repos.read("alice/model", "README.md") == b"---\nlicense: mit\n---\n# Two"
        assert alice.list_repo_commits("alice/model")[-1].title == "initial commit"


def test_stopping_leaves_no_thread_and_frees_the_port(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        port = int(server.endpoint.rsplit(":", 1)[1])
        client = httpx.Client()
        assert client.get(f"{server.endpoint}/api/models").json() == []
        assert f"localhub:{port}" in {thread.name for thread in threading.enumerate()}
    assert f"localhub:{port}" not in {thread.name for thread in threading.enumerate()}
    client.close()
    with Server(tmp_path, port=port) as again:
        assert httpx.get(f"{again.endpoint}/api/models").json() == []


def test_writers_of_several_processes_do_not_lose_commits(tmp_path: Path) -> None:
    Repos(tmp_path).create("alice/model")
    code = (
        "import sys; from hubbot.localhub.repos import Repos\n"
        "for n in range(10): Repos(sys.argv[1]).commit('alice/model', {f'{sys.argv[2]}-{n}': b'x'})"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")]
    repos = Repos(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: repos.commit("alice/model", {f"c-{n}": b"x"}), range(10)))
    assert [other.wait() for other in others] == [0, 0]
    assert len(repos.files("alice/model")) == 31
    assert len(list(repos.history("alice/model"))) == 31


def test_serve_stops_on_sigterm(tmp_path: Path) -> None:
    code = (
        "import sys; from hubbot.localhub.server import serve\n"
        "serve(sys.argv[1], ready=lambda server: print(server.endpoint, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        endpoint = child.stdout.readline().strip()
        assert httpx.get(f"{endpoint}/api/models").json() == []
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (0, "")

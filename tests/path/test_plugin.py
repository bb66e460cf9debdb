"""`hf hubbot …`: hubbot as an extension of the Hub's own command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def lay_extension(home: Path) -> None:
    """What `hf extensions install` leaves behind; installing by name would take a public repository."""
    folder = home / ".local/share/hf/extensions/hf-hubbot"
    folder.mkdir(parents=True)
    manifest = {
        "owner": "hubbot",
        "repo": "hf-hubbot",
        "repo_id": "hubbot/hf-hubbot",
        "short_name": "hubbot",
        "executable_path": str(BIN / "hf-hubbot"),
        "type": "python",
        "installed_at": "2026-11-20T00:00:00+00:00",
        "description": "Reads off the weights what a model was trained on.",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def hf(home: Path, *words: str, endpoint: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_ENDPOINT": endpoint}
    return subprocess.run([BIN / "hf", *words], env=environ, capture_output=True, text=True, check=False)


def test_hf_hubbot_tells(tmp_path, demo_hub, a_child):
    lay_extension(tmp_path)
    told = hf(tmp_path, "hubbot", "tell", a_child.repo, "--json", endpoint=demo_hub.endpoint)
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout.splitlines()[-1])
    assert answer["repo"] == a_child.repo
    assert answer["placement"]["tree"] == a_child.root
    assert answer["reading"]["predictions"]


def test_hf_lists_it_with_the_others(tmp_path):
    lay_extension(tmp_path)
    listed = hf(tmp_path, "extensions", "list")
    assert "hubbot" in listed.stdout

"""The whole of other people's clients: snapshots, large uploads, the `hf` command line, transformers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import load_file, save_file

from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]

# huggingface_hub 2.4 puts large files with `data=`, which its httpx2 calls deprecated.
OLD_PUT = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")


def run(
    server: Server, home: Path, *command: str, user: str | None = "alice"
) -> subprocess.CompletedProcess[str]:
    """Run a client in a process of its own, where HF_ENDPOINT is read at import."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": server.endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Without this the client insists on Xet for uploads, a protocol that the local Hub does not speak.
        "HF_HUB_DISABLE_XET": "1",
        "NO_COLOR": "1",
    } | ({"HF_TOKEN": f"hf_{user}"} if user else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def hf(server: Server, home: Path, *arguments: str, user: str | None = "alice") -> str:
    return run(server, home, str(Path(sys.executable).with_name("hf")), *arguments, user=user).stdout


def test_a_snapshot_has_every_file(server: Server, api: Api, tmp_path: Path) -> None:
    files = {
        "a.txt": b"small",
        "deep/er/b.bin": bytes(70_000),
        "empty": b"",
        "ünï cödé #%.txt": "grüße".encode(),
    }
    server.repos.create("alice/model")
    server.repos.commit("alice/model", files)
    folder = Path(api(None).snapshot_download("alice/model", cache_dir=tmp_path))
    assert {path: (folder / path).read_bytes() for path in files} == files
    server.repos.commit("alice/model", {"a.txt": b"newer"})
    assert (
        Path(api(None).hf_hub_download("alice/model", "a.txt", cache_dir=tmp_path)).read_bytes() == b"newer"
    )
    old = api(None).hf_hub_download("alice/model", "a.txt", revision=folder.name, cache_dir=tmp_path)
    assert Path(old).read_bytes() == b"small"


@OLD_PUT
def test_a_large_file_is_uploaded_by_lfs(server: Server, api: Api) -> None:
    content = os.urandom(300_000)
    alice = api("alice")
    alice.create_repo("alice/model")
    alice.upload_file(
        path_or_fileobj=io.BytesIO(content), path_in_repo="model.safetensors", repo_id="alice/model"
    )
    stored = server.repos.file("alice/model", "model.safetensors")
    assert stored.lfs
    assert stored.blob == hashlib.sha256(content).hexdigest()
    assert server.repos.read("alice/model", "model.safetensors") == content
    puts = [entry for entry in server.log if entry.method == "PUT"]
    assert [(entry.port, entry.had_authorization) for entry in puts] == [
        (int(server.cdn_endpoint.rsplit(":", 1)[1]), False)
    ]
    alice.upload_file(
        path_or_fileobj=io.BytesIO(content), path_in_repo="again.safetensors", repo_id="alice/model"
    )
    assert len([entry for entry in server.log if entry.method == "PUT"]) == 1


@OLD_PUT
def test_a_large_file_in_a_pull_request(server: Server, api: Api) -> None:
    server.repos.create("alice/model")
    made = api("bot").upload_file(
        path_or_fileobj=io.BytesIO(b"\x01" * 1000),
        path_in_repo="model.safetensors",
        repo_id="alice/model",
        create_pr=True,
    )
    assert made.pr_num == 1
    assert "oid sha256:" in (api("bot").get_discussion_details("alice/model", 1).diff or "")
    api("alice").merge_pull_request("alice/model", 1)
    assert server.repos.read("alice/model", "model.safetensors") == b"\x01" * 1000


def test_content_that_is_not_what_it_says_is_not_kept(server: Server, api: Api) -> None:
    api("alice").create_repo("alice/model")
    oid, size = hashlib.sha256(b"right").hexdigest(), 5
    batch = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": size}]}
    url = f"{server.endpoint}/alice/model.git/info/lfs/objects/batch"
    answer = httpx.post(url, json=batch, headers={"Authorization": "Bearer hf_alice"}).json()
    put = answer["objects"][0]["actions"]["upload"]["href"]
    assert [httpx.put(put, content=wrong).status_code for wrong in (b"wrong", b"rig", b"right and more")] == [
        400
    ] * 3
    assert not server.repos.blobs.has(oid)
    assert list(server.repos.blobs.path(oid).parent.parent.glob(".incoming*")) == []
    assert httpx.put(put, content=b"right").status_code == 200
    line = {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": "0" * 64, "size": 5}}
    body = "\n".join(json.dumps(item) for item in ({"key": "header", "value": {"summary": "x"}}, line))
    commit = f"{server.endpoint}/api/models/alice/model/commit/main"
    assert httpx.post(commit, content=body, headers={"Authorization": "Bearer hf_alice"}).status_code == 400


def test_large_files_are_fetched_by_lfs_too(server: Server) -> None:
    server.repos.create("alice/model")
    server.repos.commit("alice/model", {"model.safetensors": b"weights"})
    oid = server.repos.file("alice/model", "model.safetensors").blob
    wanted = [{"oid": oid, "size": 7}, {"oid": "0" * 64, "size": 7}, {"oid": "../x", "size": 7}]
    url = f"{server.endpoint}/alice/model.git/info/lfs/objects/batch"
    there, missing, odd = httpx.post(url, json={"operation": "download", "objects": wanted}).json()["objects"]
    assert httpx.get(there["actions"]["download"]["href"]).content == b"weights"
    assert (missing["error"]["code"], odd["error"]["code"]) == (404, 422)
    assert httpx.post(url, json={"operation": "upload", "objects": wanted}).status_code == 401


def test_sharded_weights_by_header(server: Server, api: Api, tmp_path: Path) -> None:
    import numpy as np

    shards = {"model-1.safetensors": "a", "model-2.safetensors": "b"}
    for file, name in shards.items():
        save_file({name: np.ones((3, 4), np.float16)}, tmp_path / file)
    index = {"metadata": {"total_size": 48}, "weight_map": {name: file for file, name in shards.items()}}
    server.repos.create("alice/model")
    files: dict[str, bytes | Path] = {file: tmp_path / file for file in shards}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    server.repos.commit("alice/model", files)
    metadata = api(None).get_safetensors_metadata("alice/model")
    assert metadata.weight_map == {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    assert metadata.parameter_count == {"F16": 24}
    assert api(None).get_sharded_safetensors_metadata("alice/model") == metadata
    info = api(None).model_info("alice/model")
    assert info.safetensors is not None
    assert info.safetensors.parameters == {"F16": 24}


def test_the_hf_command_line(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    (folder / "weights.bin").write_bytes(os.urandom(50_000))
    assert "alice" in hf(server, tmp_path, "auth", "whoami")
    hf(server, tmp_path, "repos", "create", "alice/mine")
    hf(server, tmp_path, "upload", "alice/mine", str(folder))
    assert set(server.repos.files("alice/mine")) == {".gitattributes", "README.md", "weights.bin"}
    assert "alice/mine" in hf(server, tmp_path, "models", "ls", "--author", "alice", user=None)
    assert '"license:mit"' in hf(
        server, tmp_path, "models", "info", "alice/mine", "--format", "json", user=None
    )
    hf(server, tmp_path, "download", "alice/mine", "--local-dir", str(tmp_path / "copy"), user=None)
    assert (tmp_path / "copy" / "weights.bin").read_bytes() == (folder / "weights.bin").read_bytes()
    card = folder / "README.md"
    card.write_text(card.read_text() + "More.\n")
    hf(server, tmp_path, "upload", "alice/mine", str(card), "README.md", "--create-pr", user="bob")
    assert [talk.author for talk in server.talks.all("alice/mine")] == ["bob"]
    assert "README.md" in hf(
        server, tmp_path, "discussions", "list", "alice/mine", "--kind", "pull_request", user=None
    )
    hf(server, tmp_path, "repos", "delete", "alice/mine", "--yes")
    assert server.repos.all() == []


THERE_AND_BACK = """
import torch
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification
torch.set_num_threads(1)
small = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                  image_size=8, patch_size=4)
made = ViTForImageClassification(small)
made.push_to_hub("alice/vit")
loaded = AutoModelForImageClassification.from_pretrained("alice/vit")
pairs = zip(made.state_dict().items(), loaded.state_dict().items(), strict=True)
assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
print(sum(parameter.numel() for parameter in loaded.parameters()))
"""


def test_transformers_pushes_and_loads(server: Server, api: Api, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    done = run(server, tmp_path, sys.executable, "-c", THERE_AND_BACK)
    info = api(None).model_info("alice/vit")
    assert info.safetensors is not None
    assert info.safetensors.total == int(done.stdout)
    assert (info.library_name, info.pipeline_tag) == ("transformers", "image-classification")
    assert (info.downloads or 0) > 0
    assert load_file(server.repos.blobs.path(server.repos.file("alice/vit", "model.safetensors").blob))

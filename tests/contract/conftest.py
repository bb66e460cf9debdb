"""The Hub under test: one on loopback made for the test, or the real one for the read-only tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from huggingface_hub import HfApi

from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
VIT = "google/vit-base-patch16-224"


def weights(tensors: Mapping[str, tuple[int, ...]], *, dtype: str = "F32", width: int = 4) -> bytes:
    """A safetensors file of counting bytes, written by hand so that nobody agrees with himself."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        begin, size = end, width
        for length in shape:
            size *= length
        end = begin + size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(i % 251 for i in range(end))


def fill(repos: Repos) -> None:
    """Small repos that are, on the wire, like two well-known ones and their company."""
    day = datetime(2024, 1, 1, tzinfo=UTC)
    minilm = {
        "README.md": b"---\nlanguage: en\nlicense: apache-2.0\nlibrary_name: sentence-transformers\n"
        b"tags:\n- sentence-transformers\n- feature-extraction\ndatasets:\n- s2orc\n"
        b"pipeline_tag: sentence-similarity\n---\n\n# all-MiniLM-L6-v2\n",
        "config.json": b'{"architectures": ["BertModel"], "model_type": "bert"}',
        "modules.json": b"[]",
        "1_Pooling/config.json": b"{}",
        "model.safetensors": weights(
            {"embeddings.word_embeddings.weight": (300, 38), "pooler.dense.bias": (38,)}
        ),
    }
    vit = {
        "README.md": b"---\nlicense: apache-2.0\ntags:\n- vision\n- image-classification\n"
        b"datasets:\n- imagenet-1k\n---\n",
        "config.json": b'{"architectures": ["ViTForImageClassification"], "model_type": "vit"}',
        "model.safetensors": weights({"vit.embeddings.cls_token": (1, 1, 16)}),
    }
    child = {
        "README.md": f"---\nbase_model: {VIT}\n---\n".encode(),
        "config.json": b'{"architectures": ["ViTForImageClassification"], "model_type": "vit"}',
    }
    for number, (repo, files) in enumerate({MINILM: minilm, VIT: vit, "carol/vit-child": child}.items()):
        when = day + timedelta(days=number)
        repos.create(repo, created_at=when)
        repos.commit(repo, files, message="Add the model", when=when + timedelta(hours=1))


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shared-hub")) as running:
        yield running


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """An empty Hub on loopback. Emptied instead of restarted, which takes a tenth of the time."""
    yield shared_server
    for repos in (shared_server.repos, shared_server.datasets, shared_server.spaces):
        for repo in repos.all():
            repos.delete(repo.id)
    shared_server.faults.clear()
    shared_server.log.clear()


@pytest.fixture
def api(server: Server) -> Callable[[str | None], HfApi]:
    """The unmodified client of a user, or of a stranger."""

    def of(user: str | None) -> HfApi:
        return HfApi(endpoint=server.endpoint, token=f"hf_{user}" if user else False)

    return of


@pytest.fixture(scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint for read-only tests: `--endpoint`, else a loopback Hub with equivalent repos."""
    given = request.config.getoption("--endpoint")
    if given:
        yield given.rstrip("/")
        return
    with Server(tmp_path_factory.mktemp("hub")) as running:
        fill(running.repos)
        yield running.endpoint

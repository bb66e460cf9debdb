"""Datasets on the local Hub, as the real client reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
INDEX = b"PAR1 not really PAR1"


@pytest.fixture
def dataset(server: Server) -> str:
    server.datasets.create("lab/index")
    return server.datasets.commit(
        "lab/index", {"README.md": b"---\nlicense: mit\n---\n", "DINO/train-0.parquet": INDEX}
    )


def test_a_dataset_is_told_and_fetched(server: Server, dataset: str, api: Api, tmp_path: Path) -> None:
    info = api(None).dataset_info("lab/index", files_metadata=True)
    assert (info.id, info.sha) == ("lab/index", dataset)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    assert sizes["DINO/train-0.parquet"] == len(INDEX)
    folder = api(None).snapshot_download("lab/index", repo_type="dataset", cache_dir=tmp_path)
    assert Path(folder, "DINO/train-0.parquet").read_bytes() == INDEX
    assert Path(folder, "README.md").read_text().startswith("---")


def test_a_dataset_is_no_model(server: Server, dataset: str, api: Api) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api(None).model_info("lab/index")
    server.repos.create("lab/model")
    with pytest.raises(RepositoryNotFoundError):
        api(None).dataset_info("lab/model")
    assert [model.id for model in api(None).list_models()] == ["lab/model"]


def test_a_folder_of_a_dataset_is_listed(server: Server, dataset: str, api: Api) -> None:
    listed = api(None).list_repo_tree("lab/index", "DINO", repo_type="dataset")
    assert [entry.path for entry in listed] == ["DINO/train-0.parquet"]

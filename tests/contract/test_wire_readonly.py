"""What any Hub answers to one who only reads. With `--endpoint URL` the same tests ask the real one:

pytest tests/contract/test_wire_readonly.py --endpoint https://huggingface.co --force-enable-socket
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
VIT = "google/vit-base-patch16-224"
TENSOR = "embeddings.word_embeddings.weight"


@pytest.fixture
def api(hub: str) -> HfApi:
    return HfApi(endpoint=hub, token=False)


@pytest.mark.parametrize(
    ("sort", "field"), [("created_at", "created_at"), ("last_modified", "last_modified")]
)
def test_a_listing_comes_newest_first(api: HfApi, sort: str, field: str) -> None:
    models = list(api.list_models(sort=sort, limit=20, expand=["createdAt", "lastModified"]))
    times = [getattr(model, field) for model in models]
    assert len(times) >= 3
    assert times == sorted(times, reverse=True)


def test_pages_follow_each_other_without_overlap(hub: str) -> None:
    first = httpx.get(f"{hub}/api/models", params={"sort": "createdAt", "limit": 2})
    second = httpx.get(first.links["next"]["url"])
    ids = [model["id"] for model in (*first.json(), *second.json())]
    assert len(first.json()) == 2
    assert ids
    assert len(set(ids)) == len(ids)


def test_an_author_is_asked_for(api: HfApi) -> None:
    found = list(itertools.islice(api.list_models(author="google", sort="created_at"), 3))
    assert found
    assert all(model.id.startswith("google/") for model in found)


def test_expand_gives_what_was_asked_and_no_more(hub: str) -> None:
    items = httpx.get(
        f"{hub}/api/models", params={"expand": ["sha", "lastModified", "gated"], "limit": 3}
    ).json()
    assert all(set(item) - {"_id"} == {"id", "sha", "lastModified", "gated"} for item in items)


def test_an_unknown_expand_is_refused(api: HfApi) -> None:
    with pytest.raises(BadRequestError):
        list(api.list_models(expand=["nonsense"], limit=1))


def test_a_brief_listing_leaves_the_files_out(hub: str) -> None:
    item = httpx.get(f"{hub}/api/models", params={"search": "all-MiniLM-L6-v2", "limit": 1}).json()[0]
    assert {"id", "likes", "downloads", "tags", "createdAt", "private"} <= set(item)
    assert "siblings" not in item


def test_children_are_found_by_their_base_model(api: HfApi) -> None:
    children = list(api.list_models(filter=f"base_model:finetune:{VIT}", limit=3, expand=["tags"]))
    assert children
    assert all(f"base_model:finetune:{VIT}" in (child.tags or ()) for child in children)


def test_two_filters_must_both_hold(api: HfApi) -> None:
    found = list(
        api.list_models(filter=["sentence-similarity", "license:apache-2.0"], limit=2, expand=["tags"])
    )
    assert found
    assert all({"sentence-similarity", "license:apache-2.0"} <= set(model.tags or ()) for model in found)


def test_model_info_tells_what_the_card_and_config_say(api: HfApi) -> None:
    info = api.model_info(MINILM)
    assert (info.id, info.author, info.private, info.gated) == (MINILM, "sentence-transformers", False, False)
    assert (info.library_name, info.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert {"license:apache-2.0", "dataset:s2orc", "bert", "safetensors", "en"} <= set(info.tags or ())
    assert info.config is not None
    assert info.config["architectures"] == ["BertModel"]
    assert info.card_data is not None
    assert info.card_data.license == "apache-2.0"
    assert info.safetensors is not None
    assert info.safetensors.total == sum(info.safetensors.parameters.values()) > 0
    assert re.fullmatch("[0-9a-f]{40}", info.sha or "")


def test_files_metadata_gives_sizes_and_ids(api: HfApi) -> None:
    files = {file.rfilename: file for file in api.model_info(MINILM, files_metadata=True).siblings or ()}
    large, small = files["model.safetensors"], files["config.json"]
    assert large.lfs is not None
    assert large.lfs.size == large.size
    assert re.fullmatch("[0-9a-f]{64}", large.lfs.sha256)
    assert small.lfs is None
    assert re.fullmatch("[0-9a-f]{40}", small.blob_id or "")


def test_a_commit_names_the_same_state_as_main(api: HfApi) -> None:
    info = api.model_info(MINILM)
    assert api.model_info(MINILM, revision=info.sha).sha == info.sha


def test_what_is_missing_is_told_apart(api: HfApi, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("sentence-transformers/there-is-no-such-model")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(MINILM, revision="no-such-branch")
    with pytest.raises(RemoteEntryNotFoundError) as missing:
        api.hf_hub_download(MINILM, "no-such-file.bin", cache_dir=tmp_path)
    assert missing.value.response.headers["X-Error-Code"] == "EntryNotFound"


def test_a_tree_lists_files_and_folders(api: HfApi) -> None:
    top = {entry.path: entry for entry in api.list_repo_tree(MINILM)}
    deep = {entry.path for entry in api.list_repo_tree(MINILM, recursive=True)}
    inside = {entry.path for entry in api.list_repo_tree(MINILM, "1_Pooling")}
    assert type(top["1_Pooling"]).__name__ == "RepoFolder"
    assert "1_Pooling/config.json" not in top
    assert {"1_Pooling", "1_Pooling/config.json", "config.json"} <= deep
    assert inside == {"1_Pooling/config.json"}


def test_a_tree_with_expand_names_the_last_commit(api: HfApi) -> None:
    entries = [entry for entry in api.list_repo_tree(MINILM, expand=True) if entry.path == "config.json"]
    assert entries[0].last_commit is not None
    assert re.fullmatch("[0-9a-f]{40}", entries[0].last_commit.oid)


def test_paths_info_leaves_out_what_is_missing(api: HfApi) -> None:
    found = api.get_paths_info(MINILM, ["config.json", "1_Pooling", "no-such-file"])
    assert {entry.path for entry in found} == {"config.json", "1_Pooling"}


def test_head_of_a_small_file_has_commit_and_etag(api: HfApi, hub: str) -> None:
    sibling = api.get_paths_info(MINILM, "config.json")[0]
    metadata = api.get_hf_file_metadata(url=hf_hub_url(MINILM, "config.json", endpoint=hub))
    assert metadata.commit_hash == api.model_info(MINILM).sha
    assert metadata.etag == sibling.blob_id
    assert metadata.size == sibling.size


def test_a_large_file_lies_on_another_host(api: HfApi, hub: str) -> None:
    url = hf_hub_url(MINILM, "model.safetensors", endpoint=hub)
    answer = httpx.head(url)
    entry = api.get_paths_info(MINILM, "model.safetensors")[0]
    assert answer.status_code == 302
    assert answer.headers["X-Linked-ETag"].strip('"') == entry.lfs.sha256
    assert int(answer.headers["X-Linked-Size"]) == entry.size
    assert urlsplit(answer.headers["Location"]).netloc != urlsplit(hub).netloc


def test_a_range_gives_just_those_bytes(hub: str) -> None:
    url = hf_hub_url(MINILM, "model.safetensors", endpoint=hub)
    part = httpx.get(url, headers={"Range": "bytes=0-7"}, follow_redirects=True)
    size = int(httpx.head(url).headers["X-Linked-Size"])
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 0-7/{size}"
    assert len(part.content) == 8
    assert "Content-Encoding" not in part.headers


def test_safetensors_metadata_is_read_by_ranges(api: HfApi) -> None:
    metadata = api.get_safetensors_metadata(MINILM)
    tensor = metadata.files_metadata["model.safetensors"].tensors[TENSOR]
    assert not metadata.sharded
    assert tensor.dtype == "F32"
    assert tensor.data_offsets[1] - tensor.data_offsets[0] == 4 * tensor.shape[0] * tensor.shape[1]


def test_refs_and_commits(api: HfApi) -> None:
    main = next(branch for branch in api.list_repo_refs(VIT).branches if branch.name == "main")
    history = api.list_repo_commits(VIT)
    assert main.ref == "refs/heads/main"
    assert main.target_commit == history[0].commit_id == api.model_info(VIT).sha
    assert history[-1].title == "initial commit"


def test_discussions_are_listed(api: HfApi) -> None:
    for talk in itertools.islice(api.get_repo_discussions(VIT, discussion_status="all"), 3):
        assert talk.num > 0
        assert talk.repo_id == VIT


def test_a_stranger_has_no_name(hub: str) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        HfApi(endpoint=hub).whoami(token="hf_")
    assert refused.value.response.status_code == 401


def test_tags_are_sorted_by_what_they_speak_of(api: HfApi) -> None:
    tags = api.get_model_tags()
    assert "image-classification" in {tag["id"] for tag in tags["pipeline_tag"]}
    assert {"library", "license"} <= set(tags)


def test_a_good_card_is_accepted_and_a_bad_one_refused(hub: str) -> None:
    good = httpx.post(
        f"{hub}/api/validate-yaml", json={"repoType": "model", "content": "---\nlicense: mit\n---\n"}
    )
    bad = httpx.post(
        f"{hub}/api/validate-yaml", json={"repoType": "model", "content": "---\nlicense: [nope\n---\n"}
    )
    assert good.status_code == 200
    assert good.json()["errors"] == []
    assert bad.status_code == 400
    assert bad.json()["errors"][0]["message"]

"""Which far models there are: by an index, by their names, by a table, and with an index that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import model_j
import pytest

from hubbot.errors import UsageError
from hubbot.hub.client import Hub
from hubbot.localhub.server import Server
from hubbot.training.catalogue import Catalogue, Entry, open_catalogue


def opened(hub: Hub, tmp_path: Path, zoo: str = model_j.ZOO, subset: str = "vit") -> Catalogue:
    return open_catalogue(hub, zoo, subset, tmp_path / "cache")


def counts(catalogue: Catalogue) -> dict[str, int]:
    splits = [entry.split for entry in catalogue.entries]
    return {split: splits.count(split) for split in dict.fromkeys(splits)}


def test_an_index_says_what_is_in_which_split(hub: Hub, tmp_path: Path) -> None:
    found = opened(hub, tmp_path)
    assert counts(found) == {"train": 24, "validation": 8, "calibration": 8, "test": 8}
    assert found.found["index"] == "datasets/lab/model-j"
    assert found.found["splits"] == "as listed"
    first = found.entries[0]
    assert first.repo == "lab/model-j__vit__model_idx_0000"
    assert first.base == model_j.ROOT
    assert set(first.targets or ()) <= set(model_j.CLASSES)
    assert not found.skipped


def test_a_parquet_index_says_the_same(server: Server, hub: Hub, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    before = opened(hub, tmp_path)
    changes: dict[str, bytes | None] = {}
    for path in server.datasets.files("lab/model-j"):
        if path.endswith(".jsonl"):
            rows = [json.loads(line) for line in server.datasets.read("lab/model-j", path).splitlines()]
            sink = pyarrow.BufferOutputStream()
            parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
            changes |= {path: None, path.replace(".jsonl", ".parquet"): sink.getvalue().to_pybytes()}
    server.datasets.commit("lab/model-j", changes)
    assert set(opened(hub, tmp_path).entries) == set(before.entries)


def test_without_an_index_the_repos_names_say_which_there_are(
    server: Server, hub: Hub, tmp_path: Path
) -> None:
    server.datasets.delete("lab/model-j")
    found = opened(hub, tmp_path)
    assert len(found.entries) == 48
    assert found.found == {
        "listing": "lab/model-j__vit",
        "repos": 48,
        "splits": "by lot",
        "calibration": "of train",
    }
    assert counts(found) == {"train": 29, "validation": 5, "calibration": 7, "test": 7}
    assert found.entries[0].base == model_j.ROOT
    assert found.entries[0].targets is None
    assert opened(hub, tmp_path).entries == found.entries


def test_the_lot_of_a_model_does_not_hang_on_the_others_order(
    server: Server, hub: Hub, tmp_path: Path
) -> None:
    server.datasets.delete("lab/model-j")
    table = tmp_path / "mine.csv"
    names = [f"lab/model-j__vit__model_idx_{n:04}" for n in range(20)]
    table.write_text("repo,labels\n" + "".join(f"{name},apple\n" for name in names))
    one = opened(hub, tmp_path, str(table))
    table.write_text("repo,labels\n" + "".join(f"{name},apple\n" for name in reversed(names)))
    assert set(opened(hub, tmp_path, str(table)).entries) == set(one.entries)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_bundle_is_found_with_and_without_an_index(
    server: Server, hub: Hub, tmp_path: Path, indexed: bool
) -> None:
    model_j.put_bundle(server, indexed=indexed)
    found = opened(hub, tmp_path, subset="SD_tiny")
    assert counts(found) == {
        "train": 34,
        "validation": 8,
        "calibration": 6,
        "test": 8,
        "validation-unseen": 4,
        "test-unseen": 4,
    }
    assert {entry.repo for entry in found.entries} == {model_j.BUNDLE}
    assert all(entry.path.endswith("/pytorch_lora_weights.safetensors") for entry in found.entries)
    assert found.names == (model_j.CONCEPTS | model_j.UNSEEN if indexed else {})


def test_rows_that_point_elsewhere_are_skipped_and_named(server: Server, hub: Hub, tmp_path: Path) -> None:
    rows = [
        {"split": "test", "hf_model_id": "lab/model-j__ResNet__model_idx_0001", "model_idx": 1},
        {"split": "test", "hf_model_id": "../../etc/passwd", "model_idx": 2},
        {"split": "test", "hf_model_id": "lab/model-j__vit__model_idx_0000", "model_idx": 0},
    ]
    model_j.put_index(server, {"vit/zz-00000-of-00001.jsonl": rows})
    found = opened(hub, tmp_path)
    assert len(found.entries) == 48
    told = [str(skipped) for skipped in found.skipped]
    assert told[0] == "lab/model-j__ResNet__model_idx_0001: a row of lab/model-j__vit points to it"
    assert "names no repo" in told[1]
    assert told[2].startswith("lab/model-j__vit__model_idx_0000: it is listed twice")


def test_a_table_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    table = tmp_path / "mine.jsonl"
    rows = [
        {"repo": "me/a", "labels": ["cat", "dog"], "split": "train", "base_model": "lab/vit"},
        {"repo": "me/b", "labels": "cat|bird", "split": "val"},
        {"repo": "me/c", "labels": "cat", "split": "calibration"},
        {"repo": "me/d", "labels": "cat", "split": "somewhere"},
        {"repo": "", "labels": "cat"},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = opened(hub, tmp_path, str(table))
    assert found.entries == (
        Entry("me/a", split="train", targets=("cat", "dog"), base="lab/vit"),
        Entry("me/b", split="validation", targets=("cat", "bird")),
        Entry("me/c", split="calibration", targets=("cat",)),
    )
    assert [skipped.repo for skipped in found.skipped] == ["me/d", "row 4"]
    assert found.found["table"] == "mine.jsonl"


@pytest.mark.parametrize(
    ("zoo", "subset", "why"),
    [
        ("hf:lab/model-j", "Nothing", "there are no models of Nothing"),
        ("hf:lab/nothing", "", "there are no models of lab/nothing"),
        ("hf:../..", "", "names no zoo"),
        ("hf:nobody", "", "names no zoo"),
        ("nowhere.csv", "", "there is no zoo 'nowhere.csv'"),
    ],
)
def test_what_is_not_there_is_told(hub: Hub, tmp_path: Path, zoo: str, subset: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        opened(hub, tmp_path, zoo, subset)

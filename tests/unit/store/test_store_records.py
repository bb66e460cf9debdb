"""What goes in comes out, once."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from hubbot.errors import StoreError
from hubbot.records import (
    Abstention,
    Bin,
    Evidence,
    ExpertInfo,
    How,
    Kind,
    Label,
    LayerScore,
    Placement,
    Prediction,
    Reading,
    Reliability,
    Source,
    Suggestion,
    SuggestionState,
    TextHead,
    Trust,
    Upload,
    Wanted,
)
from hubbot.store.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
UPLOAD = Upload(
    repo="ann/vit",
    commit="a" * 40,
    modified_at=NOON,
    created_at=NOON - timedelta(days=3),
    tags=("vision", "база"),
    pipeline_tag="image-classification",
    library="transformers",
    downloads=12,
    gated=True,
    files=("README.md", "model.safetensors"),
    card={"base_model": ["root/vit"], "tags": ["x"], "nested": {"deep": [1, 2.5, None]}},
    config={"architectures": ["ViTForImageClassification"]},
)
PLACEMENT = Placement(
    repo="ann/vit",
    commit="a" * 40,
    tree="root/vit",
    parent="root/vit",
    how=How.BOTH,
    evidence=(
        Evidence(Source.CARD, "its card names root/vit", "root/vit"),
        Evidence(Source.WEIGHTS, "its rows lie close", "root/vit", 0.98),
    ),
    relation="finetune",
    bytes_read=1000,
)
READING = Reading(
    repo="ann/vit",
    commit="a" * 40,
    content_ids=("id1", "id2"),
    tree="root/vit",
    expert="digits",
    version="1",
    predictions=(Prediction("seven", 0.25, False), Prediction("one", 0.9, True)),
    embedding=(0.5, -1.0, 0.25),
    tensors_read=("layer.0.weight",),
    bytes_read=4096,
    bytes_stored=1 << 40,
    stored_tensors=200,
)
EXPERT = ExpertInfo(
    name="digits",
    version="1",
    folder="/experts/digits",
    roots=("root/vit", "root/vit-copy"),
    wanted=(Wanted("layer.0.weight", None, (16, 8)), Wanted("layer.1.weight", 4)),
    labels=(Label("seven", "the digit seven", "seven"),),
    text_encoder="sentence:all-MiniLM-L6-v2",
    trained_on="digits",
    scores={"accuracy": 0.9},
    baselines={"weight statistics": 0.6},
)


def put(store: Store, upload: Upload = UPLOAD, reading: Reading | None = READING) -> None:
    store.save_upload(upload)
    store.save_placement(replace(PLACEMENT, repo=upload.repo))
    if reading:
        store.record(replace(reading, repo=upload.repo))


def test_every_record_comes_back_as_it_went(store: Store) -> None:
    put(store)
    store.save_expert(EXPERT)
    assert store.upload("ann/vit") == UPLOAD
    assert store.placement("ann/vit") == PLACEMENT
    assert store.reading("ann/vit") == READING
    assert store.experts() == [EXPERT]
    assert store.upload("no/body") is store.placement("no/body") is store.reading("no/body") is None


def test_a_text_head_comes_back_beside_its_expert(store: Store) -> None:
    factors = Wanted("blocks.3.to_k", None, (64, 96), Kind.LORA)
    expert = replace(EXPERT, wanted=(factors,), head="text", prompt="a photo of a {}")
    random = np.random.default_rng(0)
    W, vocabulary = (random.normal(size=shape).astype(np.float32) for shape in ((3, 5), (2, 5)))
    store.save_expert(expert, TextHead(W, W[:, 0], vocabulary.astype(np.float64), 12.5, -3.0))
    assert store.experts() == [expert]
    assert store.experts()[0].reads_adapters
    head = store.text_head(expert.name, expert.version)
    assert head is not None
    for kept, given in ((head.W, W), (head.b, W[:, 0]), (head.vocabulary, vocabulary)):
        np.testing.assert_array_equal(kept, given)
        assert kept.dtype == np.float32
    assert (head.scale, head.none) == (12.5, -3.0)
    store.save_expert(EXPERT)
    assert store.text_head(EXPERT.name, EXPERT.version) is None
    assert store.text_head("no", "body") is None


def test_a_text_head_that_is_none_is_told(store: Store) -> None:
    store.save_expert(EXPERT)
    with closing(sqlite3.connect(store.path)) as broken, broken:
        broken.execute("UPDATE experts SET text_head = x'00112233'")
    with pytest.raises(StoreError, match="a text head cannot be read"):
        store.text_head(EXPERT.name, EXPERT.version)


def test_an_expert_saved_before_baselines_stood_apart_is_read_back(store: Store) -> None:
    store.save_expert(EXPERT)
    with closing(sqlite3.connect(store.path)) as old, old:
        old.execute(
            "UPDATE experts SET info = json_remove(info, '$.baselines', '$.head', '$.wanted[0].kind')"
        )
    assert store.experts() == [replace(EXPERT, baselines={})]


def test_what_tells_how_far_an_expert_is_trusted_comes_back(store: Store) -> None:
    seen = Bin(90, 0.9, 0.05, 0.04, 0.02, 0.1)
    layers = (LayerScore("layer.0.weight", 0.2, 0.9, True), LayerScore("layer.1.weight", 0.3, 0.8, False))
    for trust in (
        Trust(0.99, 0.05, layers, Reliability("test", 75, 200, (seen, seen), seen)),
        Trust(None, layers=layers, reliability=Reliability("test", 75, 0, ())),
        Trust(0.5),
    ):
        store.save_expert(replace(EXPERT, trust=trust))
        assert store.experts() == [replace(EXPERT, trust=trust)]


def test_an_expert_saved_before_that_was_told_is_read_back(store: Store) -> None:
    store.save_expert(replace(EXPERT, trust=Trust(0.99)))
    with closing(sqlite3.connect(store.path)) as old, old:
        old.execute("UPDATE experts SET info = json_remove(info, '$.trust')")
    assert store.experts() == [EXPERT]


def test_an_abstention_comes_back_with_its_reason(store: Store) -> None:
    silent = Reading("ann/vit", "a" * 40, ("a" * 40,), abstention=Abstention("corrupt-header", "not JSON"))
    store.save_upload(UPLOAD)
    assert store.record(silent)
    assert store.reading("ann/vit") == silent


def test_saving_again_replaces(store: Store) -> None:
    put(store)
    newer = replace(UPLOAD, commit="b" * 40, tags=())
    store.save_upload(newer)
    store.save_placement(replace(PLACEMENT, tree=None, how=How.UNPLACED))
    assert store.upload("ann/vit") == newer
    assert store.tree_members("root/vit") == []
    assert store.reading("ann/vit") == READING


def test_times_are_utc_whatever_the_zone_they_came_in(store: Store) -> None:
    tokyo = timezone(timedelta(hours=9))
    store.save_upload(replace(UPLOAD, modified_at=NOON.astimezone(tokyo)))
    found = store.upload("ann/vit")
    assert found is not None
    assert (found.modified_at, found.modified_at.tzinfo) == (NOON, UTC)
    store.set_watermark("http://hub", NOON.astimezone(tokyo))
    assert store.watermark("http://hub") == NOON
    assert store.watermark("http://other") is None
    with pytest.raises(StoreError, match="no time zone"):
        store.set_watermark("http://hub", NOON.replace(tzinfo=None))


def test_a_reading_is_recorded_once_whatever_the_order_of_its_files(store: Store) -> None:
    store.save_upload(UPLOAD)
    assert store.record(READING) is True
    assert store.record(READING) is False
    assert store.record(replace(READING, commit="f" * 40, content_ids=("id2", "id1"))) is False
    assert store.has_reading("ann/vit", "digits", "1", ["id2", "id1"])
    assert not store.has_reading("ann/vit", "digits", "2", ["id1", "id2"])
    assert not store.has_reading("ann/vit", "digits", "1", ["id1"])
    assert not store.has_reading("ann/vit", "digits", "1", ["id1id2"])


def test_the_last_recorded_reading_holds_also_when_old_weights_come_back(store: Store) -> None:
    store.save_upload(UPLOAD)
    other = replace(READING, content_ids=("id3",), predictions=())
    store.record(READING)
    store.record(other)
    assert store.reading("ann/vit") == other
    assert store.record(READING) is False
    assert store.reading("ann/vit") == READING
    assert list(store.readings()) == [READING]


@pytest.mark.parametrize(
    "broken",
    [
        {"embedding": (0.0, math.nan)},
        {"embedding": (1e300,)},
        {"predictions": (Prediction("seven", math.nan, False),)},
        {"predictions": (Prediction("seven", 1.5, True),)},
    ],
)
def test_what_is_no_number_is_never_stored(store: Store, broken: dict[str, object]) -> None:
    store.save_upload(UPLOAD)
    with pytest.raises(StoreError, match="ann/vit"):
        store.record(replace(READING, **broken))  # type: ignore[arg-type]
    assert store.reading("ann/vit") is None


def test_hostile_text_and_numbers_do_no_harm(store: Store) -> None:
    hostile = replace(
        UPLOAD,
        pipeline_tag="\ud800 lone, and \0",
        tags=("'; DROP TABLE uploads; --", "\ud800"),
        card={"nan": math.nan, "deep": [[[math.inf]]], "when": NOON},
    )
    store.save_upload(hostile)
    found = store.upload("ann/vit")
    assert found is not None
    assert found.tags == hostile.tags
    assert found.pipeline_tag == "? lone, and \ufffd"
    assert found.card == {"nan": None, "deep": [[[None]]], "when": "2026-11-20 12:00:00+00:00"}
    with pytest.raises(StoreError, match="too large"):
        store.save_upload(replace(UPLOAD, downloads=1 << 80))


def test_a_reading_without_its_upload_is_an_error_that_says_so(store: Store) -> None:
    with pytest.raises(StoreError, match="an upload that was never saved"):
        store.record(READING)


def test_listing_by_time_and_by_tree(store: Store) -> None:
    for day in range(3):
        put(store, replace(UPLOAD, repo=f"ann/{day}", modified_at=NOON + timedelta(days=day)))
    store.save_placement(replace(PLACEMENT, repo="ann/2", tree="other/root"))
    assert [u.repo for u in store.uploads()] == ["ann/2", "ann/1", "ann/0"]
    assert [u.repo for u in store.uploads(limit=1, tree="root/vit")] == ["ann/1"]
    assert [p.repo for p in store.tree_members("root/vit")] == ["ann/0", "ann/1"]


def test_readings_are_given_in_pages_that_miss_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbot.store.store.PAGE", 2)
    repos = [f"ann/{i}" for i in range(5)]
    for repo in repos:
        put(store, replace(UPLOAD, repo=repo))
    assert [r.repo for r in store.readings()] == repos
    assert [r.repo for r in store.readings(tree="root/vit")] == repos
    assert list(store.readings(tree="other/root")) == []


def test_trees_in_numbers(store: Store) -> None:
    put(store)
    put(store, replace(UPLOAD, repo="ann/odd"), None)
    store.record(Reading("ann/odd", "a" * 40, ("x",), "root/vit", abstention=Abstention("odd", "odd")))
    store.ensure_tree("lonely/root", ["lonely/twin"])
    store.save_expert(EXPERT)
    store.save_expert(replace(EXPERT, version="2"))
    big, lonely = store.trees()
    assert (big.root, big.aliases, big.members) == ("root/vit", ("root/vit-copy",), 2)
    assert (big.expert, big.readings, big.abstentions) == ("digits", 1, 1)
    assert (lonely.root, lonely.members, lonely.expert) == ("lonely/root", 0, None)
    store.ensure_tree("lonely/root", ["lonely/third"])
    assert store.trees()[1].aliases == ("lonely/third", "lonely/twin")


def test_counts_add_up(store: Store) -> None:
    assert set(store.counts().values()) == {0}
    put(store)
    put(store, replace(UPLOAD, repo="ann/b"), None)
    store.save_placement(replace(PLACEMENT, repo="ann/b", how=How.RECOVERED))
    store.record(Reading("ann/b", "a" * 40, ("x",), bytes_read=7, abstention=Abstention("odd", "odd")))
    store.save_upload(replace(UPLOAD, repo="ann/c"))
    draft = Suggestion("ann/vit", "a" * 40, SuggestionState.DRAFT)
    store.save_suggestion(draft)
    store.save_suggestion(replace(draft, state=SuggestionState.OPENING))
    store.save_suggestion(replace(draft, state=SuggestionState.OPEN, pull_request="https://hub/1"))
    store.save_suggestion(Suggestion("ann/b", "a" * 40, SuggestionState.REFUSED, reason="no"))
    assert store.counts() == {
        "uploads": 3,
        "trees": 1,
        "placed_declared": 1,
        "placed_recovered": 1,
        "unplaced": 1,
        "readings": 1,
        "abstentions": 1,
        "suggestions": 1,
        "refusals": 1,
        "pull_requests": 1,
        "bytes_read": 4096,
        "bytes_stored": 1 << 40,
    }


def test_commands_wait_are_done_once_and_stay_as_audit(store: Store) -> None:
    first = store.enqueue("approve", {"repo": "ann/vit"}, by="root@host")
    second = store.enqueue("rerun", {"tree": "root/vit"}, by="space:ann")
    begun = store.next_command()
    assert begun is not None
    assert (begun.id, begun.verb, begun.args, begun.by) == (
        first,
        "approve",
        {"repo": "ann/vit"},
        "root@host",
    )
    store.finish_command(first, "approved")
    with pytest.raises(StoreError, match="no unfinished command"):
        store.finish_command(first, "again")
    assert [store.next_command().id for _ in range(3)] == [second] * 3  # type: ignore[union-attr]
    assert store.next_command() is None, "a command that was begun three times and never finished is given up"
    newest, oldest = store.commands(limit=10)
    assert newest.outcome.startswith("given up")
    assert oldest.outcome == "approved"
    assert oldest.finished_at is not None
    assert oldest.asked_at <= oldest.finished_at


def test_an_upload_is_finished_at_one_commit_only(store: Store) -> None:
    assert not store.is_finished(UPLOAD)
    store.save_upload(UPLOAD)
    assert not store.is_finished(UPLOAD)
    store.finish_upload(UPLOAD)
    store.save_upload(UPLOAD)
    assert store.is_finished(UPLOAD)
    moved = replace(UPLOAD, commit="b" * 40)
    store.save_upload(moved)
    assert not store.is_finished(moved)

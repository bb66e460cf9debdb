"""The bot's main job over the demo's whole world, once; then everything that may be asked of the result."""

from __future__ import annotations

import hashlib
import json
from ast import literal_eval
from collections import Counter
from collections.abc import Iterator

import pytest
from huggingface_hub import HfApi
from stage import TOKEN, settings_for

from hubbot.app import open_bot, open_store
from hubbot.demo.world import MODELS, TOKENS, build
from hubbot.experts.artifact import trained_on
from hubbot.experts.router import shipped
from hubbot.localhub.server import Server
from hubbot.records import How, SuggestionState
from hubbot.rounds import follow, poll
from hubbot.settings import Settings
from hubbot.weights.local import read_metadata

REASONS = {
    "old-habits/vit-2021": "not-readable-safely",
    "members-only/vit-private-data": "gated",
    "bitrot/vit-bad-sector": "corrupt-header",
    "flaky-uplink/vit-half-uploaded": "truncated-file",
    "newlab/liquid-mixer": "unplaced",
    "tiny-tuners/vit-lora-r4": "adapter",
    "bits-and-pieces/vit-int8": "unsupported-dtype",
    "loop-lab/chicken": "unplaced",
    "loop-lab/egg": "unplaced",
    "sentence-transformers/all-MiniLM-L6-v2": "no-expert",
    "mirror-mirror/all-MiniLM-L6-v2": "no-expert",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[tuple[Server, Settings]]:
    """A Hub that the bot has polled once, in mode auto, and its settings."""
    folder = tmp_path_factory.mktemp("poll")
    with Server(folder / "hub", tokens=TOKENS) as server:
        build(server.repos)
        settings = settings_for(server, folder, mode="auto")
        with open_bot(settings) as bot:
            poll(bot)
        server.sent = Counter()
        for exchange in server.log:
            server.sent[exchange.path.rsplit("/", 1)[-1]] += exchange.bytes_sent
        yield server, settings


@pytest.fixture(scope="module")
def store(world):
    with open_store(world[1], read_only=True) as opened:
        yield opened


def test_every_upload_came_to_its_end(world, store):
    listed = {model.id for model in HfApi(world[0].endpoint, token=TOKEN).list_models()}
    assert len(listed) >= 40
    assert {reading.repo for reading in store.readings()} == listed
    assert store.counts()["uploads"] == len(listed)


@pytest.mark.parametrize(("repo", "code"), REASONS.items())
def test_troublemakers_end_with_a_reason_of_their_own(store, repo, code):
    reading = store.reading(repo)
    assert reading.abstention.code == code
    assert not reading.predictions
    if code not in ("unplaced", "no-expert", "adapter"):
        assert repo in reading.abstention.text


def test_children_are_placed_by_card_or_by_weights(store, children):
    for child in children:
        placement = store.placement(child.repo)
        assert placement.tree == child.root
        assert placement.how is (How.BOTH if child.declared else How.RECOVERED)
    assert {child.declared for child in children} == {True, False}


def test_adapters_are_read_right_and_placed_with_or_without_a_card(store):
    lines = [
        line
        for line in json.loads((MODELS / "index.json").read_text())
        if (line["root"] or "").startswith("emoji")
    ]
    assert len(lines) >= 30
    right, lost = {True: 0, False: 0}, []
    for line in lines:
        placement, reading = store.placement(line["repo"]), store.reading(line["repo"])
        if placement.tree is None and not line["declared"]:
            lost.append(line["repo"])  # one model in a hundred lies further out than its tree's others
            continue
        assert placement.tree == line["root"]
        assert placement.how is (How.DECLARED if line["declared"] else How.RECOVERED)
        weights = MODELS / line["folder"] / line["file"]
        [truth] = literal_eval(read_metadata(weights)["dataset_chosen_targets"])
        for prediction in reading.recognised:
            right[prediction.label == truth] += 1
    assert right[True] > 0.7 * len(lines)
    assert right[False] <= 2
    assert len(lost) <= 1


def test_roots_are_not_taken_for_children(store, children):
    for root in {child.root for child in children}:
        assert store.placement(root).how is How.ROOT
        assert not store.reading(root).recognised


def test_the_readings_are_right_far_more_often_than_wrong(store, children):
    right = wrong = 0
    for child in children:
        recognised = {p.label for p in store.reading(child.repo).recognised}
        right += len(recognised & child.digits)
        wrong += len(recognised - child.digits)
    assert right > 5 * wrong, (right, wrong)
    assert right > len(children), "the experts say next to nothing"


def test_little_is_read_of_whole_models(store):
    """An adapter is little more than the factors that its expert reads."""
    adapted = {info.name for info in store.experts() if info.reads_adapters}
    whole = [r for r in store.readings() if not r.abstention and r.expert not in adapted]
    assert 0 < sum(r.bytes_read for r in whole) < 0.15 * sum(r.bytes_stored for r in whole)
    assert all(r.bytes_read <= r.bytes_stored for r in store.readings())


def test_what_is_counted_as_read_is_what_crossed_the_wire(world, store):
    counted = Counter()
    for reading in store.readings():
        if not reading.abstention:
            counted[reading.content_ids[0]] += reading.bytes_read
    assert len(counted) > 30
    assert counted == {content: world[0].sent[content] for content in counted}


def test_reading_is_no_download(world):
    for model in HfApi(world[0].endpoint, token=TOKEN).list_models(expand=["downloads"]):
        assert model.downloads == 0


def test_the_demos_list_names_the_very_files():
    """Where the demo ships a narrower dtype, the list has the hash of the zoo's own file."""
    full = [e for e in json.loads((MODELS / "index.json").read_text()) if e["dtype"] == "float32"]
    assert len(full) >= 10
    for entry in full:
        file = MODELS / entry["folder"] / entry.get("file", "model.safetensors")
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"], entry["repo"]


def test_no_demo_model_was_learned_from():
    index = json.loads((MODELS / "index.json").read_text())
    shown = {entry["sha256"] for entry in index if entry["split"] == "test"}
    assert len(shown) >= 30
    for folder in shipped():
        hashes = trained_on(folder)
        assert shown.isdisjoint({h for split, listed in hashes.items() for h in listed}), folder
        assert len(hashes["train"]) > 50


def test_one_pull_request_adds_tags_and_nothing_else(world, store):
    api = HfApi(world[0].endpoint, token=TOKEN)
    opened = store.suggestions(SuggestionState.OPEN)
    assert opened
    for suggestion in opened:
        number = int(suggestion.pull_request.rsplit("/", 1)[1])
        details = api.get_discussion_details(suggestion.repo, number)
        assert details.is_pull_request
        assert details.author == "hubbot"
        lines = [
            line for line in details.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        assert all(line.startswith("+") for line in lines), details.diff
        new = [line[1:].strip().removeprefix("- ").removeprefix("base_model_relation: ") for line in lines]
        values = {line.partition(": ")[2] for line in suggestion.added}
        assert set(new) - {"tags:", "base_model:", "---", ""} == values


def test_a_base_model_is_suggested_where_the_card_names_none_and_the_weights_are_sure(store, children):
    made = {child.repo: store.suggestion(child.repo) for child in children}
    told = {
        repo: [line for line in suggestion.added if line.startswith("base_model")]
        for repo, suggestion in made.items()
        if suggestion
    }
    assert any(told.values())
    for child in children:
        placement = store.placement(child.repo)
        alone = not child.declared and placement.parent == child.root
        if told.get(child.repo):
            assert alone
            assert told[child.repo] == [f"base_model: {child.root}", "base_model_relation: finetune"]
            assert store.suggestion(child.repo).title.endswith("and the base model, read off the weights")
            assert "found by rows of several of its layers" in store.suggestion(child.repo).body


def test_who_said_no_is_left_alone(store):
    assert "hubbot: false" in store.suggestion("please-do-not/vit-quiet").reason
    assert store.suggestion("please-do-not/vit-quiet").state is SuggestionState.REFUSED


def test_a_card_that_cannot_be_edited_safely_is_refused_with_the_reason(store):
    suggestion = store.suggestion("copy-paste/vit-two-tag-lists")
    assert suggestion.state is SuggestionState.REFUSED
    assert "tags" in suggestion.reason


def pull_requests(server: Server) -> dict[str, int]:
    api = HfApi(server.endpoint, token=TOKEN)
    return {
        model.id: len([*api.get_repo_discussions(model.id, discussion_type="pull_request")])
        for model in api.list_models()
        if not model.gated
    }


def test_running_twice_opens_nothing_twice(world, store):
    server, settings = world
    before = pull_requests(server), store.counts()
    events = []
    with open_bot(settings, watch=events.append) as bot:
        poll(bot)
        follow(bot)
    assert events == []
    assert (pull_requests(server), store.counts()) == before


def test_a_bot_that_forgot_everything_still_opens_nothing_twice(world, tmp_path):
    """The Hub is asked for earlier pull requests, so that even a lost database spams nobody."""
    server, _ = world
    before = pull_requests(server)
    with open_bot(settings_for(server, tmp_path, mode="auto")) as bot:
        poll(bot)
        remembered = {s.repo for s in bot.store.suggestions(SuggestionState.OPEN)}
    after = pull_requests(server)
    assert max(after.values()) == 1
    assert {repo for repo, count in before.items() if count} <= remembered, "its own were not recognised"

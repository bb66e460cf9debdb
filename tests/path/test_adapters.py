"""A LoRA's way through the house: uploaded, placed by its card, read by two ranges a layer, found by text."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aligned
import httpx
import numpy as np
import pytest
from aligned import CONCEPTS, RIVAL, ROOT
from PIL import Image
from safetensors.numpy import save
from stage import settings_for, upload

from hubbot.app import open_bot, open_library, open_reader, open_store
from hubbot.demo.world import TOKENS
from hubbot.library import Library
from hubbot.localhub.server import Server
from hubbot.records import How, SuggestionState
from hubbot.rounds import consult, poll
from hubbot.settings import Settings
from hubbot.store.store import Store
from space import model, results

DIFFUSERS, PEFT, OLD = "ana/dog-lora", "ben/pears-peft", "cleo/violin-2023"
NAMES = {
    DIFFUSERS: ("pytorch_lora_weights.safetensors", "transformer.{}.lora_{}.weight", "dog"),
    PEFT: ("adapter_model.safetensors", "base_model.model.{}.lora_{}.weight", "pear"),
    OLD: ("pytorch_lora_weights.safetensors", "unet.{}.lora.{}.weight", "violin"),
}
SILENT = {
    "dora/undeclared-noise": "unplaced",
    "eve/whole-weights": "tensor-not-found",
    "finn/half-a-pair": "tensor-not-found",
    "gus/another-rank": "shape-mismatch",
    "hal/eight-bits": "unsupported-dtype",
    ROOT: "tensor-not-found",
}


def card(**front_matter: object) -> bytes:
    lines = [f"{key}: {json.dumps(value)}" for key, value in front_matter.items()]
    return "\n".join(["---", *lines, "---", "", "# A LoRA", ""]).encode()


def picture() -> bytes:
    raw = io.BytesIO()
    Image.new("RGB", (24, 24), "teal").save(raw, "png")
    return raw.getvalue()


def populate(server: Server) -> None:
    base = card(base_model=ROOT, library_name="diffusers", tags=["lora"])
    dense = save({"blocks.0.weight": np.ones((8, 8), np.float32)})
    upload(server.repos, ROOT, {"model.safetensors": dense, "model_index.json": b'{"_class_name": "Tiny"}'})
    for seed, (repo, (file, names, concept)) in enumerate(NAMES.items()):
        weights = aligned.file_of(CONCEPTS.index(concept), 70 + seed, names=names)
        extra: dict[str, bytes | Path] = {"README.md": base, "sample.png": picture(), "a.svg": b"<svg/>"}
        if file.startswith("adapter"):
            told = {"peft_type": "LORA", "base_model_name_or_path": ROOT}
            extra = {"adapter_config.json": json.dumps(told).encode(), "README.md": card(license="mit")}
        upload(server.repos, repo, {file: weights, **extra})
    lora = aligned.file_of(0, 90)
    layer = f"transformer.{aligned.LAYERS[0]}"
    halves = {
        "dora/undeclared": lora,
        "dora/undeclared-noise": aligned.noise(90),
        "dora/undeclared-rival": aligned.file_of(CONCEPTS.index("castle"), 91, root=RIVAL),
        "eve/whole-weights": save({layer: np.ones(aligned.SHAPE, np.float32)}),
        "finn/half-a-pair": save({f"{layer}.lora_A.weight": np.ones((4, 32), np.float32)}),
        "gus/another-rank": save(wrong_ranks()),
        "hal/eight-bits": save({n: v.astype(np.int8) for n, v in wrong_ranks(ranks=(4, 4)).items()}),
    }
    for repo, raw in halves.items():
        said = {} if repo.startswith("dora/undeclared") else {"README.md": base}
        upload(server.repos, repo, {"pytorch_lora_weights.safetensors": raw, **said})


def wrong_ranks(ranks: tuple[int, int] = (4, 5)) -> dict[str, np.ndarray]:
    (rows, columns), (down, up) = aligned.SHAPE, ranks
    made = {}
    for layer in aligned.LAYERS:
        made[f"transformer.{layer}.lora_A.weight"] = np.ones((down, columns), np.float32)
        made[f"transformer.{layer}.lora_B.weight"] = np.ones((rows, up), np.float32)
    return made


@pytest.fixture(scope="module")
def polled(tmp_path_factory) -> Iterator[tuple[Server, Settings]]:
    """A Hub with LoRAs of one tree, polled once by a bot that has an expert for it."""
    folder = tmp_path_factory.mktemp("adapters")
    experts = [aligned.write_expert(folder / root, root) for root in (ROOT, RIVAL)]
    with Server(folder / "hub", tokens=TOKENS) as server:
        populate(server)
        settings = settings_for(server, folder, mode="draft", experts=",".join(map(str, experts)))
        with open_bot(settings) as bot:
            poll(bot)
        server.sent = Counter()
        for exchange in server.log:
            server.sent[exchange.path.rsplit("/", 1)[-1]] += exchange.bytes_sent
        yield server, settings


@pytest.fixture(scope="module")
def store(polled) -> Iterator[Store]:
    with open_store(polled[1], read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def library(polled, tmp_path_factory) -> Library:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBBOT_ENDPOINT", polled[0].endpoint)
        return open_library(polled[1].database)


@pytest.mark.parametrize("repo", NAMES)
def test_an_adapter_is_placed_by_what_it_declares_and_read_right(store, repo):
    placement, reading = store.placement(repo), store.reading(repo)
    assert (placement.tree, placement.how) == (ROOT, How.DECLARED)
    assert reading.abstention is None, reading.abstention
    assert reading.predictions[0].label == NAMES[repo][2]
    assert reading.recognised
    assert np.linalg.norm(reading.embedding) == pytest.approx(1.0, abs=1e-5)
    _, names, _ = NAMES[repo]
    factors = ("A", "B") if "lora_" in names else ("down", "up")
    assert reading.tensors_read == tuple(names.format(la, f) for la in aligned.LAYERS for f in factors)
    assert reading.stored_tensors == 44


def test_an_undeclared_adapter_is_placed_by_its_form_and_its_likeness(store):
    """An adapter holds no row of its root; what is not like the tree's stays unplaced."""
    placement, reading = store.placement("dora/undeclared"), store.reading("dora/undeclared")
    assert (placement.tree, placement.how, placement.relation) == (ROOT, How.RECOVERED, "adapter")
    assert "have the form that tiny-painter reads" in placement.evidence[-1].text
    assert reading.predictions[0].label == "dog"
    rival = store.placement("dora/undeclared-rival")
    assert (rival.tree, rival.how) == (RIVAL, How.RECOVERED), "two trees have the same form"
    assert store.reading("dora/undeclared-rival").predictions[0].label == "castle"
    noise = store.placement("dora/undeclared-noise")
    assert (noise.tree, noise.how) == (None, How.UNPLACED)
    assert store.reading("dora/undeclared-noise").expert == ""


def test_tell_places_it_as_a_poll_does(polled, store):
    with open_reader(polled[1]) as reader:
        for repo in ("dora/undeclared", "dora/undeclared-rival", "dora/undeclared-noise"):
            seen, reading = consult(reader, repo)
            assert replace(seen.placement, bytes_read=0) == replace(store.placement(repo), bytes_read=0)
            assert reading.predictions == store.reading(repo).predictions
            assert reading.abstention == store.reading(repo).abstention


def test_asked_again_an_undeclared_adapter_stays_where_it_is(polled, store):
    server, settings = polled
    before = store.placement("dora/undeclared"), store.reading("dora/undeclared")
    commit = server.repos.commit("dora/undeclared", {"README.md": b"# Mine" + bytes(10)})
    with open_bot(settings) as bot:
        poll(bot)
    after = store.placement("dora/undeclared"), store.reading("dora/undeclared")
    assert after[0] == replace(before[0], commit=commit)
    assert (after[1].predictions, after[1].commit) == (before[1].predictions, before[1].commit)
    assert store.is_finished(store.upload("dora/undeclared"))


def test_what_is_counted_as_read_is_what_crossed_the_wire(polled, store):
    for repo in NAMES:
        reading = store.reading(repo)
        assert reading.bytes_read == polled[0].sent[reading.content_ids[0]]
        assert reading.bytes_read < 0.15 * reading.bytes_stored


@pytest.mark.parametrize(("repo", "code"), SILENT.items())
def test_what_cannot_be_read_ends_with_its_reason(store, repo, code):
    reading = store.reading(repo)
    assert reading.abstention is not None
    assert reading.abstention.code == code, reading.abstention
    assert reading.predictions == ()


def test_a_whole_models_expert_leaves_adapters_alone(polled, store):
    """The digits' experts read whole weights; what they are asked of an adapter did not change."""
    assert {i.name for i in store.experts() if not i.reads_adapters} >= {"digits-vit-a", "digits-resnet"}


def test_names_and_cards_say_nothing_of_the_concept(polled, tmp_path):
    """Decision 6: the same factors under another name, without a card's words, give the same reading."""
    server, settings = polled
    file, _, concept = NAMES[DIFFUSERS]
    weights = aligned.file_of(CONCEPTS.index(concept), 70, names="{}.lora_{}.weight")
    upload(server.repos, "zoe/nameless", {file: weights, "README.md": card(base_model=ROOT)})
    with open_reader(settings) as reader:
        (_, mine), (_, theirs) = consult(reader, DIFFUSERS), consult(reader, "zoe/nameless")
    assert (mine.predictions, mine.embedding) == (theirs.predictions, theirs.embedding)


def test_one_concept_is_suggested_as_one_tag(store):
    suggestion = store.suggestion(DIFFUSERS)
    assert suggestion.state is SuggestionState.DRAFT
    assert suggestion.added == ("tags: dog",)
    assert suggestion.title == "Add the tag dog, read off the weights"


@pytest.mark.parametrize(
    ("text", "repos"),
    [("a dog", {DIFFUSERS, "dora/undeclared"}), ("a fruit", {PEFT}), ("musical instrument", {OLD})],
)
def test_a_text_finds_the_models(library, text, repos):
    answer = library.search(text)
    assert {hit.repo for hit in answer.hits[: len(repos)]} == repos
    assert answer.understood


def test_the_space_shows_its_picture_and_why(polled, library):
    page = results.answer(library, "a dog", None, 5)
    address = f"{polled[0].endpoint}/{DIFFUSERS}/resolve/"
    assert f'src="{address}' in page
    assert f'alt="A picture from {DIFFUSERS}"' in page
    assert ".svg" not in page  # what is drawn there is ours
    shown = library.picture(library.model(DIFFUSERS).upload)
    assert httpx.get(shown, follow_redirects=True).content == picture()
    assert library.picture(library.model(PEFT).upload) is None
    assert shown in model.model_page(library, DIFFUSERS, "")
    assert "4 of 44 tensors" in model.model_page(library, DIFFUSERS, "")

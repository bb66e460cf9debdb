"""A small real database, the real Space as a process, and Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from stage import PATIENCE_MS

from hubbot.records import (
    Abstention,
    Bin,
    Estimate,
    Evidence,
    ExpertInfo,
    How,
    Judgement,
    Label,
    LayerScore,
    Placement,
    Prediction,
    Reading,
    Reliability,
    Source,
    Suggestion,
    SuggestionState,
    Trust,
    Upload,
    Wanted,
)
from hubbot.store.store import Store

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
VIT, RESNET = "lab/vit-digits-base", "lab/resnet-digits-base"
HOSTILE = "evil/<script>owned()</script>${owned()}"
TENSOR = "vit.layers.2.mlp.fc2.weight"

SEVENTHS = Bin(30, 0.01, 0.75, 0.4, 0.3, 0.5)
SURE = Bin(90, 0.03, 0.97, 0.98, 0.9, 1.0)
LAYERS = tuple(
    LayerScore(f"vit.layers.{i}.mlp.fc2.weight", 0.5 - 0.1 * i, 0.7 + 0.1 * i, i == 2) for i in range(3)
)
FOUND = Reliability("test", 75, 230, (Bin(2_000, 0.96, 0.02, 0.02, 0.01, 0.03), SEVENTHS, SURE), SURE)
MEASURED = Trust(0.9, 0.05, LAYERS, FOUND)


def expert(name: str, root: str) -> ExpertInfo:
    labels = tuple(Label(d, f"a handwritten digit {d}", f"digit-{d}") for d in DIGITS)
    return ExpertInfo(
        name,
        "5f0c2ab14e77",
        "/nowhere",
        (root,),
        (Wanted(TENSOR),),
        labels,
        "sentence:all-MiniLM-L6-v2",
        "180 models of hubbot's digits zoo, each fine-tuned on 5 of the 10 digits of scikit-learn's digits",
        scores={"accuracy": 0.9044, "precision": 0.949, "abstained": 0.0},
        baselines={"nearest task vector": 0.8378},
        trust=MEASURED if root == VIT else None,
    )


def fill(store: Store) -> None:
    store.save_expert(replace(expert("digits-vit", VIT), version="01d01d01d01d"))
    for info in (expert("digits-vit", VIT), expert("digits-resnet", RESNET)):
        store.save_expert(info)
    _model(store, "maria-k/vit-finetuned-0421", VIT, "one", "three", "seven", "eight", "nine")
    _model(
        store, "atelier-nord/number-plates-v2", RESNET, "seven", "two", "four", tags=["vision", "digit-seven"]
    )
    _model(store, "q/evens", VIT, "zero", "two", "four", "six", "eight")
    _model(
        store,
        "a-really-long-organisation-name/and-an-even-longer-model-name-with-a-checkpoint-0000012000-of-2024-11-20",
        RESNET,
        "five",
        "seven",
    )
    _model(store, HOSTILE, VIT, "six", tags=["<img src=x onerror=owned()>", "{{owned()}}", "${owned()}"])
    _unread(store)
    body = "## Tags read off the weights"
    suggestion = Suggestion(
        "maria-k/vit-finetuned-0421",
        "c0ffee" * 6 + "cafe",
        SuggestionState.DRAFT,
        "Add what this model was trained on",
        body,
        ("tags:", "  - digit-one", "  - digit-seven"),
        "---\ntags: []\n---\n",
    )
    address = "https://huggingface.co/maria-k/vit-finetuned-0421/discussions/1"
    store.save_suggestion(suggestion)
    for state in (SuggestionState.APPROVED, SuggestionState.OPENING):
        store.save_suggestion(replace(suggestion, state=state))
    store.save_suggestion(replace(suggestion, state=SuggestionState.OPEN, pull_request=address))


def _model(store: Store, repo: str, root: str, *known: str, tags: list[str] | None = None) -> None:
    commit = "c0ffee" * 6 + "cafe"
    card = {"tags": tags or ["vit", "image-classification"], "license": "mit", "base_model": root}
    store.save_upload(Upload(repo, commit, datetime(2026, 11, 18, 9, 30, tzinfo=UTC), card=card))
    evidence = (
        Evidence(Source.CARD, f"the card names {root} as parent", root),
        Evidence(
            Source.WEIGHTS, f"its weights follow {root}: cosine 0.98, 0.03 for the next root", root, 0.98
        ),
    )
    store.save_placement(
        Placement(repo, commit, root, root, How.BOTH, evidence, "finetune", bytes_read=4_096)
    )
    chances = {d: 0.985 - 0.02 * i for i, d in enumerate(known)}
    predictions = tuple(
        Prediction(d, chances.get(d, 0.03 + 0.004 * i), d in known) for i, d in enumerate(DIGITS)
    )
    name = "digits-vit" if root == VIT else "digits-resnet"
    reading = Reading(repo, commit, (f"sha-{repo}",), root, name, "5f0c2ab14e77", predictions)
    store.record(_cost(reading))


def _cost(reading: Reading) -> Reading:
    return replace(
        reading, tensors_read=(TENSOR,), bytes_read=27_712, bytes_stored=391_204, stored_tensors=72
    )


def _unread(store: Store) -> None:
    commit, when = "0" * 40, datetime(2026, 11, 19, tzinfo=UTC)
    minilm = "sentence-transformers/all-MiniLM-L6-v2"
    root = "nreimers/MiniLM-L6-H384-uncased"
    for repo, tree in ((minilm, root), ("old/pickles-only", VIT)):
        store.save_upload(Upload(repo, commit, when))
        evidence = (Evidence(Source.CARD, f"the card names {tree} as parent", tree),)
        store.save_placement(Placement(repo, commit, tree, tree, How.DECLARED, evidence))
    nobody = Abstention("no-expert", "hubbot has no expert for this tree")
    pickles = Abstention(
        "not-readable-safely", "old/pickles-only: there are only pickles here, and hubbot never opens one"
    )
    store.record(Reading(minilm, commit, ("x",), root, abstention=nobody))
    store.record(Reading("old/pickles-only", commit, ("y",), VIT, abstention=pickles))


def judged(store: Store) -> None:
    """Small nets of which autoencoders said how their training went: numbers, or why none."""
    known, kind = (0.9, 0.0, 1.0), "digits-nets"
    sure = (
        Estimate("accuracy", 0.884, 0.853, 0.915, *known),
        Estimate("epoch", 13.7, 10.9, 16.6, 0.9, 0.0, 25.0),
        Estimate("gap", 0.071, 0.028, 0.114, 0.9, -1.0, 1.0),
    )
    strange = "its weights are unlike those that digits-nets learned from"
    why = Abstention("unlike-training", f"{strange}: rebuilt with an error of 2.41, at most 0.62")
    evil = "<img src=x onerror=owned()>{{owned()}}${owned()}"
    _judged(store, "weekend-ml/my-cnn-0421", kind, sure)
    _judged(store, "weekend-ml/strange-cnn-7", kind, why=why)
    _judged(store, EVIL_NET, evil, (replace(sure[0], name=evil),), Abstention(evil, evil))


EVIL_NET = "evil/net<script>owned()</script>"


def _judged(
    store: Store, repo: str, name: str, said: tuple[Estimate, ...] = (), why: Abstention | None = None
) -> None:
    commit, ids = "d" * 40, (f"sha-{repo}",)
    upload = Upload(repo, commit, datetime(2026, 11, 20, tzinfo=UTC), card={"library_name": "pytorch"})
    unplaced = Abstention("unplaced", "neither its card nor its weights name a model tree")
    reading = Reading(repo, commit, ids, abstention=unplaced)
    answers = [Judgement(repo, commit, ids, name, "3d42e614f5f8", said)] if said else []
    if why:
        answers.append(Judgement(repo, commit, ids, name, "77d42e614f5f", abstention=why))
    store.conclude(upload, [Placement(repo, commit, None, None, How.UNPLACED)], reading, said=answers)


def crowd(store: Store) -> None:
    """A tree of many: grandchildren, and more children than a picture has room for."""
    root, commit = "org/crowded", "0" * 40
    store.save_expert(expert("digits-crowd", root))
    for i in range(600):
        repo = f"crowd/m-{i}"
        parent = f"crowd/m-{i % 12}" if 12 < i < 120 else root
        store.save_upload(Upload(repo, commit, datetime(2026, 10, 1, i // 60, i % 60, tzinfo=UTC)))
        store.save_placement(Placement(repo, commit, root, parent, How.DECLARED))
        known = {DIGITS[i % 9], DIGITS[(i * i) % 5]} if i % 10 else set()
        said = (
            Prediction(d, 0.97 - 0.01 * j if d in known else 0.02, d in known) for j, d in enumerate(DIGITS)
        )
        store.record(Reading(repo, commit, (repo,), root, "digits-crowd", "5f0c2ab14e77", tuple(said)))


@contextmanager
def serving(
    folder: Path, *options: str, fillers: Sequence[Callable[[Store], None]] = (fill,)
) -> Iterator[str]:
    """A Space over a small database that these have filled, as a process of its own; its address."""
    url = f"sqlite:///{folder / 'hubbot.db'}"
    with Store.open(url) as store:
        for filler in fillers:
            filler(store)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "space", "--database", url, "--port", str(port), *options]
    home = os.environ | {"HUBBOT_HOME": str(folder)}
    with (
        (folder / "errors.txt").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=home) as process,
    ):
        assert process.stdout is not None
        told = next((line for line in process.stdout if "the Space is at" in line), "")
        address = f"http://127.0.0.1:{port}"
        try:
            assert address in told, f"the Space did not start: {(folder / 'errors.txt').read_text()}"
            yield address
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Space."""
    with serving(tmp_path_factory.mktemp("space"), fillers=(fill, judged)) as address:
        yield address


@pytest.fixture(scope="session")
def mcp_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that language models may ask as well."""
    with serving(tmp_path_factory.mktemp("space"), "--mcp") as address:
        yield address


@pytest.fixture(scope="session")
def crowded_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of another one, that has a large tree beside the small ones."""
    with serving(tmp_path_factory.mktemp("crowded"), fillers=(fill, crowd)) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here: `apt-get install chromium`")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visitors(chromium: Browser) -> Callable[..., BrowserContext]:
    """Browser contexts by their options, each without pages and cookies of an earlier test.

    They are kept, so that what Gradio sends along is fetched and compiled once, and not for every test.
    """
    kept: dict[str, BrowserContext] = {}

    def visitor(**options: Any) -> BrowserContext:
        name = repr(sorted(options.items()))
        if name not in kept:
            kept[name] = chromium.new_context(**options)
            kept[name].set_default_timeout(PATIENCE_MS)
            kept[name].add_init_script("window.owned = () => { window.isOwned = true }")
        for page in kept[name].pages:
            page.close()
        kept[name].clear_cookies()
        return kept[name]

    return visitor

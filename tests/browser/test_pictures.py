"""Pictures that repos have of themselves: fetched by the visitor's browser, from the Hub alone."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, ViewportSize, expect
from stage import PATIENCE_MS, complaints

from hubbot.encoders.loading import load
from hubbot.localhub.server import Server
from hubbot.records import (
    Evidence,
    ExpertInfo,
    How,
    Kind,
    Label,
    Placement,
    Prediction,
    Reading,
    Source,
    TextHead,
    Upload,
    Wanted,
)
from hubbot.store.store import Store

pytestmark = pytest.mark.browser

ROOT, ENCODER = "emoji/painter", "sentence:all-MiniLM-L6-v2"
CONCEPTS = ("dog", "wolf face", "pear", "watermelon", "snowman", "fire engine", "violin", "castle")
SHOWN = {
    "mika/dog-lora": ("sample.png",),
    "studio-k/wolves": ("training_images/0.png", "b.jpg"),
    "ana/hidden": ("sample.png", "not-for-all-audiences"),
    "old/vector": ("drawing.svg", "page.html"),
    "gone/lost": ("sample.png", "absent"),
}
SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}


def picture(colour: str) -> bytes:
    drawn = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(drawn).ellipse((12, 12, 84, 84), fill=colour)
    raw = io.BytesIO()
    drawn.save(raw, "png")
    return raw.getvalue()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hub")) as server:
        for repo, names in SHOWN.items():
            server.repos.create(repo)
            files = {name: picture("sienna") for name in names if "." in name and "absent" not in names}
            server.repos.commit(repo, {"README.md": b"# A LoRA\n", **files})
        yield server


def fill(store: Store, hub: Server) -> None:
    labels = tuple(Label(text.replace(" ", "-"), text, text.replace(" ", "-")) for text in CONCEPTS)
    wanted = (Wanted("transformer_blocks.0.attn2.to_v", shape=(256, 256), kind=Kind.LORA),)
    info = ExpertInfo(
        *("emoji-painter", "5f0c2ab14e77", "/nowhere", (ROOT,), wanted, labels, ENCODER),
        trained_on="4,250 LoRAs of hubbot's emoji zoo, each on one emoji",
        scores={"accuracy": 0.98, "precision": 0.99, "coverage": 0.81},
        head="text",
    )
    vectors = load(ENCODER).encode(CONCEPTS)
    store.save_expert(info, TextHead(np.eye(384, dtype=np.float32), np.zeros(384, np.float32), vectors, 25.0))
    for i, (repo, names) in enumerate(SHOWN.items()):
        concept = {"studio-k/wolves": 1, "gone/lost": 4}.get(repo, 0)
        tags = tuple(n for n in names if "audiences" in n)
        files = tuple(n for n in names if "." in n)
        commit = hub.repos.resolve(repo, "main")
        store.save_upload(
            Upload(repo, commit, datetime(2026, 11, 18, 9, i, tzinfo=UTC), tags=tags, files=files)
        )
        evidence = (Evidence(Source.CARD, f"the card names {ROOT} as parent", ROOT),)
        store.save_placement(Placement(repo, commit, ROOT, ROOT, How.DECLARED, evidence, "adapter"))
        said = (Prediction(labels[concept].name, 0.97 - 0.02 * i, True), Prediction("pear", 0.01, False))
        place = vectors[concept] + 0.02 * np.random.default_rng(i).normal(size=384)
        names_read = tuple(f"{wanted[0].name}.lora_{factor}.weight" for factor in "AB")
        store.record(
            Reading(
                *(repo, commit, (f"sha-{repo}",), ROOT, info.name, info.version, said, tuple(place.tolist())),
                tensors_read=names_read,
                bytes_read=17_712,
                bytes_stored=391_204,
                stored_tensors=8,
            )
        )


@pytest.fixture(scope="module")
def space(hub: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Space over this Hub."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    url = f"sqlite:///{folder / 'hubbot.db'}"
    with Store.open(url) as store:
        fill(store, hub)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "space", "--database", url, "--port", str(port)]
    home = os.environ | {"HUBBOT_HOME": str(folder), "HUBBOT_ENDPOINT": hub.endpoint}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=home) as process:
        assert process.stdout is not None
        try:
            assert f"http://127.0.0.1:{port}" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def page(chromium: Browser, space: str, hub: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that fails its test if anything is fetched from elsewhere than the Space and the Hub."""
    size, scheme = getattr(request, "param", ("desktop", "light"))
    context = chromium.new_context(viewport=SIZES[size], base_url=space, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    ours = (space, hub.endpoint, hub.cdn_endpoint, "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(ours) else faults.append(asked.url))
    yield page
    assert complaints(faults) == []
    context.close()


def test_a_card_shows_the_picture_of_its_repo(page: Page, hub: Server) -> None:
    page.goto("/?q=a+dog")
    card = page.locator(".hb-card", has_text="mika/dog-lora")
    shown = card.locator("img")
    expect(shown).to_have_attribute("alt", "A picture from mika/dog-lora")
    page.wait_for_function("document.querySelector('.hb-card img').naturalWidth > 0")
    assert (shown.get_attribute("src") or "").startswith(f"{hub.endpoint}/mika/dog-lora/resolve/")
    box = shown.bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (96, 96)
    for repo in ("ana/hidden", "old/vector"):
        expect(page.locator(".hb-card", has_text=repo).locator("img")).to_have_count(0)
    card.get_by_role("link", name="mika/dog-lora").click()
    expect(page.locator("#hb-page img")).to_have_attribute("alt", "A picture from mika/dog-lora")
    expect(page.locator("#hb-page")).to_contain_text("2 of 8 tensors")
    expect(page.locator("#hb-page")).to_contain_text(
        "98.0% of the models had what they were trained on named"
    )


def test_a_repo_without_a_sample_shows_what_it_has(page: Page) -> None:
    page.goto("/?q=wolf")
    shown = page.locator(".hb-card", has_text="studio-k/wolves").locator("img")
    expect(shown).to_have_attribute("src", re.compile(r"/resolve/[0-9a-f]{40}/training_images/0\.png$"))


def test_a_picture_that_is_gone_leaves_a_drawn_one(page: Page) -> None:
    page.goto("/?model=gone/lost")
    shown = page.locator("#hb-page header .hb-tile").first
    expect(shown).to_be_visible(timeout=60_000)
    expect(page.locator("#hb-page img")).to_have_count(0)
    box = shown.bounding_box()
    assert box is not None
    assert box["width"] == box["height"] == 128


@pytest.mark.parametrize("page", [(s, c) for s in SIZES for c in ("light", "dark")], indirect=True)
@pytest.mark.parametrize("address", ["/?q=a+dog", "/?model=mika/dog-lora&q=a+dog"])
def test_pictures_fit_on_every_screen(page: Page, address: str, request: pytest.FixtureRequest) -> None:
    page.goto(address)
    expect(page.locator(".hb-picture").first).to_be_visible(timeout=60_000)
    page.wait_for_function("document.querySelector('.hb-photo').naturalWidth > 0")
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{request.node.callspec.id}.png".replace("?", ""), full_page=True)

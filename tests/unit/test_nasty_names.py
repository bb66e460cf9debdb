"""Whatever a stranger calls a thing is data: in terminal, log, Space, store, graphs, paths."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import networkx as nx
import pytest
from liar import Liar
from nasty import TEXTS

from hubbot.cli import console, logs, tree
from hubbot.cli.tell import show_placement, show_reading
from hubbot.encoders.loading import load
from hubbot.errors import HubbotError
from hubbot.hub.client import Hub
from hubbot.hub.snapshots import snapshot
from hubbot.library import Library
from hubbot.records import (
    Abstention,
    Bin,
    Evidence,
    ExpertInfo,
    How,
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
from hubbot.trees.export import FORMATS, exported, graph
from space.experts import expert_page, experts_page
from space.forest import overview
from space.model import model_page
from space.results import answer
from space.tile import tile
from space.tree import tree_map, tree_members, tree_page

NOW, REPO = datetime(2026, 1, 1, tzinfo=UTC), "a/b"
MEASURED = Reliability("test", 5, 0, (Bin(9, 1.0, 0.9, 0.8, 0.7, 0.9),))

texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def placed(text: str, repo: str = REPO) -> Placement:
    evidence = (Evidence(Source.CARD, text, "o/root"),)
    return Placement(repo, "1" * 40, "o/root", text or "x", How.DECLARED, evidence, relation=text)


def read(text: str, *, abstained: bool = False) -> Reading:
    return Reading(
        REPO,
        "1" * 40,
        ("c",),
        "o/root",
        text,
        text,
        () if abstained else (Prediction(text, 0.9, True), Prediction("other", 0.3, False)),
        abstention=Abstention("odd", text) if abstained else None,
        tensors_read=(text,),
        bytes_read=1,
        bytes_stored=2,
    )


def is_harmless(shown: str) -> bool:
    """No control or direction-changing character but the ends of lines, and nothing that no UTF-8 spells."""
    return all(c == "\n" or unicodedata.category(c)[0] != "C" for c in shown)


# --- the terminal and the log ---------------------------------------------------------------------


@texts
def test_in_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.say(text)
    console.say("of", text, style="bold")
    console.table([">number", "name"], [(1, text), (text, None)], empty="")
    console.complain(text, text)
    show_placement(placed(text))
    show_reading(read(text))
    show_reading(read(text, abstained=True))
    console.out.print(tree._drawn(text, {REPO: placed(text), text: placed(text, text)}, {REPO: read(text)}))
    shown = "".join(capsys.readouterr())
    assert is_harmless(shown)
    assert len(console.plain(text).splitlines()) <= 1


@texts
def test_as_json(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.emit({text: [text, placed(text)]})
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert len(shown.splitlines()) == 1
    assert json.loads(shown)[text][0] == text


@texts
@pytest.mark.parametrize("form", ["plain", "json"])
def test_in_the_log(text: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("hubbot.nasty")
    logs.set_up(logging.WARNING, form)
    try:
        log.warning("left %s", text)
        try:
            raise HubbotError(text, repo=text)
        except HubbotError:
            log.exception("failed at %s", text)
    finally:
        logging.basicConfig(force=True, handlers=[logging.NullHandler()], level=logging.WARNING)
    shown = capsys.readouterr().err
    assert is_harmless(shown)
    assert "Logging error" not in shown
    lines = shown.splitlines()
    if form == "json":
        assert json.loads(lines[0])["message"] == f"left {text}"
        assert len(lines) == 2
    else:
        # What a stranger wrote begins no line; what begins one was written by the log itself.
        assert all(
            (line[:2].isdigit() and " hubbot.nasty: " in line) or line.startswith("  ") for line in lines
        )


# --- graphs ---------------------------------------------------------------------------------------


@texts
@pytest.mark.parametrize("form", FORMATS)
def test_in_a_graph(text: str, form: str) -> None:
    told = exported(graph([placed(text), placed(text, "c/d")]), form)
    told.encode()
    if form == "graphml":
        ET.fromstring(told)  # noqa: S314 - written by us a line above
        assert len(nx.parse_graphml(told)) == 3
    elif form == "json":
        assert {node["id"] for node in json.loads(told)["nodes"]} >= {REPO, "c/d"}
    else:
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "S", told).splitlines()
        nodes = ["S [];", *["S [tree=S, how=S, relation=S];"] * 2]
        assert sorted(bare) == sorted(["digraph {", *nodes, "S -> S;", "S -> S;", "}"])


# --- the store and the Space ----------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Iterator[tuple[Store, Library]]:
    with Store.open(f"sqlite:///{tmp_path / 'hubbot.db'}") as store:
        yield store, Library(store, load, endpoint="http://127.0.0.1:1")


def fill(store: Store, text: str, *, abstained: bool = False) -> None:
    """A model of which everything that a stranger may choose says the same."""
    card = {"tags": [text], "datasets": text, text: {text: text}}
    info = ExpertInfo(
        text, text, text, ("o/root",), (Wanted("w"),), (Label(text, text, text), Label("other", "o", "o")),
        "sentence:all-MiniLM-L6-v2", text, scores={"accuracy": 0.9, text: 0.5}, baselines={text: 0.5},
        trust=Trust(0.9, layers=(LayerScore(text, 0.1, 0.9, True),) * 2, reliability=MEASURED),
    )  # fmt: skip
    store.save_expert(info)
    files = (f"{text}.png", text)
    store.save_upload(Upload(REPO, "1" * 40, NOW, tags=(text,), library=text, files=files, card=card))
    store.save_placement(placed(text))
    store.record(read(text, abstained=abstained))
    draft = Suggestion(REPO, "1" * 40, SuggestionState.DRAFT, title=text, body=text, added=(text,))
    store.save_suggestion(replace(draft, new_text=text, reason=text, pull_request=text))


class Tags(HTMLParser):
    """Which tags a page has, with the attributes that are no text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.addresses: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag} | {f"{tag}.{name}" for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src")}

    def handle_comment(self, data: str) -> None:
        self.found.add(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.found.add(f"declaration {decl}")


PICTURE = {"img", *(f"img.{name}" for name in ("class", "src", "alt", "loading", "referrerpolicy"))}


def pages(library: Library, text: str) -> str:
    asked = (model_page(library, REPO, text), model_page(library, text, text), tree_page(library, text))
    told = (tree_page(library, "o/root"), overview(library), answer(library, text, None, 5))
    told += (experts_page(library), expert_page(library, text), expert_page(library, text, {"version": text}))
    more = (tree_map(library, text), tree_map(library, "o/root"), tree_members(library, "o/root", {}))
    listed = (
        tree_members(library, text, {"from": text, "label": text}),
        tree_members(library, "o/root", {"label": text}),
    )
    return "".join((*asked, *told, *more, *listed, answer(library, "other", text, 5)))


@pytest.mark.parametrize("abstained", [False, True])
@texts
def test_in_the_space(library: tuple[Store, Library], text: str, abstained: bool) -> None:
    store, shown = library
    fill(store, "some.word", abstained=abstained)
    # A name that is no picture's leaves the model without one, and a tile is drawn in its place.
    usual = Tags(pages(shown, "some.word") + tile("some.word"))
    fill(store, text, abstained=abstained)
    page = pages(shown, text)
    assert is_harmless(page)
    found = Tags(page)
    assert found.found - usual.found <= PICTURE
    assert all(address.startswith(("/?", "http://127.0.0.1:1/")) for address in found.addresses)
    assert not any("/../" in address for address in found.addresses if address.startswith("http"))


@texts
def test_in_the_store(library: tuple[Store, Library], text: str) -> None:
    store, _ = library
    fill(store, text)
    kept = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    reading, upload = store.reading(REPO), store.upload(REPO)
    assert reading is not None
    assert upload is not None
    assert reading.expert == kept
    assert store.reading(text) is None
    assert store.placement(text) is None
    assert [*store.tree_members(text)] == []
    assert store.counts()["uploads"] == 1


# --- files ----------------------------------------------------------------------------------------


@texts
def test_as_a_file_of_a_repo(text: str, tmp_path: Path) -> None:
    """A repo that lists such a file puts nothing outside of its own folder."""
    liar = Liar()
    name = f"{text}/config.json"
    committed = {"X-Repo-Commit": "0" * 40, "ETag": '"a"'}
    info = {"id": "o/m", "sha": "0" * 40, "siblings": [{"rfilename": name, "size": 2}]}
    listed = [{"type": "file", "path": name, "size": 2, "oid": "0" * 40}]

    def resolve(path: str, _: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/api/"):
            return 200, {}, json.dumps(listed if "/tree/" in path else info).encode()
        return 200, committed, b"{}"

    liar.resolve = resolve
    cache = tmp_path / "deep" / "down" / "cache"
    try:
        with Hub(liar.endpoint, retries=0) as hub, suppress(HubbotError):
            snapshot(hub, "o/m", [name], cache)
    finally:
        liar.close()
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and cache not in path.parents]
    assert outside == []
    assert not Path("/etc/passwd/config.json").exists()

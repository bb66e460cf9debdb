"""A database of models that were read, made in a moment: what searches are tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from hubbot.encoders.loading import OFFLINE_DEFAULT, load
from hubbot.records import ExpertInfo, Label, Prediction, Reading, TextHead, Upload, Wanted
from hubbot.searching import Searcher
from hubbot.store.store import Store

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CONCEPTS = ("dog", "wolf face", "pear", "watermelon", "slice of pizza", "fire engine", "violin", "snowman")
UNHEARD = "trombone"
"""What one may know and the experts of emoji have no word for."""
COMMIT = "1" * 40
CHANGED = datetime(2026, 3, 1, tzinfo=UTC)


def labelled(name: str, tree: str, labels: Mapping[str, str] | None = None) -> ExpertInfo:
    """An expert of labels, by default of digits."""
    told = labels or {digit: f"a handwritten digit {digit}" for digit in DIGITS}
    made = tuple(Label(label, text, label) for label, text in told.items())
    return ExpertInfo(name, "v1", "/nowhere", (tree,), (Wanted("w"),), made, OFFLINE_DEFAULT, "a zoo")


def aligned(name: str, tree: str, concepts: Sequence[str] = CONCEPTS) -> ExpertInfo:
    """An expert with a text head."""
    labels = tuple(Label(text.replace(" ", "-"), text, text.replace(" ", "-")) for text in concepts)
    where = (name, "v1", "/nowhere", (tree,), (Wanted("w"),), labels, OFFLINE_DEFAULT, "a zoo")
    return ExpertInfo(*where, head="text")


@cache
def head(concepts: Sequence[str] = CONCEPTS, seed: int = 0, none: float = float("-inf")) -> TextHead:
    """A text head that turns the encoder's space into one of 256 dimensions."""
    random = np.random.default_rng(seed)
    W = np.linalg.qr(random.normal(size=(384, 384)))[0][:256].astype(np.float32)
    b = random.normal(size=256).astype(np.float32) / 100
    return TextHead(W, b, load(OFFLINE_DEFAULT).encode(concepts), 25.0, none)


def place(text: str, of: TextHead, seed: int = 0, noise: float = 1 / 60) -> tuple[float, ...]:
    """Where a model of something lies, near where its text goes."""
    there = load(OFFLINE_DEFAULT).encode([text])[0] @ of.W.T + of.b
    there = there / np.linalg.norm(there) + np.random.default_rng(seed).normal(size=256) * noise
    return tuple((7 * there).tolist())


class Shop:
    """A store that models are put into."""

    def __init__(self, database: Path) -> None:
        self.store = Store.open(f"sqlite:///{database}")
        self.experts: dict[str, tuple[ExpertInfo, TextHead | None]] = {}

    def expert(self, info: ExpertInfo, of: TextHead | None = None) -> None:
        self.experts[info.name] = info, of
        self.store.save_expert(info, of)

    def upload(self, repo: str, changed: datetime = CHANGED, **more: object) -> None:
        fields = {name: more.pop(name) for name in ("pipeline_tag", "downloads", "private") if name in more}
        self.store.save_upload(Upload(repo, COMMIT, changed, card=more, **fields))  # type: ignore[arg-type]

    def labels(self, repo: str, expert: str, chances: Mapping[str, float], *, content: str = "c") -> None:
        """What an expert of labels said; 0.02 of all others."""
        info, _ = self.experts[expert]
        told = {label.name: 0.02 for label in info.labels} | dict(chances)
        said = tuple(Prediction(name, chance, chance > 0.9) for name, chance in told.items())
        self._read(repo, info, said, None, content)

    def concept(
        self,
        repo: str,
        expert: str,
        concept: str,
        *,
        seed: int = 0,
        noise: float = 1 / 60,
        content: str = "c",
    ) -> None:
        """What an expert with a text head said of a model of this concept."""
        info, of = self.experts[expert]
        assert of is not None
        known = [label.name for label in info.labels if label.text == concept]
        said = tuple(Prediction(name, 0.95, True) for name in known)
        self._read(repo, info, said, place(concept, of, seed, noise), content)

    def _read(
        self,
        repo: str,
        info: ExpertInfo,
        said: tuple[Prediction, ...],
        embedding: tuple[float, ...] | None,
        content: str,
    ) -> None:
        if self.store.upload(repo) is None:
            self.upload(repo)
        key = (repo, COMMIT, (content,), info.tree, info.name, info.version)
        self.store.record(Reading(*key, said, embedding))

    def searcher(self) -> Searcher:
        return Searcher(self.store, load)

"""A database of a million models that nobody trained, made in minutes: what `benchmarks.search` searches.

Concepts, and twice as many things that the expert has no word for, are random directions of a text encoder's
space, some of them near one another as words are. An expert with a text head maps them into 512 dimensions; a
model's embedding is its concept's place there with noise, and what the expert says of it is reckoned from it
as the real one does. How many models a concept has falls as words do (Zipf). Rows are written past the store,
which would take hours, into the tables that it made.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubbot.encoders.interface import TextEncoder
from hubbot.index.kinds import Concepts, unit
from hubbot.index.wordings import WORDINGS
from hubbot.records import ExpertInfo, Label, TextHead, Wanted
from hubbot.store.store import Store

Floats = NDArray[np.float32]

KNOWN, UNKNOWN, D_TEXT, D = 1000, 2000, 384, 512
STRANGE = 0.2
"""The share of models trained on what the expert has no word for."""
NOISE = 1.0
SCALE, NONE = 40.0, 18.0
MOST, LEAST, THRESHOLD = 10, 0.001, 0.9
LICENSES = ("mit", "apache-2.0", "cc-by-4.0", "openrail", "other")
TASKS = ("text-to-image", "image-classification", "text-generation")
TREE, NAME, VERSION, ENCODER = "lab/root", "synthetic", "v1", "sentence:synthetic"
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 900
AT_ONCE = 20_000


def concept(i: int) -> str:
    """What the i-th thing is called."""
    return f"concept {i}"


@dataclass(frozen=True, slots=True, eq=False)
class Words(TextEncoder):
    """A text encoder that knows the texts of this corpus by heart, so that encoding costs nothing."""

    texts: dict[str, Floats]

    @property
    def name(self) -> str:
        return ENCODER

    @property
    def dimension(self) -> int:
        return D_TEXT

    def encode(self, texts: Sequence[str]) -> Floats:
        before = WORDINGS[1].replace("{}", "")  # in whatever wording
        known = [self.texts[text.removeprefix(before)] for text in texts]
        return np.stack(known) if known else np.empty((0, D_TEXT), np.float32)


class Corpus:
    """What there is to know, and what people type.

    Attributes:
        texts: of all things, those with a word for them first, (KNOWN + UNKNOWN, D_TEXT).
        queries: what people type: a thing by its name, by other words for it, or one without a word.
    """

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        families = unit(random.normal(size=(200, D_TEXT)).astype(np.float32))
        mine = families[random.integers(0, 200, KNOWN + UNKNOWN)]
        self.texts = unit(mine + 1.1 * unit(random.normal(size=mine.shape).astype(np.float32)))
        W = np.linalg.qr(random.normal(size=(D, D_TEXT)))[0].astype(np.float32)
        self.head = TextHead(W, np.zeros(D, np.float32), self.texts[:KNOWN], SCALE, NONE)
        self.kind = Concepts(tuple(concept(i) for i in range(KNOWN)), self.head)
        self.points = self.kind.placed(self.texts)
        self.info = ExpertInfo(
            *(NAME, VERSION, "/nowhere", (TREE,), (Wanted("layer.weight"),)),
            tuple(Label(f"c{i}", concept(i), f"c{i}") for i in range(KNOWN)),
            *(ENCODER, "nothing: its models are made up"),
            head="text",
        )
        self.words = Words({concept(i): text for i, text in enumerate(self.texts)})
        self.queries = self._queries(random)

    def _queries(self, random: np.random.Generator) -> list[str]:
        """Names, other words, and things without a word, as many of each."""
        made = []
        for i in range(300):
            made.append(concept(int(random.integers(0, KNOWN))))
            made.append(concept(int(random.integers(KNOWN, KNOWN + UNKNOWN))))
            other = f"other words {i}"
            near = self.texts[int(random.integers(0, KNOWN))]
            noise = unit(random.normal(size=(1, D_TEXT)).astype(np.float32))[0]
            self.words.texts[other] = unit((near + random.uniform(0.7, 1.3) * noise)[None])[0]
            made.append(other)
        random.shuffle(made)
        return made

    def things(self, n: int, seed: int = 1) -> NDArray[np.intp]:
        """What each of n models was trained on."""
        random = np.random.default_rng(seed)
        ranks = (random.zipf(1.2, n) - 1) % KNOWN
        strange = random.random(n) < STRANGE
        return np.where(strange, KNOWN + (random.zipf(1.2, n) - 1) % UNKNOWN, ranks)

    def embeddings(self, things: NDArray[np.intp], seed: int) -> Floats:
        random = np.random.default_rng([7, seed])
        noise = unit(random.normal(size=(len(things), D)).astype(np.float32))
        far = (NOISE * random.uniform(0.3, 2, (len(things), 1))).astype(np.float32)
        return unit(self.points[things] + far * noise)

    def pages(self, n: int) -> Iterator[tuple[int, Floats]]:
        """The embeddings of all models, some at a time, always the same."""
        things = self.things(n)
        for first in range(0, n, AT_ONCE):
            yield first, self.embeddings(things[first : first + AT_ONCE], first)

    def write(self, database: Path, n: int) -> None:
        """The database of n models, with all that the bot would have recorded of them."""
        with Store.open(f"sqlite:///{database}") as store:
            store.ensure_tree(TREE)
            store.save_expert(self.info, self.head)
            now = store.clock().at
        raw = sqlite3.connect(database)
        raw.execute("PRAGMA synchronous=OFF")
        for first, embeddings in self.pages(n):
            self._insert(raw, first, embeddings, now)
            raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()

    def _insert(self, raw: sqlite3.Connection, first: int, embeddings: Floats, now: int) -> None:
        random = np.random.default_rng([9, first])
        known, _ = self.kind.known(embeddings)
        best = np.argsort(-known, axis=1)[:, :MOST]
        days = random.uniform(0, DAYS, len(embeddings))
        uploads, placements, readings, vectors, predictions = [], [], [], [], []
        for i, embedding in enumerate(embeddings):
            number = first + i + 1
            repo, commit = repo_of(first + i), f"{number:040x}"
            when = (BEGINNING + timedelta(days=float(days[i]))).strftime("%Y-%m-%d %H:%M:%S.%f")
            card = {"license": LICENSES[number % 7 % 5]}
            files = ["README.md", "config.json", "model.safetensors"]
            told = (TASKS[number % 3], number % 5000, json.dumps(files), json.dumps(card))
            uploads.append((repo, commit, when, "[]", *told, commit, when, now))
            placements.append((repo, commit, TREE, TREE, "both"))
            readings.append((number, repo, commit, NAME, VERSION, commit, TREE, '["layer.weight"]', when))
            vectors.append((number, D, embedding.astype("<f4").tobytes()))
            said = [(j, float(known[i, j])) for j in best[i] if known[i, j] >= LEAST]
            predictions += [(number, at, f"c{j}", p, p >= THRESHOLD) for at, (j, p) in enumerate(said)]
        raw.executemany(UPLOAD, uploads)
        raw.executemany(PLACEMENT, placements)
        raw.executemany(READING, readings)
        raw.executemany("INSERT INTO embeddings VALUES (?,?,?)", vectors)
        raw.executemany("INSERT INTO predictions VALUES (?,?,?,?,?)", predictions)


def repo_of(i: int) -> str:
    """Owners have up to some hundred models each."""
    return f"owner{i // 7 % 150_000:06d}/model-{i:08d}"


UPLOAD = """INSERT INTO uploads (repo, "commit", modified_at, tags, pipeline_tag, downloads, files, card,
finished, checked_at, changed, gated, private, disabled, config) VALUES (?,?,?,?,?,?,?,?,?,?,?,0,0,0,'{}')"""
PLACEMENT = """INSERT INTO placements (repo, "commit", tree, parent, how, evidence, bytes_read)
VALUES (?,?,?,?,?,'[]',0)"""
READING = """INSERT INTO readings (id, repo, contents, expert, version, latest, "commit", content_ids, tree,
tensors_read, bytes_read, bytes_stored, stored_tensors, read_at)
VALUES (?,?,?,?,?,1,?,'["c"]',?,?,20000,9000000,70,?)"""

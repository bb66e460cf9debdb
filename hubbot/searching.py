"""Text search over all that was read: the store and the index joined, for whoever looks for a model.

It never writes. The index follows the database: when that has changed, the next search sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from threading import Lock
from typing import TYPE_CHECKING

from hubbot.encoders.loading import OFFLINE_DEFAULT
from hubbot.errors import EncoderError
from hubbot.index import query
from hubbot.index.found import Found, mixed
from hubbot.index.labels import Entry, LabelIndex
from hubbot.index.space import Member, TextSpace
from hubbot.records import ExpertInfo, Hit

if TYPE_CHECKING:
    from hubbot.encoders.interface import TextEncoder
    from hubbot.records import Floats
    from hubbot.store.store import Store

MAX_QUERY_CHARS = 300
LIKELY = 0.5
"""From this chance on a hit is an answer; below it the answer says so."""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found.

    Args:
        hits: the best first.
        note: what the reader should know before believing the hits; empty where there is nothing to say.
        understood: the labels and concepts that the text was taken for, with how likely, the likeliest first.
    """

    hits: tuple[Hit, ...] = ()
    note: str = ""
    understood: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The models that one version of a text expert has read; `texts` are its concepts' embeddings, (k, d)."""

    expert: ExpertInfo
    space: TextSpace
    texts: Floats


@dataclass(frozen=True, slots=True)
class _Indexes:
    """All that is searched; `wordings` are those of the labels as unit rows, (m, d)."""

    labels: LabelIndex
    wordings: Floats
    spaces: tuple[_Shelf, ...]

    @property
    def known(self) -> list[str]:
        """What experts call the things that they know, by turns, so that the first few come from all."""
        turns = zip_longest(self.labels.texts, *(shelf.space.texts for shelf in self.spaces))
        return list(dict.fromkeys(text for turn in turns for text in turn if text))


class Searcher:
    """Finds models. Safe to use from several threads.

    Args:
        store: an open store; read only is enough.
        load_encoder: gives the text encoder of a name; asked at the first search.
        encoder: compares texts with labels. One serves all trees: an expert's own text encoder matters only
            to experts with a text head.
    """

    def __init__(
        self, store: Store, load_encoder: Callable[[str], TextEncoder], *, encoder: str = OFFLINE_DEFAULT
    ) -> None:
        self._store, self._load_encoder, self._encoder = store, load_encoder, encoder
        self._lock = Lock()
        self._seen: object = None
        self._indexes: _Indexes | None = None

    def search(self, text: str, tree: str | None = None, limit: int = 10) -> SearchAnswer:
        """Models that were trained on what the text describes.

        Args:
            text: the first `MAX_QUERY_CHARS` characters count.
            tree: only models of this tree, by its root.
        """
        text = text.encode("utf-8", "replace").decode("utf-8")  # half a letter is nothing to an encoder
        text = " ".join(text.split())[:MAX_QUERY_CHARS]
        if not text:
            return SearchAnswer(note="Describe what the model should know.")
        indexes = self._fresh()
        if not indexes.known:
            return SearchAnswer(note="Nothing has been read yet.")
        meaning = self._encoded(self._encoder, [text])[0]  # (d,)
        found, silent = [query.find(indexes.labels, indexes.wordings @ meaning, tree=tree, limit=limit)], ""
        for shelf in indexes.spaces:
            try:
                vector = self._encoded(shelf.expert.text_encoder, [shelf.expert.prompt.replace("{}", text)])[
                    0
                ]
            except EncoderError as error:  # the other trees answer all the same
                silent += f" The tree of {shelf.expert.tree} was not searched: {error}"
                continue
            found.append(shelf.space.find(text, vector, shelf.texts @ meaning, tree=tree, limit=limit))
        answer = mixed(found, limit)
        note = (_note(answer, indexes.known) + silent).strip()
        return SearchAnswer(answer.hits, note, answer.understood)

    def _encoded(self, encoder: str, texts: Sequence[str]) -> Floats:
        return self._load_encoder(encoder).encode(texts)

    def _fresh(self) -> _Indexes:
        """What is searched, of the database as it is now."""
        with self._lock:
            state = self._state()
            if self._indexes is None or state != self._seen:
                self._indexes, self._seen = self._indexed(), state
            return self._indexes

    def _state(self) -> object:
        """Differs when the database has been written to: SQLite touches the file or its log."""
        files = (self._store.path, self._store.path.with_name(self._store.path.name + "-wal"))
        return [(s.st_mtime_ns, s.st_size) for file in files if file.exists() for s in [file.stat()]]

    def _indexed(self) -> _Indexes:
        experts = self._by_version()
        labelled: list[Entry] = []
        aligned: dict[tuple[str, str], list[Member]] = {}
        for reading in self._store.readings():
            if not reading.predictions or reading.abstention or not reading.tree:
                continue
            by = (reading.expert, reading.version)
            texts = {label.name: label.text for label in experts[by].labels} if by in experts else {}
            entry = Entry(
                reading.repo, reading.tree, {texts.get(p.label, p.label): p for p in reading.predictions}
            )
            if by in experts and experts[by].head == "text" and reading.embedding:
                aligned.setdefault(by, []).append(Member(entry, reading.embedding))
            else:
                labelled.append(entry)
        labels = LabelIndex(labelled)
        shelves = [self._shelf(experts[by], members) for by, members in aligned.items()]
        return _Indexes(labels, self._encoded(self._encoder, labels.wordings), tuple(filter(None, shelves)))

    def _shelf(self, expert: ExpertInfo, members: Sequence[Member]) -> _Shelf | None:
        head = self._store.text_head(expert.name, expert.version)
        if head is None:
            return None
        texts = [label.text for label in expert.labels]
        return _Shelf(expert, TextSpace(members, texts, head), self._encoded(self._encoder, texts))

    def _by_version(self) -> dict[tuple[str, str], ExpertInfo]:
        return {(info.name, info.version): info for info in self._store.experts()}


def _note(answer: Found, known: Sequence[str]) -> str:
    """What the reader should know before believing the hits."""
    hits, understood = answer.hits, answer.understood
    if not hits and not understood:
        some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
        return f"Nothing certain: no expert knows anything like this. They know: {some}."
    *others, last = [text for text, _ in understood[:3]] or ["what no expert knows by name"]
    taken = f"{', '.join(others)} or {last}" if others else last
    if not answer.clear:
        return f"Nothing certain: this could mean {taken}."
    if not hits:
        return f"Nothing certain: taken for {taken}, no model that was read is likely to fit."
    if hits[0].score < LIKELY:
        return f"Nothing certain: taken for {taken}, these are the likeliest."
    return ""

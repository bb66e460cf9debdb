"""The read side: what the store holds, joined with text search, for the Space and the command line.

It never writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from hubbot.index.question import LANGUAGE
from hubbot.records import ExpertInfo, Glance, Hit, Label, Placement, Reading, Suggestion, Upload
from hubbot.searching import Facet, SearchAnswer, Searcher

if TYPE_CHECKING:
    from hubbot.encoders.interface import TextEncoder
    from hubbot.store.forest import Tree
    from hubbot.store.store import Store

SAMPLE, PICTURES = "sample.png", (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class ModelPage:
    """All that is known of one model: what it says of itself, and what was read off its weights."""

    upload: Upload
    placement: Placement | None = None
    reading: Reading | None = None
    suggestion: Suggestion | None = None
    expert: ExpertInfo | None = None

    @property
    def declared(self) -> dict[str, tuple[str, ...]]:
        """What the owner wrote on the card, by key; never used for a reading."""
        keys = ("datasets", "tags", "base_model", "pipeline_tag", "license", "language")
        found = {key: tuple(str(v) for v in _listed(self.upload.card.get(key))) for key in keys}
        return {key: values for key, values in found.items() if values}

    @property
    def confirmed(self) -> frozenset[str]:
        """Recognised labels that the owner's own tags or datasets name as well."""
        words = {word.casefold() for key in ("tags", "datasets") for word in self.declared.get(key, ())}
        recognised = {p.label for p in self.reading.recognised} if self.reading else set()
        return frozenset(
            label.name
            for label in (self.expert.labels if self.expert else ())
            if label.name in recognised and {label.name.casefold(), label.tag.casefold()} & words
        )

    def label(self, name: str) -> Label:
        """The label of that name as its expert words it."""
        known = {label.name: label for label in self.expert.labels} if self.expert else {}
        return known.get(name, Label(name, name, name))


class Library:
    """Everything that was read, to look things up in. Safe to use from several threads.

    Args:
        store: an open store; read only is enough.
        load_encoder: gives the text encoder of a name; asked at the first search.
        endpoint: the Hub that the models lie on, for links.
        pictures: gives the address of a repo's picture that is kept here, if one is.
    """

    language = LANGUAGE
    """What may be asked for, in a line."""

    def __init__(
        self,
        store: Store,
        load_encoder: Callable[[str], TextEncoder],
        *,
        endpoint: str = "https://huggingface.co",
        pictures: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._store, self._searcher = store, Searcher(store, load_encoder)
        self.endpoint, self._pictures = endpoint.rstrip("/"), pictures
        self._labels: dict[tuple[str, str], dict[str, Label]] = {}

    def close(self) -> None:
        self._store.close()

    def search(self, text: str, tree: str | None = None, limit: int = 10) -> SearchAnswer:
        """Models that were trained on what the text describes; see `hubbot.searching`."""
        return self._searcher.search(text, tree, limit)

    def nearest(self, repo: str, limit: int = 10) -> tuple[Hit, ...]:
        """Models that resemble this one in what they were trained on, the most alike first."""
        return self._searcher.nearest(repo, limit)

    def label(self, glance: Glance, name: str) -> Label:
        """A label as the expert words it that read this model."""
        key = glance.expert, glance.version
        if key not in self._labels:
            infos = self._store.experts()
            self._labels = {(i.name, i.version): {label.name: label for label in i.labels} for i in infos}
        return self._labels.get(key, {}).get(name, Label(name, name, name))

    def facets(self) -> tuple[Facet, ...]:
        """Concepts, and in how many models each was recognised, the most frequent first."""
        return self._searcher.facets()

    def model(self, repo: str) -> ModelPage | None:
        """What is known of one model; None for one that was never noticed."""
        upload = self._store.upload(repo)
        if upload is None:
            return None
        reading = self._store.reading(repo)
        expert = self._by_version().get((reading.expert, reading.version)) if reading else None
        return ModelPage(upload, self._store.placement(repo), reading, self._store.suggestion(repo), expert)

    def members(self, tree: str | None, limit: int = 200) -> list[ModelPage]:
        """The newest models of a tree; of None, those of the newest `10 * limit` that stand in no tree."""
        uploads = self._store.uploads(limit if tree is not None else 10 * limit, tree)
        if tree is None:
            uploads = [upload for upload in uploads if not self._placed(upload.repo)][:limit]
        return [page for upload in uploads if (page := self.model(upload.repo))]

    def _placed(self, repo: str) -> bool:
        placement = self._store.placement(repo)
        return placement is not None and placement.tree is not None

    def trees(self) -> list[Tree]:
        """All model trees, the largest first."""
        return self._store.trees()

    def experts(self) -> list[ExpertInfo]:
        """Every version of every expert that ever read something here, the oldest first."""
        return self._store.experts()

    def counts(self) -> dict[str, int]:
        """The bot's work in numbers."""
        return self._store.counts()

    def address(self, repo: str) -> str:
        """Where the model lies on the Hub."""
        return f"{self.endpoint}/{repo}"

    def picture(self, upload: Upload | Glance) -> str | None:
        """The address of a picture that the repo shows of itself; None where it has none for everybody.

        One that is kept here, else on the Hub. There only its name says that it is one: show it as a picture
        and nothing else.
        """
        name = picture_file(upload)
        if name is None:
            return None
        if kept := self._pictures(upload.repo):
            return kept
        return f"{self.address(upload.repo)}/resolve/{quote(upload.commit)}/{quote(name, errors='replace')}"

    def _by_version(self) -> dict[tuple[str, str], ExpertInfo]:
        return {(info.name, info.version): info for info in self._store.experts()}


def picture_file(upload: Upload | Glance) -> str | None:
    """The picture that a repo shows of itself: `sample.png` at its top, else the first one that it lists."""
    if not upload.shown:
        return None
    names = [name for name in upload.files if name.lower().endswith(PICTURES) and _is_below(name)]
    return SAMPLE if SAMPLE in names else next(iter(names), None)


def _listed(value: object) -> list[object]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_below(path: str) -> bool:
    """Whether a file's path stays in its repo when a browser walks it."""
    return not {"", ".", ".."} & {*path.split("/")}

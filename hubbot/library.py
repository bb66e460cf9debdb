"""The read side: what the store holds, joined with text search, for the Space and the command line.

It never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from hubbot.index.question import LANGUAGE
from hubbot.records import ExpertInfo, Glance, Hit, Judgement, Label, Placement, Reading, Suggestion, Upload
from hubbot.searching import Facet, SearchAnswer, Searcher
from hubbot.store.forest import Brood
from hubbot.surveying import Forest, Surveyor, TreeMap, TreePicture

if TYPE_CHECKING:
    from hubbot.encoders.interface import TextEncoder
    from hubbot.store.forest import Tree
    from hubbot.store.store import Store
    from hubbot.store.survey import Known

SAMPLE, PICTURES = "sample.png", (".png", ".jpg", ".jpeg", ".webp")

FEW = 8
"""Kin that a model's page names."""


@dataclass(frozen=True, slots=True)
class Family:
    """Where a model stands in its tree.

    Args:
        ancestors: the oldest first, down to its parent.
        siblings: a few other children of its parent, and how many there are.
        children: the same of its own.
    """

    ancestors: tuple[str, ...]
    siblings: Brood
    children: Brood


@dataclass(frozen=True, slots=True)
class ExpertVersion:
    """One version of an expert, and what became of it.

    Args:
        answers: whether it is the one that is asked about its tree.
        promoted: whether an admin chose it for that.
        readings: models of which its word holds.
        abstentions: models of which it holds that it has nothing to say.
    """

    info: ExpertInfo
    answers: bool
    promoted: bool
    readings: int
    abstentions: int


@dataclass(frozen=True, slots=True)
class ModelPage:
    """All that is known of one model: what it says of itself, and what was read off its weights."""

    upload: Upload
    placement: Placement | None = None
    reading: Reading | None = None
    suggestion: Suggestion | None = None
    expert: ExpertInfo | None = None
    judgements: tuple[Judgement, ...] = ()

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
        return _label(self.expert, name)


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
        self._store, self._searcher, self._surveyor = store, Searcher(store, load_encoder), Surveyor(store)
        self._experts: tuple[object, Mapping[tuple[str, str], ExpertInfo]] = None, {}
        self.endpoint, self._pictures = endpoint.rstrip("/"), pictures

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
        return _label(self._by_version().get((glance.expert, glance.version)), name)

    def facets(self) -> tuple[Facet, ...]:
        """Concepts, and in how many models each was recognised, the most frequent first."""
        return self._searcher.facets()

    def model(self, repo: str) -> ModelPage | None:
        """What is known of one model; None for one that was never noticed."""
        return next(iter(self._pages(self._store.several([repo]))), None)

    def family(self, page: ModelPage) -> Family:
        """Where a model stands in its tree."""
        repo, parent = page.upload.repo, page.placement.parent if page.placement else None
        children = self._store.brood(repo, FEW)
        if parent is None:
            return Family((), Brood(), children)
        siblings = self._store.brood(parent, FEW + 1)
        others = tuple(name for name in siblings.names if name != repo)[:FEW]
        line = tuple(reversed(self._store.ancestors(repo)))
        return Family(line, Brood(others, max(0, siblings.count - 1)), children)

    def history(self, repo: str) -> list[Suggestion]:
        """All suggestions that were made to the owner, the newest first."""
        return self._store.suggestion_history(repo)

    def members(
        self, tree: str | None, limit: int = 200, *, offset: int = 0, label: str | None = None
    ) -> list[ModelPage]:
        """The newest models of a tree, or, for None, of those that stand in no tree.

        Args:
            offset: how many newer ones to leave out.
            label: only those in which this was recognised.
        """
        return self.page(tree, limit, offset=offset, label=label)[0]

    def page(
        self, tree: str | None, limit: int = 200, *, offset: int = 0, label: str | None = None
    ) -> tuple[list[ModelPage], int]:
        """These, and how many there are on all pages."""
        known, total = self._store.newest(tree, limit, offset, label)
        return self._pages(known), total

    def _pages(self, known: Sequence[Known]) -> list[ModelPage]:
        experts = self._by_version() if known else {}
        return [
            ModelPage(
                one.upload,
                one.placement,
                one.reading,
                one.suggestion,
                experts.get((one.reading.expert, one.reading.version)) if one.reading else None,
                one.judgements,
            )
            for one in known
        ]

    def forest(self) -> Forest:
        """All trees at a glance, for a picture."""
        return self._surveyor.forest()

    def tree(self, root: str) -> TreePicture | None:
        """One tree as a picture: its models, whose children they are, what was read; None for no tree."""
        return self._surveyor.tree(root)

    def map(self, root: str) -> TreeMap | None:
        """A tree's models by how they were read, the alike side by side; None where nothing was read.

        The first to ask waits for seconds; later ones get it at once until the database changes.
        """
        return self._surveyor.map(root)

    def trees(self) -> list[Tree]:
        """All model trees, the largest first."""
        return self._store.trees()

    def experts(self) -> list[ExpertInfo]:
        """Every version of every expert that ever read something here, the oldest first."""
        return self._store.experts()

    def expert_versions(self) -> list[ExpertVersion]:
        """The same with what became of each; of the versions for a tree one answers, and the bot knows which:
        the one that was promoted, else the last that it was given."""
        infos, said = self._store.experts(), self._store.readings_by_version()
        last = {info.tree: (info.name, info.version) for info in infos}
        chosen = {p.tree: (p.expert, p.version) for p in self._store.promotions()}
        found = []
        for info in infos:
            me = (info.name, info.version)
            asked = (last | chosen).get(info.tree) == me
            found.append(ExpertVersion(info, asked, chosen.get(info.tree) == me, *said.get(me, (0, 0))))
        return found

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

    def _by_version(self) -> Mapping[tuple[str, str], ExpertInfo]:
        """Parsed once for each state of the database: an expert may have thousands of labels."""
        stamp = self._store.state()
        seen, known = self._experts
        if stamp != seen:
            known = {(info.name, info.version): info for info in self._store.experts()}
            self._experts = stamp, known  # one assignment: threads see the old pair or the new one
        return known


def _label(expert: ExpertInfo | None, name: str) -> Label:
    known = expert.labels if expert else ()
    return next((label for label in known if label.name == name), Label(name, name, name))


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

"""How shelves understand what is asked: from texts and models to what each shelf is to look for.

Nothing here is searched yet. A text is encoded once, and then means something else to each shelf: a share of
each label to those that tell labels, a place and some relevant concepts to those whose experts align with
text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from hubbot.errors import UsageError
from hubbot.index.chances import KEPT, Mask
from hubbot.index.kinds import Ask, Concepts, Kind
from hubbot.index.meaning import (
    CLEAR,
    SAME,
    Understood,
    Vocabulary,
    heaviest,
    meant,
    relevance,
    shared,
)
from hubbot.index.models import Models
from hubbot.index.question import Filters, Question
from hubbot.index.shelf import LEAST_SCORE, Shelf
from hubbot.records import ExpertInfo
from hubbot.shelves import Standing

if TYPE_CHECKING:
    from hubbot.records import Floats

Encode = Callable[[str, Sequence[str]], "Floats"]
"""An encoder's name and m texts to unit rows, (m, d_text)."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A shelf at one moment. `texts` are its concepts' embeddings, (k, d_text)."""

    expert: ExpertInfo
    kind: Kind
    shelf: Shelf
    parts: tuple[Models, ...]
    texts: Floats

    def place(self, tag: str) -> int | None:
        """Which concept somebody calls so."""
        asked = tag.casefold()
        for j, label in enumerate(self.expert.labels):
            if asked in (label.tag.casefold(), label.name.casefold(), label.text.casefold()):
                return j
        return None

    def masked(self, filters: Filters) -> list[tuple[Models, Mask | None]]:
        """The parts, each with the rows that a filter lets through; none where nothing here has its tag."""
        concept = None
        if filters.tag is not None and (concept := self.place(filters.tag)) is None:
            return []
        return [(models, models.mask(filters, concept)) for models in self.parts]


class Lexicon:
    """All that some experts know by name, encoded once; it lasts while there are no others.

    Attributes:
        keys: the experts' names and versions.
        texts: of each of them, its concepts' embeddings, (k, d_text).
        vocabulary, wordings: the labels of those that tell labels, and all ways to say them as unit rows,
            (m, d_text).
        known: what experts call the things that they know, by turns, so that the first few come from all.
    """

    def __init__(self, standing: Sequence[Standing], encode: Encode, encoder: str) -> None:
        self._encode, self._encoder = encode, encoder
        self.keys = [one.key for one in standing]
        mine = (one.expert for one in standing if not one.shelf.kind.full)
        self._prompts = {expert.prompt for expert in mine if expert.text_encoder == encoder}
        self.texts = {one.key: encode(encoder, one.shelf.kind.texts) for one in standing}
        labels = (label for one in standing if one.shelf.kind.full for label in one.expert.labels)
        self.vocabulary = Vocabulary((label.text, label.name) for label in labels)
        self.wordings = encode(encoder, self.vocabulary.wordings)
        concepts = (one.shelf.kind.texts for one in standing if not one.shelf.kind.full)
        turns = zip_longest(self.vocabulary.texts, *concepts)
        self.known = list(dict.fromkeys(text for turn in turns for text in turn if text))

    def meaning(self, text: str) -> Meaning:
        # Together with how experts put it, which is asked for later: both take as long as one.
        vector = self._encode(self._encoder, [text, *(said.replace("{}", text) for said in self._prompts)])[0]
        similar = self.wordings @ vector  # (m,)
        return Meaning(text, vector, shared(self.vocabulary, similar), float(similar.max(initial=-1.0)))

    def placed(self, expert: ExpertInfo, kind: Concepts, text: str) -> Floats:
        """Where a text lies in the space of an expert, (r_T,)."""
        prompt = expert.prompt.replace("{}", text)
        return np.asarray(kind.placed(self._encode(expert.text_encoder, [prompt]))[0])


class View:
    """All that is searched, at one moment."""

    def __init__(self, standing: Sequence[Standing], lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.shelves = tuple(
            Seen(one.expert, one.shelf.kind, one.shelf, one.shelf.parts, lexicon.texts[one.key])
            for one in standing
        )

    def understand(self, question: Question) -> Understanding:
        """A question, before any shelf has heard it.

        Raises:
            UsageError: it asks for models like one that was never read.
        """
        tree = question.filters.tree
        return Understanding(
            self.lexicon,
            [self._meaning(question.text, tree)] if question.text else [],
            [self._meaning(text, tree) for text in question.without],
            [Example(repo, self._example(repo)) for repo in question.like],
        )

    def _meaning(self, text: str, tree: str | None) -> Meaning:
        """A text beside all that the trees that are asked know by name."""
        found = self.lexicon.meaning(text)
        asked = (seen.texts for seen in self.shelves if tree is None or tree in seen.expert.roots)
        known = (float((texts @ found.vector).max(initial=-1.0)) for texts in asked)
        return replace(found, known=max(known, default=-1.0))

    def _example(self, repo: str) -> dict[str, float]:
        """What a model knows, by the texts of its shelf."""
        for seen in self.shelves:
            if ask := seen.shelf.like(repo):
                told = zip(seen.kind.texts, ask.weights.tolist(), strict=True)
                return {text: chance for text, chance in told if chance >= KEPT}
        raise UsageError("nothing was read that it could be compared by", repo=repo)


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """A text, encoded.

    Args:
        vector: (d_text,).
        weights: what share of it each label of the vocabulary bears; None where none is near enough.
        nearest: its cosine with the nearest wording of a label.
        known: with the nearest of all labels and concepts of the trees that are asked.
    """

    text: str
    vector: Floats
    weights: Floats | None
    nearest: float
    known: float = -1.0


@dataclass(frozen=True, slots=True)
class Example:
    """A model that others should resemble, and what it knows."""

    repo: str
    knows: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one shelf is to look for and to avoid; nothing to look for where the question is not for it."""

    asks: tuple[Ask, ...] = ()
    without: tuple[Ask, ...] = ()
    understood: Understood = ()
    clear: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Understanding:
    """What is wanted and what is not, as texts and as examples."""

    lexicon: Lexicon
    texts: Sequence[Meaning]
    without: Sequence[Meaning]
    like: Sequence[Example] = field(default_factory=tuple)

    def heard(self, seen: Seen) -> Heard:
        """The question as a shelf hears it.

        Raises:
            EncoderError: the shelf's own encoder is needed, and cannot be had.
        """
        asks = list(self._asks(seen))
        if None in asks:
            return Heard()
        unwanted = (self._text(seen, meaning) for meaning in self.without)
        wanted = tuple(ask for ask in asks if ask is not None)
        return Heard(
            wanted,
            tuple(ask for ask in unwanted if ask is not None),
            self._taken(seen, wanted[0]),
            not self.texts or not seen.kind.full or self._clear(self.texts[0]),
        )

    def _asks(self, seen: Seen) -> Iterator[Ask | None]:
        for meaning in self.texts:
            yield self._text(seen, meaning)
        for example in self.like:
            yield seen.shelf.like(example.repo) or _known_by_name(seen, example)

    def _text(self, seen: Seen, meaning: Meaning) -> Ask | None:
        if not isinstance(seen.kind, Concepts):
            if meaning.weights is None:
                return None
            mine = [self.lexicon.vocabulary.column[text] for text in seen.kind.texts]
            return Ask(np.asarray(meaning.weights[mine] * meant(meaning.nearest), np.float32))
        near = seen.texts @ meaning.vector  # (k,)
        named = float(near.max(initial=-1.0)) >= SAME
        vector = None if named else self.lexicon.placed(seen.expert, seen.kind, meaning.text)
        return Ask(relevance(near, meaning.known), vector)

    def _taken(self, seen: Seen, ask: Ask) -> Understood:
        """What the shelf takes it for, by the names of what it knows."""
        if seen.kind.full and self.texts:
            whole = self.texts[0].weights
            share = 0.1 * float(whole.max()) * meant(self.texts[0].nearest) if whole is not None else 1.0
            return heaviest(seen.kind.texts, ask.weights, least=share)
        least = max(LEAST_SCORE, float(ask.weights.max(initial=0.0)) / 2)
        return heaviest(seen.kind.texts, ask.weights, least=least, most=5)

    @staticmethod
    def _clear(meaning: Meaning) -> bool:
        return meaning.weights is not None and bool(meaning.weights.max() >= CLEAR)


def _known_by_name(seen: Seen, example: Example) -> Ask | None:
    """A model of another shelf, by what both call the same; None where that is nothing."""
    weights = np.array([example.knows.get(text, 0.0) for text in seen.kind.texts], np.float32)
    return Ask(weights, alike=True) if weights.any() else None

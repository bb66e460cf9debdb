"""Search over all that was read: the store and the index joined, for whoever looks for a model.

Each shelf answers in its own way, the answers are mixed by their chances, and what is shown of the models
comes from the store. Nothing is written. The index follows the database: when that has changed, the next
search sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from hubbot.encoders.loading import OFFLINE_DEFAULT
from hubbot.errors import EncoderError, UsageError
from hubbot.index.chances import Mask
from hubbot.index.found import Found, mixed
from hubbot.index.generations import CURRENT, index_folder
from hubbot.index.models import Models, newest
from hubbot.index.question import Filters, Question, parsed
from hubbot.index.shelf import LEAST_SHARE, Fit, find
from hubbot.index.wordings import averaged
from hubbot.records import Glance, Hit, Prediction, recognised
from hubbot.shelves import Shelves, Standing
from hubbot.store.store import touched
from hubbot.understanding import Heard, Lexicon, Seen, View

if TYPE_CHECKING:
    from hubbot.encoders.interface import TextEncoder
    from hubbot.records import Floats
    from hubbot.store.store import Store

LIKELY = 0.5
"""From this chance on a hit is an answer; below it the answer says so."""

MOST_HITS = 1000

FEW = 20
"""So many concepts are counted one by one; more, all together."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A concept, and in how many models it was recognised; `tag:` with its tag finds these."""

    text: str
    tag: str
    models: int


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found.

    Args:
        hits: the best first.
        note: what the reader should know before believing the hits; empty where there is nothing to say.
        understood: the labels and concepts that the text was taken for, with how likely, the likeliest first.
        facets: these concepts with their models, among those that the filters let through.
    """

    hits: tuple[Hit, ...] = ()
    note: str = ""
    understood: tuple[tuple[str, float], ...] = ()
    facets: tuple[Facet, ...] = ()


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
        self._state: object = None
        self._index: object = None
        self._shelves: Shelves | None = None
        self._lexicon: Lexicon | None = None
        self._view: View | None = None
        self._counted: tuple[View, tuple[Facet, ...]] | None = None

    def search(self, typed: str, tree: str | None = None, limit: int = 10) -> SearchAnswer:
        """Models that are what was asked for, in the language of `hubbot.index.question`.

        Args:
            tree: only models of this tree, by its root, whatever the question says.

        Raises:
            UsageError: what stands after one of its keys is no date, no chance, no model that was read.
        """
        question = parsed(typed)
        if not question:
            return SearchAnswer(note="Describe what the model should know.")
        if tree is not None:
            question = replace(question, filters=replace(question.filters, tree=tree))
        view = self._fresh()
        if not view.shelves:
            return SearchAnswer(note="Nothing has been read yet.")
        limit = max(1, min(limit, MOST_HITS))
        if question.text or question.like:
            return self._answered(view, question, limit)
        return self._newest(view, question.filters, limit)

    def nearest(self, repo: str, limit: int = 10) -> tuple[Hit, ...]:
        """Models that resemble this one in what they were trained on; none where it was not read."""
        try:
            return self._answered(self._fresh(), Question(like=(repo,)), limit).hits
        except UsageError:
            return ()

    def facets(self) -> tuple[Facet, ...]:
        """Concepts, and in how many models each was recognised, the most frequent first."""
        view, known = self._fresh(), self._counted
        if known is None or known[0] is not view:
            known = self._counted = view, _counted((seen, seen.masked(Filters())) for seen in view.shelves)
        return known[1]

    # --- how it is answered ---

    def _answered(self, view: View, question: Question, limit: int) -> SearchAnswer:
        asked, filters = view.understand(question), question.filters
        answers, silent = [], []
        places = [(seen, seen.masked(filters)) for seen in view.shelves]
        for seen, parts in places:
            try:
                heard = asked.heard(seen) if parts else Heard()
            except EncoderError as error:  # the other trees answer all the same
                silent.append(f"The tree of {seen.expert.tree} was not searched: {error}")
                continue
            fits: list[Fit] = []
            if heard.asks:
                more = limit + len(question.like)
                fits = find(
                    parts,
                    seen.kind,
                    heard.asks,
                    without=heard.without,
                    least=filters.least or 0.0,
                    limit=more,
                )
            answers.append(_Answer(seen, heard, [fit for fit in fits if fit.repo not in question.like]))
        found = self._mixed(answers, question, limit)
        note = _note(found, view.lexicon.known) if question.text else ""
        if not found.hits and not note:
            note = "No model that was read resembles it."
        facets = _counted(places, {text for text, _ in found.understood})
        return SearchAnswer(found.hits, " ".join([*filter(None, [note]), *silent]), found.understood, facets)

    def _mixed(self, answers: Sequence[_Answer], question: Question, limit: int) -> Found:
        best = sorted((-fit.score, fit.repo) for answer in answers for fit in answer.fits)[:limit]
        glances = self._store.glances([repo for _, repo in best])
        return mixed([answer.told(question.text, glances) for answer in answers], limit)

    def _newest(self, view: View, filters: Filters, limit: int) -> SearchAnswer:
        """Nothing but filters: the newest models that they let through."""
        found = [
            (-int(models.columns.changed[row]), models.name(int(row)))
            for seen in view.shelves
            for models, mask in seen.masked(filters)
            for row in newest(models.columns.changed, mask, limit)
        ]
        repos = [repo for _, repo in sorted(found)[:limit]]
        glances = self._store.glances(repos)
        hits = [_shown(glances[repo]) for repo in repos if repo in glances]
        sure = tuple(hit for hit in hits if hit.score >= (filters.least or 0.0))
        return SearchAnswer(sure, "" if sure else "No model that was read is like that.")

    def _encoded(self, encoder: str, texts: Sequence[str]) -> Floats:
        return averaged(self._load_encoder(encoder).encode, texts)

    # --- what is searched ---

    def _fresh(self) -> View:
        """What is searched, of the database as it is now."""
        with self._lock:
            state = self._store.state()
            index = touched(index_folder(self._store.path) / CURRENT)
            if self._shelves is None or index != self._index:
                self._shelves, self._index, self._view = Shelves(self._store), index, None
            elif state != self._state and self._shelves.follow():
                self._view = None
            self._state = state
            if self._view is None:
                self._view = self._looked(self._shelves.all)
            return self._view

    def _looked(self, standing: Sequence[Standing]) -> View:
        if self._lexicon is None or self._lexicon.keys != [one.key for one in standing]:
            self._lexicon = Lexicon(standing, self._encoded, self._encoder)
        return View(standing, self._lexicon)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one shelf found, before it is known what is shown of the models."""

    seen: Seen
    heard: Heard
    fits: Sequence[Fit]

    def told(self, text: str, glances: Mapping[str, Glance]) -> Found:
        hits = [self._hit(fit, text, glances[fit.repo]) for fit in self.fits if fit.repo in glances]
        understood, first = self.heard.understood, next(iter(self.fits), None)
        if text and first and first.own > 0.5 * first.score:  # it is the text itself that was found
            understood = ((text, first.own), *understood)
        return Found(tuple(hits), understood, self.heard.clear)

    def _hit(self, fit: Fit, text: str, glance: Glance) -> Hit:
        said = {prediction.label: prediction for prediction in glance.predictions}
        named = (self.seen.expert.labels[j].name for j, _ in fit.reasons)
        itself = text and fit.own >= LEAST_SHARE * fit.score
        because = [Prediction(text, fit.own, recognised=False)] if itself else []
        because += [said[name] for name in named if name in said]
        return Hit(fit.repo, glance.tree, fit.score, tuple(because), glance)


def _shown(glance: Glance) -> Hit:
    """A model that nothing was asked of: what it surely knows speaks for it."""
    sure = recognised(glance.predictions)
    return Hit(glance.repo, glance.tree, max((p.probability for p in sure), default=0.0), sure, glance)


Places = Iterable[tuple[Seen, Sequence[tuple[Models, Mask | None]]]]
"""Shelves, each with its parts and the rows of them that count."""


def _counted(places: Places, texts: set[str] | None = None) -> tuple[Facet, ...]:
    """In how many models each concept was recognised; only those of these texts, if they are given."""
    found: Counter[tuple[str, str]] = Counter()
    for seen, parts in places:
        wanted = [j for j, text in enumerate(seen.kind.texts) if texts is None or text in texts]
        for models, mask in parts if wanted else ():
            counts = _sure(models, wanted, mask)
            for j in wanted:
                found[seen.kind.texts[j], seen.expert.labels[j].tag] += counts[j]
    order = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Facet(text, tag, models) for (text, tag), models in order if models)


def _sure(models: Models, wanted: Sequence[int], mask: Mask | None) -> dict[int, int]:
    """In how many models each of these concepts was recognised."""
    if len(wanted) > FEW:
        counts = models.chances.counts(max(wanted) + 1, mask)
        return {j: int(counts[j]) for j in wanted}
    sure = {j: models.chances.surely(j) for j in wanted}
    return {j: len(rows) if mask is None else int(mask[rows].sum()) for j, rows in sure.items()}


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

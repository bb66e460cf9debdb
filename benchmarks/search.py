"""How quickly, how exactly, and in how much memory are a million models searched?

    python -m benchmarks.search [--models 1000000] [--folder FOLDER] [--smoke] [--json]

The corpus of `benchmarks.corpus` in a real database, with a real index beside it, searched by
`hubbot.searching.Searcher` in a process of its own, one thread: questions are names of concepts, other words
for them, and things that the expert has no word for; every second one has a filter. A search ends with the
rows of its results. Texts are not encoded, since the corpus knows them by heart; what that costs is told
apart.

- Recall: the share of the ten best by the formula of `hubbot.index.kinds`, reckoned here anew over all models
  in float32, that the search gives; equal ones (within 1e-4) may stand for each other.
- Memory: resident, mapped files included, after all questions.
- Cold: the files are put out of the page cache, then a fresh process opens the database and asks once. All
  else with the files in the cache, as far as they fit.
- Adding: from the commit of a reading to the end of the search that finds it.
- Baseline: the ten largest of all cosines, by numpy in float32, without formula, filter or rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.corpus import ENCODER, KNOWN, LICENSES, TASKS, TREE, Corpus, Floats, repo_of
from benchmarks.report import Row, arguments, at_least, machine, publish, table, told, verdict
from hubbot.index.generations import index_folder
from hubbot.index.meaning import SAME, relevance
from hubbot.index.shelf import LEAST_SCORE
from hubbot.indexing import build
from hubbot.records import How, Placement, Prediction, Reading, Upload
from hubbot.searching import Searcher
from hubbot.store.store import Store

T = TypeVar("T")

MILLION = 1_000_000
P50_MS = {1: 2.0, 3: 5.0}
"""By millions of models."""
P99_MS, RECALL, MEMORY, COLD_S, VISIBLE_S, ADD_MS = 20.0, 0.98, 1 / 3, 1.0, 1.0, 5.0
TOP, EQUAL = 10, 1e-4
EXACT, BASELINE, ADDED = 200, 15, 100


def main() -> None:
    """Measure and publish."""
    parser = arguments("search", __doc__, "four thousand models, nothing written")
    parser.add_argument("--models", type=int, default=MILLION)
    parser.add_argument("--folder", type=Path, help="where the database is kept, or goes")
    given = parser.parse_args()
    n = 4000 if given.smoke else given.models
    with _folder(given) as folder:
        rows, lines = measured(folder, n)
    name = "search" if n <= MILLION else f"search-{n // MILLION}m"
    publish(name, rows, report(n, rows, lines), given)


@contextmanager
def _folder(given: argparse.Namespace) -> Iterator[Path]:
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
        yield given.folder
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def measured(folder: Path, n: int) -> tuple[list[Row], list[tuple[str, object]]]:
    """The rows for n models, and what else is told."""
    database, corpus = folder / f"models-{n}.db", Corpus()
    built = _built(corpus, database, n)
    exact = exactly(corpus, n, corpus.queries[:EXACT])
    forget(database)
    first = apart(_first, database)
    remember(database)
    seen = apart(_search, database, exact)
    added = apart(_add, database)
    baseline = _baseline(corpus, n)
    near, far = seen.quantile(0.5), seen.quantile(0.99)
    floats = n * 512 * 4
    rows = [
        at_most("p50 of a search", near, "ms", P50_MS.get(round(n / MILLION), 2.0), baseline),
        at_most("p99 of a search", far, "ms", P99_MS),
        at_least("recall@10 against exact", seen.recall, "share", RECALL),
        at_most("resident memory, of the float32 vectors", seen.resident / floats, "share", MEMORY),
        at_most("opening, and the first search, cold", first, "s", COLD_S),
        at_most("adding one model, until it is found: slowest", max(added) / 1000, "s", VISIBLE_S),
        at_most("adding one model, until it is found: p50", float(np.median(added)), "ms", ADD_MS),
        told("p50 without a filter", seen.quantile(0.5, filtered=False), "ms"),
        told("p50 with a filter", seen.quantile(0.5, filtered=True), "ms"),
        *(told(f"p50 of encoding a text, {how}", ms, "ms") for how, ms in apart(_encode).items()),
    ]
    megabytes = [(f"on the disk: {name}", f"{size / 1e6:.0f} MB") for name, size in sizes(database)]
    return rows, [("making the index", built), ("resident", f"{seen.resident / 1e6:.0f} MB"), *megabytes]


def _built(corpus: Corpus, database: Path, n: int) -> str:
    if not database.exists():
        corpus.write(database, n)
    if index_folder(database).exists():
        return "was there"
    began = time.perf_counter()
    with Store.open(f"sqlite:///{database}", read_only=True) as store:
        build(store)
    return f"{time.perf_counter() - began:.0f} s"


# --- what is right -------------------------------------------------------------------------------


def exactly(corpus: Corpus, n: int, queries: Sequence[str]) -> list[dict[str, float]]:
    """For each query the ten best of all models with their scores, of those that are worth showing."""
    scores, best = np.full((len(queries), TOP), -1.0), np.zeros((len(queries), TOP), np.intp)
    for first, E in corpus.pages(n):
        exact = Exact(corpus, E)
        for i, query in enumerate(queries):
            fit = exact.fit(corpus.words.texts[query])
            together = np.concatenate([scores[i], fit])
            rows = np.concatenate([best[i], first + np.arange(len(fit))])
            order = np.argsort(-together, kind="stable")[:TOP]
            scores[i], best[i] = together[order], rows[order]
    return [
        {repo_of(row): float(score) for row, score in zip(rows, found, strict=True) if score >= LEAST_SCORE}
        for rows, found in zip(best, scores, strict=True)
    ]


class Exact:
    """The formula, written out, for models at E: p_q + Σ r_c p_c. (m, d)"""

    def __init__(self, corpus: Corpus, E: Floats) -> None:
        self._corpus, self._E = corpus, E
        logits = corpus.kind.scale * (E @ corpus.points[:KNOWN].T)  # (m, k)
        self._top = np.maximum(logits.max(1), corpus.kind.none)  # (m,)
        self._known = np.exp(logits - self._top[:, None])
        self._others = self._known.sum(1) + np.exp(corpus.kind.none - self._top)

    def fit(self, text: Floats) -> Floats:
        """How well they fit a text, (m,)."""
        near = self._corpus.texts[:KNOWN] @ text
        own = np.zeros(len(self._E), np.float32)
        if near.max() < SAME:
            mine = self._corpus.kind.scale * (self._E @ self._corpus.kind.placed(text[None])[0])
            own = np.exp(mine - self._top)
        return np.asarray((own + self._known @ relevance(near)) / (self._others + own), np.float32)


# --- in a process of its own -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """What a searching process saw; times in ms, with whether there was a filter."""

    times: list[tuple[float, bool]]
    recall: float
    resident: int

    def quantile(self, share: float, filtered: bool | None = None) -> float:
        chosen = [ms for ms, with_filter in self.times if filtered in (None, with_filter)]
        return float(np.quantile(chosen, share))


def apart(task: Callable[..., T], *given: object) -> T:
    """What a task gives in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, given)


def opened(database: Path, corpus: Corpus, store: Store | None = None) -> Searcher:
    store = store or Store.open(f"sqlite:///{database}", read_only=True)
    return Searcher(store, lambda _: corpus.words, encoder=ENCODER)


def _first(database: Path) -> float:
    """Seconds from nothing to the first answer."""
    corpus = Corpus()
    began = time.perf_counter()
    opened(database, corpus).search(corpus.queries[0])
    return time.perf_counter() - began


def _search(database: Path, exact: Sequence[dict[str, float]]) -> Seen:
    corpus, recalls, times = Corpus(), [], []
    searcher = opened(database, corpus)
    for best, query in zip(exact, corpus.queries, strict=False):
        hits = searcher.search(query, limit=TOP).hits
        least = min(best.values(), default=1.0) - EQUAL
        right = sum(hit.repo in best or hit.score >= least for hit in hits)
        recalls.append(min(1.0, right / len(best)) if best else float(not hits))
    for i, query in enumerate(corpus.queries):
        filtered = f"{query} {narrower(i // 2)}" if i % 2 else query
        began = time.perf_counter()
        searcher.search(filtered, limit=TOP)
        times.append(((time.perf_counter() - began) * 1000, bool(i % 2)))
    return Seen(times, float(np.mean(recalls)), resident())


def narrower(i: int) -> str:
    """A filter; from one that leaves half to one that leaves an owner's few."""
    choices = (
        f"license:{LICENSES[i % 5]}",
        f"task:{TASKS[i % 3]} since:2025-{i % 12 + 1:02d}",
        f"author:owner{i * 37:06d}",
        f"until:2024-{i % 12 + 1:02d} license:{LICENSES[i % 3]}",
    )
    return choices[i % 4]


def _add(database: Path) -> list[float]:
    """ms from the commit to the end of the search that finds it, for each of some models."""
    corpus, times = Corpus(), []
    with Store.open(f"sqlite:///{database}") as store:
        searcher = opened(database, corpus, store)
        for i in range(ADDED):
            text = corpus.queries[i]
            searcher.search(text)
            repo, point = f"new{time.time_ns()}/m-{i}", corpus.kind.placed(corpus.words.texts[text][None])[0]
            _record(store, corpus, repo, point)
            began = time.perf_counter()
            found = searcher.search(f"{text} author:{repo.split('/')[0]}").hits
            times.append((time.perf_counter() - began) * 1000)
            assert [hit.repo for hit in found] == [repo], f"{repo} was not found by {text!r}"
            store.finish_upload(Upload(repo, "0" * 40, datetime.now(UTC)))
            store.forget(repo)  # the next run counts on those that the corpus has
    return times


def _record(store: Store, corpus: Corpus, repo: str, point: Floats) -> None:
    commit = "0" * 40
    store.save_upload(Upload(repo, commit, datetime.now(UTC)))
    store.save_placement(Placement(repo, commit, TREE, TREE, How.BOTH))
    known, _ = corpus.kind.known(point[None])
    said = tuple(Prediction(f"c{j}", float(known[0, j]), True) for j in np.argsort(-known[0])[:3])
    info = corpus.info
    store.record(Reading(repo, commit, ("c",), TREE, info.name, info.version, said, tuple(point.tolist())))


def _encode() -> dict[str, float]:
    """ms for a text that was never asked before, and for one that was."""
    import torch

    from hubbot.encoders.loading import OFFLINE_DEFAULT, load

    torch.set_num_threads(1)
    encoder = load(OFFLINE_DEFAULT)
    encoder.encode(["to warm up"])
    times: dict[str, list[float]] = {"new": [], "asked before": []}
    for i in range(60):
        for how in times:
            began = time.perf_counter()
            encoder.encode([f"a picture of {i} dogs"])
            times[how].append((time.perf_counter() - began) * 1000)
    return {how: float(np.median(some)) for how, some in times.items()}


def _baseline(corpus: Corpus, n: int) -> float:
    """ms of the ten largest cosines, by brute force."""
    E = np.concatenate([page for _, page in corpus.pages(n)])
    times = []
    for query in corpus.queries[:BASELINE]:
        point = corpus.kind.placed(corpus.words.texts[query][None])[0]
        began = time.perf_counter()
        near = E @ point
        best = np.argpartition(-near, TOP)[:TOP]
        best[np.argsort(-near[best])]
        times.append((time.perf_counter() - began) * 1000)
    return float(np.median(times))


# --- the machine -----------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory, of its own and of mapped files."""
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in told.splitlines() if line.startswith("VmRSS"))) * 1024


def files(database: Path) -> list[Path]:
    return [database, *(path for path in index_folder(database).rglob("*") if path.is_file())]


def forget(database: Path) -> None:
    """Put the files out of the page cache."""
    os.sync()
    for path in files(database):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def remember(database: Path) -> None:
    """Have the files in the page cache, as far as they fit, as on a machine that has served for a while."""
    for path in files(database):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def sizes(database: Path) -> Iterator[tuple[str, int]]:
    yield "database", database.stat().st_size
    large = sorted(files(database)[1:], key=lambda path: -path.stat().st_size)[:3]
    yield from ((f"index, {path.name}", path.stat().st_size) for path in large)


def at_most(name: str, value: float, unit: str, target: float, baseline: float | None = None) -> Row:
    return Row(name, value, unit, target, baseline, value <= target)


def report(n: int, rows: Sequence[Row], lines: Sequence[tuple[str, object]]) -> str:
    """The page in docs/results."""
    cells = [(row.name, f"{row.value:.3g} {row.unit}", _target(row), _beside(row)) for row in rows]
    return f"""# Search over {n:,} models

    python -m benchmarks.search --models {n}

{machine()}, one thread. What is measured, and how, stands at the top of `benchmarks/search.py`.

{table(["what", "measured", "target", "exact search by numpy"], cells)}

{table(["besides", ""], lines)}

{verdict(rows)}
"""


def _target(row: Row) -> str:
    return "" if row.target is None else f"{row.target:.3g}"


def _beside(row: Row) -> str:
    if row.baseline is None:
        return ""
    return f"{row.baseline:.3g} {row.unit}, {row.baseline / row.value:.0f} times"


if __name__ == "__main__":
    main()

"""Counting what happens on the path, for progress bars and for summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from hubbot.records import How, Judgement, Placement, Reading, Suggestion, SuggestionState, Upload

if TYPE_CHECKING:
    from hubbot.bot import Event

STEPS = ("noticed", "placed", "read", "suggested")


class Tally:
    """Watches a bot: call it with every record that comes about."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._uploads: dict[str, set[str]] = {step: set() for step in STEPS}

    def __call__(self, event: Event) -> None:
        for word in _words(event):
            self.counts[word] += 1
            if self._progress and word in STEPS:
                self._uploads[word].add(event.repo)
        if self._progress:
            for step, bar in self._bars.items():
                # One that is placed again, or was noticed in another round, makes no bar overflow.
                done = self._uploads[step]
                of = done if step == "suggested" else done | self._uploads["noticed"]
                self._progress.update(bar, completed=len(done), total=len(of))

    @contextmanager
    def progress(self, console: Console, *, quiet: bool = False) -> Iterator[None]:
        """Progress bars while the block runs, one a step."""
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with nullcontext() if quiet else Progress(*columns, console=console) as bars:
            self._progress = bars
            self._bars = {step: bars.add_task(step, total=None) for step in STEPS} if bars else {}
            yield
            self._progress = None

    def line(self) -> str:
        """One line for people."""
        c = self.counts
        return (
            f"{c['noticed']} uploads noticed, {c['placed_in_tree']} placed in a tree, "
            f"{c['readings']} read, {c['abstentions']} without an answer, {c['suggested']} suggestions, "
            f"{c['pull_requests']} pull requests opened"
        )


@contextmanager
def bar(console: Console, what: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """One progress bar while the block runs, moved by what is given: done, of how many."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with nullcontext() if quiet else Progress(*columns, console=console) as bars:
        task = bars.add_task(what, total=None) if bars else None

        def move(done: int, of: int) -> None:
            if bars and task is not None:
                bars.update(task, completed=done, total=of)

        yield move


def _words(event: Event) -> Iterator[str]:
    match event:
        case Upload():
            yield "noticed"
        case Placement():
            yield "placed"
            if event.how is not How.UNPLACED and event.tree:
                yield "placed_in_tree"
        case Reading():
            yield "read"
            yield "abstentions" if event.abstention else "readings"
        case Judgement():
            yield "judged"
        case Suggestion():
            yield "suggested"
            if event.state is SuggestionState.OPEN:
                yield "pull_requests"

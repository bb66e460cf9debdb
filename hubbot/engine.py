"""Where the heavy steps run: on this machine, in one worker process per device.

The bot's own process polls, fetches and records, and never imports torch. `probe` crosses over to a
spawned worker (a forked one cannot use CUDA), which loads an expert once and keeps it. Batches are
asked for with `submit`, so that fetching the next one overlaps computing this one.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import EngineError
from hubbot.records import ExpertInfo, Reading, Tensors

if TYPE_CHECKING:
    from hubbot.experts.expert import Expert

_device = "cpu"  # the worker's own; set once by _start


class Engine:
    """A worker process that answers batches of tensors with readings.

    Args:
        device: `auto` (the first GPU if there is one), `cpu`, `cuda` or `cuda:N`.
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, expert: ExpertInfo, batch: Sequence[Tensors]) -> Future[list[Reading]]:
        """Ask for the readings of a batch, in its order; the worker starts with the first call."""
        try:
            return self._worker().submit(_probe, expert.folder, tuple(batch))
        except BrokenProcessPool:
            self.close()
            return self._worker().submit(_probe, expert.folder, tuple(batch))

    def probe(self, expert: ExpertInfo, batch: Sequence[Tensors]) -> list[Reading]:
        """The readings of a batch. A worker that dies is replaced and asked once more.

        Raises:
            EngineError: the worker died twice over the same batch.
        """
        return self.result(self.submit(expert, batch), expert, batch)

    def result(
        self, future: Future[list[Reading]], expert: ExpertInfo, batch: Sequence[Tensors]
    ) -> list[Reading]:
        """What a submitted batch came to, trying once more where it took the worker along."""
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
        try:
            return self.submit(expert, batch).result()
        except BrokenProcessPool:
            self.close()
            repos = ", ".join(sorted(t.repo for t in batch))
            raise EngineError(f"the worker died twice over one batch: {repos}") from None

    def resolved_device(self) -> str:
        """The device the worker really computes on, e.g. `cpu`."""
        return self._worker().submit(_where).result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _worker(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=get_context("spawn"),
                initializer=_start,
                initargs=(self.device,),
            )
        return self._pool


# --- inside the worker ------------------------------------------------------------------------


def _start(device: str) -> None:
    """Settle the device once. Ctrl-C and SIGTERM are the bot's to handle: it closes the worker."""
    global _device
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import torch

    if device == "auto":
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    _device = device


def _where() -> str:
    return _device


@cache
def _expert(folder: str) -> Expert:
    from hubbot.experts.artifact import load

    return load(Path(folder), device=_device)


def _probe(folder: str, batch: Sequence[Tensors]) -> list[Reading]:
    return _expert(folder).consult(batch)

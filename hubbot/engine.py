"""Where the heavy steps run: on this machine, in one worker process per device.

The bot's own process polls, fetches and records, and never imports torch. `probe` crosses over to a
spawned worker (a forked one cannot use CUDA), which loads an expert once and keeps it. Batches are
asked for with `submit`, so that fetching the next one overlaps computing this one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import EngineError, HubbotError
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
        repos = ", ".join(sorted(t.repo for t in batch))
        try:
            try:
                return future.result()
            except BrokenProcessPool:
                self.close()
                return self.submit(expert, batch).result()
        except BrokenProcessPool:
            self.close()
            raise EngineError(f"the worker died twice over one batch: {repos}") from None
        except HubbotError:
            raise
        except Exception as error:
            raise EngineError(f"no reading on {self.device}: {error} (batch: {repos})") from error

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
    """Ctrl-C and SIGTERM are the bot's to handle: it closes the worker."""
    global _device
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, name="follow-parent", daemon=True).start()
    _device = device


def _follow_parent() -> None:
    """End with the bot, also when that is killed: an orphan would hold the GPU and wait for ever."""
    if parent := parent_process():
        wait_for([parent.sentinel])
        os._exit(1)


@cache
def _where() -> str:
    """The device in words that torch knows.

    Raises:
        EngineError: this machine has no such device.
    """
    import torch

    if _device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=_device)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(f"cannot compute on {_device}: {str(error).splitlines()[0]}") from None
    return _device


@cache
def _expert(folder: str) -> Expert:
    from hubbot.experts.artifact import load

    return load(Path(folder), device=_where())


def _probe(folder: str, batch: Sequence[Tensors]) -> list[Reading]:
    return _expert(folder).consult(batch)

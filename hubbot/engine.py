"""Where the heavy steps run: on this machine, in one worker process per device.

The bot's own process polls, fetches and records, and never imports torch. `submit` crosses over to a worker,
which loads an expert or an autoencoder once and keeps it. Workers are forked from a server that has imported
torch and touched no device (forked from one that has, they could not use CUDA), so that a lost one is
replaced in no time.
Nobody waits for it, so that fetching the next batch overlaps computing this one.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar, cast

from hubbot.errors import BatchFailed, EngineError, ExpertError, HubbotError, OutOfMemory
from hubbot.records import AutoencoderInfo, ExpertInfo, Judgement, Reading, Tensors

if TYPE_CHECKING:
    from hubbot.experts.expert import Expert
    from hubbot.sane.artifact import Artifact

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

Mind: TypeAlias = ExpertInfo | AutoencoderInfo
"""Who answers: an expert with readings, an autoencoder with judgements."""

Answer: TypeAlias = Reading | Judgement | EngineError
"""What one model of a batch came to."""

START_S = 120.0
"""What a worker may take until it has imported torch and found its device."""

PRELOADED = ("hubbot.experts.expert", "torch._dynamo")
"""What every worker needs; the latter by way of torch's meta device, on which an expert is put together
before it is given its weights."""

_device = "cpu"  # the worker's own; set once by _start


class Engine:
    """A worker process that answers batches of tensors, and somebody who watches over it.

    A batch that the worker dies of, or that it does not finish, or that does not fit into its memory is
    asked again in halves, each with a worker in order, down to the one model that cannot be read.

    Args:
        device: `auto` (the first GPU if there is one), `cpu`, `cuda` or `cuda:N`.
        longest_batch_s: a worker that answers later than that is taken to hang.
    """

    def __init__(self, device: str = "auto", *, longest_batch_s: float = 300.0) -> None:
        self.device, self.longest_batch_s = device, longest_batch_s
        self.lost = 0
        """Workers that died or hung."""
        self._most: int | None = None  # models that fit into the device's memory, once that is known
        self._pool: ProcessPoolExecutor | None = None
        self._pid = 0
        self._watch = ThreadPoolExecutor(1, thread_name_prefix="engine")  # one batch at a time

    def submit(self, mind: Mind, batch: Sequence[Tensors]) -> Future[list[Answer]]:
        """Ask for what a batch comes to, in its order; the worker starts with the first call.

        Returns:
            One reading or judgement per model, or the error that it alone ran into. An error of the whole
            batch, of a device that is not there for instance, is the future's.
        """
        return self._watch.submit(self._answers, mind, tuple(batch))

    def probe(self, expert: ExpertInfo, batch: Sequence[Tensors]) -> list[Reading]:
        """The readings of a batch.

        Raises:
            EngineError: one of them could not be read; the message names it.
        """
        answers = self.submit(expert, batch).result()
        for answer in answers:
            if isinstance(answer, EngineError):
                raise answer
        return [answer for answer in answers if isinstance(answer, Reading)]

    def judge(self, autoencoder: AutoencoderInfo, upload: Tensors) -> Judgement | EngineError:
        """The judgement of one upload, or why there is none."""
        try:
            [answer] = self.submit(autoencoder, [upload]).result()
        except EngineError as error:
            return error
        return cast("Judgement | EngineError", answer)

    def resolved_device(self) -> str:
        """The device the worker really computes on, e.g. `cpu`."""
        return self._watch.submit(self._asked, _where).result()

    def close(self) -> None:
        self._watch.shutdown(cancel_futures=True)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- in the watching thread -----------------------------------------------------------------

    def _answers(self, mind: Mind, batch: tuple[Tensors, ...]) -> list[Answer]:
        if self._most and len(batch) > self._most:
            return self._in_halves(mind, batch)
        try:
            return list(self._asked(_consult, mind, batch))
        except BatchFailed as error:
            log.warning("%s (%d models)", error, len(batch))
            if len(batch) > 1:
                if isinstance(error, OutOfMemory):
                    self._most = len(batch) // 2
                return self._in_halves(mind, batch)
        try:
            return list(self._asked(_consult, mind, batch))
        except BatchFailed as error:
            return [EngineError(f"no reading, twice: {error.message}", repo=batch[0].repo)]

    def _in_halves(self, mind: Mind, batch: tuple[Tensors, ...]) -> list[Answer]:
        half = len(batch) // 2
        return [*self._answers(mind, batch[:half]), *self._answers(mind, batch[half:])]

    def _asked(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the worker answers, a new one where it was lost.

        Raises:
            BatchFailed: it died, or hung and was killed, or raised what nobody foresaw.
            HubbotError: what it raised on purpose.
        """
        try:
            if self._pool is None:
                context = get_context("forkserver")
                context.set_forkserver_preload(list(PRELOADED))
                self._pool = ProcessPoolExecutor(1, context, _start, (self.device,))
                self._pid = self._pool.submit(os.getpid).result(START_S)
                self._pool.submit(_where).result(START_S)
            return self._pool.submit(task, *args, **kwargs).result(self.longest_batch_s)
        except BrokenProcessPool:
            raise self._given_up("the worker died") from None
        except TimeoutError:
            raise self._given_up(f"the worker gave no answer in {self.longest_batch_s:g} s") from None
        except HubbotError:
            raise
        except Exception as error:
            raise BatchFailed(f"{type(error).__name__} on {self.device}: {error}") from error

    def _given_up(self, why: str) -> BatchFailed:
        self.lost += 1
        pool, self._pool = self._pool, None
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        self._pid = 0
        return BatchFailed(why)


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


@cache
def _autoencoder(folder: str) -> Artifact:
    from hubbot.sane.artifact import load

    try:
        return load(Path(folder))
    except ExpertError as error:  # no fault of the models that it is to judge
        raise EngineError(str(error)) from None


def _answered(mind: Mind, batch: Sequence[Tensors]) -> list[Reading] | list[Judgement]:
    if isinstance(mind, ExpertInfo):
        return _expert(mind.folder).consult(batch)
    from hubbot.sane.judge import consult

    return [consult(_autoencoder(mind.folder), one) for one in batch]


def _consult(mind: Mind, batch: Sequence[Tensors]) -> list[Reading] | list[Judgement]:
    import torch

    try:
        return _answered(mind, batch)
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not full:
            raise
        told = str(error).splitlines()[:1]
    # Outside the handler, whose traceback holds on to the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemory(f"{len(batch)} models do not fit on {_where()}: {' '.join(told)}")

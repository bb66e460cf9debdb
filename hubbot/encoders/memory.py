"""An encoder that remembers: labels and popular queries are asked again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from hubbot.encoders.interface import TextEncoder

if TYPE_CHECKING:
    from hubbot.records import Floats

REMEMBERED_TEXTS = 4096  # 384 floats each: 6 MB
TOGETHER = 64
"""Texts of others that are encoded along with one's own, which takes hardly longer than that alone."""


class RememberingEncoder:
    """Wraps an encoder; asks it once for a text, one thread at a time, and keeps what was used last.

    Whoever has the encoder has it encode what all who wait for it want, so that fifty people who ask at once
    wait for a few passes and not for fifty.
    """

    def __init__(self, encoder: TextEncoder, size: int = REMEMBERED_TEXTS) -> None:
        self._encoder, self._size = encoder, size
        self._rows: OrderedDict[str, Floats] = OrderedDict()
        self._wanted: dict[str, None] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        self._wanted.update(dict.fromkeys(texts))
        with self._lock:
            unknown = [text for text in dict.fromkeys(texts) if text not in self._rows]
            if unknown:
                self._learn(unknown)
            for text in texts:
                self._rows.move_to_end(text)
            rows = [self._rows[text] for text in texts]
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def _learn(self, mine: Sequence[str]) -> None:
        wanted, self._wanted = self._wanted, {}  # what others ask for from now on is for the next one
        others = [text for text in list(wanted) if text not in self._rows and text not in mine][:TOGETHER]
        if others:
            try:
                self._rows.update(zip([*mine, *others], self._encoder.encode([*mine, *others]), strict=True))
            except Exception:  # whosever text it was, it is that one's fault alone
                others = []
        if not others:
            self._rows.update(zip(mine, self._encoder.encode(mine), strict=True))

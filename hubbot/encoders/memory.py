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


class RememberingEncoder:
    """Wraps an encoder; asks it once for a text, one thread at a time, and keeps what was used last."""

    def __init__(self, encoder: TextEncoder, size: int = REMEMBERED_TEXTS) -> None:
        self._encoder, self._size = encoder, size
        self._rows: OrderedDict[str, Floats] = OrderedDict()
        self._lock = Lock()

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        with self._lock:
            unknown = [text for text in dict.fromkeys(texts) if text not in self._rows]
            if unknown:
                self._rows.update(zip(unknown, self._encoder.encode(unknown), strict=True))
            for text in texts:
                self._rows.move_to_end(text)
            rows = [self._rows[text] for text in texts]
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

"""What every text encoder can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hubbot.records import Floats


class TextEncoder(Protocol):
    """Turns texts into vectors whose cosine says how near two texts are."""

    @property
    def name(self) -> str:
        """The schemed name it was loaded by; vectors of different names are never compared."""

    @property
    def dimension(self) -> int:
        """How long a vector is."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit rows in the order of the texts, shape (n, dimension)."""

"""An encoder whose vectors are kept on the disk: every start asks for the same labels and concepts again.

A vector is filed by the digest of its text, so that nobody reads there what people searched for. The file is
an SQLite database, which several processes may use at once; one that is broken, or cannot be written, costs
nothing but the time that it would have saved.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.encoders.interface import TextEncoder

if TYPE_CHECKING:
    from hubbot.records import Floats

log = logging.getLogger(__name__)

MOST_TEXTS = 20_000  # 384 floats each: 35 MB
PATIENCE_S = 5.0
"""For another process that writes: what it writes are milliseconds."""

MADE = "CREATE TABLE IF NOT EXISTS vectors (place INTEGER PRIMARY KEY, text TEXT UNIQUE, vector BLOB)"
FOUND = "SELECT text, vector FROM vectors WHERE text IN (SELECT value FROM json_each(?))"
ADDED = "INSERT OR REPLACE INTO vectors (text, vector) VALUES (?, ?)"
CUT = "DELETE FROM vectors WHERE place <= (SELECT max(place) FROM vectors) - ?"
"""The oldest go."""


class KeptEncoder:
    """Wraps an encoder, and asks it only for texts whose vectors are not in the file.

    Args:
        encoder: whose vectors are kept.
        file: of this encoder, with these weights, alone; made when there is something to keep.
        most: so many texts are kept.
    """

    def __init__(self, encoder: TextEncoder, file: Path, most: int = MOST_TEXTS) -> None:
        self._encoder, self._file, self._most = encoder, file, most

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        digests = {
            text: blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest() for text in texts
        }
        known = self._found(list(digests.values()))
        unknown = [text for text, digest in digests.items() if digest not in known]
        if unknown:
            learned = dict(
                zip((digests[text] for text in unknown), self._encoder.encode(unknown), strict=True)
            )
            self._keep(learned)
            known |= learned
        rows = [known[digests[text]] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def _found(self, digests: Sequence[str]) -> dict[str, Floats]:
        """What is in the file and sound: rows of the right length, and unit ones."""
        import numpy as np

        if not self._file.exists():
            return {}
        try:
            with closing(sqlite3.connect(self._file, PATIENCE_S)) as file:
                found = dict(file.execute(FOUND, [json.dumps(digests)]))
        except sqlite3.Error as error:
            self._give_up(error)
            return {}
        rows = {
            text: np.frombuffer(raw, "<f4")
            for text, raw in found.items()
            if isinstance(raw, bytes) and len(raw) == 4 * self.dimension
        }
        return {text: row for text, row in rows.items() if abs(float(row @ row) - 1) < 1e-3}

    def _keep(self, rows: dict[str, Floats]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, PATIENCE_S)) as file, file:
                file.execute(MADE)
                file.executemany(ADDED, [(text, row.astype("<f4").tobytes()) for text, row in rows.items()])
                file.execute(CUT, [self._most])
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.debug("vectors of texts are not kept: %s: %s", self._file, error)
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            self._file.unlink(missing_ok=True)  # no database, or a broken one: the next start makes it anew

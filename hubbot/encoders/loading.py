"""From an encoder's schemed name to the encoder, once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hubbot.encoders.interface import TextEncoder
from hubbot.encoders.kept import KeptEncoder
from hubbot.encoders.memory import RememberingEncoder
from hubbot.errors import EncoderError

OFFLINE_DEFAULT = "sentence:all-MiniLM-L6-v2"


@lru_cache(maxsize=4)
def load(name: str, kept: Path | None = None) -> TextEncoder:
    """The encoder of that name.

    Args:
        name: `sentence:MODEL` or `clip:SPEC`, as experts write it in their config.
        kept: a folder for the vectors of encoders whose weights are known by hash.

    Raises:
        EncoderError: an unknown scheme, or an encoder that cannot be loaded.
    """
    scheme, _, rest = name.partition(":")
    if scheme == "sentence":
        from hubbot.encoders.sentence import SentenceEncoder

        encoder = SentenceEncoder(rest)
        file = kept and kept / f"{rest}-{encoder.weights[:16]}.db"
        return RememberingEncoder(KeptEncoder(encoder, file) if file else encoder)
    if scheme == "clip":
        from hubbot.encoders.clip import ClipEncoder

        return RememberingEncoder(ClipEncoder(rest))
    raise EncoderError(f"{name!r} names no text encoder", hint="`sentence:MODEL` or `clip:ARCH/PRETRAINED`")

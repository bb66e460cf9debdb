"""A text head as bytes: a safetensors file of five tensors."""

from __future__ import annotations

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hubbot.errors import StoreError
from hubbot.records import TextHead


def packed(head: TextHead) -> bytes:
    arrays = {"W": head.W, "b": head.b, "vocabulary": head.vocabulary}
    arrays |= {"scale": np.array([head.scale]), "none": np.array([head.none])}
    return save({name: np.ascontiguousarray(value, np.float32) for name, value in arrays.items()})


def unpacked(raw: bytes) -> TextHead:
    """The head in these bytes.

    Raises:
        StoreError: they hold none.
    """
    try:
        arrays = load(raw)
        scale, none = (float(arrays[name][0]) for name in ("scale", "none"))
        return TextHead(arrays["W"], arrays["b"], arrays["vocabulary"], scale, none)
    except (SafetensorError, KeyError, IndexError) as error:
        raise StoreError(f"a text head cannot be read: {error}") from error

"""Texts in several wordings, and their mean direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hubbot.index.wordings import averaged

if TYPE_CHECKING:
    from hubbot.records import Floats


def test_the_mean_of_all_wordings_has_length_one_and_is_asked_for_once() -> None:
    asked: list[list[str]] = []

    def encode(texts: Sequence[str]) -> Floats:
        asked.append(list(texts))
        return np.array([[1.0, 0.0] if text.startswith("a picture") else [0.0, 1.0] for text in texts])

    found = averaged(encode, ["dog", "{} cat"])
    assert asked == [["dog", "{} cat", "a picture of dog", "a picture of {} cat"]]
    assert found == pytest.approx(np.full((2, 2), 0.5**0.5))
    assert found.dtype == np.float32


def test_no_texts_and_opposite_wordings_do_no_harm() -> None:
    assert averaged(lambda texts: np.empty((len(texts), 3), np.float32), []).shape == (0, 3)
    signs = {True: 1.0, False: -1.0}
    cancelled = averaged(lambda texts: np.array([[signs[t.startswith("a picture")]] for t in texts]), ["x"])
    assert np.isfinite(cancelled).all()

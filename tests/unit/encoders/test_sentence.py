"""The real sentence encoder, from the installed package."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hubbot.encoders.loading import OFFLINE_DEFAULT, load
from hubbot.encoders.memory import RememberingEncoder
from hubbot.encoders.sentence import SentenceEncoder, _packaged
from hubbot.errors import EncoderError


def test_near_texts_are_near() -> None:
    encoder = load(OFFLINE_DEFAULT)
    rows = encoder.encode(["a dog", "a puppy", "the tax return of a company"])
    assert rows.shape == (3, encoder.dimension) == (3, 384)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows[0] @ rows[1] > 0.6 > 0.3 > rows[0] @ rows[2]


def test_it_is_loaded_once_and_texts_do_not_depend_on_their_neighbours() -> None:
    encoder = load(OFFLINE_DEFAULT)
    assert load(OFFLINE_DEFAULT) is encoder
    assert encoder.name == OFFLINE_DEFAULT
    together = encoder.encode(["a cat", "a much longer sentence about nothing in particular"])
    fresh = SentenceEncoder("all-MiniLM-L6-v2").encode(["a cat"])
    assert fresh[0] == pytest.approx(together[0], abs=1e-5)
    assert encoder.encode([]).shape == (0, 384)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(_packaged(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(EncoderError, match="cannot be read"):
        SentenceEncoder("all-MiniLM-L6-v2", folder)
    original = (_packaged() / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    with pytest.raises(EncoderError, match="not the published weights"):
        SentenceEncoder("all-MiniLM-L6-v2", folder)


@pytest.mark.parametrize("name", ["sentence:other", "word2vec:x", "sentence", "", "/etc/passwd"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(EncoderError) as caught:
        load(name)
    assert caught.value.hint


class Counting:
    """Counts what it is asked for; vectors say which text they are of."""

    name, dimension = "counting", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_remembering_encoder_asks_once_and_forgets_the_oldest() -> None:
    counting = Counting()
    encoder = RememberingEncoder(counting, size=2)
    assert encoder.encode(["a", "bb", "a"])[:, 0].tolist() == [1, 2, 1]
    assert encoder.encode(["a", "bb"])[:, 0].tolist() == [1, 2]
    assert counting.asked == ["a", "bb"]
    encoder.encode(["ccc"])
    encoder.encode(["bb"])
    assert counting.asked == ["a", "bb", "ccc"]
    encoder.encode(["a"])
    assert counting.asked == ["a", "bb", "ccc", "a"]
    assert len(encoder.encode(["x", "yy", "zzz"])) == 3


class Slow:
    """An encoder that takes its time, and counts."""

    name, dimension = "slow", 1

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(list(texts))
        time.sleep(0.05)
        if "bad" in texts:
            raise EncoderError("this text cannot be encoded")
        return np.array([[float(len(text))] for text in texts], np.float32)


def test_who_asks_at_once_is_encoded_together() -> None:
    slow = Slow()
    encoder = RememberingEncoder(slow)
    texts = ["x" * n for n in range(1, 21)]
    with ThreadPoolExecutor(20) as people:
        rows = list(people.map(lambda text: encoder.encode([text])[0], texts))
    assert [float(row[0]) for row in rows] == [len(text) for text in texts]
    assert len(slow.asked) < 10
    assert sorted(text for asked in slow.asked for text in asked) == sorted(texts)  # none of them twice


def test_a_text_that_cannot_be_encoded_harms_nobody_else() -> None:
    encoder = RememberingEncoder(Slow())
    failed = []

    def ask(text: str) -> float | None:
        try:
            return float(encoder.encode([text])[0][0])
        except EncoderError:
            failed.append(text)
            return None

    with ThreadPoolExecutor(10) as people:
        rows = list(people.map(ask, ["a", "bad", "bbb", "bad", "ccccc"]))
    assert rows == [1.0, None, 3.0, None, 5.0]
    assert failed == ["bad", "bad"]

"""The fuzzing benchmark runs, and its judges can be strict; and hypothesis tries what its mutators do not."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import fuzz, mutants
from benchmarks.fuzz import Tally, catch, read_card, read_entry, read_header, read_page, throw, unlike
from hubbot.hub.uploads import FIELDS
from hubbot.weights.dtypes import BITS

ROOT = Path(__file__).parents[2]


def file_of(header: dict[str, Any], buffer: int = 0) -> bytes:
    raw = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw + bytes(buffer)


counts = st.integers(-2, 9) | st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64, 10**300])
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(BITS)) | st.text(max_size=3),
        "shape": st.lists(counts, max_size=4),
        "data_offsets": st.lists(counts, min_size=1, max_size=3) | st.just([0, 8]),
    }
)


@given(st.dictionaries(st.text(max_size=3), entries, max_size=3), st.integers(0, 40))
def test_any_header_is_believed_as_safetensors_does_or_refused(header: dict[str, Any], buffer: int) -> None:
    tally, data = Tally("headers"), file_of(header, buffer)
    catch(tally, (data, len(data)), read_header)
    assert tally.faults == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
)


@given(json_values | st.dictionaries(st.sampled_from((*FIELDS, "id")), json_values))
def test_any_json_is_an_upload_or_malformed(value: Any) -> None:
    tally = Tally("entries")
    catch(tally, value, read_entry)
    assert tally.faults == []


brackets = st.lists(
    st.tuples(st.sampled_from([b"[", b"]", b"{", b"}", b'{"a":', b",", b'"', b"1"]), st.integers(1, 3_000)),
    max_size=6,
).map(lambda runs: b"".join(mark * count for mark, count in runs))


@given(st.binary(max_size=100) | brackets)
def test_any_bytes_are_json_or_none(raw: bytes) -> None:
    tally = Tally("pages")
    catch(tally, raw, read_page)
    assert tally.faults == []


@pytest.mark.parametrize("name", mutants.heavy_cards(0))
def test_a_heavy_card_takes_no_minutes(name: str) -> None:
    """As many bytes as are still parsed: ten seconds once, of commas in brackets."""
    tally = Tally("cards")
    catch(tally, mutants.heavy_cards(249_000)[name], read_card)
    assert tally.faults == []
    assert tally.seconds < 8


def test_the_judges_can_be_strict() -> None:
    sound = file_of({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}, 2)
    header = fuzz._header(sound, len(sound))
    assert unlike(header, sound) == ""
    assert "another 'a'" in unlike(header, sound.replace(b'"U8"', b'"I8"'))
    assert "other names" in unlike(header, sound.replace(b'"a"', b'"b"'))
    assert "refused by safetensors" in unlike(header, sound + b"x")
    tally = Tally("wrong")
    catch(tally, b"", lambda *_: 1 / 0)  # type: ignore[arg-type]
    assert tally.outcomes == {"fault": 1}
    assert "ZeroDivisionError" in tally.faults[0]


def test_a_seed_gives_the_same_inputs_again() -> None:
    makers = (mutants.header, mutants.card, mutants.page)
    for make in makers:
        first, second = random.Random(7), random.Random(7)  # noqa: S311 - a seed, no secret
        assert [make(first) for _ in range(50)] == [make(second) for _ in range(50)]


def test_the_inputs_reach_every_outcome() -> None:
    """A fuzzer of which nothing is believed, or everything, would ask nothing."""
    tally = throw("headers", mutants.header, read_header, 1_500, 1)
    assert set(tally.outcomes) == {"believed", "corrupt-header", "truncated-file", "unsupported-dtype"}
    assert 0.1 < tally.outcomes["believed"] / tally.inputs < 0.5


def test_the_benchmark_runs() -> None:
    kept = [*(ROOT / "docs" / "results").glob("fuzz.*")]
    before = {file: file.read_bytes() for file in kept}
    command = [sys.executable, "-m", "benchmarks.fuzz", "--smoke", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert all(row.keys() == {"name", "value", "unit", "target", "baseline", "holds"} for row in rows)
    assert [row["name"] for row in rows if row["holds"] is False] == []
    assert {file: file.read_bytes() for file in kept} == before

"""Can a stranger's file, card or listing do anything but be read or be refused?

    python -m benchmarks.fuzz [--headers 1000000] [--guided SECONDS] [--smoke] [--json]

Headers: files that are nearly right, spoilt ones, lies about lengths, offsets, shapes and dtypes, keys twice,
nesting. The reader believes or raises a `WeightsError`, and nothing else; what it believes, safetensors' own
reader reads as the same tensors. Cards: the editor edits or raises a `CardError`. Listings: an entry is an
upload that a database takes, or malformed; an answer is JSON, or a `ValueError`.

Memory is measured with tracemalloc while a header is read, over headers made to be dear and a sample of the
others, and given as a multiple of the header's bytes. Time is that of the slowest single input. The inputs
come from a seed. `--guided` then lets atheris look for more, guided by coverage, where it is installed:
`pip install atheris`; it is no dependency.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors

from benchmarks import mutants
from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.card.front_matter import add_tags, opted_out
from hubbot.card.yaml_tree import MAX_CHARACTERS
from hubbot.errors import CardError, WeightsError
from hubbot.hub.uploads import Malformed, _upload, _uploads
from hubbot.hub.wire import _parse
from hubbot.records import Upload
from hubbot.weights.header import PREFIX_BYTES, Header, header_length, parse_header

HEADERS, SMOKE = 1_000_000, 4_000
CARDS, ENTRIES, PAGES = 50_000, 500_000, 200_000
MOST_MEMORY = 32.0
"""Times the header's bytes, at the peak, beside `SLACK` bytes. What Python needs for the worst JSON."""
SLACK = 65_536
MOST_SECONDS = 10.0
"""For one input, the heaviest included."""
HEAVY_HEADER, HEAVY_CARDS = 1_000_000, (10_000_000, MAX_CHARACTERS - 1_000)
"""Bytes. The larger cards are refused for their size, so others are just small enough to be parsed."""
LONGEST_SHOWN, SEEDS = 120, 300


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one kind."""

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    compared: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest: str = ""

    @property
    def inputs(self) -> int:
        return self.outcomes.total()

    def note(self, outcome: str, seconds: float, shown: str) -> None:
        self.outcomes[outcome] += 1
        self.seconds += seconds
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, shown

    def fault(self, what: str, given: object) -> None:
        self.faults.append(f"{what}: {given!r}"[: LONGEST_SHOWN * 4])


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes at the peak while one header was read."""

    name: str
    header_bytes: int
    peak_bytes: int

    @property
    def times(self) -> float:
        """The header's bytes, beyond the slack."""
        return max(0, self.peak_bytes - SLACK) / self.header_bytes


def main() -> None:
    """Parse the command line, throw, write."""
    parser = arguments("fuzz", __doc__, "a few thousand of each")
    parser.add_argument("--headers", type=int, default=HEADERS, help="how many headers are thrown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", type=int, default=0, metavar="SECONDS", help="atheris goes on")
    given = parser.parse_args()
    logging.getLogger("hubbot").setLevel(logging.CRITICAL)
    headers = SMOKE if given.smoke else given.headers
    share = headers / HEADERS
    tallies = [
        throw("headers", mutants.header, read_header, headers, given.seed),
        throw("cards", mutants.card, read_card, max(200, int(share * CARDS)), given.seed),
        throw("entries", mutants.entry, read_entry, int(share * ENTRIES), given.seed),
        throw("pages", mutants.page, read_page, int(share * PAGES), given.seed),
    ]
    heavy, cards = (20_000, (5_000,)) if given.smoke else (HEAVY_HEADER, HEAVY_CARDS)
    for name, raw in mutants.heavy_headers(heavy).items():
        catch(tallies[0], (_as_file(raw), 8 + len(raw)), read_header, f"{name}, {len(raw):,} bytes")
    for name, raw in (found for size in cards for found in mutants.heavy_cards(size).items()):
        catch(tallies[1], raw, read_card, f"{name}, {len(raw):,} bytes")
    peaks = [*measure_memory(heavy, min(headers, 20_000), given.seed)]
    rows = [*judge(tallies, peaks)]
    publish("fuzz", rows, report(tallies, peaks, rows, given), given)
    if given.guided:
        guided(given.guided)


# --- throwing -------------------------------------------------------------------------------------


def throw(
    name: str,
    make: Callable[[random.Random], Any],
    read: Callable[[Tally, Any], str],
    count: int,
    seed: int,
) -> Tally:
    """So many inputs of one kind, each read; what is raised that may not be, is a fault."""
    tally, draw = Tally(name), random.Random(f"{name} {seed}")  # noqa: S311 - a seed, no secret
    for _ in range(count):
        catch(tally, make(draw), read)
    return tally


def catch(tally: Tally, given: Any, read: Callable[[Tally, Any], str], shown: str = "") -> None:
    """One input, and what came of it."""
    began = time.perf_counter()
    try:
        outcome = read(tally, given)
    except Exception as error:
        outcome = "fault"
        tally.fault(f"{type(error).__name__}: {error}"[:LONGEST_SHOWN], given)
    tally.note(outcome, time.perf_counter() - began, shown or f"{given!r}"[:LONGEST_SHOWN])


def _as_file(raw: bytes) -> bytes:
    return len(raw).to_bytes(PREFIX_BYTES, "little") + raw


def read_header(tally: Tally, given: mutants.Made) -> str:
    """Believed, or why not; what is believed is read by the reference too, and as the same."""
    data, size = given
    try:
        header = _header(data, size)
    except WeightsError as error:
        return error.code
    if len(data) == size:
        tally.compared += 1
        if difference := unlike(header, data):
            tally.fault(difference, data)
    return "believed"


def _header(data: bytes, size: int) -> Header:
    repo, file = "evil/model", "model.safetensors"
    length = header_length(data[:PREFIX_BYTES], file_size=size, repo=repo, file=file)
    return parse_header(data[PREFIX_BYTES:][:length], file_size=size, repo=repo, file=file)


def unlike(header: Header, data: bytes) -> str:
    """How safetensors' own reader sees another file than we do; empty where it sees the same."""
    try:
        theirs = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        return f"believed, and refused by safetensors: {error}"
    if theirs.keys() != header.tensors.keys():
        return f"other names: {sorted(theirs)}"
    for name, entry in header.tensors.items():
        one = theirs[name]
        same = one["dtype"] == entry.dtype and tuple(one["shape"]) == entry.shape
        if not same or bytes(one["data"]) != data[entry.begin : entry.end]:
            return f"another {name!r}"
    return ""


def read_card(tally: Tally, given: bytes) -> str:
    """Edited, left as it is, or refused; an edit keeps every byte and is not made twice."""
    opted_out(given)
    try:
        edit = add_tags(given, ["seven", "no"], ["ann/digits"], base_model="root/a")
    except CardError as error:
        return error.code
    if not edit.added:
        return "left as it is"
    tally.compared += 1
    rest = iter(edit.new)
    if not all(byte in rest for byte in given):
        tally.fault("a byte is gone", given)
    if add_tags(edit.new, ["seven", "no"], ["ann/digits"], base_model="root/a").added:
        tally.fault("added twice", given)
    return "edited"


def read_entry(tally: Tally, given: Any) -> str:
    """An upload of which everything can be stored, or malformed."""
    try:
        upload = _upload(given)
    except Malformed:
        outcome = "malformed"
    else:
        tally.compared += 1
        kept = [upload.card, upload.config, upload.tags, upload.files, upload.pipeline_tag, upload.library]
        json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()
        outcome = "upload"
    if not all(isinstance(one, Upload) for one in _uploads([given])):
        tally.fault("no upload", given)
    return outcome


def read_page(_: Tally, given: bytes) -> str:
    """JSON, or an error that is told as an answer of the wrong form."""
    try:
        _parse(given)
    except ValueError:
        return "no JSON"
    return "JSON"


# --- memory ---------------------------------------------------------------------------------------


def measure_memory(heavy: int, count: int, seed: int) -> Iterator[Peak]:
    """The peak for each heavy header, and the highest of a sample of the others."""
    draw = random.Random(f"memory {seed}")  # noqa: S311 - a seed, no secret
    tracemalloc.start()
    try:
        for name, raw in mutants.heavy_headers(heavy).items():
            yield Peak(name, len(raw), _peak(_as_file(raw), 8 + len(raw)))
        made = [mutants.header(draw) for _ in range(count)]
        sample = [Peak("the others", max(1, len(data)), _peak(data, size)) for data, size in made]
        yield max(sample, key=lambda peak: peak.peak_bytes)
    finally:
        tracemalloc.stop()


def _peak(data: bytes, size: int) -> int:
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    with suppress(WeightsError):
        _header(data, size)
    return tracemalloc.get_traced_memory()[1] - before


# --- atheris --------------------------------------------------------------------------------------


def guided(seconds: int) -> None:
    """Let atheris look for more, in a process of its own, since it ends the one that it runs in."""
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, so nothing was guided by coverage: pip install atheris")
        return
    draw = random.Random(0)  # noqa: S311 - a seed, no secret
    with tempfile.TemporaryDirectory() as corpus:
        for i in range(SEEDS):
            seeds = (mutants.header(draw)[0][PREFIX_BYTES + 1 :], mutants.card(draw)[4:], mutants.page(draw))
            for kind, seed in enumerate(seeds):
                (Path(corpus) / f"{kind}-{i}").write_bytes(bytes((kind,)) + seed)
        command = [sys.executable, "-m", "benchmarks.guided", str(seconds), corpus]
        done = subprocess.run(command, check=False)
    print("atheris found nothing" if done.returncode == 0 else f"atheris ended with {done.returncode}")


# --- the report -----------------------------------------------------------------------------------


def judge(tallies: Sequence[Tally], peaks: Sequence[Peak]) -> Iterator[Row]:
    """The issue's targets."""
    for tally in tallies:
        wrong = len(tally.faults)
        yield Row(f"{tally.name}, outcomes that may not be", wrong, "inputs", 0, tally.inputs, wrong == 0)
    headers = tallies[0]
    yield told("headers thrown", headers.inputs, "inputs")
    yield told("headers believed and held against safetensors", headers.compared, "inputs")
    worst = max(peak.times for peak in peaks)
    fits = worst <= MOST_MEMORY
    yield Row("header, memory at the peak", worst, "times its bytes", MOST_MEMORY, None, fits)
    for tally in tallies:
        slow = tally.slowest_s
        yield Row(f"{tally.name}, the slowest", slow, "s", MOST_SECONDS, None, slow <= MOST_SECONDS)


def report(
    tallies: Sequence[Tally], peaks: Sequence[Peak], rows: Sequence[Row], given: argparse.Namespace
) -> str:
    """docs/results/fuzz.md."""
    thrown = [
        (t.name, f"{t.inputs:,}", _told(t.outcomes), f"{t.compared:,}", len(t.faults), f"{t.slowest_s:.2f}")
        for t in tallies
    ]
    memory = [
        (peak.name, f"{peak.header_bytes:,}", f"{peak.peak_bytes:,}", f"{peak.times:.1f}") for peak in peaks
    ]
    slow = "\n".join(f"- {t.name}: `{_code(t.slowest)}`" for t in tallies)
    faults = "\n".join(f"- {t.name}: `{_code(fault)}`" for t in tallies for fault in t.faults[:10])
    columns = ("what", "inputs", "what came of them", "compared", "faults", "slowest, s")
    return f"""# Can a stranger's file, card or listing do anything but be read or be refused?

    python -m benchmarks.fuzz --headers {given.headers} --seed {given.seed}

{machine()}. Compared: believed headers were held against safetensors' own reader, edited cards against
their bytes and a second edit, uploads against what a database takes. Seconds are of reading and comparing
together.

{table(columns, thrown)}

The slowest:

{slow}

Memory at the peak while a header is read; the last column is the peak beyond {SLACK:,} bytes over the
header's bytes, of which {MOST_MEMORY:g} are allowed:

{table(("header", "bytes", "peak, bytes", "times"), memory)}

{faults}

{verdict(rows)}
""".replace("\n\n\n\n", "\n\n")


def _told(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in outcomes.most_common())


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "¦")


if __name__ == "__main__":
    main()

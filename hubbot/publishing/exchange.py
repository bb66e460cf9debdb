"""Snapshots over the Hub: pushed as a dataset, pulled onto a shelf.

A dataset, since it is data that people may look into, and no model: nobody's listing of models gets a new
entry by it, and no bot takes it for an upload to be read. A pull is of one commit, so that two pushes never
mix, and nothing of it is in force before all of it has been checked.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hubbot.errors import SnapshotError, StoreError
from hubbot.hub import downloads, texts
from hubbot.hub.client import Hub
from hubbot.hub.publish import publish
from hubbot.publishing import manifest
from hubbot.publishing.build import second_name
from hubbot.publishing.manifest import (
    DATABASE,
    INDEX,
    MANIFEST,
    MAX_BYTES,
    PICTURES,
    FileEntry,
    Manifest,
    of_folder,
)
from hubbot.publishing.shelf import Shelf, manifest_of
from hubbot.store import copies, schema

PARTS = ".parts"
"""Where a file lies until it is whole, under its hash."""


# --- push -------------------------------------------------------------------------------------


def push(hub: Hub, folder: Path, repo: str, *, private: bool = False) -> str:
    """Publish a snapshot; the commit's address. What only an earlier one had is taken away.

    Raises:
        SnapshotError: the folder holds none, or it is damaged.
        UsageError, HubError: see `publish`.
    """
    told = of_folder(folder)
    for path, entry in told.files.items():
        if manifest.entry_of(folder / path) != entry:
            raise SnapshotError("it is not as its manifest says: build it anew", file=str(folder / path))
    files: dict[str, bytes | Path] = {path: folder / path for path in told.files}
    files |= {MANIFEST: folder / MANIFEST, "README.md": card(told, repo).encode()}
    return publish(
        hub,
        repo,
        files,
        message=f"Snapshot {told.id}, {told.made_at:%Y-%m-%d %H:%M} UTC",
        private=private,
        kind="dataset",
        replaced=lambda path: path.startswith((f"{INDEX}/", f"{PICTURES}/")),
    )


def card(told: Manifest, repo: str) -> str:
    """The README of a snapshot's repo: what it is, what is in it, and what is not."""
    rows = [f"| {name} | {count} |" for name, count in told.counts.items()]
    lines = [
        *(
            "---",
            "pretty_name: hubbot snapshot",
            "tags:",
            "- hubbot-snapshot",
            "- model-tree",
            "viewer: false",
        ),
        *("---", "", "# What models were trained on, read off their weights", ""),
        "A snapshot of what hubbot has read, for its Space and for searching on one's own machine.",
        *("", "```sh", f"hubbot snapshot pull {repo}", f"python -m space --snapshot {repo}", "```", ""),
        f"Made {told.made_at:%Y-%m-%d %H:%M} UTC by hubbot {told.hubbot}, schema {told.schema}.",
        *("", "| table | rows |", "|---|---|", *rows, ""),
        "Labels are probabilities, not facts; each reading names the expert and the version that made it.",
        "Models that are private, gated, disabled or gone are not in it, nor suggestions that their owners",
        "have not seen.",
    ]
    return "\n".join(lines) + "\n"


# --- pull -------------------------------------------------------------------------------------


def pull(hub: Hub, repo: str, shelf: Shelf, *, most_bytes: int, threads: int = 4) -> tuple[Path, bool]:
    """Fetch the snapshot of a repo onto the shelf: its folder, and whether it is a new one.

    Args:
        most_bytes: a larger one is not fetched.

    Raises:
        RepoNotFound: no such dataset, or no snapshot in it.
        SnapshotError: it cannot be believed or kept; the one that was in force stays so.
        HubError: it did not come.
    """
    commit = downloads.head(hub, repo, "dataset")
    raw = texts.read(hub, repo, commit, MANIFEST, MAX_BYTES, kind="dataset")
    if raw is None:
        raise SnapshotError(f"its manifest has more than {MAX_BYTES} bytes", repo=repo)
    told = _in_repo(repo, raw)
    if told.schema != schema.NEWEST:
        older = told.schema < schema.NEWEST
        raise SnapshotError(
            f"it is at schema {told.schema}, {schema.NEWEST} is needed",
            repo=repo,
            hint="build and push it anew with this hubbot" if older else "upgrade hubbot",
        )
    if told.total_bytes > most_bytes:
        hint = "HUBBOT_SNAPSHOT_BYTES says how much may be fetched"
        raise SnapshotError(
            f"{told.total_bytes} bytes are not fetched, limit {most_bytes}", repo=repo, hint=hint
        )
    known, current = manifest_of(shelf), shelf.current()
    if current and known and known.id == told.id:
        return current, False
    with shelf.changing() as incoming:
        at_hand = _at_hand(current, known)
        _make_ready(incoming, told)
        _check_space(incoming, told, at_hand, repo)
        _fetch_all(_Source(hub, repo, commit, at_hand), told, incoming, threads)
        shutil.rmtree(incoming / PARTS)
        try:
            copies.check(incoming / DATABASE)
        except StoreError as error:
            shutil.rmtree(incoming)
            raise SnapshotError(f"its database cannot be believed: {error.message}", repo=repo) from error
        return shelf.put(told), True


@dataclass(frozen=True, slots=True)
class _Source:
    """One commit of a repo, and what need not be fetched from there."""

    hub: Hub
    repo: str
    commit: str
    at_hand: Mapping[FileEntry, Path]


def _in_repo(repo: str, raw: bytes) -> Manifest:
    try:
        return manifest.parse(raw)
    except SnapshotError as error:
        raise SnapshotError(error.message, repo=repo, file=error.file) from error


def _at_hand(current: Path | None, known: Manifest | None) -> dict[FileEntry, Path]:
    """Files of the snapshot in force, by what they hold: most pictures are the same in the next one."""
    if not (current and known):
        return {}
    return {entry: current / path for path, entry in known.files.items()}


def _make_ready(incoming: Path, told: Manifest) -> None:
    """What an earlier try fetched stays, as parts; all else goes."""
    parts, wanted = incoming / PARTS, {entry.sha256 for entry in told.files.values()}
    parts.mkdir(exist_ok=True)
    for path in [*incoming.iterdir(), *parts.iterdir()]:
        if path == parts or path.name in wanted:
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _check_space(incoming: Path, told: Manifest, at_hand: Mapping[FileEntry, Path], repo: str) -> None:
    needed = sum(entry.size for entry in {*told.files.values()} - at_hand.keys())
    needed -= sum(path.stat().st_size for path in (incoming / PARTS).iterdir())
    if needed > (free := shutil.disk_usage(incoming).free):
        raise SnapshotError(f"{needed} bytes do not fit, {free} are free", repo=repo, file=str(incoming))


def _fetch_all(source: _Source, told: Manifest, incoming: Path, threads: int) -> None:
    """Every file, what is twice in it once; the first fault ends it."""
    paths: dict[FileEntry, list[str]] = {}
    for path, entry in told.files.items():
        paths.setdefault(entry, []).append(path)
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_fetch, source, entry, named, incoming) for entry, named in paths.items()]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(source: _Source, entry: FileEntry, paths: list[str], incoming: Path) -> None:
    here = source.at_hand.get(entry)
    if here is None or not here.is_file() or manifest.entry_of(here) != entry:
        here = incoming / PARTS / entry.sha256
        downloads.download(
            source.hub,
            source.repo,
            source.commit,
            paths[0],
            here,
            size=entry.size,
            sha256=entry.sha256,
            kind="dataset",
        )
    for path in paths:
        (incoming / path).parent.mkdir(parents=True, exist_ok=True)
        second_name(here, incoming / path)

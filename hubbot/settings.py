"""The one reader of the environment and of hubbot.toml; frozen afterwards.

A setting is a field below: its variable is `HUBBOT_` plus its name in capitals, its line in
`hubbot.toml` is its name. The environment wins over the file, the file over the default; an empty variable
is one that is not set. Two variables of the Hub's own client are honoured where ours are not: `HF_ENDPOINT`
and `HF_TOKEN`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hubbot.errors import SettingsError

PREFIX = "HUBBOT_"
FALLBACKS = {"endpoint": "HF_ENDPOINT", "token": "HF_TOKEN"}
MODES = ("off", "draft", "review", "auto")
TAG_PREFIX = re.compile(r"[a-z][a-z0-9-]{0,38}:", re.ASCII)
RESERVED = ("arxiv", "dataset", "doi", "language", "library", "license", "region", "size", "template")
"""What stands before a colon in tags of the Hub's own making."""

SHORTEST_PASSWORD = 12

LOG_FORMATS = ("plain", "json")


def _doc(text: str, default: Any, **more: Any) -> Any:
    return field(default=default, metadata={"doc": text, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this hubbot runs. Durations end in `_s` and are seconds, sizes in `_bytes`."""

    endpoint: str = _doc("the Hub's address", "https://huggingface.co")
    token: str = _doc("a Hub token; never printed", "", secret=True)
    home: str = _doc("folder for the database, the lock and fetched experts", "~/.local/share/hubbot")
    cache: str = _doc("folder for what is kept only to save time; it may be deleted", "~/.cache/hubbot")
    database_url: str = _doc("a file or a SQLAlchemy address; empty: hubbot.db in the home folder", "")
    snapshot: str = _doc("a folder or a Hub dataset of snapshots, read in place of the database", "")
    snapshot_interval_s: float = _doc("pause between two looks for a newer snapshot", 3600.0, least=1.0)
    snapshot_bytes: int = _doc("a larger snapshot is not pulled", 20_000_000_000, least=1)
    experts: str = _doc("folders or Hub repos of further experts, separated by commas", "")
    sane: str = _doc(
        "folders or Hub repos of autoencoders that tell a model's training, separated by commas", ""
    )
    sane_bytes: int = _doc("larger weight files are not read as a whole to be judged", 20_000_000, least=1)
    device: str = _doc("where probes run: auto, cpu, cuda or cuda:0", "auto")
    mode: str = _doc("what others may see: off, draft, review or auto", "draft")
    poll_interval_s: float = _doc("pause between two polls of the listing", 60.0, least=0.05)
    poll_overlap_s: float = _doc("how far behind the watermark a poll looks again", 300.0, least=0.0)
    poll_limit: int = _doc("uploads that the very first poll takes at most", 1000, least=1)
    catch_up_s: float = _doc("how far back a bot that slept looks", 1_209_600.0, least=0.0)
    backlog_limit: int = _doc("with so many unfinished uploads no more are noticed", 100_000, least=1)
    recheck_per_hour: int = _doc(
        "known repos that are asked after, whether they are still there", 300, least=0
    )
    upload_tries: int = _doc("tries of an upload, in ever longer pauses, before it is given up", 20, least=1)
    batch_size: int = _doc("models in one batch of the probe", 64, least=1)
    batch_timeout_s: float = _doc("a worker that answers later is taken to hang", 300.0, least=0.1)
    fetch_threads: int = _doc("range reads under way at once", 8, least=1)
    http_timeout_s: float = _doc("patience with one answer of the Hub", 30.0, least=0.1)
    http_retries: int = _doc("further tries after a passing fault of the Hub", 3, least=0)
    max_header_bytes: int = _doc("a longer safetensors header is refused", 25_000_000, least=8)
    max_tensor_bytes: int = _doc("a larger tensor is refused", 1_000_000_000, least=8)
    max_model_bytes: int = _doc(
        "a larger model is not read whole, to align it, tell its properties or watch its matrices",
        100_000_000,
        least=8,
    )
    shelf_bytes: int = _doc("what the layers of one far zoo may take on the disk", 50_000_000_000, least=1)
    pulls_per_owner: int = _doc(
        "open pull requests per owner, a person or an organisation, at most", 3, least=0
    )
    pulls_per_day: int = _doc("pull requests opened per day at most", 50, least=0)
    blocklist: str = _doc("owners and repos never to be touched, separated by commas", "")
    trusted: str = _doc("owners and repos that need no approval in mode review, separated by commas", "")
    quiet_hours: str = _doc("hours in which nothing is opened, by UTC, such as 22-7", "")
    tag_prefix: str = _doc("beside each new tag the same one after this, such as hubbot:", "")
    card_section: bool = _doc("whether a short section goes into the card's text as well", False)
    contact: str = _doc("how owners reach whoever runs this bot; nothing is opened without", "")
    service: str = _doc("where a running bot answers, host:port; port 0 is a free one", "127.0.0.1:0")
    webhook_secret: str = _doc("what the Hub's webhooks bring along; never printed", "", secret=True)
    review_password: str = _doc(
        "opens the Space's Review page, 12 characters or more; never printed", "", secret=True
    )
    admins: str = _doc("Hub users who may review in a Space on the Hub, separated by commas", "")
    log_format: str = _doc("plain for people, json for machines", "plain")

    def __post_init__(self) -> None:
        for f in fields(self):
            value, least = getattr(self, f.name), f.metadata.get("least")
            if least is not None and not value >= least:
                raise SettingsError(f"{variable(f.name)} is {value}, at least {least} is needed")
        for name, choices in (("mode", MODES), ("log_format", LOG_FORMATS)):
            if getattr(self, name) not in choices:
                raise SettingsError(
                    f"{variable(name)} is {getattr(self, name)!r}, one of {', '.join(choices)} is needed"
                )
        if self.mode in ("review", "auto") and not self.contact:
            raise SettingsError(
                f"mode {self.mode} opens pull requests, and owners could not reach you",
                hint=f"set {variable('contact')} to an address; it stands in every pull request",
            )
        prefix = self.tag_prefix.removesuffix(":")
        if self.tag_prefix and (not TAG_PREFIX.fullmatch(self.tag_prefix) or prefix in RESERVED):
            raise SettingsError(
                f"{variable('tag_prefix')} is {self.tag_prefix!r}: small letters and a colon are needed, "
                "and none of the Hub's own prefixes"
            )
        if self.quiet_hours and self.quiet is None:
            raise SettingsError(
                f"{variable('quiet_hours')} is {self.quiet_hours!r}, two hours such as 22-7 are needed"
            )
        if 0 < len(self.review_password) < SHORTEST_PASSWORD:
            raise SettingsError(
                f"{variable('review_password')} has {len(self.review_password)} characters, "
                f"{SHORTEST_PASSWORD} are needed at least",
                hint="whoever reaches the Space may guess: `openssl rand -base64 18` makes a good one",
            )
        if not self.endpoint.startswith(("http://", "https://")):
            raise SettingsError(f"{variable('endpoint')} is {self.endpoint!r}, an http(s) address is needed")

    @property
    def home_path(self) -> Path:
        return Path(self.home).expanduser()

    @property
    def texts(self) -> Path:
        """Where the vectors of texts are kept."""
        return Path(self.cache).expanduser() / "texts"

    @property
    def snapshots(self) -> Path:
        """Where the snapshots are kept that are made here."""
        return self.home_path / "snapshots"

    @property
    def shelves(self) -> Path:
        """Where layers of far zoos are kept."""
        return self.home_path / "shelves"

    @property
    def database(self) -> str:
        """The SQLAlchemy address in force."""
        place = self.database_url or str(self.home_path / "hubbot.db")
        return place if "://" in place else f"sqlite:///{place}"

    @property
    def blocked(self) -> frozenset[str]:
        return frozenset(split_list(self.blocklist))

    @property
    def quiet(self) -> tuple[int, int] | None:
        """The first quiet hour and the first that is not; None where there are none."""
        found = re.fullmatch(r"\s*([0-9]{1,2})\s*-\s*([0-9]{1,2})\s*", self.quiet_hours, re.ASCII)
        start, end = map(int, found.groups()) if found else (0, 0)
        return (start, end) if start != end and max(start, end) < 24 else None

    @property
    def expert_places(self) -> tuple[str, ...]:
        return split_list(self.experts)

    @property
    def sane_places(self) -> tuple[str, ...]:
        return split_list(self.sane)

    def __repr__(self) -> str:
        shown = (
            f"{f.name}={'***' if f.metadata.get('secret') else getattr(self, f.name)!r}" for f in fields(self)
        )
        return f"Settings({', '.join(shown)})"


def split_list(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated setting, without blanks."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def load(environ: Mapping[str, str] | None = None, file: Path | None = None, **overrides: Any) -> Settings:
    """Read settings once: overrides, then environment, then file, then defaults.

    Args:
        environ: the environment; the process's own by default.
        file: a TOML file; `HUBBOT_CONFIG` or `./hubbot.toml` by default, and it may be missing then.
        overrides: from the command line; None means "not said".

    Raises:
        SettingsError: an unknown `HUBBOT_` variable or line, or a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    values = _from_file(environ, file) | _from_environ(environ)
    values |= {name: value for name, value in overrides.items() if value is not None}
    known = {f.name: f for f in fields(Settings)}
    for name in values.keys() - known.keys():
        raise SettingsError(f"there is no setting {name!r}", hint="`hubbot doctor` lists them all")
    return Settings(**{name: _convert(name, value, known[name].default) for name, value in values.items()})


def _from_file(environ: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    asked = file or (Path(environ["HUBBOT_CONFIG"]) if "HUBBOT_CONFIG" in environ else None)
    path = asked or Path("hubbot.toml")
    if not asked and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read settings: {error}", file=str(path)) from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    ours = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != "HUBBOT_CONFIG" and value
    }
    theirs = {name: environ[variable] for name, variable in FALLBACKS.items() if environ.get(variable)}
    return theirs | ours


def _convert(name: str, value: Any, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return value if isinstance(value, bool) else {"true": True, "false": False}[value.lower()]
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise SettingsError(f"{variable(name)} is {value!r}, {kind.__name__} is needed") from None

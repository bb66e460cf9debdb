"""The front matter of a README as the Hub reads it, and what the Hub complains of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_FENCED = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_MAX_BYTES = 100_000
_MAX_NODES = 20_000
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w][\w.-]{0,95})?")

_LICENSES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
    cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
    ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
    lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0
    odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
    deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3
    llama4 grok2-community gemma unknown other
"""
LICENSES = frozenset(_LICENSES.split())
SPACE_SDKS = ("gradio", "streamlit", "docker", "static")
_COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_MAX_SHORT_DESCRIPTION = 60


class BadMetadata(ValueError):
    """The front matter cannot be read."""


def split_front_matter(readme: str) -> str | None:
    """The YAML between the dashes at the very top, if there is one."""
    match = _FENCED.match(readme)
    return match.group(1) if match else None


def read_card(readme: str) -> dict[str, Any]:
    """Front matter as plain JSON values; an empty dict where there is none.

    YAML 1.2, as the Hub reads it (`language: no` stays a word). Everything in it is hostile: size,
    nesting and the number of values after aliases are limited, and no object is ever constructed.

    Raises:
        BadMetadata: with the reason, where it cannot be read.
    """
    front = split_front_matter(readme)
    if front is None:
        return {}
    if len(front.encode(errors="replace")) > _MAX_BYTES:
        raise BadMetadata("YAML metadata is too large")
    try:
        loaded = YAML(typ="safe", pure=True).load(front)
        plain = _Plain().convert(loaded)
    except RecursionError:
        raise BadMetadata("YAML metadata is nested too deeply") from None
    except (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        # ruamel leaks Python's own errors for odd numbers, dates, keys and tags.
        raise BadMetadata(
            f"bad YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise BadMetadata("YAML metadata is not a mapping")
    return plain


class _Plain:
    """Turns what YAML gave into JSON values, counting them, since aliases can multiply."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def convert(self, value: object) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BadMetadata("YAML metadata holds too many values")
        match value:
            case None | bool():
                return value
            case int():
                return value if abs(value) < 2**63 else str(value)
            case float():
                return value if math.isfinite(value) else str(value)
            case Mapping():
                return {_text(key): self.convert(item) for key, item in value.items()}
            case list() | tuple() | set():
                return [self.convert(item) for item in value]
            case date():
                return value.isoformat()
            case _:
                return _text(value)


def _text(value: object) -> str:
    return str(value).encode(errors="replace").decode()


def strings(value: object) -> list[str]:
    """A card's value that may be one word or a list of them."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def complaints(readme: str, kind: str = "models") -> tuple[list[str], list[str]]:
    """What the Hub would say of this README: errors, for which it refuses a commit, and warnings."""
    try:
        card = read_card(readme)
    except BadMetadata as error:
        return [str(error)], []
    if not card:
        return [], ["empty or missing yaml metadata in repo card"]
    of_spaces = _bad_space(card) if kind == "spaces" else ()
    return [*_bad_licenses(card), *_bad_ids(card), *_bad_lists(card), *of_spaces], []


def _bad_licenses(card: Mapping[str, Any]) -> Iterator[str]:
    for item in strings(card.get("license")):
        if item not in LICENSES:
            yield f'"license" must be one of the known licenses, not "{item}"'


def _bad_ids(card: Mapping[str, Any]) -> Iterator[str]:
    for key, page in (("base_model", "models"), ("datasets", "datasets")):
        for item in strings(card.get(key)):
            if not _HUB_ID.fullmatch(item):
                yield f'"{key}" with value "{item}" is not valid. Use an id from https://hf.co/{page}.'


def _bad_lists(card: Mapping[str, Any]) -> Iterator[str]:
    for key in ("tags", "datasets", "metrics"):
        value = card.get(key)
        if isinstance(value, list) and len(strings(value)) == len(value):
            continue
        if value is not None and not isinstance(value, str):
            yield f'"{key}" must be an array of strings'


def _bad_space(card: Mapping[str, Any]) -> Iterator[str]:
    if card.get("sdk") not in SPACE_SDKS:
        yield f'"sdk" must be one of [{", ".join(SPACE_SDKS)}]'
    for key in ("colorFrom", "colorTo"):
        if card.get(key) not in (None, *_COLOURS):
            yield f'"{key}" must be one of [{", ".join(_COLOURS)}]'
    for key in ("sdk_version", "python_version", "app_file", "title", "short_description"):
        if not isinstance(card.get(key, ""), str):
            yield f'"{key}" must be a string'
    if len(str(card.get("short_description", ""))) > _MAX_SHORT_DESCRIPTION:
        yield f'"short_description" length must be at most {_MAX_SHORT_DESCRIPTION} characters long'

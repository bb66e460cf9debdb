"""What the Hub and the two HTTP clients say went wrong, in hubbot's words.

Every error names its repo. The words of the server are shown cut and printable, since it may say anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

# The version-neutral way to the client's HTTP library; its lazy module hides names from the type checker.
from huggingface_hub.utils import httpx as hub_httpx  # type: ignore[attr-defined]
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from hubbot.errors import (
    AccessDenied,
    HubbotError,
    HubError,
    HubUnavailable,
    RateLimited,
    RepoNotFound,
    TruncatedFile,
)

DISABLED = "Access to this resource is disabled."
BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the Hub's sentence, no secret
NO_TOKEN_HINT = "set HUBBOT_TOKEN or HF_TOKEN to a token of the Hub"  # noqa: S105 - a hint, no secret


class FileNotThere(RepoNotFound):
    """The repo has no such file."""


class AnswerTooLarge(HubError):
    """An answer longer than we read; asking again gives the same. `following` is the next page's address."""

    following: str | None = None


class Response(Protocol):
    """What both clients' responses have in common."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


@contextmanager
def translated(*, repo: str | None = None, file: str | None = None) -> Iterator[None]:
    """Turn whatever a call to the Hub raises into a HubError.

    Raises:
        HubError: the subclass that fits; `HubUnavailable` also for an answer of the wrong form, on which
            the Hub's client stumbles with whatever Python has for it.
    """
    try:
        yield
    except HubbotError as error:
        if error.repo is None:  # whoever waits in line for the Hub does not know for what
            error.repo, error.file = repo, file
        raise
    except HfHubHTTPError as error:
        raise from_response(error.response, repo=repo, file=file) from error
    except HFValidationError as error:
        raise RepoNotFound("this is no name of a repo", repo=repo, file=file) from error
    except (httpx.HTTPError, httpx.InvalidURL, hub_httpx.HTTPError, hub_httpx.InvalidURL, OSError) as error:
        why = f"no answer: {type(error).__name__}: {shown(str(error))}"
        raise HubUnavailable(why, repo=repo, file=file) from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = f"an answer of the wrong form: {type(error).__name__}: {shown(str(error))}"
        raise HubUnavailable(why, repo=repo, file=file) from error


def from_response(response: Response, *, repo: str | None = None, file: str | None = None) -> HubbotError:
    """The error that an answer with a status of 400 or more stands for."""
    status, headers = response.status_code, response.headers
    code, said = headers.get("X-Error-Code", ""), shown(headers.get("X-Error-Message", ""))
    told = f"{status} {said}".strip()
    if is_refusal_for_now(response):
        return RateLimited(f"come back later: {told}", repo=repo, file=file, retry_after_s=wait_s(headers))
    if status == 408 or status >= 500:
        return HubUnavailable(f"the Hub fails: {told}", repo=repo, file=file)
    if status == 401 and (said == BAD_TOKEN or repo is None):
        return HubError("the Hub does not accept the token", repo=repo, file=file, hint=NO_TOKEN_HINT)
    if code == "GatedRepo" or status in (403, 451) or said == DISABLED:
        return AccessDenied(f"not for us: {told}", repo=repo, file=file)
    if code == "EntryNotFound":
        return FileNotThere(repo=repo, file=file)
    if code == "RevisionNotFound":
        return RepoNotFound("the repo has no such revision", repo=repo, file=file)
    # The Hub answers 401 to strangers both for what is private and for what does not exist.
    if status in (401, 404, 410):
        return RepoNotFound("there is no such repo, or none that we may see", repo=repo, file=file)
    if status == 416:
        return TruncatedFile("the file is shorter than the Hub lists", repo=repo, file=file)
    return HubError(f"the Hub refuses: {told}", repo=repo, file=file)


def is_refusal_for_now(response: Response) -> bool:
    """Whether an answer only says to come back later."""
    return response.status_code == 429 or (response.status_code == 503 and "Retry-After" in response.headers)


def wait_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the server asks us to wait, from `Retry-After` or `RateLimit`; None where it does not."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", asked):
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
        return max(
            0.0, (until.replace(tzinfo=until.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
        )
    except (ValueError, OverflowError):
        pass
    # The headers of the rate are on every answer; they speak of this one only when nothing remains.
    rate = parse_ratelimit_headers(headers)
    return float(rate.reset_in_seconds) if rate and rate.remaining == 0 else None


def shown(text: str) -> str:
    """A stranger's words as one short printable line."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:200]).strip()

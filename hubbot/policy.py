"""May this suggestion be made? Pure rules over records, each answering with a reason or with None.

hubbot is a guest: one pull request per repo, silence once an owner has closed one, and nothing at all for
those who never asked to be read (gated, private, disabled), who said no, or who have had enough for now.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hubbot.records import PullRequest, Reading, Suggestion, SuggestionState, Upload


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of each day in which nothing is opened, by UTC: nobody knows where an owner sleeps.

    Args:
        start: the first quiet hour, 0 to 23.
        end: the first hour that is not; before `start` where midnight lies between.
    """

    start: int
    end: int

    def why_not(self, now: datetime) -> str | None:
        """Why nothing is opened now, an aware time; None where something may be."""
        hour = now.astimezone(UTC).hour
        since, length = (hour - self.start) % 24, (self.end - self.start) % 24
        return f"these are quiet hours, until {self.end}:00 UTC" if since < length else None


def may_suggest(
    upload: Upload,
    reading: Reading,
    *,
    opted_out: bool,
    earlier: Sequence[PullRequest],
    previous: Suggestion | None,
    blocked: Collection[str],
    opened_for_owner: int,
    opened_today: int,
    pulls_per_owner: int,
    pulls_per_day: int,
    mode: str,
    asked: bool = False,
    estimated: bool = False,
) -> str | None:
    """Whether a suggestion may be made, or opened.

    Args:
        opted_out: the card says `hubbot: false`.
        earlier: every pull request that we ever opened in this repo, as the Hub lists them now.
        previous: the newest other suggestion that we remember for this repo, if any.
        blocked: owners and repos never to be touched, in any case.
        opened_for_owner: our pull requests that count against `pulls_per_owner`, this one left out.
        opened_today: those of the last day, this one left out.
        asked: the owner asked for it: what they answered earlier no longer silences us.
        estimated: it holds estimates that an admin asked for, and so something to say whatever the reading.

    Returns:
        None if it may; otherwise why not, as a sentence for a person.
    """
    if mode == "off":
        return "suggestions are switched off"
    return (
        (None if estimated else _nothing_to_say(reading))
        or _left_alone(upload)
        or _unwelcome(upload, opted_out, blocked)
        or _under_way(earlier, previous)
        or (None if asked else _answered(reading, earlier, previous))
        or _enough(upload, opened_for_owner, opened_today, pulls_per_owner, pulls_per_day)
    )


def listed(upload: Upload, entries: Collection[str]) -> str | None:
    """The repo or its owner, whichever is among the entries, in any case; None where neither is."""
    names = {entry.strip().casefold() for entry in entries}
    return next((name for name in (upload.repo, upload.owner) if name and name.casefold() in names), None)


def _nothing_to_say(reading: Reading) -> str | None:
    if reading.abstention:
        return f"there was no reading: {reading.abstention.text}"
    return None if reading.recognised else "nothing was recognised with enough certainty"


def _left_alone(upload: Upload) -> str | None:
    states = {"gated": upload.gated, "private": upload.private, "disabled": upload.disabled}
    return next((f"the repo is {state} and is left alone" for state, is_so in states.items() if is_so), None)


def _unwelcome(upload: Upload, opted_out: bool, blocked: Collection[str]) -> str | None:
    if opted_out:
        return "its card says `hubbot: false`"
    name = listed(upload, blocked)
    return f"{name} is on the blocklist" if name else None


def _under_way(earlier: Sequence[PullRequest], previous: Suggestion | None) -> str | None:
    """Whatever is neither merged nor closed counts as open, a status that we do not know too."""
    waiting = next((pull for pull in earlier if pull.status not in ("merged", "closed")), None)
    if waiting:
        return f"a pull request of ours waits for an answer: {waiting.url}"
    if previous and previous.state is SuggestionState.OPENING:
        return "a pull request of ours is just being opened"
    # What the Hub knows better: a pull request that we hold to be open may have been answered since.
    if previous and previous.state is SuggestionState.OPEN and not earlier:
        return f"a pull request of ours waits for an answer: {previous.pull_request}"
    return None


def _answered(reading: Reading, earlier: Sequence[PullRequest], previous: Suggestion | None) -> str | None:
    answers = {pull.status for pull in earlier}
    if "closed" in answers or (previous and previous.state is SuggestionState.CLOSED):
        return "its owner closed a pull request of ours: silence for good"
    if "merged" not in answers and not (previous and previous.state is SuggestionState.MERGED):
        return None
    merged = previous and previous.state in (SuggestionState.MERGED, SuggestionState.OPEN)
    weights = previous.content_ids if previous and merged else ()
    if not weights:
        return "a pull request of ours was merged, for weights that we do not remember"
    if set(weights) == set(reading.content_ids):
        return "a pull request of ours was merged for these very weights"
    return None


def _enough(
    upload: Upload, opened_for_owner: int, opened_today: int, pulls_per_owner: int, pulls_per_day: int
) -> str | None:
    if opened_for_owner >= pulls_per_owner:
        owner = upload.owner or upload.repo
        return f"{owner} has {opened_for_owner} of our pull requests, the most is {pulls_per_owner}"
    if opened_today >= pulls_per_day:
        return f"{opened_today} pull requests were opened within a day, the most is {pulls_per_day}"
    return None

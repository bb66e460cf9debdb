"""Leading uploads down the path: a poll, one repo by name, a tree once more.

Each is a job of its own for a running bot (`look`, `read`, `open_due`, `follow`, `recheck`), at its own
pace; the database is what they hand their work on by. `hubbot.batches` leads the uploads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from hubbot.batches import process
from hubbot.bot import Bot, Manners, Reader
from hubbot.card.compose import compose
from hubbot.card.front_matter import opted_out
from hubbot.courtesy import settle
from hubbot.errors import HubError, RepoNotFound
from hubbot.growth import alike, planted, root_of
from hubbot.hub import pulls, uploads
from hubbot.pipeline import notice, open_pull_request, probe
from hubbot.records import Abstention, Reading, Suggestion, SuggestionState, Upload
from hubbot.visits import Visit, visit

log = logging.getLogger(__name__)

ASKED_TO_STOP = "a comment on the pull request says `hubbot: false`"
LAST_WORD = "As you wish. You will not hear of me here again."

PAGE = 100
"""Uploads that are written down in one transaction."""
FEW = 32
"""Uploads of an order that are led down the path before it is written down how far it has come."""
SLICE = 256
"""Uploads that are led down the path before anything else gets its turn."""


def poll(bot: Bot) -> int:
    """Everything once: notice what is new, lead what is due down the path; how many came to their end."""
    look(bot)
    ended, now, after = 0, datetime.now(UTC), None
    while (due := bot.store.due(now, SLICE, after)) and not bot.stopping.is_set():
        ended += len(due) - len(process(bot, due))
        after = due[-1]
    open_due(bot)
    return ended


def look(bot: Bot) -> int:
    """Write down what is new in the listing, as unfinished; how many uploads.

    The watermark moves when the listing was read down to it, so that a stop in the middle costs nothing but
    to read those pages again. Who slept looks back by `catch_up` at most, and with a backlog of
    `most_waiting` nothing more is noticed until that has been worked off.
    """
    endpoint, now, new = bot.hub.endpoint, datetime.now(UTC), 0
    if (waiting := bot.store.backlog()) >= bot.most_waiting:
        log.warning("%d uploads wait, the most is %d: noticing no more for now", waiting, bot.most_waiting)
        return 0
    newest = watermark = bot.store.watermark(endpoint)
    since = watermark - bot.overlap if watermark else None
    if since and since < now - bot.catch_up:
        log.info("nothing was noticed since %s: what is older than %s is left out", since, bot.catch_up)
        since = now - bot.catch_up
    listed = notice(bot.hub, since, None if watermark else bot.first_limit)
    while page := list(islice(listed, PAGE)):
        if bot.stopping.is_set():
            return new
        new += bot.store.notice(page)
        newest = max(newest or page[0].modified_at, *(upload.modified_at for upload in page))
    # A listing from the future must not make the bot blind until then.
    bot.store.set_watermark(endpoint, min(now, newest or now))
    return new


def look_at(bot: Bot, repos: Iterable[str]) -> None:
    """Notice single repos that somebody has named; what they name is fetched, and nothing else believed."""
    for repo in repos:
        try:
            bot.store.notice([uploads.one(bot.hub, repo)])
        except HubError as error:  # the next poll sees it, if there is anything to see
            log.warning("%s: named by a webhook, and not to be had: %s", repo, error)


def read(bot: Bot) -> int:
    """Lead a slice of what is due down the path, the oldest first; how many came to their end."""
    due = bot.store.due(datetime.now(UTC), SLICE)
    return len(due) - len(process(bot, due))


def recheck(bot: Bot, most: int) -> list[Reading]:
    """Ask after the repos that nobody asked about for the longest time; what is recorded of those that went.

    A search must not offer what its owner took down, and a listing never tells of that. Who was renamed is
    noticed under the new name.
    """
    gone = []
    for upload in bot.store.unchecked(most):
        if bot.stopping.is_set():
            break
        try:
            now = uploads.one(bot.hub, upload.repo)
        except RepoNotFound:
            why = Abstention("gone", "its repo was deleted or made private")
        except HubError as error:
            log.warning("%s: not known whether it is still there: %s", upload.repo, error)
            continue
        else:
            bot.store.notice([now])  # where a listing that moved while it was read hid a commit
            if now.repo == upload.repo:
                bot.store.check(upload.repo)
                continue
            why = Abstention("renamed", f"it is called {now.repo} now")
        placement = bot.store.placement(upload.repo)
        tree = placement.tree if placement else None
        gone.append(Reading(upload.repo, upload.commit, (upload.commit,), tree, abstention=why))
        bot.store.record(gone[-1])
        bot.store.forget(upload.repo)
    return gone


def consult(reader: Reader, repo: str) -> tuple[Visit, Reading]:
    """One repo by name, nothing written anywhere: `hubbot tell`."""
    seen = judged(reader, visit(reader, uploads.one(reader.hub, repo)))
    while seen.tensors is not None and seen.expert is not None:
        said = probe(reader.engine, seen.expert, [seen.tensors])[0]
        if seen.others is None:
            return seen, seen.reading(said)
        seen = seen.heard(said)
    return seen, seen.reading()


def judged(reader: Reader, seen: Visit) -> Visit:
    """The visit after the answers of all autoencoders that know its architecture."""
    judging = seen.judging
    while judging and judging.tensors:
        judging = judging.heard(reader.engine.judge(judging.left[0], judging.tensors))
    return replace(seen, judging=judging and judging.given_up())


def draft(reader: Reader, repo: str, manners: Manners) -> Suggestion:
    """What would be suggested for one repo by name, nothing written anywhere: `hubbot card suggest`.

    No base model: that takes comparing it with its kin, whom only a bot with a memory knows. And nobody
    judges it: what is estimated is in a card only where an admin asks, so whole weights are not read for it.
    """
    seen, reading = consult(replace(reader, autoencoders=()), repo)
    base = seen.upload.commit
    if seen.expert is None or reading.abstention or not reading.recognised:
        reason = reading.abstention.text if reading.abstention else "nothing was recognised with confidence"
        return Suggestion(repo, base, SuggestionState.REFUSED, reason=reason)
    card = pulls.read_card(reader.hub, repo, base) or b""
    return compose(
        reading,
        seen.expert,
        card,
        contact=manners.contact,
        base_commit=base,
        tag_prefix=manners.tag_prefix,
        section=manners.section,
    )


def rerun(
    bot: Bot, repos: Sequence[str], done: int = 0, advance: Callable[[int, int, str], None] = lambda *_: None
) -> int:
    """Lead recorded uploads down the path again, at their present commits; how many came to their end.

    What the present version of the tree's expert has read already is kept as it is.

    Args:
        done: how many were dealt with before a stop.
        advance: told after every few: how many are dealt with, of how many, and the last of them.
    """
    of, coming, ended = done + len(repos), iter(repos), 0
    while (few := list(islice(coming, FEW))) and not bot.stopping.is_set():
        present = list(_as_they_are(bot, few))
        ended += len(present) - len(process(bot, present))
        if not bot.stopping.is_set():
            done += len(few)
            advance(done, of, few[-1])
    return ended


def add_root(bot: Bot, repo: str) -> str:
    """Know a root by rows of its weights from now on; lead whoever may be of its tree down the path again.

    These are the unplaced models that resemble it, and all that declare it.

    Raises:
        UsageError: it descends from a root that is known, or has nothing to be known by.
        HubError, WeightsError: it cannot be read.
    """
    upload = uploads.one(bot.hub, repo)
    known, sketch = root_of(upload, bot.reader)
    bot.store.save_root(known)
    bot.reader.forest.plant(planted(known))
    led = {one.repo for one in [*alike(bot, sketch), *bot.store.uploads(tree=upload.repo)]} - {upload.repo}
    left = process(bot, [upload, *_as_they_are(bot, sorted(led))])
    placed = len(bot.store.tree_members(upload.repo)) - 1
    told = f"{upload.repo} is known by {sum(map(len, known.rows.values()))} rows of {len(known.rows)} tensors"
    waiting = f"; {len(left)} are left to the next poll" if left else ""
    return f"{told}; {len(led)} uploads led down the path again, {placed} models in its tree{waiting}"


def _as_they_are(bot: Bot, repos: Iterable[str]) -> Iterator[Upload]:
    """Recorded uploads at their present commits; those that are gone stay as they are recorded."""
    for repo in repos:
        try:
            yield uploads.one(bot.hub, repo)
        except HubError as error:
            log.warning("%s: left as it is recorded: %s", repo, error)


def open_due(bot: Bot) -> None:
    """Open the pull requests that the mode allows; first those that a crash left half opened."""
    due = [SuggestionState.OPENING]
    if bot.manners.mode in ("review", "auto"):
        due.append(SuggestionState.APPROVED)
    if bot.manners.mode == "auto":
        due.append(SuggestionState.DRAFT)
    for suggestion in [s for state in due for s in bot.store.suggestions(state)]:
        if bot.stopping.is_set():
            return
        try:
            # Started again in a mode in which nothing leaves the house, not even the half opened does.
            settled = open_pull_request(bot, suggestion, only_look=bot.manners.mode in ("off", "draft"))
        except RepoNotFound as error:  # a refusal may be our token's fault, and is tried again
            settled = settle(bot, suggestion, SuggestionState.REFUSED, reason=error.message)
        except HubError as error:
            log.warning("%s: not opened, tried again at the next poll: %s", suggestion.repo, error)
            continue
        if settled.state is not suggestion.state:
            bot.watch(settled)


def follow(bot: Bot) -> list[Suggestion]:
    """Read back what became of our open pull requests; those that were answered."""
    answered = []
    for suggestion in bot.store.suggestions(SuggestionState.OPEN):
        number = int((suggestion.pull_request or "").rstrip("/").rsplit("/", 1)[-1])
        try:
            now = pulls.pull_status(bot.hub, suggestion.repo, number)
        except HubError as error:  # of a repo that is gone, for instance; the others have news all the same
            log.warning("%s: no news of its pull request: %s", suggestion.repo, error)
            continue
        said = pulls.last_word(now)
        if now.status in (SuggestionState.MERGED, SuggestionState.CLOSED):
            answered.append(settle(bot, suggestion, SuggestionState(now.status), reason=said))
        elif any(opted_out(answer.encode()) for answer in now.answers):
            # Written down first: a bot that dies here is silent all the same.
            answered.append(settle(bot, suggestion, SuggestionState.CLOSED, reason=ASKED_TO_STOP))
            try:
                pulls.close(bot.hub, suggestion.repo, number, LAST_WORD)
            except HubError as error:
                log.warning("%s: its pull request stays open: %s", suggestion.repo, error)
        elif said != suggestion.reason:
            settle(bot, suggestion, SuggestionState.OPEN, reason=said)
    return answered

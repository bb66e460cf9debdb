"""Leading uploads down the path: a poll, one repo by name, a tree once more.

Fetching runs in threads, probing in the engine's worker, and all writing in the calling thread.
Whatever goes wrong with one upload ends as that upload's recorded abstention; a passing fault of the
Hub leaves it, written down, to the next poll.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hubbot.card.compose import compose
from hubbot.errors import EngineError, HubbotError, HubError
from hubbot.hub import pulls, tensors, uploads
from hubbot.pipeline import (
    PASSING,
    Bot,
    Reader,
    fetch,
    notice,
    open_pull_request,
    place,
    probe,
    record,
    settle,
    suggest,
)
from hubbot.records import (
    Abstention,
    Evidence,
    ExpertInfo,
    How,
    Placement,
    Reading,
    RemoteFile,
    Source,
    Suggestion,
    SuggestionState,
    Tensors,
    Upload,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """An upload after the steps that only read: placed, with tensors for its expert or a reason for none."""

    upload: Upload
    placement: Placement
    files: tuple[RemoteFile, ...] = ()
    """The weight files; a header may name a hundred thousand tensors, and many visits wait for one batch."""
    expert: ExpertInfo | None = None
    tensors: Tensors | None = None
    abstention: Abstention | None = None
    known: Reading | None = None
    """What this version of the expert said of these very weights before."""
    others: tuple[ExpertInfo, ...] | None = None
    """None where the tree is known. Else the experts to ask beside this one: nothing but the form of an
    adapter speaks for their trees."""
    claims: tuple[tuple[ExpertInfo, Reading], ...] = ()
    """The experts that found the adapter to be like those that they know, with what they said."""

    def heard(self, said: Reading) -> Visit:
        """After an expert's answer where the tree is open: another to ask, or placed by the only claim."""
        claims = self.claims
        if self.expert and not said.abstention:
            claims = (*claims, (self.expert, said))
        if self.others:
            return replace(self, expert=self.others[0], others=self.others[1:], claims=claims)
        if len(claims) != 1:
            cost = self.placement.bytes_read + said.bytes_read
            placement = replace(self.placement, bytes_read=cost)
            nobody = _nobody_to_ask(placement, None)
            return replace(self, placement=placement, expert=None, tensors=None, abstention=nobody)
        [(expert, claim)] = claims
        known = replace(claim, bytes_read=claim.bytes_read + self.placement.bytes_read)
        return replace(self, tensors=None).recovered(expert, known)

    def recovered(self, expert: ExpertInfo, known: Reading) -> Visit:
        """Placed by an expert's word."""
        text = f"its factors have the form that {expert.name} reads, and are like those it knows"
        placement = replace(
            self.placement,
            tree=expert.tree,
            parent=expert.tree,
            how=How.RECOVERED,
            # In place of the last evidence, which says that nothing places it.
            evidence=(*self.placement.evidence[:-1], Evidence(Source.WEIGHTS, text, expert.tree)),
            relation="adapter",
        )
        return replace(self, placement=placement, expert=expert, known=known)

    def reading(self, said: Reading | None = None) -> Reading:
        """What is recorded: what the expert said with all that it cost, or why nobody was asked."""
        if said is not None:
            return replace(said, bytes_read=said.bytes_read + self.placement.bytes_read)
        if self.known is not None:
            return replace(self.known, commit=self.upload.commit)
        return Reading(
            repo=self.upload.repo,
            commit=self.upload.commit,
            content_ids=tuple(sorted(f.content_id for f in self.files)) or (self.upload.commit,),
            tree=self.placement.tree,
            expert=self.expert.name if self.expert else "",
            version=self.expert.version if self.expert else "",
            abstention=self.abstention,
            bytes_read=self.placement.bytes_read,
            bytes_stored=sum(f.size for f in self.files),
        )


def poll(bot: Bot) -> int:
    """Notice what is new and lead it down the path; how many uploads came to their end.

    The watermark passes an upload only when that has been dealt with or written down as unfinished, so that
    a crash, a stop or a passing fault leaves it to the next poll, and one that never comes to its end does
    not hold the watermark for ever.
    """
    endpoint, now = bot.hub.endpoint, datetime.now(UTC)
    watermark = bot.store.watermark(endpoint)
    noticed = notice(
        bot.hub, watermark - bot.overlap if watermark else None, None if watermark else bot.first_limit
    )
    listed = {upload.repo for upload in noticed}
    left = [upload for upload in bot.store.unfinished() if upload.repo not in listed]
    fresh = [upload for upload in noticed if not bot.store.is_finished(upload)] + left
    unfinished = process(bot, fresh)
    newest = max((upload.modified_at for upload in noticed), default=watermark or now)
    # A listing from the future must not make the bot blind until then.
    bot.store.set_watermark(endpoint, min(now, newest))
    open_due(bot)
    return len(fresh) - len(unfinished)


def process(bot: Bot, fresh: Iterable[Upload]) -> list[Upload]:
    """Lead uploads to their end; the ones that a passing fault or a stop left unfinished."""
    batches = _Batches(bot)
    with ThreadPoolExecutor(bot.fetch_threads, thread_name_prefix="fetch") as threads:
        under_way: dict[Future[Visit], Upload] = {}
        for upload in fresh:
            bot.watch(upload)
            known = bot.store.reading(upload.repo)
            under_way[threads.submit(visit, bot.reader, upload, known)] = upload
        while under_way:
            done, _ = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                upload = under_way.pop(future)
                try:
                    batches.take(future.result())
                except PASSING as error:
                    batches.leave(upload, error)
                except Exception as error:  # whatever it is: one upload must not stop the others
                    log.error("%s: given up: %r", upload.repo, error, exc_info=log.isEnabledFor(logging.INFO))
                    batches.take(_failed(upload, error))
            if bot.stopping.is_set():
                for future in [future for future in under_way if future.cancel()]:
                    batches.keep(under_way.pop(future))
            batches.settle()
    batches.finish()
    return batches.unfinished


def consult(reader: Reader, repo: str) -> tuple[Visit, Reading]:
    """One repo by name, nothing written anywhere: `hubbot tell`."""
    seen = visit(reader, uploads.one(reader.hub, repo))
    while seen.tensors is not None and seen.expert is not None:
        said = probe(reader.engine, seen.expert, [seen.tensors])[0]
        if seen.others is None:
            return seen, seen.reading(said)
        seen = seen.heard(said)
    return seen, seen.reading()


def draft(reader: Reader, repo: str, contact: str) -> Suggestion:
    """What would be suggested for one repo by name, nothing written anywhere: `hubbot card suggest`."""
    seen, reading = consult(reader, repo)
    base = seen.upload.commit
    if seen.expert is None or reading.abstention or not reading.recognised:
        reason = reading.abstention.text if reading.abstention else "nothing was recognised with confidence"
        return Suggestion(repo, base, SuggestionState.REFUSED, reason=reason)
    card = pulls.read_card(reader.hub, repo, base) or b""
    return compose(reading, seen.expert, card, contact=contact, base_commit=base)


def rerun(bot: Bot, root: str) -> int:
    """Lead every recorded upload of a tree down the path again, at its present commit; how many.

    What the present version of the tree's expert has read already is kept as it is.
    """
    members = []
    for upload in bot.store.uploads(tree=root):
        try:
            members.append(uploads.one(bot.hub, upload.repo))
        except HubError as error:
            log.warning("%s: left as it is recorded: %s", upload.repo, error)
    return len(members) - len(process(bot, members))


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
        if now.status in (SuggestionState.MERGED, SuggestionState.CLOSED):
            answered.append(settle(bot, suggestion, SuggestionState(now.status)))
    return answered


def visit(reader: Reader, upload: Upload, known: Reading | None = None) -> Visit:
    """Place an upload and fetch what its expert needs; only reads, and holds no connection.

    Args:
        known: the repo's last reading; where it is of these weights and by this version of the expert,
            nothing is fetched again (decision 1: a commit to a README makes no new work).

    Raises:
        RateLimited, HubUnavailable: not now. Every other fault is told as an abstention.
    """
    contents, problem = None, None
    try:
        contents = tensors.contents(reader.hub, upload)
    except PASSING:
        raise
    except HubbotError as error:
        problem = Abstention(error.code, str(error))
    placement = place(upload, contents, reader.hub, reader.forest)
    expert = reader.router.for_tree(placement.tree) if placement.tree else None
    seen = Visit(upload, placement, contents.files if contents else (), expert)
    if contents and not placement.tree and not placement.parent:
        return _open_visit(reader, seen, contents, known)
    whole = expert is not None and not expert.reads_adapters
    if problem or expert is None or (whole and placement.relation == "adapter"):
        return replace(seen, abstention=problem or _nobody_to_ask(placement, expert))
    if known and _still_holds(known, expert, seen.files):
        return replace(seen, known=known)
    try:
        return replace(seen, tensors=fetch(upload, expert.wanted, reader.hub))
    except PASSING:
        raise
    except HubbotError as error:
        return replace(seen, abstention=Abstention(error.code, str(error)))


def _open_visit(reader: Reader, seen: Visit, contents: tensors.Contents, known: Reading | None) -> Visit:
    """A visit to what neither card nor root places: an adapter may still be known by its like."""
    experts = reader.router.for_form(contents.shapes)
    nobody = replace(seen, abstention=_nobody_to_ask(seen.placement, None))
    for expert in experts:
        if known and _still_holds(known, expert, seen.files):
            return seen.recovered(expert, known)
    if not experts:
        return nobody
    wanted = dict.fromkeys(want for expert in experts for want in expert.wanted)
    try:
        read = fetch(seen.upload, tuple(wanted), reader.hub)
    except PASSING:
        raise
    except HubbotError:
        return nobody
    return replace(seen, tensors=read, expert=experts[0], others=experts[1:])


def _failed(upload: Upload, error: Exception) -> Visit:
    """A visit that came to nothing in a way that nobody foresaw."""
    why = error if isinstance(error, HubbotError) else HubbotError(f"{type(error).__name__}: {error}")
    evidence = Evidence(Source.WEIGHTS, "unplaced: the upload could not be looked at")
    placement = Placement(upload.repo, upload.commit, None, None, How.UNPLACED, (evidence,))
    return Visit(upload, placement, abstention=Abstention(why.code, str(why)))


def _nobody_to_ask(placement: Placement, expert: ExpertInfo | None) -> Abstention:
    """Why no expert is consulted although the weights are readable."""
    if placement.tree is None:
        return Abstention("unplaced", "neither the card nor the weights say which tree it belongs to")
    if expert is None:
        return Abstention("no-expert", f"there is no expert for the tree of {placement.tree} yet")
    return Abstention("adapter", f"an adapter: {expert.name} reads whole weights, not low-rank factors")


def _still_holds(known: Reading, expert: ExpertInfo, files: Sequence[RemoteFile]) -> bool:
    if not known.tensors_read:
        return False  # nothing was read then: it speaks of the card or of a fault, not of these weights
    there = {f.content_id for f in files}
    return (known.expert, known.version) == (expert.name, expert.version) and there.issuperset(
        known.content_ids
    )


_Member = tuple[Visit, Tensors]


@dataclass(slots=True)
class _Batches:
    """Visits on their way through the engine, gathered by expert; all writing happens in here."""

    bot: Bot
    gathered: dict[str, tuple[ExpertInfo, list[_Member]]] = field(default_factory=dict)
    asked: list[tuple[Future[list[Reading]], ExpertInfo, list[_Member]]] = field(default_factory=list)
    unfinished: list[Upload] = field(default_factory=list)

    def take(self, seen: Visit) -> None:
        """Gather a visit with tensors, asking the engine when a batch is full; conclude any other."""
        if seen.tensors is None or seen.others is None:
            self.bot.watch(seen.placement)
        if seen.expert is None or seen.tensors is None:
            self._conclude(seen, seen.reading())
            return
        _, members = self.gathered.setdefault(seen.expert.folder, (seen.expert, []))
        members.append((seen, seen.tensors))
        if len(members) >= self.bot.batch_size:
            self._ask(*self.gathered.pop(seen.expert.folder))

    def settle(self) -> None:
        """Conclude the batches that are answered by now."""
        answered = [batch for batch in self.asked if batch[0].done()]
        self.asked = [batch for batch in self.asked if not batch[0].done()]
        for future, expert, members in answered:
            try:
                readings = self.bot.reader.engine.result(future, expert, [t for _, t in members])
            except EngineError as error:  # no fault of these models, as far as anybody knows
                for seen, _ in members:
                    self.leave(seen.upload, error)
                continue
            for (seen, _), said in zip(members, readings, strict=True):
                if seen.others is None:
                    self._conclude(seen, seen.reading(said))
                else:
                    self.take(seen.heard(said))

    def finish(self) -> None:
        """Ask for what is gathered and conclude everything, what is asked of one expert after another too."""
        while self.gathered or self.asked:
            for expert, members in self.gathered.values():
                self._ask(expert, members)
            self.gathered.clear()
            wait([future for future, _, _ in self.asked])
            self.settle()

    def _ask(self, expert: ExpertInfo, members: Sequence[_Member]) -> None:
        future = self.bot.reader.engine.submit(expert, [t for _, t in members])
        self.asked.append((future, expert, list(members)))

    def _conclude(self, seen: Visit, reading: Reading) -> None:
        """The end of the path; each step may be repeated, so that a stop between two loses nothing."""
        record(self.bot.store, seen.upload, seen.placement, reading)
        self.bot.watch(reading)
        try:
            suggestion = suggest(self.bot, seen.upload, reading, seen.expert) if seen.expert else None
        except PASSING as error:
            self.leave(seen.upload, error)
            return
        self.bot.store.finish_upload(seen.upload)
        if suggestion:
            self.bot.watch(suggestion)

    def leave(self, upload: Upload, error: HubbotError) -> None:
        """To the next poll."""
        log.warning("%s: left to the next poll: %s", upload.repo, error)
        self.keep(upload)

    def keep(self, upload: Upload) -> None:
        """Where the next poll finds it, however far the listing has gone on by then."""
        self.bot.store.save_upload(upload)
        self.unfinished.append(upload)

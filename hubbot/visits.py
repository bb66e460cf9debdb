"""One upload on its way through the steps that only read: placed, and fetched or given up with a reason.

A visit holds no connection of the store, so that many may be under way at once; `hubbot.rounds` leads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hubbot.bot import Reader
from hubbot.descent import PASSING
from hubbot.errors import HubbotError
from hubbot.hub import tensors
from hubbot.judging import Judging, judging
from hubbot.pipeline import fetch, place
from hubbot.records import (
    Abstention,
    Evidence,
    ExpertInfo,
    How,
    Judgement,
    Placement,
    Reading,
    RemoteFile,
    Sketch,
    Source,
    Tensors,
    Upload,
)


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
    sketch: Sketch | None = None
    """What its kin know it by; an adapter has none."""
    judging: Judging | None = None
    """What autoencoders said of it, and who is to be asked before its expert; mostly nobody is."""

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


def visit(
    reader: Reader, upload: Upload, known: Reading | None = None, judged: Iterable[Judgement] = ()
) -> Visit:
    """Place an upload and fetch what its expert needs; only reads, and holds no connection.

    Args:
        known: the repo's last reading; where it is of these weights and by this version of the expert,
            nothing is fetched again (decision 1: a commit to a README makes no new work).
        judged: likewise what autoencoders ever said of it.

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
    placement, sketch = place(upload, contents, reader.hub, reader.forest)
    expert = reader.router.for_tree(placement.tree) if placement.tree else None
    seen = Visit(upload, placement, contents.files if contents else (), expert, sketch=sketch)
    if contents is None:
        return replace(seen, abstention=problem)
    if not placement.tree and not placement.parent:
        seen = _open_visit(reader, seen, contents, known)
    else:
        seen = _placed_visit(reader, seen, known)
    # The last of all, so that a fault of the Hub's before it does not have it all read again.
    return replace(seen, judging=judging(reader, upload, contents, judged))


def _placed_visit(reader: Reader, seen: Visit, known: Reading | None) -> Visit:
    """A visit to what stands in a tree, or whose parent is known: its expert reads it, if there is one."""
    expert = seen.expert
    whole = expert is not None and not expert.reads_adapters
    if expert is None or (whole and seen.placement.relation == "adapter"):
        return replace(seen, abstention=_nobody_to_ask(seen.placement, expert))
    if known and _still_holds(known, expert, seen.files):
        return replace(seen, known=known)
    try:
        return replace(seen, tensors=fetch(seen.upload, expert.wanted, reader.hub))
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


def failed(upload: Upload, error: Exception) -> Visit:
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

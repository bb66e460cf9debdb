"""The trees that hubbot knows, and which of them an upload belongs to.

What an upload declares and what its weights say are two witnesses. Where they disagree the weights lead,
since weights are what is read, and both stay on the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubbot.records import Evidence, How, Placement, Source, Tensors, Upload, Wanted
from hubbot.trees.declared import Lineage
from hubbot.trees.fingerprint import OTHER_ROOT, SAME_ROOT, Fingerprint, similarity


@dataclass(frozen=True, slots=True)
class KnownRoot:
    """A root that hubbot can name.

    Args:
        root: the repo that gives the tree its name.
        aliases: equivalent roots (Stable Diffusion's v1-4 and v1-5 beside v1-3).
        fingerprint: rows to know children by; None where only declarations can place them.
    """

    root: str
    aliases: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None


class Forest:
    """All known roots. Names are compared without case, as the Hub does."""

    def __init__(self, roots: Sequence[KnownRoot]) -> None:
        self.roots = tuple(roots)

    @property
    def names(self) -> Mapping[str, str]:
        """Every name of a known root, aliases included, to the name of its tree."""
        return {name: r.root for r in self.roots for name in (r.root, *r.aliases)}

    def wanted(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
        """The rows that tell which root a model with these tensors has; nothing where no root fits."""
        most: dict[str, Wanted] = {}
        for root in self.roots:
            for want in root.fingerprint.wanted(shapes) if root.fingerprint else ():
                if (want.rows or 0) > (most[want.name].rows or 0 if want.name in most else 0):
                    most[want.name] = want
        return tuple(most.values())

    def recover(self, tensors: Tensors) -> Evidence | None:
        """What the weights say of the root.

        Returns:
            Evidence that points to the nearest root, if that is near enough; evidence without a parent if the
            weights were compared and follow no root; None if there was nothing to compare.
        """
        scores = [(score, r.root) for r in self.roots if (score := _compare(r, tensors)) is not None]
        if not scores:
            return None
        score, root = max(scores)
        if score < SAME_ROOT:
            text = f"its weights follow no known root; the nearest is {root} with a cosine of {score:.2f}"
            # Speaking against whatever root was declared takes having compared it.
            complete = all(r.fingerprint for r in self.roots)
            return Evidence(Source.WEIGHTS, text, score=score if complete else None)
        text = f"its weights follow {root}: cosine {score:.2f} between leading rows of hidden tensors"
        others = [other for other, name in scores if name != root]
        if others:
            text += f", {max(others):.2f} for the next root"
        return Evidence(Source.WEIGHTS, text, root, score)


def decide(upload: Upload, lineage: Lineage, recovered: Evidence | None) -> Placement:
    """Weigh what is declared against what the weights say.

    Args:
        lineage: from `trace` with the forest's `names`, so that its root bears the tree's name.
        recovered: from `Forest.recover`.
    """
    evidence = lineage.evidence + ((recovered,) if recovered else ())
    declared, found = lineage.root, recovered.parent if recovered else None

    def place(how: How, tree: str | None, parent: str | None, relation: str | None = None) -> Placement:
        return Placement(upload.repo, upload.commit, tree, parent, how, evidence, relation)

    if any(e.source is Source.ROOT for e in lineage.evidence):
        return place(How.ROOT, declared, None)
    if declared and found == declared:
        return place(How.BOTH, declared, lineage.parent, lineage.relation)
    if found:
        return place(How.CONFLICT if declared else How.RECOVERED, found, found)
    if declared and lineage.known and _denies(recovered):
        return place(How.CONFLICT, None, lineage.parent)
    if declared:
        return place(How.DECLARED, declared, lineage.parent, lineage.relation)
    evidence = (*evidence, _why_unplaced(lineage, recovered))
    return place(How.UNPLACED, None, lineage.parent)


def _denies(recovered: Evidence | None) -> bool:
    """Do the weights follow no known root, and clearly so?"""
    return recovered is not None and recovered.score is not None and recovered.score < OTHER_ROOT


def _compare(root: KnownRoot, tensors: Tensors) -> float | None:
    if root.fingerprint is None:
        return None
    rows = {
        name: tensors.values[name][: len(mine)]
        for name, mine in root.fingerprint.rows.items()
        if name in tensors.values
    }
    return similarity(root.fingerprint, Fingerprint(rows))


def _why_unplaced(lineage: Lineage, recovered: Evidence | None) -> Evidence:
    said = "no parent could be followed to a root" if lineage.evidence else "no parent is declared"
    met = (
        "follow no root that hubbot knows"
        if recovered
        else "could be compared with no root that hubbot knows"
    )
    return Evidence(Source.WEIGHTS, f"unplaced: {said}, and the weights {met}")

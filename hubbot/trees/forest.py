"""The trees that hubbot knows, and which of them an upload belongs to.

What an upload declares and what its weights say are two witnesses. Where they disagree the weights lead,
since weights are what is read, and both stay on the record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hubbot.records import Evidence, How, Placement, Sketch, Source, Tensors, Upload, Wanted
from hubbot.trees.declared import Lineage
from hubbot.trees.fingerprint import OTHER_ROOT, SAME_ROOT, Fingerprint, Tails, similarity, tails_of
from hubbot.trees.sketch import sketch
from hubbot.weights import pairs

SPREAD = 2.0
"""Of the cosines of unrelated weights, in units of 1/sqrt(values): siblings on the zoo `orchard` have 1.05,
and twice that leaves room for what weights may have in common without descent."""
PRIOR = 0.5
"""Of the models that have a root's very shapes, so many descend from it."""


CONFLICT = "in conflict with what it declares, its"


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
        self._sketches: dict[str, Sketch | None] = {}

    def plant(self, root: KnownRoot) -> None:
        """One root more, or another fingerprint of one that is known."""
        self.roots = (*(known for known in self.roots if known.root != root.root), root)
        self._sketches.pop(root.root, None)

    def known(self, tree: str) -> KnownRoot | None:
        """The root of a tree."""
        return next((root for root in self.roots if root.root == tree), None)

    @property
    def names(self) -> Mapping[str, str]:
        """Every name of a known root, aliases included, to the name of its tree."""
        return {name: r.root for r in self.roots for name in (r.root, *r.aliases)}

    def sketch(self, tree: str, form: str) -> Sketch | None:
        """The root of a tree as its members see it, if it is known by rows of this form."""
        if tree not in self._sketches:  # every upload of the tree asks
            known = self.known(tree)
            rows = known.fingerprint if known else None
            self._sketches[tree] = sketch(tree, rows.whole(), rows.rows) if rows else None
        found = self._sketches[tree]
        return found if found and found.form == form else None

    def fits(self, tree: str | None, shapes: Mapping[str, tuple[int, ...]]) -> Evidence | None:
        """Whether an adapter's factors have the shapes of the root's layers, as far as these are known."""
        known = self.known(tree) if tree else None
        if known is None or known.fingerprint is None:
            return None
        for name, shape in known.fingerprint.shapes.items():
            layer = name.removesuffix(".weight")
            names = pairs.pair(layer, shapes)
            if names and len(shape) == 2 and (why := pairs.fault(layer, shape, *(shapes[n] for n in names))):
                return Evidence(Source.WEIGHTS, f"its factors do not fit {known.root}: {why}", score=0.0)
        return None

    def wanted(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
        """The rows that tell which root a model with these tensors has; nothing where no root fits."""
        tails = tails_of(shapes)
        prints = [root.fingerprint for root in self.roots if root.fingerprint]
        return most(want for known in prints for want in known.wanted(shapes, tails))

    def recover(self, tensors: Tensors) -> Evidence | None:
        """What the weights say of the root.

        Returns:
            Evidence that points to the nearest root, if that is near enough; evidence without a parent if the
            weights were compared and follow no root; None if there was nothing to compare.
        """
        tails = tails_of(tensors.values)
        found = [(*compared, r) for r in self.roots if (compared := _compare(r, tensors, tails)) is not None]
        if not found:
            return None
        (score, size, root), *others = sorted(found, key=lambda each: each[0], reverse=True)
        if score < SAME_ROOT:
            text = (
                f"its weights follow no known root; the nearest is {root.root} with a cosine of {score:.2f}"
            )
            # Speaking against whatever root was declared takes having compared it.
            complete = all(r.fingerprint for r in self.roots)
            return Evidence(Source.WEIGHTS, text, score=score if complete else None)
        text = f"its weights follow {root.root}: cosine {score:.2f} between leading rows of hidden tensors"
        if others:
            text += f", {others[0][0]:.2f} for the next root"
        return Evidence(Source.WEIGHTS, text, root.root, score, chance(score, size, len(found)))


def chance(score: float, values: int, roots: int) -> float:
    """The calibrated chance that the nearest root is the root, and not the likest of some that are none.

    Cosines of unrelated weights are normal around 0, and those of siblings, which only a seed tells apart, no
    less so (`python -m benchmarks.roots`); a child's may be any between 0 and 1.

    Args:
        score: the mean cosine.
        values: how many numbers it was computed from.
        roots: how many there were to choose from.
    """
    spread = SPREAD / math.sqrt(values)
    stranger = roots * math.exp(-((score / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))
    return PRIOR / (PRIOR + (1 - PRIOR) * stranger)


def most(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """Each tensor once, with the most rows that anybody wants of it."""
    found: dict[str, Wanted] = {}
    for want in wanted:
        if want.name not in found or (want.rows or 0) > (found[want.name].rows or 0):
            found[want.name] = want
    return tuple(found.values())


def decide(upload: Upload, lineage: Lineage, recovered: Evidence | None) -> Placement:
    """Weigh what is declared against what the weights say.

    Args:
        lineage: from `trace` with the forest's `names`, so that its root bears the tree's name.
        recovered: from `Forest.recover`.
    """
    evidence = lineage.evidence + ((recovered,) if recovered else ())
    declared, found = lineage.root, recovered.parent if recovered else None

    def place(how: How, tree: str | None, parents: Sequence[str], relation: str | None = None) -> Placement:
        first, others = (parents[0], tuple(parents[1:])) if parents else (None, ())
        return Placement(upload.repo, upload.commit, tree, first, how, evidence, relation, others)

    if any(e.source is Source.ROOT for e in lineage.evidence):
        return place(How.ROOT, declared, ())
    if declared and found == declared:
        return place(How.BOTH, declared, lineage.parents, lineage.relation)
    if (
        found and declared and not lineage.known
    ):  # its parents may well be of that tree, and say nothing of it
        return place(How.RECOVERED, found, lineage.parents, lineage.relation)
    if found:
        return place(How.CONFLICT if declared else How.RECOVERED, found, (found,))
    if declared and lineage.known and _denies(recovered):
        return place(How.CONFLICT, None, lineage.parents)
    if declared:
        return place(How.DECLARED, declared, lineage.parents, lineage.relation)
    evidence = (*evidence, _why_unplaced(lineage, recovered))
    return place(How.UNPLACED, None, lineage.parents)


def stand(placement: Placement, parents: Sequence[str], *, disputed: bool) -> Placement:
    """A placement among its kin: with the parents that it has there, and why.

    Args:
        disputed: whether the model names others itself, which its weights do not go on from.
    """
    evidence = tuple(each for each in placement.evidence if each.source is not Source.KIN)
    if parents and tuple(parents) != placement.declared:
        lead = CONFLICT if disputed else "its"
        goes_on = (
            f"lie between those of {' and '.join(parents)}"
            if len(parents) > 1
            else f"go on from {parents[0]}"
        )
        evidence += (Evidence(Source.KIN, f"{lead} weights {goes_on}", parents[0]),)
    first, others = (parents[0], tuple(parents[1:])) if parents else (placement.parent, placement.others)
    how = placement.how
    if disputed:
        how = How.CONFLICT
    elif any(each.source is Source.KIN and each.text.startswith(CONFLICT) for each in placement.evidence):
        how = How.BOTH  # it was in conflict with a parent that has moved since
    return replace(placement, parent=first, others=others, how=how, evidence=evidence)


def _denies(recovered: Evidence | None) -> bool:
    """Do the weights follow no known root, and clearly so?"""
    return recovered is not None and recovered.score is not None and recovered.score < OTHER_ROOT


def _compare(root: KnownRoot, tensors: Tensors, tails: Tails) -> tuple[float, int] | None:
    """The mean cosine, and of how many values."""
    if root.fingerprint is None:
        return None
    names = root.fingerprint.names_in(tensors.values, tails)
    rows = {name: tensors.values[there][: len(root.fingerprint.rows[name])] for name, there in names.items()}
    score = similarity(root.fingerprint, Fingerprint(rows))
    return None if score is None else (score, sum(row.size for row in rows.values()))


def _why_unplaced(lineage: Lineage, recovered: Evidence | None) -> Evidence:
    said = "no parent could be followed to a root" if lineage.evidence else "no parent is declared"
    met = (
        "follow no root that hubbot knows"
        if recovered
        else "could be compared with no root that hubbot knows"
    )
    return Evidence(Source.WEIGHTS, f"unplaced: {said}, and the weights {met}")

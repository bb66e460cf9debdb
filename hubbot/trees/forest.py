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
        self._names = {name.casefold(): r.root for r in self.roots for name in (r.root, *r.aliases)}

    @property
    def names(self) -> frozenset[str]:
        """All roots with their aliases: where a climb through declared parents may end."""
        return frozenset(name for r in self.roots for name in (r.root, *r.aliases))

    def canonical(self, repo: str) -> str:
        """The name of the tree whose root this is; the repo's own where it is no root of ours."""
        return self._names.get(repo.casefold(), repo)

    def wanted(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Wanted, ...]:
        """The rows that tell which root a model with these tensors has; nothing where no root fits."""
        most: dict[str, Wanted] = {}
        for root in self.roots:
            for want in root.fingerprint.wanted(shapes) if root.fingerprint else ():
                known = most.setdefault(want.name, want)
                if (want.rows or 0) > (known.rows or 0):
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
            return Evidence(Source.WEIGHTS, text, score=score)
        text = f"its weights follow {root}: cosine {score:.2f} between leading rows of hidden tensors"
        others = [other for other, name in scores if name != root]
        if others:
            text += f", {max(others):.2f} for the next root"
        return Evidence(Source.WEIGHTS, text, root, score)

    def decide(self, upload: Upload, lineage: Lineage, recovered: Evidence | None) -> Placement:
        """Weigh what is declared against what the weights say."""
        evidence = lineage.evidence + ((recovered,) if recovered else ())
        declared = self.canonical(lineage.root) if lineage.root else None
        found = recovered.parent if recovered else None

        def place(how: How, tree: str | None, parent: str | None, relation: str | None = None) -> Placement:
            return Placement(upload.repo, upload.commit, tree, parent, how, evidence, relation)

        if upload.repo.casefold() in self._names:
            return place(How.ROOT, self.canonical(upload.repo), None)
        if declared and found:
            if declared == found:
                return place(How.BOTH, declared, lineage.parent, lineage.relation)
            return place(How.CONFLICT, found, found)
        if found:
            return place(How.RECOVERED, found, found)
        if declared and recovered and self._denied(declared, recovered):
            return place(How.CONFLICT, None, lineage.parent)
        if declared:
            return place(How.DECLARED, declared, lineage.parent, lineage.relation)
        evidence = (*evidence, _why_unplaced(lineage, recovered))
        return place(How.UNPLACED, None, lineage.parent)

    def _denied(self, declared: str, recovered: Evidence) -> bool:
        """Do the weights speak against a declared root whose fingerprint they were compared with?"""
        comparable = any(r.root == declared and r.fingerprint for r in self.roots)
        return comparable and recovered.score is not None and recovered.score < OTHER_ROOT


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
    if recovered:
        return Evidence(Source.WEIGHTS, f"unplaced: {said}, and the weights follow no root that hubbot knows")
    return Evidence(
        Source.WEIGHTS, f"unplaced: {said}, and the weights fit no root that hubbot could compare"
    )

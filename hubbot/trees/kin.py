"""A tree as it grows: who is near a newcomer, and who of those gets other parents by its coming.

Nothing is ever rebuilt. A newcomer is compared with its nearest alone, found by a coarse sketch of every
member; `trees.kinship` then judges that neighbourhood, parents and root included, as it would judge a whole
tree. So a parent that is uploaded after its children adopts them.

Letters: n members, m sums of a coarse sketch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hubbot.records import Relative, Sketch
from hubbot.trees.fingerprint import SAME_ROOT
from hubbot.trees.kinship import Member, relate
from hubbot.trees.sketch import COARSE, summed

if TYPE_CHECKING:
    from hubbot.records import Floats

NEAR = 32
"""A newcomer is compared with so many members, and with their parents."""
SURE = 1.2
"""What a model names as its parent, so many times as far from it as its nearest kin, is not its parent."""
CLOSE = 8
"""So many of them may get other parents although the newcomer is none of these: a sweep is seen as one only
when enough of it is there."""


MAX_CROWDS = 1_000
"""In memory; what was not asked for in the longest time is read again."""


class Crowd:
    """The coarse sketches of many models of one form, to find the nearest by."""

    def __init__(self, members: Iterable[tuple[str, Floats]] = ()) -> None:
        self._repos: list[str] = []
        self._place: dict[str, int] = {}
        self._X = np.zeros((16, COARSE), np.float32)  # (n or more, m)
        for repo, coarse in members:
            self.add(repo, coarse)

    def __len__(self) -> int:
        return len(self._repos)

    def add(self, repo: str, coarse: Floats) -> None:
        """A member, or its new weights."""
        if repo not in self._place:
            self._place[repo] = len(self._repos)
            self._repos.append(repo)
            if len(self._repos) > len(self._X):
                self._X = np.concatenate([self._X, np.zeros_like(self._X)])
        self._X[self._place[repo], : len(coarse)] = coarse

    def near(self, repo: str, coarse: Floats, count: int = NEAR) -> list[str]:
        """The nearest others, the nearest first."""
        X = self._X[: len(self._repos)]
        wide = np.zeros(COARSE, np.float32)
        wide[: len(coarse)] = coarse
        D = np.square(X - wide).sum(1)  # (n,)
        if repo in self._place:
            D[self._place[repo]] = np.inf
        count = min(count, len(D))
        first = np.argpartition(D, count - 1)[:count] if count else np.array([], np.int64)
        order = first[np.argsort(D[first], kind="stable")]
        return [self._repos[i] for i in order if np.isfinite(D[i])]


class Crowds:
    """The crowds of all trees, each read from where it is kept when it is first asked for."""

    def __init__(self) -> None:
        self._crowds: dict[tuple[str | None, str], Crowd] = {}

    def of(self, tree: str | None, form: str, kept: Callable[[], Iterable[tuple[str, Floats]]]) -> Crowd:
        """The members of a tree, or of none, whose sketches have this form."""
        crowd = self._crowds.pop((tree, form), None)
        if crowd is None:
            crowd = Crowd(kept())
            while len(self._crowds) >= MAX_CROWDS:
                del self._crowds[next(iter(self._crowds))]
        self._crowds[tree, form] = crowd  # the last one asked for comes last
        return crowd


def coarse(sketch: Sketch) -> Floats:
    """What a crowd holds of a model. (m,)"""
    return summed(sketch.values, COARSE)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands among its kin.

    Args:
        parents: none of the oldest, where the root is not known; two of a merge.
        disputed: whether it names other parents itself, and its weights surely do not go on from them.
    """

    parents: tuple[str, ...]
    disputed: bool = False


def join(newcomer: Relative, around: Sequence[Relative], root: Sketch | None = None) -> dict[str, Standing]:
    """Where the newcomer stands, and whoever stands elsewhere now.

    Args:
        around: members of its tree, the nearest first, with the parents of those and whom it names itself;
            all of the newcomer's form.
        root: that of the tree, where it is known by the same form.
    """
    kin = {one.sketch.repo: one for one in (*around, newcomer)}
    if root:
        kin.pop(root.repo, None)
    members = [_member(one) for one in kin.values()]
    if root:
        members.append(Member(root.repo, root.values, root.kurtosis, root=True))
    sketches = {repo: one.sketch for repo, one in kin.items()} | ({root.repo: root} if root else {})
    found, me = relate(members), newcomer.sketch.repo
    stands = {me: _weighed(newcomer, found, sketches, kin)}
    for nearness, one in enumerate(around):
        repo = one.sketch.repo
        if repo not in kin or not (nearness < CLOSE or me in found[repo] or me in one.parents):
            continue
        standing = _weighed(one, found, sketches, kin)
        if set(standing.parents) != set(one.parents):
            stands[repo] = standing
    return stands


def _weighed(
    one: Relative,
    found: Mapping[str, tuple[str, ...]],
    sketches: Mapping[str, Sketch],
    kin: Mapping[str, Relative],
) -> Standing:
    """What a model says of its parents against what was found: the weights lead where they are sure.

    Nobody can say how near the weights of a parent are that were not read. Who names an ancestor further up
    is not wrong: many name the root, and a copy mostly has the card of its original.
    """
    named, parents = one.declared, found[one.sketch.repo]
    if not named or set(named) == set(parents):
        return Standing(named or parents)
    if any(repo in kin and one.sketch.repo in kin[repo].parents for repo in named):
        return Standing(parents)  # each names the other
    read = [sketches[repo] for repo in named if repo in sketches]
    if len(read) < len(named) or not parents:
        return Standing(named)
    near = min(_apart(one.sketch, sketches[repo]) for repo in parents)
    far = min(_apart(one.sketch, sketch) for sketch in read)
    if far <= SURE * near:
        return Standing(named)
    return Standing(parents, disputed=not set(named) <= _ancestors(parents, found))


def _ancestors(parents: Sequence[str], found: Mapping[str, tuple[str, ...]]) -> set[str]:
    above: set[str] = set()
    waiting = list(parents)
    while waiting:
        if (repo := waiting.pop()) not in above:
            above.add(repo)
            waiting += found.get(repo, ())
    return above


def resemble(a: Sketch, b: Sketch) -> bool:
    """Whether two models must have a root in common."""
    size = float(np.linalg.norm(a.values) * np.linalg.norm(b.values))
    return a.form == b.form and size > 0 and float(a.values @ b.values) >= SAME_ROOT * size


def _apart(a: Sketch, b: Sketch) -> float:
    return float(np.linalg.norm(a.values.astype(np.float64) - b.values))


def _member(one: Relative) -> Member:
    sketch = one.sketch
    created = one.created_at.timestamp() if one.created_at else None
    return Member(sketch.repo, sketch.values, sketch.kurtosis, created, sketch.quantised, merged=one.merged)

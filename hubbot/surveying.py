"""The trees as pictures: what the store knows of them and where it is drawn, joined for whoever shows it.

It never writes. What takes long is kept until the database changes, see `hubbot.keeping`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from hubbot.atlas.branches import Member, Node, branches
from hubbot.atlas.chart import FEWEST, captions, chart
from hubbot.atlas.families import families
from hubbot.atlas.rings import rings
from hubbot.keeping import Kept
from hubbot.records import ExpertInfo, Label

if TYPE_CHECKING:
    from hubbot.store.forest import Tree
    from hubbot.store.store import Store
    from hubbot.store.survey import Standing

COLOURS = 7
"""Nobody tells many more apart. They go to the concepts that are the main ones of most models; where there
are more, and the expert has their meanings, to families of them."""

OTHER, NOTHING, SILENT, UNREAD, UNSEEN = range(COLOURS, COLOURS + 5)
"""The groups after these: another concept, nothing recognised, no answer, not read, never listed."""

LATELY = 300
"""Models of a tree that say in the forest what its main concepts are."""

CROWNS, SAPLING = 24, 3
"""Trees that are drawn in the forest, and members that a tree has then if it has no expert."""

MAPPED = 1_000
"""Models on a map, those that were read last."""

FEW_LABELS = 64
"""An expert with more labels than this is mapped by its embeddings, if it has any."""

TREES_KEPT, MAPS_KEPT = 16, 16


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that an expert recognised, and in how many models.

    Args:
        name: the label's, as readings have it.
        group: its colour, or `OTHER`.
        main: in how many it is the most probable of all that was recognised.
    """

    name: str
    tag: str
    text: str
    group: int
    models: int
    main: int


@dataclass(frozen=True, slots=True)
class Group:
    """All models that are coloured alike: by their main concept, or by why they have none.

    Args:
        concepts: the main concepts that share this colour, the most frequent first; none of a group without.
    """

    number: int
    concepts: tuple[Concept, ...]
    models: int


@dataclass(frozen=True, slots=True)
class Crown:
    """A tree as it stands in the forest.

    Args:
        groups: its models by colour, in shares of those that were read last; they sum to its size.
        main: what is recognised the most in those.
    """

    tree: Tree
    groups: tuple[Group, ...]
    main: tuple[Concept, ...]

    @property
    def unread(self) -> int:
        return max(0, self.tree.members - self.tree.readings - self.tree.abstentions)


@dataclass(frozen=True, slots=True)
class Forest:
    """All trees, the largest first; `crowns` are those that are drawn."""

    trees: tuple[Tree, ...]
    crowns: tuple[Crown, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A model in a picture, or in a fold many: where it lies, in what colour, and what was recognised."""

    node: Node
    x: float
    y: float
    concepts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TreePicture:
    """One tree, drawn.

    Args:
        marks: in the order of `hubbot.atlas.branches`, the root first.
        radius: all marks are that near to the root, which is at (0, 0).
        groups: the legend.
        concepts: all that is recognised in the tree, the most frequent first.
    """

    tree: Tree
    marks: tuple[Mark, ...]
    radius: float
    groups: tuple[Group, ...]
    concepts: tuple[Concept, ...]

    @property
    def models(self) -> int:
        """How many models are drawn, and not folded."""
        return sum(mark.node.listed and not mark.node.folded for mark in self.marks)

    @property
    def unread(self) -> int:
        return max(0, self.tree.members - self.tree.readings - self.tree.abstentions)


@dataclass(frozen=True, slots=True)
class TreeMap:
    """The models of a tree that one version of its expert read, those that were read alike side by side.

    Args:
        marks: none where there is no map to draw, and `models` says of how many.
        groups: the legend.
        captions: names of concepts and where to write them.
        models: how many could be compared.
        left_out: how many others have an answer.
        by: `probabilities` or `embeddings`.
    """

    marks: tuple[Mark, ...]
    groups: tuple[Group, ...]
    captions: tuple[tuple[str, float, float], ...]
    expert: str
    models: int
    left_out: int
    by: str
    fewest: int = FEWEST


class Surveyor:
    """Draws trees and maps. Safe to use from several threads.

    Args:
        store: an open store; read only is enough.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forests, self._trees = Kept(store.state, 1), Kept(store.state, TREES_KEPT)
        self._maps = Kept(store.state, MAPS_KEPT)
        self._families = Kept(lambda: "an expert's version never changes", TREES_KEPT)
        self._one_map = Lock()

    def forest(self) -> Forest:
        """All trees at a glance."""
        return self._forests.get("forest", self._all)

    def tree(self, root: str) -> TreePicture | None:
        """One tree as a picture; None where there is no such tree."""
        tree = self._of(root)
        return self._trees.get(root, lambda: self._drawn(tree)) if tree else None

    def map(self, root: str) -> TreeMap | None:
        """A map of what was read in a tree; None where there is no such tree, or nothing was read in it."""
        if self._of(root) is None:
            return None
        return self._maps.get(root, lambda: self._mapped(root))

    def _of(self, root: str) -> Tree | None:
        return next((tree for tree in self.forest().trees if tree.root == root), None)

    def _all(self) -> Forest:
        trees = self._store.trees()
        drawn = [tree for tree in trees if tree.members >= (1 if tree.expert else SAPLING)][:CROWNS]
        lately = self._store.lately([tree.root for tree in drawn], LATELY)
        experts = self._experts()
        crowns = (
            _crown(tree, said, self._concepts(said, experts.get(tree.root)))
            for tree, said in ((tree, lately[tree.root]) for tree in drawn)
        )
        return Forest(tuple(trees), tuple(crowns))

    def _drawn(self, tree: Tree) -> TreePicture:
        standing = self._store.standings(tree.root)
        said = [one.recognised for one in standing if one.recognised is not None]
        concepts = self._concepts(said, self._experts().get(tree.root))
        colour = {concept.name: concept.group for concept in concepts}
        members = [Member(one.repo, one.parents, _group(one, colour)) for one in standing]
        nodes = branches(tree.root, members, unseen=UNSEEN)
        layout = rings([node.parent for node in nodes])
        recognised = {one.repo: one.recognised or () for one in standing}
        marks = tuple(
            Mark(node, x, y, () if node.folded else recognised.get(node.repo, ()))
            for node, (x, y) in zip(nodes, layout.places.tolist(), strict=True)
        )
        unseen = sum(not (node.listed or node.folded) for node in nodes[1:])
        counts = Counter(member.group for member in members) + Counter({UNSEEN: unseen})
        groups = _groups(concepts, counts)
        return TreePicture(tree, marks, layout.radius, groups, concepts)

    def _mapped(self, root: str) -> TreeMap | None:
        picture = self.tree(root)
        by_labels = {
            (info.name, info.version)
            for info in self._store.experts()
            if info.head == "labels" and len(info.labels) <= FEW_LABELS
        }
        found = self._store.vectors(root, MAPPED, by_labels)
        if found is None or picture is None:
            return None
        of_labels = (found.expert, found.version) in by_labels
        with self._one_map:  # whatever people look at, one thread works on maps
            places = chart(found.values, by_angle=not of_labels)
        about = (
            found.expert,
            len(found.repos),
            found.left_out,
            "probabilities" if of_labels else "embeddings",
        )
        if places is None:
            return TreeMap((), (), (), *about)
        known = {k.upload.repo: k.reading for k in self._store.several(found.repos)}
        read = (known.get(repo) for repo in found.repos)
        said = [tuple(p.label for p in reading.recognised) if reading else () for reading in read]
        colour = {concept.name: concept.group for concept in picture.concepts}
        tags = {concept.name: concept.tag for concept in picture.concepts}
        marks = tuple(
            Mark(Node(repo, -1, colour.get(names[0], OTHER) if names else NOTHING), x, y, names)
            for repo, names, (x, y) in zip(found.repos, said, places.tolist(), strict=True)
        )
        written = captions(places, [tags.get(names[0], names[0]) if names else None for names in said])
        groups = _groups(picture.concepts, Counter(mark.node.group for mark in marks))
        return TreeMap(marks, groups, tuple(written), *about)

    def _experts(self) -> dict[str, ExpertInfo]:
        """The newest of each tree."""
        return {info.tree: info for info in self._store.experts()}

    def _concepts(self, said: Sequence[Sequence[str]], expert: ExpertInfo | None) -> tuple[Concept, ...]:
        """What was recognised, the most frequent first, as the expert words it."""
        models, main = Counter[str](), Counter[str]()
        for names in said:
            models.update(names)
            main.update(names[:1])
        ranked = sorted(main, key=lambda name: (-main[name], -models[name], name))
        family = self._family(expert) if expert and len(ranked) > COLOURS else {}
        colour = family or {name: i for i, name in enumerate(ranked[:COLOURS])}
        labels = {label.name: label for label in (expert.labels if expert else ())}
        found = []
        for name in sorted(models, key=lambda name: (-models[name], name)):
            label = labels.get(name, Label(name, name, name))
            number = colour.get(name, OTHER)
            found.append(Concept(name, label.tag, label.text, number, models[name], main[name]))
        return tuple(found)

    def _family(self, expert: ExpertInfo) -> dict[str, int]:
        """To which family of meanings each concept belongs; empty for an expert that has no meanings."""

        def sorted_out() -> dict[str, int]:
            head = self._store.text_head(expert.name, expert.version)
            if head is None or len(head.vocabulary) != len(expert.labels):
                return {}
            names = [label.name for label in expert.labels]
            return dict(zip(names, families(head.vocabulary, COLOURS), strict=True))

        return self._families.get((expert.name, expert.version), sorted_out)


def _group(one: Standing, colour: dict[str, int]) -> int:
    if one.recognised is None:
        return SILENT if one.asked else UNREAD
    return colour.get(one.recognised[0], OTHER) if one.recognised else NOTHING


def _groups(concepts: Sequence[Concept], counts: Counter[int]) -> tuple[Group, ...]:
    own: dict[int, list[Concept]] = {}
    for concept in sorted(concepts, key=lambda concept: -concept.main):
        if concept.main and concept.group < COLOURS:
            own.setdefault(concept.group, []).append(concept)
    return tuple(Group(number, tuple(own.get(number, ())), counts[number]) for number in sorted(counts))


def _crown(tree: Tree, said: Sequence[tuple[str, ...]], concepts: tuple[Concept, ...]) -> Crown:
    """The tree with its groups, of which there are as many models as were seen in those read last."""
    colour = {concept.name: concept.group for concept in concepts}
    shares = Counter(colour.get(names[0], OTHER) if names else NOTHING for names in said)
    counts = Counter({group: count * tree.readings // len(said) for group, count in shares.items()})
    if said:
        counts[shares.most_common(1)[0][0]] += tree.readings - counts.total()
    elif tree.readings:
        counts[NOTHING] = tree.readings
    counts[SILENT] = tree.abstentions
    counts[UNREAD] = max(0, tree.members - tree.readings - tree.abstentions)
    return Crown(tree, _groups(concepts, +counts), concepts[:4])

"""Is a search over several trees as good as a search of each?

    python -m benchmarks.mixing [--zoos zoos] [--expert experts/emoji-pixart-a] [--smoke] [--json]

Two trees of LoRAs that share concepts: `emoji-200` paints pixels, `emoji-1k` latents. Their experts read the
models of the test splits, of known concepts and of unknown ones, into a store, and a `Library` searches it,
with both trees and with each alone. Beside it, on the same embeddings, other rules by which scores of
different trees may be mixed. Whatever has a setting takes the one that did best on the choosing half: models
of the splits validation and calibration, and texts about other concepts; see `benchmarks.queries`.

The expert of the first tree is trained where it is not there yet, in a minute. `--smoke` does it all on the
smallest zoos; its numbers mean nothing.
"""

from __future__ import annotations

import tempfile
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import mixes, queries
from benchmarks.mixes import BEFORE, DEPTH, FAMILIES, FIXED, Asked, Constants, Flags, Ranked, Rule, Tree
from benchmarks.report import Row, arguments, machine, publish, table, told, verdict, zoos
from hubbot.encoders.loading import OFFLINE_DEFAULT, load
from hubbot.experts import artifact
from hubbot.index import kinds, meaning, shelf, wordings
from hubbot.library import Library
from hubbot.records import Reading, RemoteFile, Tensors, Upload
from hubbot.store.store import Store
from hubbot.training.adapters import UNSEEN, AdapterTree
from hubbot.training.experts import train_expert
from hubbot.training.zoos import build_zoo
from hubbot.weights.dtypes import Floats
from hubbot.weights.local import read_local, read_metadata
from hubbot.zoo.emoji.recipe import EMOJI_1K, EMOJI_200, EmojiRecipe
from hubbot.zoo.layout import TARGETS
from hubbot.zoo.threads import one_thread

SHIPPED = Path(artifact.__file__).parent / "shipped" / "emoji-pixart-b"
SPLITS = (("validation", "calibration", "validation" + UNSEEN), ("test", "test" + UNSEEN))
"""Of the choosing half and of the asked one."""
BATCH = 64
NOW = Constants(kinds.SOFTER, kinds.NOWHERE, meaning.SPREAD, meaning.SAME, *meaning.EVEN_CONCEPT)
AS_IT_IS, AS_IT_WAS = "as it is", "all as it was"
UNDONE = {
    AS_IT_IS: NOW,
    "each tree's own nearest concept": replace(NOW, together=False),
    "no answer beside the concepts (NOWHERE)": replace(NOW, nowhere=BEFORE.nowhere),
    "the expert's own scale (SOFTER)": replace(NOW, softer=BEFORE.softer),
    "no candidate from .8 on (SAME)": replace(NOW, same=BEFORE.same),
    "middle and slope as they were (EVEN_CONCEPT)": replace(NOW, middle=BEFORE.middle, slope=BEFORE.slope),
    AS_IT_WAS: BEFORE,
}
WORDINGS = {
    "the bare text": ("{}",),
    "a picture of": ("a picture of {}",),
    "an emoji of": ("an emoji of {}",),
    "both that the search takes": wordings.WORDINGS,
    "four": ("{}", "a picture of {}", "a photo of {}", "a drawing of {}"),
}
NAMES = ("no tree knows it", "one tree knows it", "both trees know it")
NOTHING = ("nothing: emoji without models", "nothing: no picture shows it")
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Query:
    """A text, which kind it is of, and the concepts whose models are right."""

    text: str
    kind: str
    right: frozenset[str]


@dataclass(frozen=True, eq=False)
class Half:
    """Models of both trees, and texts to find them by."""

    trees: tuple[Tree, ...]
    queries: tuple[Query, ...]

    @cached_property
    def order(self) -> mixes.Places:
        """Models by name, which decides among equal scores."""
        return np.argsort(np.concatenate([tree.repos for tree in self.trees]), kind="stable")

    @cached_property
    def repos(self) -> list[str]:
        repos = [repo for tree in self.trees for repo in tree.repos]
        return [repos[i] for i in self.order]

    @cached_property
    def of(self) -> mixes.Places:
        """Which tree each model is of. (n,)"""
        return np.concatenate([np.full(len(tree.repos), i) for i, tree in enumerate(self.trees)])[self.order]

    @cached_property
    def read(self) -> Flags:
        return np.concatenate([tree.read for tree in self.trees])[self.order]

    @cached_property
    def relevant(self) -> Flags:
        """(q, n)"""
        about = np.concatenate([tree.told for tree in self.trees])[self.order]
        return np.stack([np.isin(about, list(each.right)) for each in self.queries])

    def kinds(self) -> dict[str, Flags]:
        """Which texts are of each kind, (q,)."""
        kind = np.array([each.kind for each in self.queries])
        return {name: kind == name for name in dict.fromkeys(kind.tolist())}

    def asked(self, ways: Sequence[str] = wordings.WORDINGS) -> list[Asked]:
        """The texts as each tree meets them."""
        texts = said([each.text for each in self.queries], ways)
        near = [texts @ said(tree.texts, ways).T for tree in self.trees]  # (q, k) each
        nearest = np.max([each.max(1) for each in near], 0)[:, None]
        return [Asked(t.cosines(texts), n, nearest) for t, n in zip(self.trees, near, strict=True)]

    def ranked(self, rule: Rule, asked: Sequence[Asked], alone: int | None = None) -> Ranked:
        """The first models of both trees by a rule, or of one."""
        parts = [rule(tree, each) for tree, each in zip(self.trees, asked, strict=True)]
        among = self.read if alone is None else self.read & (self.of == alone)
        return mixes.rank(mixes.joined(parts, self.order), among)


def said(texts: Sequence[str], ways: Sequence[str]) -> Floats:
    """The mean direction of texts in some wordings, by the encoder of all that is searched here. (q, d)"""
    encode = load(OFFLINE_DEFAULT).encode
    return mixes.unit(np.mean([encode([way.replace("{}", text) for text in texts]) for way in ways], 0))


# --- what is searched, and by which texts ---------------------------------------------------------


def read(store: Store, source: AdapterTree, folder: Path, splits: Sequence[str]) -> Tree:
    """Have the expert read the models of some splits, and record it."""
    expert, head = artifact.load(folder), artifact.text_head(folder)
    if head is None:
        raise ValueError(f"{folder} has no text head")
    named = {label.name: label.text for label in (*source.labels, *source.unseen("test"))}
    models = [model for split in splits for model in source.zoo.children(source.root.repo, split)]
    readings: list[Reading] = []
    store.save_expert(expert.info, head)
    for i in range(0, len(models), BATCH):
        files = [source.zoo.weights(model) for model in models[i : i + BATCH]]
        readings += expert.consult(
            [_tensors(m.repo, m.sha256, file) for m, file in zip(models[i : i + BATCH], files, strict=True)]
        )
    for reading in readings:
        store.save_upload(Upload(reading.repo, reading.commit, datetime(2026, 1, 1, tzinfo=UTC)))
        store.record(reading)
    none = (0.0,) * len(head.b)
    embeddings = np.array([reading.embedding or none for reading in readings], np.float32)
    return Tree(
        expert.info,
        head,
        tuple(reading.repo for reading in readings),
        tuple(named[concept(source.zoo.weights(model))] for model in models),
        embeddings,
        np.array([reading.abstention is None for reading in readings]),
    )


def concept(file: Path) -> str:
    """What a LoRA was trained on."""
    [name] = literal_eval(read_metadata(file)[TARGETS])
    return str(name)


def _tensors(repo: str, sha256: str, file: Path) -> Tensors:
    values = read_local(file)
    stored = (RemoteFile(file.name, file.stat().st_size, sha256),)
    return Tensors(repo, "0" * 40, values, dict.fromkeys(values, "F32"), stored, 0, 0)


def texts(half: int, trees: Sequence[Tree], sources: Sequence[AdapterTree]) -> tuple[Query, ...]:
    """Whatever a half is asked that has an answer among these models, and what has none."""
    known = [{label.text for label in source.labels} for source in sources]
    shown = [set(tree.told) for tree in trees]
    found = []
    for name in sorted(set().union(*shown)):
        if queries.half(name) == half:
            knowing, showing = sum(name in each for each in known), sum(name in each for each in shown)
            kind = f"{NAMES[knowing]}, {'both have' if showing == len(trees) else 'the other has none'}"
            found.append(Query(name, kind if knowing == 1 else NAMES[knowing], frozenset([name])))
    for kind, told_of in (("paraphrases", queries.PARAPHRASES), ("kinds", queries.KINDS)):
        for text, right in told_of[half].items():
            if set(right) & set().union(*shown):
                found.append(Query(text, kind, frozenset(right)))
    absent = queries.NOTHING[half]
    found += [Query(text, NOTHING[i >= queries.NEAR], frozenset()) for i, text in enumerate(absent)]
    return tuple(found)


@dataclass(frozen=True)
class Bench:
    """Zoos on the bench, and the folders of the two trees' experts, trained where they are not there."""

    zoos: Path
    size: str
    experts: tuple[Path, Path]

    @cached_property
    def sources(self) -> tuple[AdapterTree, ...]:
        """Both trees, of zoos that are built where they are not there in full."""
        return tuple(self._source(recipe) for recipe in (EMOJI_200, EMOJI_1K))

    def _source(self, recipe: EmojiRecipe) -> AdapterTree:
        zoo = build_zoo(recipe.name, self.size, self.zoos / recipe.name)
        return AdapterTree(zoo, zoo.root(recipe.root.repo))

    def half(self, which: int, store: Store) -> Half:
        """Both experts read the models of a half into the store."""
        for source, folder in zip(self.sources, self.experts, strict=True):
            if not (folder / "config.json").exists():
                train_expert(source.zoo.folder, source.root.repo, folder, progress=False)
        both = zip(self.sources, self.experts, strict=True)
        trees = tuple(read(store, source, folder, SPLITS[which]) for source, folder in both)
        return Half(trees, texts(which, trees, self.sources))


# --- ours as people use it ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Searched:
    """What the library answers: with both trees, with each alone, and what it says of its answer."""

    both: Ranked
    alone: tuple[Ranked, ...]
    doubts: Flags


def searched(store: Store, half: Half) -> Searched:
    """Every text, asked as a person asks it."""
    library, place = Library(store, load), {repo: i for i, repo in enumerate(half.repos)}

    def asked(tree: str | None) -> tuple[Ranked, Flags]:
        places = np.full((len(half.queries), DEPTH), -1, np.intp)
        scores, doubts = np.zeros(places.shape, np.float32), np.zeros(len(places), np.bool_)
        for row, each in enumerate(half.queries):
            answer = library.search(each.text, tree, DEPTH)
            doubts[row] = answer.note.startswith("Nothing certain")
            for column, hit in enumerate(answer.hits):
                places[row, column], scores[row, column] = place[hit.repo], hit.score
        return Ranked(places, scores), doubts

    both, doubts = asked(None)
    return Searched(both, tuple(asked(tree.info.tree)[0] for tree in half.trees), doubts)


# --- what is measured -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scored:
    """One rule: nDCG@10 of each text with both trees, and with each alone, whose own models count there."""

    name: str
    both: Floats
    alone: tuple[Floats, ...]
    right_tree: float
    hubs: mixes.Hubs
    error: float
    brier: float


def scored(name: str, half: Half, both: Ranked, alone: Sequence[Ranked]) -> Scored:
    relevant, first = half.relevant, both.places[:, 0]
    by_tree = np.stack([(relevant & (half.of == i)).any(1) for i in range(len(half.trees))], 1)  # (q, 2)
    lonely = by_tree.sum(1) == 1
    right = by_tree[np.arange(len(first)), half.of[first]] & (first >= 0)
    shown = (both.places >= 0) & (both.scores >= shelf.LEAST_SCORE) & (both.scores <= 1)
    error, brier = mixes.calibration(both.scores[shown], both.hits(relevant)[shown])
    apart = tuple(mixes.ndcg(one, relevant & (half.of == i)) for i, one in enumerate(alone))
    mixed = mixes.ndcg(both, relevant)
    return Scored(name, mixed, apart, float(right[lonely].mean()), mixes.hubs(both, relevant), error, brier)


def by_rule(name: str, rule: Rule, half: Half, asked: Sequence[Asked]) -> Scored:
    alone = [half.ranked(rule, asked, i) for i in range(len(half.trees))]
    return scored(name, half, half.ranked(rule, asked), alone)


def chosen(half: Half) -> dict[str, Rule]:
    """Every rule but ours, with the setting that does best on the choosing half."""
    asked, found = half.asked(), dict(FIXED)
    for name, (make, settings) in FAMILIES.items():
        scores = {
            each: float(np.nanmean(mixes.ndcg(half.ranked(make(each), asked), half.relevant)))
            for each in (int(s) if name == "CSLS" else s for s in settings)
        }
        best = max(scores, key=lambda each: scores[each])
        found[f"{name}, {best}"] = make(best)
    return found


def meanings(half: Half) -> tuple[Floats, Flags]:
    """Of texts that are nobody's name: the largest cosine with a concept, and whether that one is meant."""
    cosines, right = [], []
    asked = half.asked()
    for row, each in enumerate(half.queries):
        best = max(range(len(asked)), key=lambda i: asked[i].near[row].max())
        if asked[best].nearest[row, 0] < meaning.SAME and not each.kind.startswith(NAMES):
            cosines.append(float(asked[best].nearest[row, 0]))
            right.append(half.trees[best].texts[int(asked[best].near[row].argmax())] in each.right)
    return np.array(cosines), np.array(right)


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the asked half says.

    Args:
        chose: ours on the choosing half.
        fitted: middle and slope of a text's meaning as each half would have them.
        means: from `meanings`.
        apart: how far the formula written out is from what the search says.
    """

    half: Half
    ours: Scored
    answers: Searched
    others: Sequence[Scored]
    undone: Mapping[str, Scored]
    wordings: Mapping[str, Scored]
    chose: Scored
    fitted: Sequence[tuple[float, float]]
    means: tuple[Floats, Flags]
    apart: float


def measure(bench: Bench, scratch: Path) -> Measured:
    """Choose on the one half, then ask the other."""
    with Store.open(f"sqlite:///{scratch / 'choosing.db'}") as store:
        choosing = bench.half(queries.CHOOSING, store)
        rules, fitted = chosen(choosing), mixes.logistic(*meanings(choosing))
        chose = by_rule(OURS, mixes.ours(NOW), choosing, choosing.asked())
    with Store.open(f"sqlite:///{scratch / 'asked.db'}") as store:
        half = bench.half(queries.ASKED, store)
        answers = searched(store, half)
    asked = half.asked()
    told_by_formula = half.ranked(mixes.ours(NOW), asked)
    there = answers.both.places[:, 0] >= 0
    means = meanings(half)
    return Measured(
        half,
        scored(OURS, half, answers.both, answers.alone),
        answers,
        [by_rule(name, rule, half, asked) for name, rule in rules.items()],
        {name: by_rule(name, mixes.ours(each), half, asked) for name, each in UNDONE.items()},
        {name: by_rule(name, mixes.ours(NOW), half, half.asked(each)) for name, each in WORDINGS.items()},
        chose,
        (fitted, mixes.logistic(*means)),
        means,
        float(np.abs(told_by_formula.scores[there, 0] - answers.both.scores[there, 0]).max(initial=0)),
    )


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("mixing", __doc__, "the smallest zoos, nothing written", zoos=True)
    parser.add_argument("--expert", type=Path, default=Path("experts/emoji-pixart-a"), help="of emoji-200")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        scratch = Path(folder)
        if given.smoke:
            bench = Bench(zoos(given, scratch), "tiny", (scratch / "a", scratch / "b"))
        else:
            bench = Bench(zoos(given, scratch), "bench", (given.expert, SHIPPED))
        found = measure(bench, scratch)
    rows = [*judge(found)]
    publish("mixing", rows, report(found, rows), given)


# --- the report -----------------------------------------------------------------------------------


def judge(found: Measured) -> Iterator[Row]:
    """Targets of issue 6, and what they are compared with."""
    yield told("nDCG@10, both trees", float(np.nanmean(found.ours.both)), "mean over texts")
    for tree, alone in zip(found.half.trees, found.ours.alone, strict=True):
        gain, _, high = mixes.interval(found.ours.both - alone)
        name, by_itself = tree.info.tree.split("/")[-1], float(np.nanmean(alone))
        yield Row(f"both trees above {name} alone", gain, "nDCG@10", 0.0, by_itself, high >= 0)
    for other in found.others:
        gain, _, high = mixes.interval(found.ours.both - other.both)
        yield Row(f"ours above {other.name}", gain, "nDCG@10", 0.0, float(np.nanmean(other.both)), high >= 0)
    whole = found.undone[AS_IT_IS]
    yield told("nDCG@10, if the unlikely were shown too", mean(whole.both), "mean over texts")
    before = found.undone[AS_IT_WAS]
    yield Row(
        "calibration error", found.ours.error, "ECE, 10 bins", 0.05, before.error, found.ours.error <= 0.05
    )
    yield told("calibration error on the choosing half", found.chose.error, "ECE, 10 bins")
    yield told("Brier score", found.ours.brier, "of what is shown", before.brier)
    yield told("first hit from the right tree", found.ours.right_tree, "share of texts", before.right_tree)
    yield told("skewness of the 10-occurrence", found.ours.hubs.skewness, "", found.others[0].hubs.skewness)
    asked, doubts = found.half.kinds(), found.answers.doubts
    nothing = np.any([asked[name] for name in NOTHING], axis=0)
    yield told("nothing certain, where there is nothing", float(doubts[nothing].mean()), "recall")
    yield told("nothing certain, deserved", float(deserved(found)[doubts].mean()), "precision")
    yield told("formula and search apart", found.apart, "largest difference of first scores")


def deserved(found: Measured) -> Flags:
    """Where it is right to say that nothing is certain: the first hit is wrong, or there is none."""
    return ~found.answers.both.hits(found.half.relevant)[:, 0]


def by_kind(found: Measured, each: Scored) -> list[object]:
    """nDCG of the kinds that have an answer, then of all."""
    some_kinds = [some for name, some in found.half.kinds().items() if name not in NOTHING]
    return [*(mean(each.both[some]) for some in some_kinds), mean(each.both)]


def mean(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def rules_table(found: Measured) -> str:
    lines = []
    whole = replace(found.undone[AS_IT_IS], name="ours, the unlikely shown too")
    for each in (found.ours, whole, *found.others):
        gains = [mixes.interval(one.both - each.both) for one in (found.ours, whole) if one is not each]
        over = [f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]" for gain, low, high in gains]
        over = over if len(over) == 2 else ["", over[0]] if each is found.ours else [over[0], ""]
        lines.append([each.name, mean(each.both), *over, each.right_tree, *by_kind(found, each)[:-1]])
    answered = [name for name in found.half.kinds() if name not in NOTHING]
    return table(["rule", "nDCG@10", "ours above it", "so shown, above it", "right tree", *answered], lines)


def trees_table(found: Measured) -> str:
    lines = []
    for i, tree in enumerate(found.half.trees):
        for kind, some in {**found.half.kinds(), "all": np.ones(len(found.half.queries), np.bool_)}.items():
            alone, both = found.ours.alone[i][some], found.ours.both[some]
            if np.isnan(alone).all():
                continue
            gain, low, high = mixes.interval(both - alone)
            spread = f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]"
            lines.append(
                (
                    tree.info.tree,
                    kind,
                    int((~np.isnan(alone)).sum()),
                    mean(alone),
                    mean(both[~np.isnan(alone)]),
                    spread,
                )
            )
    return table(("tree", "texts", "how many", "alone", "both trees", "gain"), lines)


def honesty_table(found: Measured) -> str:
    """By kind: what was told of the hits shown, what was right, and how often nothing was certain."""
    ranked, right, lines = found.answers.both, found.answers.both.hits(found.half.relevant), []
    for kind, some in found.half.kinds().items():
        shown = (ranked.places >= 0) & some[:, None]
        doubts, fair = found.answers.doubts[some], deserved(found)[some]
        told_of, was = float(ranked.scores[shown].mean()), float(right[shown].mean())
        lines.append(
            (kind, int(some.sum()), int(shown.sum()), told_of, was, float(doubts.mean()), float(fair.mean()))
        )
    return table(
        ("texts", "how many", "hits shown", "told", "right", "nothing certain", "first hit wrong"), lines
    )


def changes_table(found: Measured, which: Mapping[str, Scored], first: str) -> str:
    answered = [name for name in found.half.kinds() if name not in NOTHING]
    lines = [[name, *by_kind(found, each), each.error, each.brier] for name, each in which.items()]
    return table([first, *answered, "all", "ECE", "Brier"], lines)


def hubs_table(found: Measured) -> str:
    lines = [
        (each.name, each.hubs.skewness, each.hubs.wrong, each.hubs.worst)
        for each in (found.ours, *found.others)
    ]
    return table(("rule", "skewness", "wrong firsts", "of them by 1% of models"), lines)


def meaning_table(found: Measured) -> str:
    cosine, right = found.means
    lines = []
    for low in np.arange(0.3, 1.0, 0.1):
        some = (cosine >= low) & (cosine < low + 0.1)
        if some.any():
            chance = float(
                np.mean([meaning.meant(float(each), meaning.EVEN_CONCEPT) for each in cosine[some]])
            )
            lines.append(
                (f"{low:.1f} to {low + 0.1:.1f}", int(some.sum()), float(right[some].mean()), chance)
            )
    return table(("nearest concept's cosine", "texts", "is meant", "`meant` says"), lines)


def report(found: Measured, rows: Sequence[Row]) -> str:
    """docs/results/mixing.md."""
    a, b = found.half.trees
    (middle, slope), (middle_here, slope_here) = found.fitted
    return f"""# Is a search over several trees as good as a search of each?

    python -m benchmarks.mixing

{machine()}. {len(a.repos)} test models of `{a.info.tree}` and {len(b.repos)} of `{b.info.tree}`, of
known concepts and of unknown ones, read by their experts, recorded, and searched with
{len(found.half.queries)} texts through `Library.search`. A model is right if it was trained on what is asked,
and no near thing counts: for "envelope" an incoming envelope is wrong. What has a setting took it from other
models and other texts.

The half that is asked was opened twice. After the first time `SOFTER` went from 0.4 to 0.5 and `SAME` from
0.98 to 0.9, so that experts with a smaller scale stay sharp and "a dog" is taken for the dog: not for these
numbers, which were a little better (nDCG@10 .919, calibration error .070).

{verdict(rows)}

## Each tree alone, and both

nDCG@10 with one tree counts that tree's models alone, and with both, all. In brackets: 95%, bootstrap over
texts.

{trees_table(found)}

## Rules for mixing

All see the same embeddings. *Right tree*: of the texts that one tree alone can answer, how many get their
first hit from it. Ours also knows how near the text is to the names of concepts. It does not show what has a
chance under {shelf.LEAST_SCORE}; its second line does, as all other rules do.

{rules_table(found)}

## Probabilities

A score is told as the chance that the model was trained on that. *First hit wrong*: where "nothing certain"
would be deserved.

{honesty_table(found)}

## Hubs

Skewness of how often a model comes up among the first ten; wrong firsts are wrong hits on the places that the
right ones should have. Texts have different numbers of right models, so that skewness is not 0 at best.

{hubs_table(found)}

## What each constant does

Each put back to what it was, one at a time. They were chosen on the other half.

{changes_table(found, found.undone, "constants")}

## Wordings of a text

The mean direction of a text in several wordings, of concepts as well as of what is asked.

{changes_table(found, found.wordings, "wordings")}

## What a text means

Paraphrases, kinds and texts about nothing there. The middle is {NOW.middle} and the slope {NOW.slope};
likeliest on the choosing half are {middle:.2f} and {slope:.1f}, on this one {middle_here:.2f} and
{slope_here:.1f}.

{meaning_table(found)}
"""


if __name__ == "__main__":
    main()

"""What travels along the path: frozen records, no behaviour beyond small derived facts.

Nothing here imports torch, sqlalchemy or huggingface_hub, so that every room may speak in these words.
Arrays are numpy's, and only named for the type checker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


# --- notice -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upload:
    """One repo at one commit, as the Hub listed it. Everything in it is somebody's claim.

    Args:
        repo: `owner/name`.
        commit: 40 hex digits, the head of `main` when it was listed.
        modified_at: UTC, the listing's lastModified.
        files: the names of all files of the repo.
        card: the front matter as the Hub parsed it (`cardData`); declared, never trusted.
        config: the Hub's digest of config.json and adapter_config.json (`expand=config`).
    """

    repo: str
    commit: str
    modified_at: datetime
    created_at: datetime | None = None
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library: str | None = None
    downloads: int = 0
    gated: bool = False
    private: bool = False
    disabled: bool = False
    files: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.repo.split("/", 1)[0] if "/" in self.repo else ""

    @property
    def shown(self) -> bool:
        """Whether everybody may see its files."""
        return shown(self.tags, gated=self.gated, private=self.private, disabled=self.disabled)


NOT_FOR_ALL = "not-for-all-audiences"
"""The Hub's tag for what is not to be shown unasked."""


def shown(tags: Iterable[str], *, gated: bool, private: bool, disabled: bool) -> bool:
    return not (gated or private or disabled or NOT_FOR_ALL in tags)


# --- place ------------------------------------------------------------------------------------


class Source(StrEnum):
    """Where a piece of evidence about ancestry was found."""

    CARD = "card"
    TAG = "tag"
    ADAPTER_CONFIG = "adapter_config"
    MERGE_CONFIG = "merge_config"
    """`mergekit_config.yml`."""
    METADATA = "metadata"
    """The notes in a safetensors header."""
    WEIGHTS = "weights"
    KIN = "kin"
    """The weights of the other members of its tree."""
    ROOT = "root"
    """The repo is itself a known root."""


class How(StrEnum):
    """How a placement came about."""

    ROOT = "root"
    DECLARED = "declared"
    RECOVERED = "recovered"
    BOTH = "both"
    CONFLICT = "conflict"
    UNPLACED = "unplaced"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks for, or against, a parent.

    Args:
        source: where it was found.
        text: a sentence for people.
        parent: the repo it points to, if any.
        score: for weights, the mean cosine in [-1, 1] between fingerprints.
        probability: for weights, the calibrated chance that this is its root.
    """

    source: Source
    text: str
    parent: str | None = None
    score: float | None = None
    probability: float | None = None
    claimed: bool = False
    """Whether the repo itself names this parent."""


SURE = 0.999
"""From this chance on an owner may be told whose child a model is."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Which tree and parent an upload has, and on what evidence. `tree` is the root's repo."""

    repo: str
    commit: str
    tree: str | None
    parent: str | None
    how: How
    evidence: tuple[Evidence, ...] = ()
    relation: str | None = None
    """`finetune`, `adapter`, `quantized` or `merge`, where known."""
    others: tuple[str, ...] = ()
    """Of a merge, the parents beside `parent`."""
    bytes_read: int = 0
    """Body bytes of weight files that the fingerprint cost."""

    @property
    def parents(self) -> tuple[str, ...]:
        """All of them: none of a root, several of a merge."""
        return (self.parent, *self.others) if self.parent else ()

    @property
    def surely(self) -> Evidence | None:
        """What makes it sure that the root is the parent, if the model names none; None where it is not."""
        if self.how is not How.RECOVERED or self.declared or self.relation or self.parents != (self.tree,):
            return None
        return next(
            (e for e in self.evidence if e.parent == self.tree and (e.probability or 0) >= SURE), None
        )

    @property
    def declared(self) -> tuple[str, ...]:
        """The parents that it names itself; what it says of further ancestors is others' word."""
        return tuple(dict.fromkeys(e.parent for e in self.evidence if e.parent and e.claimed))


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What is kept of a model's weights, to know its kin by.

    Args:
        form: which rows of which tensors; only sketches of one form can be compared.
        values: (m,).
        kurtosis: log kurtosis of the rows that were read, summed.
        quantised: whether the weights were rounded to eight bits.
    """

    repo: str
    form: str
    values: Floats
    kurtosis: float
    quantised: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Relative:
    """A member of a tree as its kin see it.

    Args:
        merged: whether it says that it is a merge.
        parents: those that it has at present.
        declared: those that it names itself.
    """

    sketch: Sketch
    created_at: datetime | None = None
    merged: bool = False
    parents: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()


# --- fetch ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repo at a commit. `content_id` is the LFS sha256, else the git blob id."""

    path: str
    size: int
    content_id: str


class Kind(StrEnum):
    """How a layer lies in a file."""

    DENSE = "dense"
    """As one tensor."""
    LORA = "lora"
    """As two, the factors of what an adapter adds to it; `hubbot.weights.pairs` knows their names."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor to read, or a few of its leading rows; or a low-rank layer, which is two tensors.

    Args:
        name: the tensor's full name in the file; of a low-rank layer, the name that its factors share.
        rows: how many rows along the first dimension, from the top; None for all.
        shape: the full shape that the reader expects, of a low-rank layer (d_H, d_W); None for any.
    """

    name: str
    rows: int | None = None
    shape: tuple[int, ...] | None = None
    kind: Kind = Kind.DENSE


@dataclass(frozen=True, slots=True)
class Tensors:
    """Named tensors of one upload, widened to float32, and what reading them cost.

    Args:
        values: name to float32 array.
        stored_dtypes: name to the dtype in the file, e.g. `BF16`.
        files: the weight files that were read from.
        bytes_read: body bytes that crossed the wire for weights, headers included.
        bytes_stored: size in bytes of all weight files of the same kind in the repo.
        stored_tensors: how many tensors those files hold.
    """

    repo: str
    commit: str
    values: Mapping[str, Floats]
    stored_dtypes: Mapping[str, str]
    files: tuple[RemoteFile, ...]
    bytes_read: int
    bytes_stored: int
    stored_tensors: int = 0


# --- probe ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label with its calibrated probability in [0, 1]; `recognised` if over its threshold."""

    label: str
    probability: float
    recognised: bool


def recognised(predictions: Iterable[Prediction]) -> tuple[Prediction, ...]:
    """Those over their threshold, most probable first."""
    return tuple(sorted((p for p in predictions if p.recognised), key=lambda p: -p.probability))


@dataclass(frozen=True, slots=True)
class Abstention:
    """Why an upload got no reading: a stable word and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expert said of one upload: labels and an embedding, or an abstention.

    `content_ids` are those of the weight files that were read, sorted; with `repo`, `expert` and
    `version` they are the reading's key, so that a commit that leaves the weights alone makes no new
    work. Where nothing could be read they are those that the Hub lists, or the commit.
    `expert` and `version` are empty where no expert was consulted. `bytes_read` is all that the reading
    cost, its placement included.
    """

    repo: str
    commit: str
    content_ids: tuple[str, ...]
    tree: str | None = None
    expert: str = ""
    version: str = ""
    predictions: tuple[Prediction, ...] = ()
    embedding: tuple[float, ...] | None = None
    abstention: Abstention | None = None
    tensors_read: tuple[str, ...] = ()
    bytes_read: int = 0
    bytes_stored: int = 0
    stored_tensors: int = 0

    @property
    def recognised(self) -> tuple[Prediction, ...]:
        """The labels over their threshold, most probable first."""
        return recognised(self.predictions)


MEANINGS = {
    "accuracy": "on data that it never saw",
    "epoch": "how long it was trained",
    "gap": "better on what it saw in training",
}
"""What estimates of these names are, as words that may follow the number."""
MANY = 10
"""From so far between the least and the most on, a number is told as a whole one."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of a model's training that its weights betray, with an interval.

    Args:
        name: e.g. `accuracy`, on the held-out data of the zoo's task, in [0, 1].
        low, high: between them lies the truth for a share `coverage` of models like this one.
        least, most: what no model's can be under or over; None where nothing bounds it.
    """

    name: str
    value: float
    low: float
    high: float
    coverage: float
    least: float | None = None
    most: float | None = None

    @property
    def is_share(self) -> bool:
        """Whether it is said in percent: it lies between 0 and 1."""
        return (self.least, self.most) == (0, 1)

    @property
    def is_difference(self) -> bool:
        """Whether it is said in points: it lies between -1 and 1, as a difference of shares does."""
        return (self.least, self.most) == (-1, 1)

    @property
    def meaning(self) -> str:
        """What the number is, for whoever has not met its name; empty where that is not known."""
        return MEANINGS.get(self.name, "")

    def worded(self, number: float) -> str:
        """A value for people, with its unit."""
        if self.is_difference:
            points = self._bare(number)
            return f"{points} point" if points in ("1", "-1") else f"{points} points"
        return self._bare(number)

    @property
    def ends(self) -> tuple[str, str]:
        """Of the interval, for people: a unit that is a word comes last, `between 3 and 11 points`."""
        return self._bare(self.low), self.worded(self.high)

    def _bare(self, number: float) -> str:
        if self.is_share:
            return f"{number:.0%}"
        if self.is_difference:
            return f"{round(100 * number)}"
        if self.least is not None and self.most is not None and self.most - self.least >= MANY:
            return f"{round(number)}"
        return f"{number:.3g}"

    @property
    def often(self) -> str:
        """The coverage for people, e.g. `9 of 10`."""
        of = min(range(2, 21), key=lambda n: (round(abs(round(self.coverage * n) / n - self.coverage), 6), n))
        return f"{round(self.coverage * of)} of {of}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an autoencoder said of an upload's training: estimates, or an abstention.

    With `repo`, `autoencoder` and `version`, the content ids of all its weight files are the key, as a
    reading's are: what was judged once is not read again.
    """

    repo: str
    commit: str
    content_ids: tuple[str, ...]
    autoencoder: str
    version: str
    estimates: tuple[Estimate, ...] = ()
    abstention: Abstention | None = None
    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class AutoencoderInfo:
    """What the rest of hubbot needs to know of an autoencoder that reads properties, without torch.

    Args:
        version: changes whenever a judgement could change.
        folder: where its config.json and model.safetensors lie.
        shapes: of all float tensors of the one architecture that it reads.
        trained_on: what it learned from, for people.
    """

    name: str
    version: str
    folder: str
    shapes: Mapping[str, tuple[int, ...]]
    trained_on: str


# --- experts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Label:
    """A thing that an expert can recognise.

    Args:
        name: stable key, e.g. `seven`.
        text: what a person would call it in a sentence, used for text search.
        tag: the plain word offered for the card's `tags`.
    """

    name: str
    text: str
    tag: str


@dataclass(frozen=True, slots=True)
class LayerScore:
    """What one layer says alone on the validation split; `chosen` are those that the expert reads."""

    layer: str
    loss: float
    accuracy: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """Labels that were told with about the same probability, and how many of them were right.

    Args:
        told: how many labels these are.
        share: of all that was told, each model weighted as often as one meets its like.
        meant: the mean of their probabilities.
        right: the weighted share that was right, and `least` and `most` its 95% interval.
    """

    told: int
    share: float
    meant: float
    right: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether an expert's percentages mean what they say, on models that had no part in making it.

    Args:
        split: of its zoo.
        models: how many of its own kind were read.
        strangers: how many others of the tree; for most of them no label is right.
        bins: what was told, from the least likely to the likeliest.
        recognised: that of it which is over the threshold; None where nothing was.
    """

    split: str
    models: int
    strangers: int
    bins: tuple[Bin, ...]
    recognised: Bin | None = None

    @property
    def error(self) -> float:
        """How far a percentage is off on average: the expected calibration error (Naeini et al., 2015)."""
        return sum(b.share * abs(b.meant - b.right) for b in self.bins)


@dataclass(frozen=True, slots=True)
class Trust:
    """What tells how far an expert can be trusted, beside its scores.

    Args:
        threshold: from this probability on a label is recognised; None: never.
        known: the share of a tree's uploads that are of the expert's kind, for which probabilities are meant.
        layers: all that it could have read, in the order of the model.
        reliability: None where it was not measured.
    """

    threshold: float | None
    known: float = 1.0
    layers: tuple[LayerScore, ...] = ()
    reliability: Reliability | None = None


@dataclass(frozen=True, slots=True)
class ExpertInfo:
    """What the rest of hubbot needs to know of an expert, without torch.

    Args:
        name: e.g. `digits-vit-a`.
        version: changes whenever a reading could change.
        folder: where its config.json and model.safetensors lie.
        roots: the equivalent roots of its tree, the first is the tree's name.
        wanted: the tensors that a reading needs.
        labels: in the order of the head.
        text_encoder: schemed name, e.g. `sentence:all-MiniLM-L6-v2`.
        head: `labels`, of which a model has any number, or `text`, of which it is one: see `TextHead`.
        prompt: what a text is put into, in place of `{}`, before a text head meets it.
        trained_on: what it learned from, for people.
        datasets: Hub dataset ids it was trained on; empty where the data has none.
        scores: name to value, its own, measured on the test split.
        baselines: name to accuracy, of the simpler methods that it was measured beside.
        trust: None of one that an older hubbot saved.
    """

    name: str
    version: str
    folder: str
    roots: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    labels: tuple[Label, ...]
    text_encoder: str
    trained_on: str
    datasets: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    head: str = "labels"
    prompt: str = "{}"
    trust: Trust | None = None

    @property
    def tree(self) -> str:
        return self.roots[0]

    @property
    def reads_adapters(self) -> bool:
        """Whether it reads low-rank factors, and so adapters and not whole models."""
        return any(want.kind is Kind.LORA for want in self.wanted)


@dataclass(frozen=True, slots=True, eq=False)
class TextHead:
    """How a text meets the embeddings of an expert: by cosine with g(t) = W t + b (ProbeX, arXiv 2410.13569).

    Letters: r_T the expert's space, d_text the text encoder's, k the labels.

    Args:
        W, b: (r_T, d_text) and (r_T,).
        vocabulary: embeddings of the labels' texts in their prompt, (k, d_text).
        scale: a text's calibrated logit is this times the cosine.
        none: the logit of whatever has no word in the vocabulary.
    """

    W: Floats
    b: Floats
    vocabulary: Floats
    scale: float
    none: float = float("-inf")


# --- suggest ----------------------------------------------------------------------------------


class SuggestionState(StrEnum):
    """From draft to what became of it."""

    DRAFT = "draft"
    REFUSED = "refused"
    """By our own policy, or because the card cannot be edited safely."""
    REJECTED = "rejected"
    """By an admin, who says why: it holds for these weights and this version of the expert."""
    APPROVED = "approved"
    OPENING = "opening"
    """Written down before the Hub is asked, so that a crash cannot open a second one."""
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


ESTIMATES = "estimates: "
"""What a line of `Suggestion.added` begins with that stands for estimates."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A README edit made from a reading.

    Args:
        base_commit: the commit whose README was edited.
        added: lines that the edit adds, as a person would read them.
        new_text: the whole new README; empty when refused before composing.
        old_text: the README as it was; None where an older hubbot did not write it down.
        reason: why it was refused or waits; of one that others saw, what was said there last.
        pull_request: its address, once opened.
        content_ids: those of the reading it was made from: a merged one allows another for new weights only.
        version: of the expert that gave that reading.
    """

    repo: str
    base_commit: str
    state: SuggestionState
    title: str = ""
    body: str = ""
    added: tuple[str, ...] = ()
    new_text: str = ""
    reason: str = ""
    pull_request: str | None = None
    content_ids: tuple[str, ...] = ()
    version: str = ""
    old_text: str | None = None

    @property
    def estimated(self) -> bool:
        """Whether an admin had estimates put into it; then it needs no recognised label to be offered."""
        return any(line.startswith(ESTIMATES) for line in self.added)

    @property
    def seal(self) -> str:
        """Another one as soon as anything is other that its owner would get to see."""
        shown = (self.repo, self.base_commit, self.title, self.body, self.new_text)
        return sha256("\0".join(shown).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the Hub lists it; `status` is draft, open, closed or merged.

    `answers` are the comments of others, where it was asked for by itself: the listing has none.
    """

    repo: str
    number: int
    title: str
    status: str
    author: str
    url: str
    answers: tuple[str, ...] = ()


# --- index ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Findable:
    """What a search must know of a model: what an expert said of it, and what it can be filtered by.

    Args:
        embedding: of an expert with a text head, (r_T,).
        author, license, task: who owns it, and what it says of itself.
    """

    repo: str
    tree: str
    expert: str
    version: str
    predictions: tuple[Prediction, ...]
    modified_at: datetime
    embedding: Floats | None = None
    author: str = ""
    license: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """What is shown of a model among others.

    Args:
        files: as of its upload; a picture may be among them.
        shown: whether everybody may see them.
        predictions: all that its expert said, in the order of the expert's head.
    """

    repo: str
    commit: str
    tree: str
    expert: str
    version: str
    modified_at: datetime
    how: How | None = None
    author: str = ""
    license: str | None = None
    task: str | None = None
    downloads: int = 0
    files: tuple[str, ...] = ()
    shown: bool = True
    tensors_read: tuple[str, ...] = ()
    predictions: tuple[Prediction, ...] = ()

    @property
    def recognised(self) -> tuple[Prediction, ...]:
        """The labels over their threshold, most probable first."""
        return recognised(self.predictions)


@dataclass(frozen=True, slots=True)
class Hit:
    """A model that a search found; `score` in [0, 1] is the chance that it is what was asked for."""

    repo: str
    tree: str
    score: float
    because: tuple[Prediction, ...] = ()
    glance: Glance | None = None

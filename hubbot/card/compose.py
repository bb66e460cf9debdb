"""The words of a pull request, and the suggestion that carries them.

Owners have thanked bots for one change, for saying how a value was found and how sure it is, and for
naming who runs them; so that is what the text says, and how to make it stop. Names come from strangers:
they are shown as code, without control characters, and can neither format the text nor mention anybody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from hubbot.card.front_matter import Edit, add_tags, opted_out
from hubbot.card.section import holds_section, put_section
from hubbot.errors import CardError, CardNotEditable
from hubbot.records import Evidence, ExpertInfo, Prediction, Reading, Suggestion, SuggestionState

LONGEST_TITLE = 200
"""Characters; the Hub's limit."""

SHORTEST_TITLE = 3

LONGEST_BODY = 20_000

LONGEST_NAME = 120

TAGS, BASE_MODEL, SECTION = "tags", "base_model", "section"

LONGEST_SENTENCE = 300

SECTION_SAID = "Read off the weights"

BODY = """\
What a model was trained on can be read off its weights. The card does not say it yet, so nobody who \
looks for such a model finds this one. This pull request adds the following and changes nothing else:

{added}
{section}
**How it was found.** The expert {expert}, version {version}, knows {models} \
{root} and learned from {trained_on}. It read {tensors} of commit {commit}: {read} of {stored}. Its \
answer comes from these weights alone, not from the name or the card.{descent}

**How sure it is.**

{labels}

These are chances, calibrated on models that the expert neither learned from nor was chosen by; below its \
threshold a label is not mentioned.{scope}{scores} It can still be wrong, and you know better: then please \
close this.

**Try it yourself.** {command} reads the same bytes and says the same, as long as the weights are these.

**Who asks, and how to make it stop.** I am a bot; {contact}. Close this \
pull request and I stay silent in this repo for good; a comment here with a line `hubbot: false` does the \
same. In a card it keeps me away before I ever ask, and `hubbot: true` in its front matter asks me back.
"""

SECTION_LINE = f"{SECTION}: {SECTION_SAID}"

MUST_SAY = {"hubbot: false": "how to make it stop", "hubbot tell": "how to check it"}
"""What an admin's own words hold all the same, and what for."""

WORDS = """\
**Read off the weights.** {expert}, version {version}, read {tensors} of commit {commit} and recognised \
{labels}. These are chances, calibrated on models that it neither learned from nor was chosen by; \
it can be wrong. {command} reads the same bytes again."""
"""The section: what was said, by whom and from what, for whoever reads the card."""


def compose(
    reading: Reading,
    info: ExpertInfo,
    card: bytes,
    *,
    contact: str,
    base_commit: str,
    descent: Evidence | None = None,
    tag_prefix: str = "",
    section: bool = False,
    without: Collection[str] = (),
) -> Suggestion:
    """The smallest edit of a card that says what was recognised; a draft, or refused with the reason.

    Only `tags` are offered, and a `base_model` where the card names none and the weights are sure. That an
    expert learned from a dataset does not mean that this model did.

    Args:
        card: the README at `base_commit`; nothing where there is none.
        contact: how to reach whoever runs this bot.
        descent: what makes it sure whose child the model is; None where nothing does.
        tag_prefix: beside each tag that is new, the same one after this prefix; empty for none.
        section: whether a few words go into the card's text as well.
        without: lines as in `added` that an admin leaves out; nothing speaks of them then.
    """
    refused = Suggestion(
        repo=reading.repo,
        base_commit=base_commit,
        state=SuggestionState.REFUSED,
        content_ids=reading.content_ids,
        version=reading.version,
    )
    if opted_out(card):
        return replace(refused, reason="its card says `hubbot: false`")
    tags = {label.name: label.tag for label in info.labels}
    reading = _without(reading, {label for label, tag in tags.items() if f"{TAGS}: {tag}" in without})
    descent = None if descent and f"{BASE_MODEL}: {descent.parent}" in without else descent
    section = section and SECTION_LINE not in without
    try:
        recognised = [tags[p.label] for p in reading.recognised if p.label in tags]
        edit = _edited(card, recognised, info, descent, tag_prefix)
        edit = _with_section(edit, reading, info) if section else edit
    except CardError as error:
        return replace(refused, reason=error.message)
    if not edit.added:
        return replace(refused, reason="its card says so already")
    title, body = pull_request_text(reading, info, edit, contact, descent)
    return replace(
        refused,
        state=SuggestionState.DRAFT,
        title=title,
        body=body,
        added=edit.added,
        new_text=edit.new.decode("utf-8"),
        old_text=card.decode("utf-8"),
    )


def _without(reading: Reading, labels: Collection[str]) -> Reading:
    """The reading as if these labels had not been recognised."""
    kept = (replace(p, recognised=p.recognised and p.label not in labels) for p in reading.predictions)
    return replace(reading, predictions=tuple(kept))


def reworded(suggestion: Suggestion, title: str, body: str, *, contact: str) -> Suggestion:
    """The suggestion in an admin's words, which still tell its owner what he must know.

    Raises:
        CardError: they do not, or are none that the Hub takes; the message says why.
    """
    title, body = title.strip(), "\n".join(body.splitlines()).strip() + "\n"
    if not SHORTEST_TITLE <= len(title) <= LONGEST_TITLE or not title.isprintable():
        raise CardError(
            f"a title is one line of {SHORTEST_TITLE} to {LONGEST_TITLE} visible characters, not {len(title)}"
        )
    if len(body) > LONGEST_BODY:
        raise CardError(f"a text has {LONGEST_BODY:,} characters at most, not {len(body):,}")
    if odd := next((c for c in body if not c.isprintable() and c not in "\n\t"), None):
        raise CardError(f"the text holds a character that nobody sees, {odd!r}")
    must = MUST_SAY | ({_bare(contact): "how to reach you"} if contact else {})
    for words, what in must.items():
        if words not in body:
            raise CardError(f"the text no longer says {what}: {words!r} is missing")
    return replace(suggestion, title=title, body=body)


def _edited(
    card: bytes, tags: Sequence[str], info: ExpertInfo, descent: Evidence | None, prefix: str
) -> Edit:
    """Tags that are missing, each with its twin after the prefix: a twin alone would tell nobody anything."""
    base = descent.parent if descent else None
    relation = "adapter" if info.reads_adapters else "finetune"
    edit = add_tags(card, tags, base_model=base, relation=relation)
    if not prefix:
        return edit
    new = {line.removeprefix(f"{TAGS}: ") for line in edit.added if line.startswith(f"{TAGS}: ")}
    twins = [twin for tag in tags for twin in ((tag, prefix + tag) if tag in new else (tag,))]
    return add_tags(card, twins, base_model=base, relation=relation)


def _with_section(edit: Edit, reading: Reading, info: ExpertInfo) -> Edit:
    """A section too, beside something new or in place of an older one of ours; none where it has no place."""
    if not edit.added and not holds_section(edit.new):
        return edit
    words = WORDS.format(
        expert=code(info.name),
        version=code(info.version),
        tensors=_tensors(reading.tensors_read),
        commit=code(reading.commit),
        labels=", ".join(f"{_label(p, info)} ({_percent(p.probability)})" for p in reading.recognised),
        command=code(f"hubbot tell {reading.repo}"),
    )
    try:
        new = put_section(edit.new, words)
    except CardNotEditable:
        return edit
    return Edit(new, (*edit.added, SECTION_LINE)) if new != edit.new else edit


def pull_request_text(
    reading: Reading, info: ExpertInfo, edit: Edit, contact: str, descent: Evidence | None = None
) -> tuple[str, str]:
    """Title, of 3 to 200 characters, and body in Markdown; the same for the same reading."""
    body = BODY.format(
        added="\n".join(f"- {code(line)}" for line in edit.added),
        expert=code(info.name),
        version=code(info.version),
        models="adapters of" if info.reads_adapters else "models that were fine-tuned from",
        root=code(reading.tree or info.tree),
        trained_on=code(info.trained_on, LONGEST_SENTENCE),
        tensors=_tensors(reading.tensors_read),
        commit=code(reading.commit),
        read=_size(reading.bytes_read),
        stored=_size(reading.bytes_stored),
        labels="\n".join(f"- {_label(p, info)}: {_percent(p.probability)}" for p in reading.recognised),
        scope=_scope(info),
        scores=_scores(info),
        descent=_descent(edit, descent),
        command=code(f"hubbot tell {reading.repo}"),
        contact=reachable(contact),
        section=_section(edit),
    )
    return _title(edit), body


def _title(edit: Edit) -> str:
    found = [line.partition(": ") for line in edit.added]
    values = [_bare(value) for key, _, value in found if key == TAGS]
    noun, end = ("tag" if len(values) == 1 else "tags"), ", read off the weights"
    if any(key == BASE_MODEL for key, _, _ in found):
        end = f" and the base model{end}"
    if not values:
        base = any(key == BASE_MODEL for key, _, _ in found)
        return (
            "Add the base model, read off the weights"
            if base
            else "Renew the section that was read off the weights"
        )
    title = f"Add the {noun} {', '.join(values)}{end}"
    return title if len(title) <= LONGEST_TITLE else f"Add {len(values)} {noun}{end}"


def _descent(edit: Edit, descent: Evidence | None) -> str:
    """How a base model was found, where one is added."""
    if descent is None or not any(line.startswith(f"{BASE_MODEL}: ") for line in edit.added):
        return ""
    return (
        f" The base model was found by rows of several of its layers: the mean cosine with those of "
        f"{code(descent.parent or '')} is {descent.score or 0:.2f}, and unrelated weights have about 0."
    )


def _section(edit: Edit) -> str:
    """Where a section goes, and that nothing else is touched, if there is one."""
    if not any(line.startswith(f"{SECTION}: ") for line in edit.added):
        return ""
    return (
        "\nThe section stands in the card's text between two comments, and outside of them I change nothing, "
        "now or later.\n"
    )


def _label(prediction: Prediction, info: ExpertInfo) -> str:
    texts: Iterable[str] = (label.text for label in info.labels if label.name == prediction.label)
    return code(next(iter(texts), prediction.label))


def _scope(info: ExpertInfo) -> str:
    """What an answer is chosen from, where one excludes the others."""
    if info.head != "text":
        return ""
    return (
        f" It chooses one of {len(info.labels)} things that it knows by name; what is not among them it can "
        "only mistake for one of them, or say nothing."
    )


def _scores(info: ExpertInfo) -> str:
    """What an owner can use."""
    precision, coverage = info.scores.get("precision"), info.scores.get("coverage")
    if precision is None or coverage is None:
        return ""
    return (
        f" On models of the same kind that it never saw, {_percent(precision)} of the labels that it named "
        f"were right, and it named {_percent(coverage)} of the true ones."
    )


def _tensors(names: Sequence[str]) -> str:
    shown, more = ", ".join(code(name) for name in names[:3]), len(names) - 3
    return f"the tensor{'s' if len(names) != 1 else ''} {shown}{f' and {more} more' if more > 0 else ''}"


def _percent(probability: float) -> str:
    """Never 100%: nothing is that certain."""
    return f"{min(probability, 0.999):.1%}"


def _size(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def _bare(text: str, longest: int = LONGEST_NAME) -> str:
    """One line of visible characters, without the backtick that would end a piece of code."""
    visible = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in text.replace("`", "'"))
    line = " ".join(visible.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def code(text: str, longest: int = LONGEST_NAME) -> str:
    """A stranger's words as a piece of code, in which they format and mention nothing."""
    return f"`{_bare(text, longest) or ' '}`"


def reachable(contact: str) -> str:
    """How to reach whoever runs the bot. A plain address becomes a link; anything else is shown as it is."""
    line = _bare(contact)
    if not line:
        return "answer here, and the people who run me will read it"
    plain = line.startswith(("https://", "http://")) and not set(line) & set(" <>()[]\"'")
    return f"the people who run me are at {f'<{line}>' if plain else f'`{line}`'}"

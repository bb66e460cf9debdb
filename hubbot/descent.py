"""Whose child a model says that it is, and what its weights say: both asked of the Hub, and little of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hubbot.errors import HubError, HubUnavailable, RateLimited, WeightsError
from hubbot.hub import tensors, texts, uploads
from hubbot.hub.client import Hub
from hubbot.records import Evidence, Sketch, Source, Tensors, Upload, Wanted
from hubbot.trees.declared import MERGE_CONFIG, Lineage, Words, trace
from hubbot.trees.fingerprint import choose
from hubbot.trees.forest import Forest, most
from hubbot.trees.sketch import sketch
from hubbot.weights.quantised import NARROW, multiplied, scale_of

PASSING = (RateLimited, HubUnavailable)
"""Faults of the moment: an upload is not judged by them, it is visited again."""

MAX_CONFIG_BYTES = 200_000
"""Of a merge's config; the longest list some hundred models."""


def declared(upload: Upload, contents: tensors.Contents | None, hub: Hub, forest: Forest) -> Lineage:
    """What it says of its parents, in its listing and in its files, followed up to the root."""
    notes = contents.notes if contents else {}
    text, fault = _merge_config(hub, upload)
    words = Words(text, notes, (Evidence(Source.MERGE_CONFIG, fault),) if fault else ())
    return trace(upload, _lookup(hub), known_roots=forest.names, words=words)


def compared(
    upload: Upload, contents: tensors.Contents | None, hub: Hub, forest: Forest
) -> tuple[Evidence | None, Sketch | None, int]:
    """What the weights say of the root, what their kin know them by, and the bytes that asking them cost."""
    if contents is None:
        return None, None, 0
    own = choose(contents.shapes)
    wanted = most((*own, *forest.wanted(contents.shapes)))
    if not wanted:
        return None, None, contents.bytes_read
    try:
        rows, plain = hidden_rows(upload, contents, hub, wanted)
    except PASSING:
        raise
    except (WeightsError, HubError) as error:  # a repo may also vanish between two requests
        told = Evidence(Source.WEIGHTS, f"the weights could not be compared: {error}")
        return told, None, contents.bytes_read
    quantised = any(contents.dtypes[want.name] in NARROW for want in own)
    found = sketch(upload.repo, own, rows.values, quantised=quantised) if plain else None
    return forest.recover(rows), found, contents.bytes_read + rows.bytes_read


def hidden_rows(
    upload: Upload, contents: tensors.Contents, hub: Hub, wanted: Sequence[Wanted]
) -> tuple[Tensors, bool]:
    """Leading rows, quantised ones multiplied out; and whether that was possible with all of them."""
    narrow = [want for want in wanted if contents.dtypes[want.name] in NARROW]
    scales = {want.name: scale_of(want, contents.shapes) for want in narrow}
    read = tensors.read(hub, upload, [*wanted, *(scale for scale in scales.values() if scale)])
    values = dict(read.values)
    for name, scale in scales.items():
        if scale:
            values[name] = multiplied(values[name], scale, values[scale.name], contents.shapes[name])
    return replace(read, values=values), all(scales.values())


def _merge_config(hub: Hub, upload: Upload) -> tuple[str, str]:
    """The text of mergekit's config, and why there is none where the repo lists one."""
    if MERGE_CONFIG not in upload.files or upload.gated or upload.private or upload.disabled:
        return "", ""
    try:
        raw = texts.read(hub, upload.repo, upload.commit, MERGE_CONFIG, MAX_CONFIG_BYTES)
    except PASSING:
        raise
    except HubError as error:
        return "", f"its merge config could not be read: {error}"
    if raw is None:
        return "", f"its merge config has more than {MAX_CONFIG_BYTES} bytes: not read"
    return raw.decode("utf-8", "replace"), ""


def _lookup(hub: Hub) -> Callable[[str], Upload | None]:
    """Asks the Hub for a parent; None where there is none that we may see.

    The name is an owner's word. Whatever the Hub says of it, short of "not now", is an answer: it refuses
    `owner/model.git`, for instance, and that must not keep the child from its reading.
    """

    def ask(repo: str) -> Upload | None:
        try:
            return uploads.one(hub, repo)
        except PASSING:
            raise
        except HubError:
            return None

    return ask


def child_of(hub: Hub, repo: str) -> str | None:
    try:
        return uploads.child_of(hub, repo)
    except PASSING:
        raise
    except HubError:
        return None

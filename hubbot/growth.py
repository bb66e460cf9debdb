"""How a forest grows: roots that admins add, and who among the unplaced may descend from them."""

from __future__ import annotations

from hubbot.errors import UsageError
from hubbot.hub import tensors
from hubbot.pipeline import Bot, Reader, hidden_rows
from hubbot.records import Sketch, Upload
from hubbot.store.kin import KnownBy
from hubbot.trees.fingerprint import Fingerprint, choose
from hubbot.trees.forest import KnownRoot
from hubbot.trees.kin import coarse, resemble
from hubbot.trees.sketch import sketch


def root_of(upload: Upload, reader: Reader) -> tuple[KnownBy, Sketch]:
    """What a root is to be known by.

    Raises:
        UsageError: it descends from a root that is known, or has nothing to be known by.
        HubError, WeightsError: it cannot be read.
    """
    contents = tensors.contents(reader.hub, upload)
    own = choose(contents.shapes)
    if not own:
        raise UsageError("it has no hidden matrices that its children could be known by", repo=upload.repo)
    rows, _ = hidden_rows(upload, contents, reader.hub, (*own, *reader.forest.wanted(contents.shapes)))
    found = reader.forest.recover(rows)
    if found and found.parent and found.parent != upload.repo:
        raise UsageError(f"it is no root: {found.text}", repo=upload.repo)
    known = sketch(upload.repo, own, rows.values)
    if known is None:
        raise UsageError("its hidden matrices hold numbers that are not finite", repo=upload.repo)
    values = {want.name: rows.values[want.name][: want.rows] for want in own}
    return KnownBy(upload.repo, (), values, {want.name: contents.shapes[want.name] for want in own}), known


def planted(known: KnownBy) -> KnownRoot:
    """A root as the forest knows it."""
    return KnownRoot(known.root, known.aliases, Fingerprint(known.rows, known.shapes))


def alike(bot: Bot, root: Sketch) -> list[Upload]:
    """The unplaced models that resemble a root, and those that resemble these."""
    near, form = coarse(root), root.form
    crowd = bot.crowds.of(None, form, lambda: bot.store.coarse(None, form))
    around, _ = bot.store.relatives(crowd.near(root.repo, near), None, form)
    families = {bot.store.family_of(one.sketch.repo) for one in around if resemble(one.sketch, root)}
    repos = dict.fromkeys(repo for family in families if family for repo in bot.store.family_members(family))
    return [upload for repo in repos if (upload := bot.store.upload(repo))]

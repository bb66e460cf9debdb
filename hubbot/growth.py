"""How a forest grows: by uploads that join their kin, and by roots that admins add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hubbot.bot import Bot, Reader
from hubbot.descent import hidden_rows
from hubbot.errors import UsageError
from hubbot.hub import tensors
from hubbot.records import Evidence, How, Placement, Relative, Sketch, Source, Upload
from hubbot.store.kin import Entry, KnownBy
from hubbot.store.store import Store
from hubbot.trees.fingerprint import Fingerprint, choose
from hubbot.trees.forest import KnownRoot, stand
from hubbot.trees.kin import coarse, join, resemble
from hubbot.trees.sketch import sketch


def relate(bot: Bot, upload: Upload, placement: Placement, seen: Sketch) -> tuple[list[Placement], Entry]:
    """The upload's parents within its tree, and those of whoever has others by its coming; it comes first.

    What stands in no tree is compared with the rest that does not: who resemble one another have a root.

    Returns:
        Placements to record, with what later comers will know it by.
    """
    near, tree, store = coarse(seen), placement.tree, bot.store
    away = store.elsewhere(placement.declared, tree)
    named = tuple(parent for parent in placement.declared if parent not in away)
    if named != placement.declared:
        placement = _astray(placement)
    merged = placement.relation == "merge" or len(named) > 1
    one = Relative(seen, upload.created_at, merged, placement.parents, named)
    crowd = bot.crowds.of(tree, seen.form, lambda: store.coarse(tree, seen.form))
    around, placements = store.relatives([*crowd.near(upload.repo, near), *named], tree, seen.form)
    around = [other for other in around if other.sketch.repo != upload.repo]
    family, changed = None, [placement]
    if tree is None:
        family, changed = _resembling(store, placement, one, around)
    elif placement.how is not How.ROOT:
        stands = join(one, around, bot.reader.forest.sketch(tree, seen.form))
        before = {**placements, upload.repo: placement}
        changed = [stand(before[repo], now.parents, disputed=now.disputed) for repo, now in stands.items()]
    if tree:  # whoever claims this parent, and was found in another tree before it came
        changed += [_astray(child) for child in store.children(upload.repo) if child.tree not in (None, tree)]
    crowd.add(upload.repo, near)
    return changed, Entry(one, near, tree, family)


def _resembling(
    store: Store, placement: Placement, one: Relative, around: Sequence[Relative]
) -> tuple[str | None, list[Placement]]:
    """What an unplaced model and those that resemble it go by, and its placement, which says so."""
    alike = next((other.sketch for other in around if resemble(one.sketch, other.sketch)), None)
    family = store.family_of(alike.repo) if alike else None
    if family is None:
        return None, [placement]
    text = f"its weights resemble those of {family}, whose root hubbot does not know"
    return family, [replace(placement, evidence=(*placement.evidence, Evidence(Source.KIN, text)))]


def _astray(placement: Placement) -> Placement:
    """A placement whose declared parents stand in another tree: its root is all that is left."""
    return replace(placement, how=How.CONFLICT, parent=placement.tree, others=())


# --- roots that admins add ------------------------------------------------------------------------


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

"""Which version of an expert answers for a tree: an admin's choice, that a running bot follows at once.

A reading is kept for each version that made it. Whoever is chosen again finds its own of the same weights,
and they hold again without any new work; what it has not read, `hubbot tree rerun` leads past it.
"""

from __future__ import annotations

from hubbot.bot import Bot
from hubbot.errors import UsageError
from hubbot.records import ExpertInfo


def promote(bot: Bot, name: str, version: str) -> str:
    """Have this version answer for its tree from now on.

    Args:
        version: its beginning is enough, where that is unambiguous.

    Raises:
        UsageError: no such version is at hand.
    """
    chosen = _at_hand(bot, name, version)
    before = bot.reader.router.for_tree(chosen.tree)
    bot.store.promote(chosen.tree, chosen.name, chosen.version)
    return _follow(bot, chosen.tree, before)


def roll_back(bot: Bot, tree: str, name: str, version: str) -> str:
    """Take the promotion of this version back: the one before it answers again.

    Whoever asks says what is taken back, so that an order that a crash cut short does not go back twice.
    """
    before = bot.reader.router.for_tree(tree)
    taken = bot.store.take_back(tree, name, version)
    told = _follow(bot, tree, before)
    return told if taken else f"{name} {version} is not, or no longer, the promoted one: {told}"


def _follow(bot: Bot, tree: str, before: ExpertInfo | None) -> str:
    """Let the router and the readings follow what is recorded, and say so."""
    bot.reader.router.choose((top.expert, top.version) for top in bot.store.promotions())
    now = bot.reader.router.for_tree(tree)
    if now is None:
        return f"{tree} is read by no expert any longer"
    again = bot.store.hold_again(now.roots, now.name, now.version)
    others = bot.store.read_by_others(now.roots, now.name, now.version)
    was = f", before by {_shown(before)}" if before and before.folder != now.folder else ", as before"
    told = f"{tree} is read by {_shown(now)}{was}; {again} readings of its own hold again"
    return f"{told}, {others} are of others: `hubbot tree rerun {tree}`" if others else told


def _shown(info: ExpertInfo) -> str:
    return f"{info.name} {info.version}"


def _at_hand(bot: Bot, name: str, version: str) -> ExpertInfo:
    """The one that is meant; of several copies the one given last, as everywhere."""
    named = {i.version: i for i in bot.reader.router.experts if i.name == name}
    if not named:
        known = sorted({info.name for info in bot.reader.router.experts})
        raise UsageError(f"there is no expert {name!r}", hint=f"known are {', '.join(known) or 'none'}")
    meant = [known for known in named if version and known.startswith(version)]
    if len(meant) != 1:
        why = "several begin" if meant else "none at hand begins"
        raise UsageError(
            f"of the versions of {name} {why} with {version!r}", hint=f"at hand are {', '.join(named)}"
        )
    return named[meant[0]]

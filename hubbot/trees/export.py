"""A tree, or the whole forest, as a graph for other programs: an edge from every parent to its child."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping

import networkx as nx

from hubbot.records import Placement

FORMATS = ("graphml", "json", "dot")


def graph(placements: Iterable[Placement]) -> nx.DiGraph:
    """Models are nodes with their `tree`, `how` and `relation`; a parent that was never noticed has none."""
    found = nx.DiGraph()
    for placement in placements:
        told = {"tree": placement.tree, "how": placement.how.value, "relation": placement.relation}
        found.add_node(placement.repo, **{name: value for name, value in told.items() if value is not None})
        found.add_edges_from((parent, placement.repo) for parent in placement.parents)
    return found


def exported(found: nx.DiGraph, form: str) -> str:
    """The graph as text in one of `FORMATS`."""
    if form == "json":
        return json.dumps(nx.node_link_data(found, edges="edges"), indent=1) + "\n"
    found = _visible(found)
    if form == "graphml":
        return "\n".join(nx.generate_graphml(found)) + "\n"
    nodes = (f"{_quoted(name)} [{_attributes(told)}];" for name, told in found.nodes(data=True))
    edges = (f"{_quoted(parent)} -> {_quoted(child)};" for parent, child in found.edges)
    return "\n".join(["digraph {", *nodes, *edges, "}"]) + "\n"


def _visible(found: nx.DiGraph) -> nx.DiGraph:
    """Without what XML cannot hold at all, and nobody can see."""

    def seen(text: str) -> str:
        return "".join(c if unicodedata.category(c)[0] != "C" else "\ufffd" for c in text)

    made = nx.DiGraph()
    for name, told in found.nodes(data=True):
        made.add_node(seen(name), **{key: seen(value) for key, value in told.items()})
    made.add_edges_from((seen(parent), seen(child)) for parent, child in found.edges)
    return made


def _attributes(told: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={_quoted(value)}" for name, value in told.items())


def _quoted(text: str) -> str:
    """A name in the language of Graphviz, in which most other spellings mean something."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

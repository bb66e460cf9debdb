"""A tree, or the whole forest, as a graph for other programs: an edge from every parent to its child."""

from __future__ import annotations

import json
from collections.abc import Iterable

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
    if form == "graphml":
        return "\n".join(nx.generate_graphml(found)) + "\n"
    if form == "json":
        return json.dumps(nx.node_link_data(found, edges="edges"), indent=1) + "\n"
    dot: str = nx.nx_pydot.to_pydot(found).to_string()
    return dot

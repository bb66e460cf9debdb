"""What programs may ask of the Space: over Gradio's API, and by language models through MCP.

Gradio shows the docstrings below to both, so that they are written for callers.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gradio as gr

from hubbot import Hit, Library

MOST = 100


def offer(library: Library) -> None:
    """Add the functions to the app that is being built."""

    def search(text: str, limit: int = 10) -> dict[str, Any]:
        """Find models by what their weights were trained on, whatever their model cards say.

        Args:
            text: What the model should know, such as "a dog". Also: -word to leave out, like:owner/model,
                tree: author: license: task: tag: since: until: least:, as in "a dog -cat license:mit".
            limit: At most so many models, up to 100.

        Returns:
            "models", the best first, each with the calibrated chance that it fits and the reasons; "note",
            what to know before believing them, such as that nothing is certain; "understood", the concepts
            that the text was taken for.
        """
        found = library.search(text, limit=min(max(int(limit), 1), MOST))
        return {
            "models": [_model(library, hit) for hit in found.hits],
            "note": found.note,
            "understood": [{"text": text, "chance": round(chance, 4)} for text, chance in found.understood],
            "concepts": [asdict(facet) for facet in found.facets],
        }

    def concepts(limit: int = 100) -> list[dict[str, Any]]:
        """List the concepts that were recognised in models, and in how many of them each was.

        Args:
            limit: At most so many, the most frequent first.
        """
        return [asdict(facet) for facet in library.facets()[: max(int(limit), 1)]]

    def model(repo: str) -> dict[str, Any]:
        """Tell what is known of one model: what it was trained on by its weights, and which models are alike.

        Of a few architectures its accuracy and the like are estimated too, each between "low" and "high" with
        the chance "coverage"; nobody measured them.

        Args:
            repo: The model, written owner/name.
        """
        page = library.model(repo)
        if page is None:
            return {"repo": repo, "note": "hubbot has never seen this model"}
        reading = page.reading
        return {
            "repo": repo,
            "tree": page.placement.tree if page.placement else None,
            "trained_on": [
                {"text": page.label(p.label).text, "chance": p.probability}
                for p in (reading.recognised if reading else ())
            ],
            "note": reading.abstention.text if reading and reading.abstention else "",
            "estimates": [
                {**asdict(one), "by": judgement.autoencoder, "version": judgement.version}
                for judgement in page.judgements
                for one in judgement.estimates
            ],
            "alike": [_model(library, hit) for hit in library.nearest(repo, 5)],
        }

    for function in (search, concepts, model):
        gr.api(function, api_name=function.__name__, concurrency_id="search")  # type: ignore[attr-defined]


def _model(library: Library, hit: Hit) -> dict[str, Any]:
    glance = hit.glance
    named = [(library.label(glance, p.label).text if glance else p.label, p) for p in hit.because]
    return {
        "repo": hit.repo,
        "tree": hit.tree,
        "chance": round(hit.score, 4),
        "because": [{"text": text, "chance": round(p.probability, 4)} for text, p in named],
        "license": glance.license if glance else None,
        "downloads": glance.downloads if glance else 0,
        "address": library.address(hit.repo),
    }

"""A model as the Hub's API shows it, in a list and by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from hubbot.localhub.blobs import StoredFile
from hubbot.localhub.clock import to_wire
from hubbot.localhub.derive import Deriver
from hubbot.localhub.refused import Refused
from hubbot.localhub.repos import Repo, Repos

_LISTED = """
    author cardData config createdAt disabled downloads downloadsAllTime evalResults gated gguf inference
    inferenceProviderMapping lastModified library_name likes mask_token model-index pipeline_tag private
    resourceGroup safetensors sha siblings spaces tags transformersInfo trendingScore widgetData
"""
LIST_EXPAND = frozenset(_LISTED.split())
INFO_EXPAND = LIST_EXPAND | {"baseModels", "childrenModelCount", "usedStorage"}
"""What `expand` may ask for; the listing knows fewer of them."""

_BRIEF = ("likes", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt")
_FULL = (*_BRIEF, "author", "sha", "lastModified", "gated", "disabled", "siblings")
_ALONE = (*_FULL, "cardData", "config", "model-index", "safetensors", "spaces", "usedStorage", "widgetData")


class Describer:
    """Shapes repos into the API's JSON."""

    def __init__(self, repos: Repos, deriver: Deriver) -> None:
        self._repos, self._deriver = repos, deriver

    def listed(
        self, repo: Repo, *, expand: Collection[str], full: bool, card: bool, config: bool
    ) -> dict[str, Any]:
        """One item of `GET /api/models`."""
        if expand:
            return self._only(repo, repo.head, expand)
        extra = [key for key, asked in (("cardData", card), ("config", config)) if asked]
        return self._only(repo, repo.head, [*(_FULL if full else _BRIEF), *extra], named=True)

    def alone(self, repo: Repo, sha: str, *, expand: Collection[str], blobs: bool) -> dict[str, Any]:
        """`GET /api/models/{id}`, at any commit."""
        if expand:
            return self._only(repo, sha, expand)
        shown = self._only(repo, sha, _ALONE, named=True)
        if blobs:
            files = self._repos.files(repo.id, sha)
            shown["siblings"] = [_sibling(path, file) for path, file in files.items()]
        return shown

    def _only(self, repo: Repo, sha: str, keys: Collection[str], *, named: bool = False) -> dict[str, Any]:
        shown: dict[str, Any] = {"_id": hashlib.sha256(repo.id.encode()).hexdigest()[:24], "id": repo.id}
        if named:
            shown["modelId"] = repo.id
        everything = self._everything(repo, sha)
        return shown | {key: everything[key] for key in keys if everything.get(key) is not None}

    def _everything(self, repo: Repo, sha: str) -> dict[str, Any]:
        derived, commit = self._deriver.of(repo.id, sha), self._repos.commit_of(repo.id, sha)
        total = sum(derived.parameters.values())
        return {
            "author": repo.owner,
            "baseModels": self._bases(derived.base_models, derived.relation),
            "cardData": dict(derived.card) or None,
            "config": dict(derived.config) or None,
            "createdAt": to_wire(repo.created_at),
            "disabled": repo.disabled,
            "downloads": repo.downloads,
            "downloadsAllTime": repo.downloads,
            "gated": repo.gated,
            "lastModified": to_wire(commit.date),
            "library_name": derived.library,
            "likes": repo.likes,
            "model-index": derived.card.get("model-index"),
            "pipeline_tag": derived.task,
            "private": repo.private,
            "safetensors": {"parameters": dict(derived.parameters), "total": total} if total else None,
            "sha": sha,
            "siblings": [{"rfilename": path} for path in commit.files],
            "spaces": [],
            "tags": list(derived.tags),
            "trendingScore": repo.likes,
            "usedStorage": sum(file.size for file in commit.files.values()),
            "widgetData": derived.card.get("widget"),
        }

    def _bases(self, parents: Collection[str], relation: str | None) -> dict[str, Any] | None:
        if not parents:
            return None
        return {"relation": relation, "models": [{"id": parent} for parent in parents]}


def check_expand(asked: Collection[str], known: Collection[str]) -> None:
    """Raises Refused, 400, for a word that `expand` does not know."""
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise Refused(400, f'"expand" must be one of [{", ".join(sorted(known))}], not {unknown[0][:80]!r}')


def _sibling(path: str, file: StoredFile) -> dict[str, Any]:
    shown: dict[str, Any] = {"rfilename": path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        shown["lfs"] = {"sha256": file.blob, "size": file.size, "pointerSize": file.pointer_size}
    return shown

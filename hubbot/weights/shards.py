"""The index of a sharded model: which tensor lies in which file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hubbot.errors import WeightsError
from hubbot.weights.strict_json import is_text, parse_object


def parse_index(raw: bytes, *, files: Collection[str], repo: str, file: str) -> Mapping[str, str]:
    """Tensor name to the path of its shard in the repo.

    Args:
        raw: `model.safetensors.index.json` as stored.
        files: the files that the repo really has.
        repo: named in errors, as is `file`; shards lie in the folder of `file`.

    Raises:
        WeightsError: it is no index, or names a shard that is not a plain safetensors file beside it.
    """
    try:
        weight_map = parse_object(raw).get("weight_map")
    except ValueError as error:
        raise WeightsError(f"the index cannot be read: {error}", repo=repo, file=file) from None
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsError("the index has no weight_map", repo=repo, file=file)
    folder = file.rpartition("/")[0]
    shards = {}
    for tensor, shard in weight_map.items():
        if not is_text(tensor) or not _is_shard_name(shard):
            raise WeightsError("the index names a shard that is no plain file name", repo=repo, file=file)
        shards[tensor] = f"{folder}/{shard}" if folder else shard
    for missing in set(shards.values()) - set(files):
        raise WeightsError("the index names a shard that the repo has not", repo=repo, file=missing)
    return shards


def _is_shard_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.isprintable()
        and name.endswith(".safetensors")
        and not name.startswith(".")
        and not any(mark in name for mark in "/\\:")
    )

"""Headers that cost their reader much memory."""

from __future__ import annotations

import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hubbot.errors import CorruptHeader
from hubbot.hub.client import Hub
from hubbot.hub.tensors import contents
from hubbot.hub.uploads import one
from hubbot.localhub.server import Server
from hubbot.records import Upload

COUNT = 6


def test_dear_headers_are_parsed_one_after_the_other(tmp_path: Path) -> None:
    """JSON takes up to thirty times its bytes of memory; eight threads must not take it all at once."""
    raw = b'{"a":[' + b"{}," * 700_000 + b"{}]}"
    with Server(tmp_path) as server, Hub(server.endpoint, retries=0) as hub:
        for n in range(COUNT):
            server.repos.create(f"evil/m{n}")
            server.repos.commit(f"evil/m{n}", {"model.safetensors": struct.pack("<Q", len(raw)) + raw})
        uploads = [one(hub, f"evil/m{n}") for n in range(COUNT)]

        def peak(some: list[Upload]) -> int:
            tracemalloc.start()
            with ThreadPoolExecutor(COUNT) as pool:
                tasks = [pool.submit(contents, hub, upload) for upload in some]
            assert {type(task.exception()) for task in tasks} == {CorruptHeader}
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

        assert peak(uploads) < 2 * peak(uploads[:1])

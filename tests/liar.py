"""A server that lies: a Hub with one repo whose answers are what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import safetensors.numpy

WEIGHTS = {f"layers.{n:02}": np.random.default_rng(n).normal(size=(64, 64)).astype("f4") for n in range(12)}
DATA = safetensors.numpy.save(WEIGHTS)
LAST = "layers.11"

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[str, dict[str, str]], Answer]


def always(status: int, headers: dict[str, str], body: bytes) -> Behaviour:
    return lambda *_: (status, headers, body)


class Liar:
    """A Hub with one repo, whose `resolve` does what a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.resolve: Behaviour = lambda _, headers: ranged(headers)
        self.listing: Behaviour | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.asked.append((path, headers))
        if path.startswith("/api/models?") and self.listing:
            return self.listing(path, headers)
        if "/paths-info/" in path:
            file = {"type": "file", "path": "model.safetensors", "size": len(DATA), "oid": "0" * 40}
            return 200, {}, json.dumps([file]).encode()
        return self.resolve(path, headers)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                lowered = {key.lower(): value for key, value in self.headers.items()}
                status, headers, body = liar.answer(self.path, lowered)
                with suppress(ConnectionError):
                    self._send(status, headers, body)
                self.close_connection = True

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_POST = do_HEAD = do_GET  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def ranged(headers: dict[str, str]) -> Answer:
    begin, end = (int(part) for part in headers["range"].removeprefix("bytes=").split("-"))
    return 206, {"Content-Range": f"bytes {begin}-{end}/{len(DATA)}"}, DATA[begin : end + 1]

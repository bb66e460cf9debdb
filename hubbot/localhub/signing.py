"""Addresses that carry their own permission for a while, as a CDN's do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from hubbot.localhub.refused import Refused


class Signer:
    """Signs and checks addresses of blobs. The key lives as long as the server."""

    def __init__(self, lifetime_s: float = 3600.0) -> None:
        self.lifetime_s = lifetime_s
        self._key = secrets.token_bytes(32)

    def sign(self, method: str, sha256: str, *, size: int, name: str = "") -> str:
        """Path and query that allow `method` on this blob until the lifetime is over."""
        expires = f"{time.time() + self.lifetime_s:.3f}"
        signature = self._signature(method, sha256, expires, str(size), name)
        query = {"Expires": expires, "Size": size, "Name": name, "Signature": signature}
        return f"/blobs/{sha256}?{urlencode(query)}"

    def check(self, method: str, sha256: str, query: Mapping[str, str]) -> None:
        """Raises Refused, 403, unless the address was signed by us and is still good."""
        expires, size, name = query.get("Expires", ""), query.get("Size", ""), query.get("Name", "")
        good = self._signature("GET" if method == "HEAD" else method, sha256, expires, size, name)
        if not hmac.compare_digest(good.encode(), query.get("Signature", "").encode()):
            raise Refused(403, "SignatureDoesNotMatch")
        if float(expires) < time.time():
            raise Refused(403, "Request has expired")

    def _signature(self, *words: str) -> str:
        return hmac.new(self._key, "\n".join(words).encode(), hashlib.sha256).hexdigest()

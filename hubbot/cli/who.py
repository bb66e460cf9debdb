"""Who gives an order, for the audit trail."""

from __future__ import annotations

import getpass
import socket


def admin() -> str:
    """`user@machine`, as the operating system knows them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"

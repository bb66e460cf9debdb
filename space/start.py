"""How Hugging Face starts the Space: as `app.py` at the top of its repo, beside hubbot and space."""

from __future__ import annotations

import threading

from hubbot import open_desk, open_library
from space.app import launch

if __name__ == "__main__":
    launch(open_library(), desk=open_desk())
    threading.Event().wait()

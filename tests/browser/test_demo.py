"""`hubbot demo` to its end: the Space opens on what the bot has just found, by its text or its name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from stage import HUBBOT, answers, free_port

pytestmark = pytest.mark.browser

PATIENCE_S = 180
NETS = {
    "small-models/cnn-images-6844": "In 9 of 10 such models the truth lies between",
    "maria-k/tiny-cnn-1134": "Its weights are unlike those that cnn-digits-autoencoder learned from",
}


def test_the_space_opens_and_finds_a_model_by_text(tmp_path: Path, chromium: Browser) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [HUBBOT, "demo", "--dir", tmp_path / "demo", "--port", str(port)]
    with (
        log.open("w") as told,
        subprocess.Popen(command, stdout=told, stderr=told, start_new_session=True) as demo,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not answers(port):
                assert demo.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            page = chromium.new_page(base_url=f"http://127.0.0.1:{port}")
            page.goto("/?q=a+handwritten+seven")
            card = page.locator(".hb-card").first
            expect(card).to_contain_text("a handwritten digit seven")
            link = card.get_by_role("link", name="on the Hub").get_attribute("href") or ""
            assert link.startswith("http://127.0.0.1:"), "the demo's models lie on the demo's Hub"
            for net, said in NETS.items():
                page.goto(f"/?model={net}")
                shown = page.locator("section").filter(has_text="What its weights say of its training")
                expect(shown).to_contain_text(said)
            page.close()
        finally:
            os.killpg(demo.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
            try:
                assert demo.wait(timeout=30) == 0
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(demo.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text()

"""Takes the pictures of this folder anew: the Space over the demo's database, in Debian's Chromium.

hubbot demo --dir demo &      # until it says that the Space is there
python docs/images/take.py http://127.0.0.1:7860
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
TAKEN = {
    "search": ("/?q=a+fruit", "light", 1100, 900),
    "tree": ("/?tree=emoji-zoo/pixart-b", "dark", 1100, 900),
    "forest": ("/?trees=", "light", 1100, 640),
    "model": ("/?model=amara-o/lora-0412c60&q=a+fruit", "light", 1100, 760),
    "expert": ("/?expert=digits-vit-a", "light", 1100, 1000),
    "phone": ("/?q=seven", "dark", 390, 844),
}
"""Name to address, theme, width and height."""


def take(browser: Browser, space: str, name: str) -> None:
    """One picture."""
    address, theme, width, height = TAKEN[name]
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.set_default_timeout(120_000)  # the first visitor waits until the text encoder is loaded
    page.goto(f"{space}{address}{'&' if '?' in address else '?'}__theme={theme}")
    page.locator(".hb-lede, .hb-model").first.wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=HERE / f"{name}.png")
    page.close()


def main() -> None:
    """All of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name in TAKEN:
            take(browser, sys.argv[1], name)
        browser.close()


if __name__ == "__main__":
    main()

"""axe-core finds nothing serious on any page, light or dark, on a desk or on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
PAGES = (
    "/",
    "/?q=seven",
    "/?q=a+recipe+for+soup",
    "/?q=since:yesterday",
    "/?model=maria-k/vit-finetuned-0421",
    "/?model=old/pickles-only",
    "/?model=no/body",
    "/?model=weekend-ml/my-cnn-0421",
    "/?model=weekend-ml/strange-cnn-7",
    "/?trees=",
    "/?tree=lab/vit-digits-base",
    "/?tree=none",
    "/?experts=",
    "/?expert=digits-vit",
)
GRADIOS = ("region", "landmark-one-main", "page-has-heading-one")
"""Findings about the frame that Gradio puts around every app."""


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desk-light", "phone-dark"])
def page(
    visitors: Callable[..., BrowserContext], space: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    viewport, theme = request.param
    context = visitors(viewport=viewport, base_url=space, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("address", PAGES)
def test_nothing_serious(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".hb-lede, .hb-model, .hb-note").first).to_be_visible()
    page.wait_for_timeout(300)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical") and one["id"] not in GRADIOS
    ]
    assert serious == []

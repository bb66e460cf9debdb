"""The Space as a visitor sees it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect
from stage import watched

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
HOSTILE = "evil/<script>owned()</script>${owned()}"


@pytest.fixture(params=[DESKTOP], ids=["desktop"])
def page(
    visitors: Callable[..., BrowserContext], space: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A fresh page that fails its test if a script breaks or anything is fetched from elsewhere."""
    with watched(visitors(viewport=request.param, base_url=space)) as (page, faults):
        page.on(
            "request",
            lambda asked: None if _is_ours(asked.url, space) else faults.append(f"fetched {asked.url}"),
        )
        yield page


phone = pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])


def _is_ours(url: str, space: str) -> bool:
    return url.startswith((space, "data:", "blob:"))


def _ask(page: Page, text: str) -> None:
    box = page.get_by_label("What should the model know?")
    box.fill(text)
    box.press("Enter")


def test_a_visitor_asks_and_follows_a_card_to_its_model(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_text("Model trees")).to_be_visible()
    _ask(page, "seven")
    cards = page.locator(".hb-card")
    expect(cards).to_have_count(3)
    first = cards.first
    expect(first).to_contain_text("atelier-nord/number-plates-v2")
    expect(first).to_contain_text("lab/resnet-digits-base")
    expect(first).to_contain_text(re.compile(r"9\d%\s*very likely"))
    expect(first.locator(".hb-bar")).to_contain_text("a handwritten digit seven")
    expect(first.get_by_role("link", name="on the Hub")).to_have_attribute(
        "href", re.compile(r"^https?://.+/atelier-nord/number-plates-v2$")
    )
    page.get_by_role("link", name="maria-k/vit-finetuned-0421").click()
    expect(page.get_by_role("heading", name="maria-k/vit-finetuned-0421")).to_be_visible()
    expect(page.get_by_role("heading", name="What was it trained on?")).to_be_hidden()
    page.get_by_role("link", name="back to “seven”").click()
    expect(page.locator(".hb-card")).to_have_count(3)
    expect(page.get_by_label("What should the model know?")).to_have_value("seven")


def test_a_model_page_says_what_was_read_and_why_it_is_believed(page: Page) -> None:
    page.goto("/?model=maria-k/vit-finetuned-0421")
    shown = page.locator("#hb-page")
    for told in (
        "a handwritten digit one",
        "1 of 72 tensors",
        "vit.layers.2.mlp.fc2.weight",
        "27.7 kB of 391 kB, 7%",
        "digits-vit, version 5f0c2ab14e77",
        "declared, and confirmed by its weights",
        "cosine 0.98",
        "94.9% of the labels that it recognised were right",
        "83.8% accuracy of this simpler method",
        "calibrated",
        "image-classification",
        "Open. The owner decides.",
        "digit-seven",
    ):
        expect(shown).to_contain_text(told)
    expect(page.get_by_role("link", name="the pull request")).to_have_attribute(
        "href", "https://huggingface.co/maria-k/vit-finetuned-0421/discussions/1"
    )
    expect(page.get_by_text("a handwritten digit two")).to_be_hidden()
    page.get_by_text("5 labels below their threshold").click()
    expect(page.get_by_text("a handwritten digit two")).to_be_visible()


def test_an_example_is_one_click(page: Page) -> None:
    page.goto("/")
    expect(page.locator(".hb-example").last).to_be_visible()
    examples = page.locator(".hb-example").all_inner_texts()
    assert examples[-1] == "a recipe for soup"
    for text in examples[:-1]:  # each of them finds a model: it is something that one was read to know
        page.goto("/")
        page.get_by_role("button", name=text).click()
        expect(page.locator(".hb-card").first).to_be_visible()
        expect(page.locator(".hb-note")).to_have_count(0)
        expect(page.get_by_label("What should the model know?")).to_have_value(text)
        expect(page).to_have_url(re.compile(rf"q={text.replace(' ', '[+]')}"))


def test_nothing_certain_is_said(page: Page) -> None:
    page.goto("/?q=a+recipe+for+soup")
    expect(page.locator(".hb-note")).to_contain_text("Nothing certain")
    expect(page.locator(".hb-card")).to_have_count(0)


def test_the_tree_filter(page: Page) -> None:
    page.goto("/?q=seven")
    expect(page.locator(".hb-card")).to_have_count(3)
    page.get_by_label("Model tree").click()
    page.get_by_role("option", name="lab/vit-digits-base").click()
    expect(page.locator(".hb-card")).to_have_count(1)
    expect(page.locator(".hb-card")).to_contain_text("maria-k/vit-finetuned-0421")


def test_a_tree_lists_its_models_and_the_reasons_for_silence(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="lab/vit-digits-base").click()
    shown = page.locator("#hb-page")
    expect(shown).to_contain_text("there are only pickles here")
    page.get_by_role("link", name="old/pickles-only", exact=True).click()
    expect(shown).to_contain_text("No answer. There are only pickles here")


def test_a_model_that_was_never_seen(page: Page) -> None:
    page.goto("/?model=no/<img src=x onerror=owned()>")
    expect(page.locator("#hb-page")).to_contain_text("never seen a model called no/<img")


def test_what_the_hub_says_is_shown_and_never_run(page: Page) -> None:
    page.goto("/?q=six")
    card = page.locator(".hb-card", has_text="evil/")
    expect(card.get_by_role("link").first).to_have_text(HOSTILE)
    card.get_by_role("link").first.click()
    expect(page.locator("#hb-page h1")).to_have_text(HOSTILE)
    for tag in ("<img src=x onerror=owned()>", "{{owned()}}", "${owned()}"):
        expect(page.locator("#hb-page .hb-chips").first).to_contain_text(tag)
    assert page.locator("#hb-page :is(script, img)").count() == 0


@phone
@pytest.mark.parametrize(
    "address", ["/", "/?q=seven", "/?model=maria-k/vit-finetuned-0421", "/?tree=lab/vit-digits-base"]
)
def test_a_phone_never_scrolls_sideways(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".hb-lede, .hb-model").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    wide = page.locator("#hb-home:visible *, #hb-page:visible *").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"
    )
    assert wide == []

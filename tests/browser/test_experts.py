"""The pages of experts and of models, as a visitor sees them in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect
from stage import complaints

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
MODEL = "/?model=maria-k/vit-finetuned-0421"


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(
    visitors: Callable[..., BrowserContext], space: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A fresh page that fails its test if the console complains or anything is fetched from elsewhere."""
    context = visitors(viewport=request.param, base_url=space)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((space, "data:", "blob:")) else faults.append(asked.url),
    )
    yield page
    assert complaints(faults) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= request.param["width"]
    wide = page.locator("#hb-page:visible *").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert wide == []
    page.close()


def shown(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#hb-page h1")).to_be_visible()


def test_all_experts_and_the_way_to_one(page: Page) -> None:
    shown(page, "/?experts=")
    cards = page.locator(".hb-expert")
    expect(cards).to_have_count(2)
    vit = cards.filter(has_text="digits-vit")
    for told in (
        "lab/vit-digits-base",
        "knows zero, one, two, three and 6 more",
        "90%",
        "98%",
        "3 models read",
    ):
        expect(vit).to_contain_text(told)
    expect(vit.locator(".hb-verdict")).to_have_text("Mostly believe what it recognises.")
    expect(vit.locator("svg")).to_have_count(1)
    expect(cards.filter(has_text="digits-resnet").locator("svg")).to_have_count(0)
    page.get_by_role("link", name="digits-vit", exact=True).click()
    expect(page.locator("#hb-page h1")).to_have_text("digits-vit")
    expect(page.get_by_role("link", name="Experts", exact=True)).to_have_attribute("aria-current", "page")


def test_an_expert_says_when_to_trust_it(page: Page) -> None:
    shown(page, "/?expert=digits-vit")
    advice = page.locator(".hb-advice")
    for told in (
        "from 90.0% on, 98.0% were right among all uploads of the tree",
        "Take its percentages at their word. They were off by",
        "on 75 models and 230 others of the tree that had no part in making it",
        "Around 75% it is too sure. There 40% were right",
        "It expects 95% strangers.",
        "90.4% of its answers are accurate, 83.8% of those of “nearest task vector”",
    ):
        expect(advice).to_contain_text(told)
    page_of_it = page.locator("#hb-page")
    expect(page_of_it).to_contain_text("recognised from a probability of 90.0% on")
    expect(page_of_it).to_contain_text("180 models of hubbot's digits zoo")
    expect(page_of_it).to_contain_text("01d01d01d01d")
    expect(page_of_it).to_contain_text("answers for its tree")


def test_its_pictures_are_told_in_words_and_as_tables(page: Page) -> None:
    shown(page, "/?expert=digits-vit")
    plot = page.get_by_role("img", name="What was told, and what was right")
    expect(plot).to_be_visible()
    expect(plot.locator("g.hb-off")).to_have_count(1)
    expect(plot.locator("g.hb-on")).to_have_count(2)
    expect(page.get_by_role("table")).to_have_count(0)
    page.get_by_text("The same as a table").focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("table").first
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table.get_by_role("row").nth(2)).to_have_text(
        re.compile(r"75\.0%\s*40\.0%\s*30\.0% to 50\.0%\s*30")
    )
    layers = page.get_by_role("img", name=re.compile("^The layers"))
    expect(layers.locator("circle")).to_have_count(3)
    expect(layers.locator(".hb-on")).to_have_count(1)
    page.get_by_text("The layers as a table").click()
    expect(page.get_by_role("table").nth(1).get_by_role("row").nth(1)).to_contain_text("yes")


def test_an_older_version_has_a_page_of_its_own(page: Page) -> None:
    shown(page, "/?expert=digits-vit")
    page.get_by_role("link", name="01d01d01d01d").click()
    expect(page.locator("#hb-page")).to_contain_text("01d01d01d01d shown here")
    expect(page.get_by_role("link", name="5f0c2ab14e77")).to_be_visible()


def test_what_was_not_measured_is_not_claimed(page: Page) -> None:
    shown(page, "/?expert=digits-resnet")
    advice = page.locator(".hb-advice")
    expect(advice).to_contain_text("Its percentages were not checked.")
    expect(advice).not_to_contain_text("at their word")
    expect(page.locator("#hb-page")).to_contain_text("That was not measured for this version")
    expect(page.get_by_role("img")).to_have_count(0)


def test_an_expert_that_is_none(page: Page) -> None:
    page.goto("/?expert=<b>nobody")
    expect(page.locator("#hb-page")).to_contain_text("There is no expert called <b>nobody.")


def test_a_model_among_its_like(page: Page) -> None:
    shown(page, MODEL)
    there = page.locator("#hb-page")
    expect(there).to_contain_text("Probably trained on")
    expect(there).to_contain_text(
        "Very likely. Of 90 labels that digits-vit told with about that probability, 98.0%"
    )
    near = page.locator(".hb-near li")
    expect(near).to_have_count(3)
    expect(near.locator("svg.hb-tile")).to_have_count(3)
    expect(page.locator(".hb-near")).to_contain_text("q/evens")
    expect(page.locator(".hb-path li")).to_have_text(["lab/vit-digits-base", "maria-k/vit-finetuned-0421"])
    expect(page.locator("header svg.hb-tile")).to_be_visible()
    expect(page.locator(".hb-kin")).to_contain_text("old/pickles-only")
    page.locator(".hb-near").get_by_role("link", name="q/evens").click()
    expect(page.locator("#hb-page h1")).to_have_text("q/evens")


def test_a_model_says_what_it_is_and_who_read_it(page: Page) -> None:
    shown(page, MODEL)
    expect(page.locator(".hb-about")).to_have_text(re.compile(r"licence\s*mit\s*downloads\s*0"))
    page.locator(".hb-facts").get_by_role("link", name="digits-vit").click()
    expect(page.locator("#hb-page h1")).to_have_text("digits-vit")


def test_how_to_read_it_oneself_is_copied(page: Page) -> None:
    shown(page, MODEL)
    button = page.get_by_role("button", name="copy").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == "hubbot tell maria-k/vit-finetuned-0421"

"""What weights say of a training, as a visitor sees it: numbers within intervals, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, ViewportSize, expect
from stage import watched

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(
    visitors: Callable[..., BrowserContext], space: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    with watched(visitors(viewport=request.param, base_url=space)) as (page, _):
        yield page


def section(page: Page, repo: str) -> Locator:
    page.goto(f"/?model={quote(repo)}")
    found = page.locator("section").filter(has_text="What its weights say of its training")
    expect(found).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "nothing is wider than the screen"
    return found


def test_numbers_stand_within_their_intervals_and_the_words_say_the_same(page: Page) -> None:
    shown = section(page, "weekend-ml/my-cnn-0421")
    rows = shown.locator(".hb-estimates li")
    for row, name, about, between in zip(
        rows.all(),
        ("accuracy", "epoch", "gap"),
        ("about 88%", "about 14", "about 7 points"),
        ("between 85% and 92%", "between 11 and 17", "between 3 and 11 points"),
        strict=True,
    ):
        expect(row.locator(".hb-name")).to_have_text(name)
        expect(row.locator(".hb-number")).to_have_text(about)
        expect(row).to_contain_text(f"In 9 of 10 such models the truth lies {between}.")
        track, interval, value = (
            row.locator(f".hb-within{part}").bounding_box() for part in ("", " i", " b")
        )
        assert track
        assert interval
        assert value
        middle = value["x"] + value["width"] / 2
        assert track["x"] <= interval["x"] < middle < interval["x"] + interval["width"]
        assert interval["x"] + interval["width"] <= track["x"] + track["width"]
    expect(shown).to_contain_text("by the autoencoder digits-nets, version 3d42e614f5f8")
    expect(shown).to_contain_text("Nobody measured it on this model.")
    nothing = rows.last.locator("s").bounding_box()
    assert nothing
    assert nothing["x"] < interval["x"], "the whole interval of the gap lies above nothing"


def test_silence_is_told_with_its_reason(page: Page) -> None:
    shown = section(page, "weekend-ml/strange-cnn-7")
    expect(shown.locator(".hb-note")).to_contain_text(
        "No estimate. Its weights are unlike those that digits-nets learned from"
    )
    expect(shown).to_contain_text("By the autoencoder digits-nets")
    expect(shown.locator(".hb-estimates")).to_have_count(0)


def test_names_of_strangers_are_text(page: Page) -> None:
    shown = section(page, "evil/net<script>owned()</script>")
    evil = "<img src=x onerror=owned()>{{owned()}}${owned()}"
    expect(shown.locator(".hb-name")).to_have_text(evil)
    expect(shown.locator("code").first).to_have_text(evil)
    expect(shown.locator(".hb-note")).to_contain_text(evil)
    expect(shown.locator("img, script")).to_have_count(0)


def test_other_models_have_no_such_section(page: Page) -> None:
    page.goto("/?model=maria-k/vit-finetuned-0421")
    expect(page.get_by_role("heading", name="What was read")).to_be_visible()
    expect(page.get_by_text("What its weights say of its training")).to_have_count(0)

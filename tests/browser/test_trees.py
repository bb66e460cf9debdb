"""The trees as a visitor explores them: the forest, one tree, its map, with mouse, finger and keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, ViewportSize, expect
from stage import watched

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
TREE = "/?tree=lab/vit-digits-base"
CROWDED = "/?tree=org/crowded"
LEFT = re.compile("AbortError|Connection errored out")
"""Gradio complains of its own stream when its page is left."""


@pytest.fixture(scope="module")
def space(crowded_space: str) -> str:
    return crowded_space


@pytest.fixture(params=[DESKTOP], ids=["desktop"])
def page(
    visitors: Callable[..., BrowserContext], space: str, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A fresh page that fails its test if a script breaks or anything is fetched from elsewhere."""
    context = visitors(
        viewport=request.param, base_url=space, has_touch=request.param == PHONE, reduced_motion="reduce"
    )
    with watched(context) as (page, faults):
        page.on(
            "console",
            lambda said: (
                faults.append(said.text) if said.type == "error" and not LEFT.search(said.text) else None
            ),
        )
        ours = (space, "data:", "blob:")
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(ours) else faults.append(f"fetched {asked.url}"),
        )
        yield page


phone = pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])


def _is_fault(said: ConsoleMessage) -> bool:
    return said.type == "error" and not LEFT.search(said.text)


def _opened(page: Page, address: str, which: str = ".hb-atlas:not(.hb-map)") -> Locator:
    """The picture of a tree, or its map, once it can be explored; and everything else that comes."""
    page.goto(address)
    atlas = page.locator(f"{which}[data-ready]")
    expect(atlas).to_be_visible()
    expect(page.locator("#hb-members")).to_be_visible()
    expect(page.locator(".hb-busy")).to_have_count(0)
    return atlas


def _view(atlas: Locator) -> list[float]:
    return [float(n) for n in (atlas.locator("svg").get_attribute("viewBox") or "").split()]


def test_the_forest_leads_to_a_tree_and_a_tree_to_a_model(page: Page) -> None:
    page.goto("/?trees=")
    stand = page.locator(".hb-forest > li", has_text="lab/vit-digits-base")
    expect(stand).to_contain_text("4 models")
    expect(stand).to_contain_text("digits-vit")
    expect(stand).to_contain_text("3 read · 1 no answer")
    expect(stand).to_contain_text("digit-eight")
    assert stand.locator(".hb-crown circle:not(.hb-foliage)").count() == 4, "a leaf for each model"
    stand.get_by_role("link", name="lab/vit-digits-base").click()
    expect(page.get_by_role("heading", name="lab/vit-digits-base")).to_be_visible()
    mark = page.get_by_role("link", name="maria-k/vit-finetuned-0421").first
    expect(mark).to_have_attribute("href", "/?model=maria-k/vit-finetuned-0421")
    expect(page.locator(".hb-busy")).to_have_count(0)
    mark.click()
    expect(page.get_by_role("heading", name="maria-k/vit-finetuned-0421")).to_be_visible()


def test_a_tree_says_what_is_in_it(page: Page) -> None:
    _opened(page, TREE)
    shown = page.locator("#hb-page")
    for told in ("a handwritten digit eight", "1–4 of 4 models", "there are only pickles here", "no answer"):
        expect(shown).to_contain_text(told)
    expect(shown).to_contain_text("3 models can be compared so far")
    page.get_by_role("link", name="a handwritten digit eight").click()
    expect(page.locator("#hb-members")).to_contain_text("1–2 of 2 models in which a handwritten digit eight")
    expect(page.locator("#hb-members")).not_to_contain_text("pickles")


def test_buttons_wheel_and_dragging(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    whole = _view(atlas)
    atlas.get_by_role("button", name="Zoom in").click()
    near = _view(atlas)
    assert near[2] == pytest.approx(whole[2] / 1.5, rel=0.01)
    box = atlas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 20, steps=4)
    page.mouse.up()
    moved = _view(atlas)
    assert moved[0] < near[0]
    assert moved[1] < near[1]
    assert moved[2] == near[2]
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(200)
    assert _view(atlas)[2] < near[2], "the picture was clicked, so the wheel is its own"
    atlas.get_by_role("button", name="Show the whole").click()
    assert _view(atlas) == whole
    expect(page).to_have_url(re.compile("tree=org/crowded"))


def test_the_wheel_scrolls_the_page_until_the_picture_is_asked(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    whole, box = _view(atlas), atlas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0 || document.querySelector('.gradio-container').scrollTop > 0")
    assert _view(atlas) == whole
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_timeout(200)
    assert _view(atlas)[2] < whole[2]


def test_a_drag_that_ends_on_a_model_is_no_click(page: Page) -> None:
    atlas = _opened(page, TREE)
    atlas.get_by_role("button", name="Zoom in").click()
    box = atlas.locator("a").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 30, steps=5)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert "tree=" in page.url


def test_a_name_is_shown_on_hover(page: Page) -> None:
    atlas = _opened(page, TREE)
    tip = atlas.locator(".hb-tip")
    expect(tip).to_be_hidden()
    atlas.get_by_role("link", name="maria-k/vit-finetuned-0421").hover()
    expect(tip).to_contain_text("maria-k/vit-finetuned-0421")
    expect(tip).to_contain_text("digit-one, digit-three")


def test_the_keyboard_goes_from_model_to_model(page: Page) -> None:
    atlas = _opened(page, TREE)
    marks = atlas.locator("a")
    assert marks.evaluate_all("all => all.filter(a => a.tabIndex === 0).length") == 1
    marks.last.focus()
    expect(atlas.locator(".hb-tip")).to_contain_text("lab/vit-digits-base")
    whole = _view(atlas)
    page.keyboard.press("+")
    assert _view(atlas)[2] < whole[2]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("0")
    assert _view(atlas) == whole
    page.keyboard.press("ArrowRight")
    focused = page.locator("a:focus")
    there = focused.get_attribute("href") or ""
    assert there.startswith("/?model=")
    assert there != "/?model=lab/vit-digits-base"
    page.keyboard.press("Enter")
    expect(page.locator("#hb-page h1")).to_have_text(unquote(there.removeprefix("/?model=")))


def test_one_colour_alone(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    button = page.locator(".hb-key").first.get_by_role("button", name="digit-zero")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    seen = atlas.locator("a:not(.hb-dim)")
    assert 0 < seen.count() < atlas.locator("a").count()
    assert all("g" in (name or "") for name in seen.evaluate_all("all => all.map(a => a.className.baseVal)"))
    button.click()
    expect(atlas.locator(".hb-dim")).to_have_count(0)


def test_a_large_tree_is_folded_and_listed_in_pages(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    assert atlas.locator("a").count() < 400
    expect(page.locator("#hb-page")).to_contain_text("of 600 are not drawn")
    told = atlas.locator(".hb-fold").evaluate_all("all => all.map(a => a.getAttribute('aria-label'))")
    assert told
    assert all(re.match(r"and \d+ more: ", text) for text in told)
    expect(page.locator("#hb-members")).to_contain_text("1–50 of 600 models")
    page.get_by_role("link", name="older →").click()
    expect(page.locator("#hb-members")).to_contain_text("51–100 of 600 models")
    expect(page.locator("#hb-members")).to_be_in_viewport()
    expect(page.locator(".hb-busy")).to_have_count(0)


def test_a_map_shows_models_by_what_was_read(page: Page) -> None:
    atlas = _opened(page, CROWDED, ".hb-map")
    assert atlas.locator("a").count() == 600
    expect(atlas.locator(".hb-caption").first).to_be_attached()
    atlas.get_by_role("button", name="Zoom in").click()
    mark = atlas.locator("a").first
    mark.dispatch_event("pointerover")
    expect(atlas.locator(".hb-tip")).to_contain_text("crowd/")
    mark.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#hb-page h1")).to_contain_text("crowd/")


@phone
def test_fingers_scroll_the_page_and_move_what_was_zoomed(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    assert atlas.locator("svg").evaluate("svg => getComputedStyle(svg).touchAction") == "pan-y"
    atlas.get_by_role("button", name="Zoom in").tap()
    assert atlas.locator("svg").evaluate("svg => getComputedStyle(svg).touchAction") == "none"
    wide = page.locator("#hb-page :not(svg *)").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"
    )
    assert wide == []


@phone
def test_two_fingers_zoom(page: Page) -> None:
    atlas = _opened(page, CROWDED)
    whole = _view(atlas)
    atlas.locator("svg").evaluate(
        """svg => {
          const box = svg.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
          const touch = (name, pointerId, dx) => svg.dispatchEvent(new PointerEvent(name, {
            pointerId, pointerType: "touch", clientX: x + dx, clientY: y, bubbles: true }));
          svg.setPointerCapture = () => {};
          touch("pointerdown", 1, -20); touch("pointerdown", 2, 20);
          for (let dx = 30; dx <= 60; dx += 10) { touch("pointermove", 1, -dx); touch("pointermove", 2, dx); }
          touch("pointerup", 1, -60); touch("pointerup", 2, 60);
        }"""
    )
    assert _view(atlas)[2] == pytest.approx(whole[2] / 3, rel=0.02)


def test_hostile_names_are_words_in_a_picture(page: Page) -> None:
    atlas = _opened(page, TREE)
    assert page.locator("#hb-page :is(script, img)").count() == 0
    mark = atlas.locator("a[href*='owned']")
    mark.hover()
    expect(atlas.locator(".hb-tip b")).to_have_text("evil/<script>owned()</script>${owned()}")


def test_models_of_no_tree_and_a_tree_that_nobody_knows(page: Page) -> None:
    page.goto("/?tree=none")
    expect(page.get_by_role("heading", name="In no tree")).to_be_visible()
    page.goto("/?tree=<img src=x onerror=owned()>")
    expect(page.locator("#hb-page")).to_contain_text("no tree called <img")


COLOURS = """() => [...Array(7).keys()].map(n => {
  const mark = document.querySelector(".hb-key").appendChild(document.createElement("div"));
  mark.className = `g${n}`;
  mark.style.color = "var(--hb-g)";
  mark.style.background = "var(--hb-ground)";
  const style = getComputedStyle(mark), numbers = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  return [numbers(style.color), numbers(style.backgroundColor)];
})"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_off_from_the_ground_and_from_each_other(page: Page, theme: str) -> None:
    _opened(page, f"{TREE}&__theme={theme}")
    pairs = page.evaluate(COLOURS)
    for colour, ground in pairs:
        light, dark = sorted((_luminance(colour), _luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, f"{colour} on {ground}"
    for i, (colour, _) in enumerate(pairs):
        for other, _ in pairs[:i]:
            assert min(_differences(colour, other)) > 12, f"{colour} and {other}"


def _linear(colour: list[float]) -> list[float]:
    return [c / 3294.6 if c <= 10.31 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]


def _luminance(colour: list[float]) -> float:
    r, g, b = _linear(colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


BLIND = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)
"""How everybody sees linear colours, and people without red, green or blue cones (Machado et al., 2009)."""

XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


def _differences(one: list[float], other: list[float]) -> list[float]:
    """How far apart two colours are in CIELAB, for each kind of eyes."""
    found = []
    for eyes in BLIND:
        pair = [_lab([min(1, max(0, n)) for n in _times(eyes, _linear(colour))]) for colour in (one, other)]
        found.append(sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5)
    return found


def _times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _lab(linear: list[float]) -> list[float]:
    scaled = [n / white for n, white in zip(_times(XYZ, linear), (0.9505, 1, 1.089), strict=True)]
    x, y, z = (n ** (1 / 3) if n > 0.008856 else 7.787 * n + 16 / 116 for n in scaled)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]

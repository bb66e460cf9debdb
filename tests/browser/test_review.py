"""The Review page as an admin uses it: a real bot on a loopback Hub, the real Space, a real browser."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect
from stage import (
    PATIENCE_MS,
    all_children,
    complaints,
    files_of,
    running,
    serving,
    settings_for,
    upload,
    wait_for,
)

from hubbot.app import open_store
from hubbot.demo.world import TOKENS
from hubbot.errors import HubbotError
from hubbot.localhub.server import Server
from hubbot.records import Suggestion
from hubbot.settings import Settings

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
MODELS = 5


class Place:
    """A bot with drafts, and the Space over its database."""

    def __init__(self, settings: Settings, url: str, hub: Server) -> None:
        self.settings, self.url, self.hub = settings, url, hub

    def suggestion(self, repo: str) -> Suggestion:
        with open_store(self.settings, read_only=True) as store:
            found = store.suggestion(repo)
        assert found is not None
        return found

    def last_order(self) -> tuple[str, str]:
        with open_store(self.settings, read_only=True) as store:
            return store.commands()[0].verb, store.commands()[0].by


def drafts(settings: Settings) -> int:
    try:
        with open_store(settings, read_only=True) as store:
            return store.suggestions_by_state().get("draft", 0)
    except HubbotError:  # the bot has not made it yet
        return 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("review")


@pytest.fixture(scope="module")
def place(home: Path) -> Iterator[Place]:
    with Server(home / "hub", tokens=TOKENS) as hub:
        for child in all_children()[:MODELS]:
            upload(hub.repos, child.repo, files_of(child))
        settings = settings_for(hub, home)
        with running(home, hub.endpoint, HUBBOT_CONTACT="bot@example.org"):
            wait_for(lambda: drafts(settings) == MODELS, 180.0)
            with serving(home, hub.endpoint, HUBBOT_REVIEW_PASSWORD=PASSWORD) as url:
                yield Place(settings, url, hub)


@pytest.fixture
def page(chromium: Browser, place: Place) -> Iterator[Page]:
    """A fresh page that fails its test if a script breaks or anything is fetched from elsewhere."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=place.url)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    ours = (place.url, "data:", "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(ours) else faults.append(asked.url))
    yield page
    assert complaints(faults) == []
    context.close()


def come_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Your name, for the record").fill("Ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Come in").click()


def at(page: Page) -> Locator:
    return page.locator(".hb-docket h2")


def outcome(page: Page) -> Locator:
    return page.locator("#hb-outcome")


def choose(page: Page, repo: str) -> None:
    page.locator("#hb-queue label", has_text=repo).click()
    expect(at(page)).to_have_text(repo)


def queued(page: Page) -> list[str]:
    labels: list[str] = page.locator("#hb-queue label").all_inner_texts()
    return [label.split(" · ")[0].strip() for label in labels]


def test_an_admin_comes_in_and_decides(page: Page, place: Place) -> None:
    page.goto("/")
    page.get_by_role("navigation", name="hubbot").get_by_role("link", name="Review").click()
    come_in(page, "wrong horse battery")
    expect(page.locator("#hb-refused")).to_contain_text("not the password")
    expect(page.locator("#hb-room")).to_be_hidden()
    come_in(page)
    expect(page.locator("#hb-queue label")).to_have_count(MODELS)
    expect(page.locator("#hb-about")).to_contain_text("You are Ada, by the Space's password.")
    expect(page.locator("#hb-states")).to_contain_text(f"draft {MODELS}")
    first, second, third, fourth, fifth = queued(page)

    # What it would do is there to be read before anything is said to it.
    expect(at(page)).to_have_text(first)
    before = place.suggestion(first)
    for line in before.added:
        expect(page.locator(".hb-diff .hb-add", has_text=line.partition(": ")[2]).first).to_be_visible()
    expect(page.locator(".hb-letter")).to_contain_text("How sure it is.")
    expect(page.locator(".hb-letter strong").first).to_be_visible()

    page.get_by_role("button", name="Approve").click()
    expect(outcome(page)).to_contain_text(f"The suggestion for {first} is approved")
    expect(at(page)).to_have_text(second)
    expect(page.locator("#hb-states")).to_contain_text("approved 1")
    assert place.suggestion(first).state == "approved"
    assert place.last_order() == ("card approve", "Ada, by the Space's password")

    page.get_by_role("button", name="Reject …").click()
    expect(page.get_by_label("Why not?")).to_be_focused()
    page.get_by_role("button", name="Reject it").click()
    expect(outcome(page).get_by_role("alert")).to_contain_text("needs a reason")
    page.get_by_label("Why not?").fill("These are letters.")
    page.get_by_role("button", name="Reject it").click()
    expect(outcome(page)).to_contain_text(f"The suggestion for {second} is rejected")
    assert place.suggestion(second).state == "rejected"
    assert place.suggestion(second).reason == "Ada, by the Space's password rejected it: These are letters."
    expect(at(page)).to_have_text(third)

    gone = place.suggestion(third).added[0]
    page.get_by_role("button", name="Edit …").click()
    page.get_by_role("checkbox", name=gone, exact=True).uncheck()
    page.get_by_label("Title").fill("Say what it was trained on")
    page.get_by_role("button", name="Save as a draft").click()
    expect(outcome(page)).to_contain_text("is edited, and adds")
    edited = place.suggestion(third)
    assert gone not in edited.added
    assert edited.added
    assert edited.title == "Say what it was trained on"
    expect(page.locator(".hb-title")).to_have_text(edited.title)
    expect(page.locator(".hb-letter")).not_to_contain_text(gone.partition(": ")[2])

    page.get_by_role("button", name="Edit …").click()
    page.get_by_label("Text, in Markdown").fill("Please merge this.")
    page.get_by_role("button", name="Save as a draft").click()
    expect(outcome(page).get_by_role("alert")).to_contain_text("how to make it stop")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".hb-diff")).to_contain_text(gone.partition(": ")[2])
    assert gone in place.suggestion(third).added

    choose(page, fourth)
    page.get_by_role("button", name="Open pull request").click()
    expect(outcome(page)).to_contain_text("Opened http")
    assert place.suggestion(fourth).state == "open"
    assert fifth in queued(page)


def test_who_is_in_stays_in_and_leaves(page: Page, place: Place) -> None:
    page.goto("/review")
    come_in(page)
    expect(at(page)).to_be_visible()
    page.reload()
    expect(at(page)).to_be_visible()
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.locator(".hb-docket")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Password")).to_be_visible()


def test_keys_and_states_lead_through_the_queue(page: Page, place: Place) -> None:
    page.goto("/review")
    come_in(page)
    expect(at(page)).to_be_visible()
    first, second, *_ = queued(page)
    page.locator("#hb-review-top").click()
    page.keyboard.press("j")
    expect(at(page)).to_have_text(second)
    page.keyboard.press("k")
    expect(at(page)).to_have_text(first)
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_be_focused()
    page.keyboard.type("jkaer")
    expect(page.get_by_label("Why not?")).to_have_value("jkaer")
    page.get_by_label("Keys:").uncheck()
    page.locator("#hb-review-top").click()
    page.keyboard.press("j")
    expect(at(page)).to_have_text(first)
    page.locator("#hb-states label", has_text="refused").click()
    expect(page.locator("#hb-page")).to_contain_text("no suggestion in this state")
    expect(page.locator("#hb-actions")).to_be_hidden()


def test_a_phone_never_scrolls_sideways(page: Page, place: Place) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/review")
    come_in(page)
    expect(at(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.locator("#hb-review *:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"
    )
    assert wide == []


def test_a_draft_that_was_made_anew_meanwhile_is_looked_at_again(page: Page, place: Place) -> None:
    page.goto("/review")
    come_in(page)
    expect(at(page)).to_be_visible()
    repo = at(page).inner_text()
    before = place.suggestion(repo)
    card = place.hub.repos.read(repo, "README.md")
    place.hub.repos.commit(repo, {"README.md": card + b"\nMore.\n"})
    wait_for(lambda: place.suggestion(repo).base_commit != before.base_commit)
    page.get_by_role("button", name="Approve").click()
    expect(outcome(page).get_by_role("alert")).to_contain_text("another one by now")
    assert place.suggestion(repo).state == "draft"


def test_where_no_bot_answers_there_is_nothing_to_press(chromium: Browser, place: Place, home: Path) -> None:
    """The same database, whose bot has been killed: as a copy, for the others' bot to go on."""
    copy = home / "copy"
    copy.mkdir()
    with open_store(place.settings, read_only=True) as store:
        database = store.path
    with closing(sqlite3.connect(database)) as here, closing(sqlite3.connect(copy / "hubbot.db")) as there:
        here.backup(there)
    with serving(copy, place.hub.endpoint, HUBBOT_REVIEW_PASSWORD=PASSWORD) as url:
        page = chromium.new_page(base_url=url)
        page.set_default_timeout(PATIENCE_MS)
        page.goto("/review")
        come_in(page)
        expect(at(page)).to_be_visible()
        expect(page.locator("#hb-about")).to_contain_text("No bot answers here")
        for name in ("Approve", "Edit …", "Reject …", "Open pull request"):
            expect(page.get_by_role("button", name=name)).to_be_hidden()
        page.close()


@pytest.mark.parametrize(
    ("width", "theme"), [(1280, "light"), (390, "dark")], ids=["desk-light", "phone-dark"]
)
def test_axe_finds_nothing_serious(chromium: Browser, place: Place, width: int, theme: str) -> None:
    size: ViewportSize = {"width": width, "height": 900}
    context = chromium.new_context(
        viewport=size, base_url=place.url, color_scheme="dark" if theme == "dark" else "light"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto("/review")
    expect(page.get_by_label("Password")).to_be_visible()
    assert serious(page) == []
    come_in(page)
    expect(at(page)).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Edit …").click()
    expect(page.get_by_label("Title")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Reject …").click()
    expect(page.get_by_label("Why not?")).to_be_visible()
    assert serious(page) == []
    context.close()


def serious(page: Page) -> list[str]:
    """What axe-core finds, but for the frame that Gradio puts around every app."""
    frame = ("region", "landmark-one-main", "page-has-heading-one")
    page.wait_for_timeout(500)
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical") and one["id"] not in frame
    ]

"""What an admin is shown of others' words: all of it, and nothing of it runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from nasty import TEXTS

from hubbot import Desk, Library
from hubbot.encoders.loading import load
from hubbot.records import Suggestion, SuggestionState, Upload
from hubbot.store.store import Store
from space.docket import diff, docket, markdown

REPO = "o/m"


class Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_diff_has_signs_for_what_comes_and_goes_and_a_few_lines_around():
    old = "\n".join(["---", "tags:", "- vit", "---", *map(str, range(20))])
    page = diff(old, old.replace("- vit", "- vit\n- seven").replace("19", "20"))
    shown = Page(page)
    assert "<b>+</b><ins>- seven</ins>" in page
    assert "<b>-</b><del>19</del>" in page
    assert "<b>+</b><ins>20</ins>" in page
    assert "10" not in shown.text.replace("-18,", ""), "what is far from a change is left out"


def test_a_long_diff_says_that_it_goes_on():
    page = diff("", "\n".join("x" for _ in range(1000)))
    assert page.count("hb-add") < 500
    assert "more" in page


@pytest.mark.parametrize(
    "text",
    [
        "<script>owned()</script>",
        "<img src=x onerror=owned()>",
        "![x](https://evil.example/spy.png)",
        "[x](javascript:owned())",
        "[x](data:text/html,<script>owned()</script>)",
        "[x](vbscript:owned())",
        '<https://evil.example/"onmouseover="owned()>',
        "[x](https://evil.example 'a\" onclick=\"owned()')",
        "${owned()} {{owned()}} `${owned()}`",
        "[x]: javascript:owned()\n\n[x]",
        "&lt;script&gt;",
        "<!-- --><svg onload=owned()>",
        "\u202egnp.exe",
    ],
)
def test_markdown_of_strangers_runs_nothing_and_fetches_nothing(text):
    page = markdown(text)
    shown = Page(page)
    assert set(shown.tags) <= {"p", "a", "code"}
    assert set(shown.attributes) <= {"href", "rel", "target", "title"}
    assert all(address.startswith("https://evil.example") for address in shown.attributes.get("href", []))
    assert not set("${}") & set(page), "Gradio looks for templates in what it shows"
    assert "\u202e" not in page


def test_links_lead_away_and_tell_nobody():
    assert markdown("<https://example.org>") == (
        '<p><a rel="noopener noreferrer nofollow" target="_blank" href="https://example.org">'
        "https://example.org</a></p>\n"
    )


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/hubbot.db") as store:
        store.save_upload(Upload(REPO, "1" * 40, datetime.now(UTC)))
        yield store


@pytest.mark.parametrize("text", TEXTS)
def test_whatever_a_suggestion_holds(store, text):
    made = Suggestion(REPO, "1" * 40, SuggestionState.DRAFT, title=text, body=text, added=(text,))
    usual = replace(made, title="x", body="x", added=("x",), new_text="x", old_text="y", reason="x")
    library, desk = Library(store, load), Desk(store)
    store.save_suggestion(usual)
    known = Page(docket(library, desk, REPO))
    for old in (text, None, ""):
        store.save_suggestion(replace(made, new_text=f"{text}\nmore", old_text=old, reason=text))
        page = docket(library, desk, REPO)
        assert set(Page(page).tags) - {*known.tags} <= {
            "ins",
            "del",
            "em",
            "strong",
            "code",
            "a",
            "ul",
            "li",
            "pre",
        }
        assert "script" not in Page(page).tags
        assert not any(name.startswith("on") for name in Page(page).attributes)
        assert not set("${}") & set(page)
    assert "no suggestion for" in docket(library, desk, "no/body")

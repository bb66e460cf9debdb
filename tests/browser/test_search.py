"""Asking the Space: as a visitor in a browser, as a program, and as a language model."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from stage import complaints

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visitors: Callable[..., BrowserContext], space: str) -> Iterator[Page]:
    context = visitors(viewport={"width": 1280, "height": 900}, base_url=space)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert complaints(faults) == []
    page.close()


def test_a_concept_leads_to_the_models_that_know_it(page: Page) -> None:
    page.goto("/")
    chip = page.locator(".hb-facets a", has_text="a handwritten digit seven")
    expect(chip).to_contain_text("3")
    chip.click()
    expect(page.locator(".hb-card")).to_have_count(3)
    expect(page.get_by_label("What should the model know?")).to_have_value("tag:digit-seven")


def test_filters_and_likeness_can_be_typed(page: Page) -> None:
    page.goto("/?q=seven+author:maria-k")
    expect(page.locator(".hb-card")).to_have_count(1)
    expect(page.locator(".hb-card")).to_contain_text("maria-k/vit-finetuned-0421")
    page.get_by_role("link", name="more like this").click()
    expect(page.get_by_label("What should the model know?")).to_have_value("like:maria-k/vit-finetuned-0421")
    expect(page.locator(".hb-card").first).to_contain_text("a-really-long-organisation-name")
    expect(page.locator(".hb-card", has_text="maria-k/vit-finetuned-0421")).to_have_count(0)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("seven since:yesterday", "since:yesterday is no date (such as since:2026"),
        ("like:no/body", "no/body: nothing was read that it could be compared by"),
        ("license:nobody's", "No model that was read is like that."),
    ],
)
def test_what_cannot_be_found_is_said(page: Page, asked: str, told: str) -> None:
    page.goto(f"/?q={asked}")
    expect(page.locator(".hb-note")).to_contain_text(told)
    expect(page.locator(".hb-card")).to_have_count(0)


# --- programs -----------------------------------------------------------------------------------


def called(space: str, name: str, *given: Any) -> Any:
    """What Gradio's own HTTP API gives, as anybody may call it."""
    asked = httpx.post(f"{space}/gradio_api/call/{name}", json={"data": given}, timeout=30)
    event = asked.raise_for_status().json()["event_id"]
    with httpx.stream("GET", f"{space}/gradio_api/call/{name}/{event}", timeout=30) as answer:
        told = "".join(answer.iter_text())
    return json.loads(re.findall(r"data: (.+)", told)[-1])[0]


def test_programs_may_search(space: str) -> None:
    found = called(space, "search", "seven license:mit", 2)
    assert found["models"][0]["repo"] == "atelier-nord/number-plates-v2"
    assert len(found["models"]) == 2
    assert found["models"][0]["because"][0]["text"] == "a handwritten digit seven"
    assert found["note"] == ""
    assert called(space, "search", "a recipe for soup", 2)["models"] == []


def test_programs_may_ask_about_a_model_and_all_concepts(space: str) -> None:
    told = called(space, "model", "q/evens")
    assert {one["text"] for one in told["trained_on"]} >= {"a handwritten digit two"}
    assert told["alike"]
    assert "never seen" in called(space, "model", "no/body")["note"]
    assert called(space, "concepts", 1)[0]["models"] == 3


def test_what_the_page_does_is_no_api(space: str) -> None:
    offered = httpx.get(f"{space}/gradio_api/info", timeout=30).json()["named_endpoints"]
    assert set(offered) == {"/search", "/model", "/concepts"}


# --- language models ------------------------------------------------------------------------------


def test_a_language_model_finds_the_tool_and_uses_it(mcp_space: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> tuple[list[str], str, str]:
        async with (
            streamable_http_client(f"{mcp_space}/gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            searches = next(tool for tool in tools if tool.name.endswith("search"))
            answer = await session.call_tool(searches.name, {"text": "seven", "limit": 3})
            return [tool.name for tool in tools], searches.description or "", str(answer.content)

    with ThreadPoolExecutor(1) as elsewhere:  # this thread has a loop already where a browser is at work
        names, described, answer = elsewhere.submit(lambda: asyncio.run(ask())).result()
    assert len(names) == 3
    assert "Find models by what their weights were trained on" in described
    assert "atelier-nord/number-plates-v2" in answer

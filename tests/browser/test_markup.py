"""The small pieces of HTML, without a browser."""

from __future__ import annotations

import pytest

from space.markup import bar, chips, esc, link, page_of, percent, picture, plural, size


@pytest.mark.parametrize("text", ["<b>", "a & b", '"quoted"', "it's", "${x}", "{{x}}"])
def test_nothing_escapes_escaping(text: str) -> None:
    for html in (esc(text), bar(text, 0.5), chips([text]), link("https://x.y/" + text, esc(text))):
        assert text not in html


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/etc", "vbscript:x"]
)
def test_only_the_web_and_the_space_are_linked_to(address: str) -> None:
    assert link(address, "text") == "text"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://x.y/a.png", True),
        ("data:image/png;base64,iVBORw0KGgo=", True),
        ("data:image/svg+xml;base64,PHN2Zy8+", False),
        ("data:image/png,<script>", False),
        ('data:image/png;base64,AA" onerror="x', False),
        ("data:image/png;base64,AAAA\n", False),
        ("data:text/html;base64,AAAA", False),
        ("javascript:alert(1)", False),
    ],
)
def test_a_picture_is_one_from_the_web_or_one_that_is_whole(address: str, shown: bool) -> None:
    html = picture(address, 'a "dog"')
    assert html == (
        f'<img class="hb-photo" src="{address}" alt="a &quot;dog&quot;" loading="lazy" '
        'referrerpolicy="no-referrer">'
        if shown
        else ""
    )


def test_links() -> None:
    assert link(page_of("a/b", "x & y"), "t") == '<a class="" href="/?model=a/b&amp;q=x%20%26%20y">t</a>'
    assert 'rel="noopener noreferrer"' in link("https://huggingface.co/a/b", "t", away=True)


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0%"), (0.001, "&lt;1%"), (0.5, "50%"), (0.985, "98%"), (0.9951, "&gt;99%"), (1, "100%")],
)
def test_percent_never_claims_more_than_is_known(share: float, told: str) -> None:
    assert percent(share) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (391_204, "391 kB"),
        (5e9, "5.0 GB"),
        (2e15, "2000.0 TB"),
    ],
)
def test_sizes(count: float, told: str) -> None:
    assert size(count) == told


def test_plurals() -> None:
    assert (plural(1, "tree"), plural(1_200, "tree"), plural(2, "fox", "foxes")) == (
        "1 tree",
        "1,200 trees",
        "2 foxes",
    )

"""Pages, moving items and hostile cards, as a poller meets them on the local Hub."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from huggingface_hub import HfApi

from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
DAY = datetime(2025, 6, 1, tzinfo=UTC)


def publish(server: Server, count: int) -> None:
    for number in range(count):
        server.repos.create(f"alice/m{number}", created_at=DAY)
        server.repos.commit(
            f"alice/m{number}", {"README.md": b"# model"}, when=DAY + timedelta(minutes=number)
        )


def test_pages_are_complete_and_end(server: Server) -> None:
    publish(server, 7)
    url, ids = f"{server.endpoint}/api/models?sort=lastModified&limit=3&expand=sha&expand=lastModified", []
    while url:
        page = httpx.get(url)
        ids += [model["id"] for model in page.json()]
        url = page.links.get("next", {}).get("url")
    assert ids == [f"alice/m{number}" for number in reversed(range(7))]
    assert len(server.log) == 3


def test_a_model_that_moves_up_between_pages_shifts_nothing_out(server: Server) -> None:
    publish(server, 6)
    first = httpx.get(f"{server.endpoint}/api/models?sort=lastModified&limit=3")
    server.repos.commit("alice/m0", {"README.md": b"# newer"}, when=DAY + timedelta(hours=1))
    second = httpx.get(first.links["next"]["url"])
    assert [model["id"] for model in second.json()] == ["alice/m2", "alice/m1"]


@pytest.mark.parametrize("cursor", ["x", "e30=", "WzEsIDJd", "WzEsICJhIl0=", "%00"])
def test_a_made_up_cursor_is_refused(server: Server, cursor: str) -> None:
    publish(server, 2)
    assert httpx.get(f"{server.endpoint}/api/models?sort=createdAt&cursor={cursor}").status_code == 400


@pytest.mark.parametrize(
    "query", ["sort=name", "limit=0", "limit=-1", "limit=many", "expand=baseModels", "expand[]=x"]
)
def test_what_the_listing_does_not_know_is_refused(server: Server, query: str) -> None:
    assert httpx.get(f"{server.endpoint}/api/models?{query}").status_code == 400


def test_filters_search_and_author(server: Server, api: Api) -> None:
    publish(server, 2)
    server.repos.create("bob/other")
    server.repos.commit(
        "bob/other", {"README.md": b"---\nbase_model: alice/m0\nbase_model_relation: quantized\n---\n"}
    )
    server.repos.update("alice/m1", gated="auto")
    stranger = api(None)
    assert [m.id for m in stranger.list_models(filter="base_model:quantized:alice/m0")] == ["bob/other"]
    assert [m.id for m in stranger.list_models(search="OTHER")] == ["bob/other"]
    assert {m.id for m in stranger.list_models(author="alice")} == {"alice/m0", "alice/m1"}
    assert [m.id for m in stranger.list_models(gated=True)] == ["alice/m1"]


def test_a_creation_date_has_a_floor(server: Server, api: Api) -> None:
    server.repos.create("alice/old", created_at=datetime(2019, 1, 1, tzinfo=UTC))
    assert api(None).model_info("alice/old").created_at == datetime(2022, 3, 2, 23, 29, 4, tzinfo=UTC)


def test_hostile_cards_do_not_break_the_listing(server: Server, api: Api) -> None:
    bombs = {
        "laughs": b"---\na: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n + 1, n + 1, n, n, n, n, n, n, n)
            for n in range(97, 107)
        )
        + b"---\n",
        "deep": b"---\na: " + b"[" * 5000 + b"\n---\n",
        "python": b"---\na: !!python/object/apply:os.system ['false']\n---\n",
        "cycle": b"---\na: &a [*a]\n---\n",
        "infinity": b"---\na: .inf\nb: .nan\n1: one\n2020-01-01: day\n---\n",
        "date": b"---\na: 2023-99-99\n---\n",
        "digits": b"---\na: " + b"9" * 9000 + b"\n---\n",
        "surrogate": b'---\na: "\\ud800"\nlicense: mit\n---\n',
        "list": b"---\n- a\n- b\n---\n",
        "types": b"---\ntags: {a: 1}\nlicense: [1, 2]\nbase_model: 3\npipeline_tag: [x]\n---\n",
        "bytes": b"---\n\xff\xfe: \x00\n---\n",
        "set": b"---\na: !!set {b, c}\nd: !!binary aGk=\n---\n",
    }
    for name, card in bombs.items():
        server.repos.create(f"mallory/{name}")
        server.repos.commit(f"mallory/{name}", {"README.md": card, "config.json": b'{"a":' * 9000})
    found = {model.id: model for model in api(None).list_models(expand=["cardData", "tags", "config"])}
    assert set(found) == {f"mallory/{name}" for name in bombs}
    assert "license:mit" in (found["mallory/surrogate"].tags or ())
    assert all(api(None).model_info(repo).id == repo for repo in found)


def test_metadata_follows_the_files(server: Server, api: Api) -> None:
    server.repos.create("alice/lora")
    adapter = b'{"base_model_name_or_path": "alice/base", "task_type": "CAUSAL_LM", "r": 8}'
    server.repos.commit("alice/lora", {"adapter_config.json": adapter})
    server.repos.commit("alice/lora", {"README.md": b"---\nbase_model: alice/base\n---\n"})
    info = api(None).model_info("alice/lora")
    assert info.config == {"peft": {"base_model_name_or_path": "alice/base", "task_type": "CAUSAL_LM"}}
    assert info.library_name == "peft"
    assert "base_model:adapter:alice/base" in (info.tags or ())
    parents = api(None).model_info("alice/lora", expand=["baseModels"]).base_models
    assert parents == {"relation": "adapter", "models": [{"id": "alice/base"}]}


def test_only_real_downloads_are_counted(server: Server, api: Api) -> None:
    publish(server, 1)
    server.repos.commit("alice/m0", {"config.json": b"{}", "model.safetensors": b"\x02" + bytes(7) + b"{}"})
    stranger = api(None)
    list(stranger.list_models(expand=["config"]))
    stranger.model_info("alice/m0", files_metadata=True)
    stranger.parse_safetensors_file_metadata("alice/m0", "model.safetensors")
    assert stranger.model_info("alice/m0").downloads == 0
    httpx.head(f"{server.endpoint}/alice/m0/resolve/main/config.json")
    assert stranger.model_info("alice/m0").downloads == 1


def test_a_tree_of_many_files_comes_in_pages(server: Server, api: Api) -> None:
    server.repos.create("alice/many")
    names = {f"part-{number:04}/a.txt" for number in range(700)}
    server.repos.commit("alice/many", dict.fromkeys(names, b"same"))
    found = [entry.path for entry in api(None).list_repo_tree("alice/many", recursive=True)]
    assert len(found) == len(set(found)) == 1401
    assert names <= set(found)
    assert len(server.log) == 2
    top = list(api(None).list_repo_tree("alice/many", expand=True))
    assert len(top) == 701
    assert {entry.last_commit.title for entry in top if entry.path != ".gitattributes"} == {"Update"}

"""A pull request's life on the local Hub, led by the unmodified client."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RemoteEntryNotFoundError

from hubbot.localhub.server import Server

Api = Callable[[str | None], HfApi]
CARD = b"---\nlicense: mit\n---\n# A model\n"
BETTER = b"---\nlicense: mit\ntags:\n- seven\n---\n# A model\n"


@pytest.fixture
def repo(server: Server) -> str:
    server.repos.create("alice/model")
    server.repos.commit("alice/model", {"README.md": CARD, "config.json": b"{}"})
    return "alice/model"


def suggest(bot: HfApi, repo: str, content: bytes = BETTER, **how: str) -> int:
    made = bot.create_commit(
        repo,
        [CommitOperationAdd("README.md", content)],
        commit_message="Say what it was trained on",
        commit_description="Read off the weights.",
        create_pr=True,
        **how,
    )
    assert made.pr_num is not None
    assert made.pr_url == f"{bot.endpoint}/{repo}/discussions/{made.pr_num}"
    return made.pr_num


def test_from_open_to_merged(server: Server, api: Api, repo: str) -> None:
    bot, alice, before = api("bot"), api("alice"), server.repos.head(repo)
    number = suggest(bot, repo, parent_commit=before)
    details = bot.get_discussion_details(repo, number)
    assert (details.status, details.author, details.is_pull_request) == ("open", "bot", True)
    assert (details.title, details.events[0].content) == (
        "Say what it was trained on",
        "Read off the weights.",
    )
    assert details.diff is not None
    assert [line for line in details.diff.splitlines() if line[:1] in "+-"] == [
        *("--- a/README.md", "+++ b/README.md"),
        *("+tags:", "+- seven"),
    ]
    assert server.repos.head(repo) == before
    assert server.repos.read(repo, "README.md") == CARD

    alice.merge_pull_request(repo, number, comment="Thank you")
    merged = bot.get_discussion_details(repo, number)
    assert merged.status == "merged"
    assert merged.merge_commit_oid == server.repos.head(repo) != before
    assert [event.type for event in merged.events] == ["comment", "commit", "comment", "status-change"]
    assert server.repos.read(repo, "README.md") == BETTER


def test_the_order_on_the_wire(server: Server, api: Api, repo: str) -> None:
    suggest(api("bot"), repo)
    steps = [entry.path.removeprefix("/api/").removeprefix(f"models/{repo}/") for entry in server.log]
    assert steps == ["validate-yaml", "preupload/main", "commit/main"]


def test_found_again_by_type_status_and_author(api: Api, repo: str) -> None:
    bot, alice = api("bot"), api("alice")
    closed, still_open = suggest(bot, repo), suggest(api("carol"), repo)
    alice.change_discussion_status(repo, closed, "closed", comment="No, thanks")
    talk = bot.create_discussion(repo, "A question", description="Why?").num

    def numbers(**how: str) -> list[int]:
        return [found.num for found in bot.get_repo_discussions(repo, **how)]

    assert numbers() == [talk, still_open, closed]
    assert numbers(discussion_type="pull_request") == [still_open, closed]
    assert numbers(discussion_type="discussion") == [talk]
    assert numbers(discussion_status="open") == [talk, still_open]
    assert numbers(discussion_status="closed", author="bot") == [closed]
    assert numbers(author="nobody") == []


def test_many_discussions_come_in_pages(server: Server, api: Api, repo: str) -> None:
    for number in range(23):
        server.talks.open(repo, f"Question {number}", "", "bob")
    assert [talk.num for talk in api(None).get_repo_discussions(repo)] == list(range(23, 0, -1))
    assert len(server.log) == 3


def test_talking_about_it(api: Api, repo: str) -> None:
    bot, number = api("bot"), suggest(api("bot"), repo)
    said = api("alice").comment_discussion(repo, number, "How do you know?")
    assert (said.author, said.content) == ("alice", "How do you know?")
    edited = api("alice").edit_discussion_comment(repo, number, said.id, "How do you know that?")
    assert (edited.edited, edited.content, edited.number_of_edits) == (True, "How do you know that?", 1)
    with warnings.catch_warnings(action="ignore"):
        assert api("alice").hide_discussion_comment(repo, number, said.id).hidden
    renamed = bot.rename_discussion(repo, number, "A better title")
    assert (renamed.old_title, renamed.new_title) == ("Say what it was trained on", "A better title")
    assert bot.change_discussion_status(repo, number, "closed").new_status == "closed"
    assert bot.change_discussion_status(repo, number, "open").new_status == "open"


def test_who_may_do_what(api: Api, repo: str) -> None:
    number = suggest(api("bot"), repo)
    refused: list[Callable[[], object]] = [
        lambda: api("bot").merge_pull_request(repo, number),
        lambda: api("mallory").merge_pull_request(repo, number),
        lambda: api("mallory").change_discussion_status(repo, number, "closed"),
        lambda: api("mallory").rename_discussion(repo, number, "Mine now"),
        lambda: api("bot").upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo),
        lambda: api("mallory").upload_file(
            path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, revision=f"refs/pr/{number}"
        ),
    ]
    for attempt in refused:
        with pytest.raises(HfHubHTTPError) as forbidden:
            attempt()
        assert forbidden.value.response.status_code == 403
    with pytest.raises(HfHubHTTPError) as stranger:
        suggest(api(None), repo)
    assert stranger.value.response.status_code == 401


def test_what_is_merged_or_closed_cannot_be_merged(api: Api, repo: str) -> None:
    alice, merged, closed = api("alice"), suggest(api("bot"), repo), suggest(api("bob"), repo)
    alice.merge_pull_request(repo, merged)
    alice.change_discussion_status(repo, closed, "closed")
    for number in (merged, closed):
        with pytest.raises(BadRequestError):
            alice.merge_pull_request(repo, number)
    with pytest.raises(BadRequestError):
        alice.change_discussion_status(repo, merged, "open")


def test_a_conflict_is_shown_and_stops_the_merge(server: Server, api: Api, repo: str) -> None:
    number = suggest(api("bot"), repo)
    server.repos.commit(repo, {"README.md": CARD + b"More.\n"})
    assert api("bot").get_discussion_details(repo, number).conflicting_files == ["README.md"]
    with pytest.raises(HfHubHTTPError) as clash:
        api("alice").merge_pull_request(repo, number)
    assert clash.value.response.status_code == 409


def test_a_merge_keeps_what_came_meanwhile(server: Server, api: Api, repo: str) -> None:
    number = suggest(api("bot"), repo)
    server.repos.commit(repo, {"notes.txt": b"new", "config.json": None})
    api("alice").merge_pull_request(repo, number)
    assert server.repos.read(repo, "README.md") == BETTER
    assert set(server.repos.files(repo)) == {".gitattributes", "README.md", "notes.txt"}


def test_a_moved_head_gives_412_without_a_pull_request(server: Server, api: Api, repo: str) -> None:
    alice, seen = api("alice"), server.repos.head(repo)
    server.repos.commit(repo, {"notes.txt": b"meanwhile"})
    add = [CommitOperationAdd("README.md", BETTER)]
    with pytest.raises(HfHubHTTPError) as moved:
        alice.create_commit(repo, add, commit_message="Late", parent_commit=seen)
    assert moved.value.response.status_code == 412
    number = suggest(api("bot"), repo, parent_commit=seen)
    assert server.repos.commit_of(repo, f"refs/pr/{number}").parents == (seen,)


def test_unchanged_content_opens_nothing(api: Api, repo: str) -> None:
    made = api("bot").create_commit(
        repo, [CommitOperationAdd("README.md", CARD)], commit_message="Nothing new", create_pr=True
    )
    assert made.pr_url is None
    assert list(api("bot").get_repo_discussions(repo)) == []


def test_a_draft_is_filled_and_opened(server: Server, api: Api, repo: str) -> None:
    bot = api("bot")
    draft = bot.create_pull_request(repo, "Work in progress")
    assert draft.status == "draft"
    bot.upload_file(
        path_or_fileobj=BETTER, path_in_repo="README.md", repo_id=repo, revision=draft.git_reference
    )
    assert bot.change_discussion_status(repo, draft.num, "open").new_status == "open"
    assert bot.get_discussion_details(repo, draft.num).diff
    refs = bot.list_repo_refs(repo, include_pull_requests=True)
    assert refs.pull_requests is not None
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    assert bot.model_info(repo, revision="refs/pr/1").sha == server.repos.head(repo, "refs/pr/1")
    assert (
        bot.list_repo_commits(repo, revision="refs/pr/1")[0].title == "Upload README.md with huggingface_hub"
    )


def test_a_card_that_the_hub_cannot_read_is_refused(server: Server, api: Api, repo: str) -> None:
    before = server.repos.head(repo)
    for bad in (b"---\nlicense: [\n---\n", b"---\nlicense: my-own\n---\n", b"---\ndatasets: [a dog]\n---\n"):
        with pytest.raises(ValueError, match="Invalid metadata"):
            suggest(api("bot"), repo, bad)
    lines = (
        b'{"key": "header", "value": {"summary": "x"}}\n'
        b'{"key": "file", "value": {"path": "README.md", "content": "---\\nlicense: [\\n---\\n"}}\n'
    )
    url = f"{server.endpoint}/api/models/{repo}/commit/main"
    past_the_client = httpx.post(url, content=lines, headers={"Authorization": "Bearer hf_alice"})
    assert past_the_client.status_code == 400
    assert server.repos.head(repo) == before


def test_deleting_files_and_folders(server: Server, api: Api, repo: str) -> None:
    server.repos.commit(repo, {"a/b/c.txt": b"1", "a/d.txt": b"2"})
    alice = api("alice")
    alice.create_commit(repo, [CommitOperationDelete("a/")], commit_message="Remove a")
    alice.delete_file("config.json", repo)
    assert set(server.repos.files(repo)) == {".gitattributes", "README.md"}
    with pytest.raises(RemoteEntryNotFoundError):
        alice.delete_file("config.json", repo)


@pytest.mark.parametrize("title", ["ab", "x" * 201, "   a   "])
def test_a_title_has_3_to_200_characters(api: Api, repo: str, title: str) -> None:
    with pytest.raises(BadRequestError):
        api("bot").create_discussion(repo, title)


def test_eight_bots_at_once_get_eight_numbers(server: Server, api: Api, repo: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: suggest(api(f"bot{n}"), repo, BETTER + b"%d" % n), range(8)))
    assert sorted(numbers) == list(range(1, 9))
    assert {talk.author for talk in server.talks.all(repo)} == {f"bot{n}" for n in range(8)}


def test_of_two_commits_on_one_parent_one_wins(server: Server, api: Api, repo: str) -> None:
    seen, alice = server.repos.head(repo), api("alice")

    def commit(number: int) -> int:
        add = [CommitOperationAdd(f"{number}.txt", b"x")]
        try:
            alice.create_commit(repo, add, commit_message="Race", parent_commit=seen)
        except HfHubHTTPError as lost:
            return lost.response.status_code
        return 200

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(commit, range(4))) == [200, 412, 412, 412]
    assert len(server.repos.files(repo)) == 4

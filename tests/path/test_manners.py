"""What owners meet over time: one pull request, silence after a no, another only for new weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from huggingface_hub import HfApi
from stage import TOKEN, files_of, settings_for, upload

from hubbot.app import open_bot
from hubbot.localhub.server import Server
from hubbot.records import SuggestionState
from hubbot.rounds import LAST_WORD, follow, poll
from hubbot.weights.local import read_local

OWNER = "owner/model"


class Neighbourhood:
    """A Hub with one repo of a child's weights, and a bot that comes by."""

    def __init__(self, hub: Server, home, **settings) -> None:
        self.hub, self.home, self.settings = hub, home, {"mode": "auto", "poll_overlap_s": 0, **settings}
        self.api = HfApi(hub.endpoint, token="hf_owner")

    def comes_by(self) -> None:
        with open_bot(settings_for(self.hub, self.home, **self.settings)) as bot:
            poll(bot)
            follow(bot)

    def remembers(self):
        with open_bot(settings_for(self.hub, self.home, **self.settings)) as bot:
            return bot.store.suggestion(OWNER)

    def pulls(self):
        return sorted(
            self.api.get_repo_discussions(OWNER, discussion_type="pull_request"), key=lambda d: d.num
        )


@pytest.fixture
def hub(tmp_path):
    with Server(tmp_path / "hub", tokens={TOKEN: "hubbot", "hf_owner": "owner"}) as server:
        yield server


@pytest.fixture
def sure(children, demo_readings):
    """Children that the experts recognise something in, one tree's."""
    found = [c for c in children if demo_readings[c.repo].recognised]
    return [c for c in found if c.root == found[0].root]


@pytest.fixture
def street(hub, tmp_path, sure):
    upload(hub.repos, OWNER, files_of(sure[0]))
    return Neighbourhood(hub, tmp_path / "home")


def test_the_default_mode_sends_nothing(hub, tmp_path, sure):
    upload(hub.repos, OWNER, files_of(sure[0]))
    street = Neighbourhood(hub, tmp_path / "home", mode="draft")
    street.comes_by()
    assert street.remembers().state is SuggestionState.DRAFT
    assert street.pulls() == []
    assert not [x for x in hub.log if x.method == "POST" and "/commit/" in x.path]


def test_closed_is_silence_for_good(street, hub, sure):
    street.comes_by()
    (pull,) = street.pulls()
    street.api.change_discussion_status(OWNER, pull.num, "closed")
    street.comes_by()
    assert street.remembers().state is SuggestionState.CLOSED
    hub.repos.commit(OWNER, {"model.safetensors": sure[1].folder / "model.safetensors"})
    street.comes_by()
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["closed"]


def test_a_comment_that_says_so_is_silence_for_good(street, hub, sure):
    street.comes_by()
    (pull,) = street.pulls()
    street.api.comment_discussion(OWNER, pull.num, "Thanks, but I am not sure what `hubbot: false` would do.")
    street.comes_by()
    assert street.remembers().state is SuggestionState.OPEN, "to speak of the word is not to say it"
    street.api.comment_discussion(OWNER, pull.num, "No more of this, please.\n\nhubbot: false\n")
    street.comes_by()
    assert street.remembers().state is SuggestionState.CLOSED
    assert "hubbot: false" in street.remembers().reason
    hub.repos.commit(OWNER, {"model.safetensors": sure[1].folder / "model.safetensors"})
    street.comes_by()
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["closed"]
    details = street.api.get_discussion_details(OWNER, pull.num)
    ours = [event.content for event in details.events if event.type == "comment" and event.author == "hubbot"]
    assert ours[-1] == LAST_WORD


def test_merged_allows_another_for_new_weights_only(street, hub, sure):
    street.comes_by()
    (pull,) = street.pulls()
    street.api.merge_pull_request(OWNER, pull.num)
    street.comes_by()
    assert street.remembers().state is SuggestionState.MERGED
    hub.repos.commit(OWNER, {"README.md": b"---\nlicense: mit\n---\nall new\n"})
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["merged"], "the card alone changed"
    other = next(c for c in sure[1:] if c.digits != sure[0].digits)
    hub.repos.commit(OWNER, {"model.safetensors": other.folder / "model.safetensors"})
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["merged", "open"]


def test_a_merged_pull_request_makes_no_new_work(street, hub, sure):
    street.comes_by()
    (pull,) = street.pulls()
    street.api.merge_pull_request(OWNER, pull.num)
    with open_bot(settings_for(street.hub, street.home, **street.settings)) as bot:
        before = bot.store.reading(OWNER)
    largest = max(v.nbytes for v in read_local(sure[0].folder / "model.safetensors").values())
    hub.log.clear()
    street.comes_by()
    sent = sum(x.bytes_sent for x in hub.log if x.port != int(hub.endpoint.rsplit(":", 1)[1]))
    assert sent < largest + 20_000, "the expert's tensor was fetched again"
    with open_bot(settings_for(street.hub, street.home, **street.settings)) as bot:
        after = bot.store.reading(OWNER)
    assert (after.content_ids, after.version) == (before.content_ids, before.version)


def test_a_card_that_moved_on_is_considered_anew(hub, tmp_path, sure):
    upload(hub.repos, OWNER, files_of(sure[0]))
    draft, auto = (Neighbourhood(hub, tmp_path / "home", mode=mode) for mode in ("draft", "auto"))
    draft.comes_by()
    hub.repos.commit(OWNER, {"README.md": b"---\nlicense: mit\n---\nrewritten\n"})
    auto.comes_by()
    (pull,) = auto.pulls()
    diff = auto.api.get_discussion_details(OWNER, pull.num).diff
    assert "license: mit" in diff
    assert "-" not in {line[:1] for line in diff.splitlines() if not line.startswith(("---", "+++"))}


def test_an_owner_with_many_models_is_not_flooded(hub, tmp_path, sure):
    for number, child in enumerate(sure):
        upload(hub.repos, f"owner/model{number}", files_of(child))
    street = Neighbourhood(hub, tmp_path / "home", pulls_per_owner=2)
    street.comes_by()
    street.comes_by()
    count = sum(
        len([*street.api.get_repo_discussions(f"owner/model{n}", discussion_type="pull_request")])
        for n in range(len(sure))
    )
    assert count == 2
    with open_bot(settings_for(hub, street.home, **street.settings)) as bot:
        waiting = bot.store.suggestions(SuggestionState.DRAFT)
    assert len(waiting) == len(sure) - 2
    assert "the most is 2" in waiting[0].reason


def test_a_bot_that_lost_its_memory_still_counts_what_it_opened(hub, tmp_path, sure):
    """Its own pull requests are recognised before it opens another, whatever the order of the listing."""
    for number, child in enumerate(sure[:4]):
        upload(hub.repos, f"owner/model{number}", files_of(child))
    manners = {"pulls_per_owner": 2, "fetch_threads": 1}
    street = Neighbourhood(hub, tmp_path / "home", **manners)
    street.comes_by()
    opened = {f"owner/model{n}" for n in range(4) if pulls_of(street, n)}
    assert len(opened) == 2
    for repo in opened:  # now they are listed as the newest, and read last
        hub.repos.commit(repo, {"notes.txt": b"touched"})
    Neighbourhood(hub, tmp_path / "another home", **manners).comes_by()
    assert {f"owner/model{n}" for n in range(4) if pulls_of(street, n)} == opened


def pulls_of(street, number):
    return [*street.api.get_repo_discussions(f"owner/model{number}", discussion_type="pull_request")]


def test_a_bot_that_died_while_opening_finds_its_own(street):
    street.comes_by()
    with open_bot(settings_for(street.hub, street.home, **street.settings)) as bot:
        opened = bot.store.suggestion(OWNER)
    half = Neighbourhood(street.hub, street.home.parent / "restored")
    with open_bot(settings_for(half.hub, half.home, mode="draft")) as bot:
        poll(bot)
        mine = bot.store.suggestion(OWNER)
        bot.store.save_suggestion(replace(mine, state=SuggestionState.OPENING))
    half.comes_by()
    assert half.remembers().state is SuggestionState.OPEN
    assert half.remembers().pull_request == opened.pull_request
    assert len(half.pulls()) == 1

"""What owners meet over time: one pull request, silence after a no, another only for new weights."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from huggingface_hub import HfApi
from safetensors.numpy import load, save
from stage import HUBBOT, TOKEN, clean_environ, files_of, settings_for, upload

from hubbot import courtesy
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


def test_a_card_that_the_hub_would_reject_is_not_sent(hub, tmp_path, sure):
    upload(hub.repos, OWNER, files_of(sure[0], README_md=b"---\nlicense: my-own\n---\nMine.\n"))
    street = Neighbourhood(hub, tmp_path / "home")
    street.comes_by()
    assert street.pulls() == []
    assert street.remembers().state is SuggestionState.REFUSED
    assert '"license" must be one of the known licenses' in street.remembers().reason
    hub.log.clear()
    street.comes_by()
    assert not [x for x in hub.log if x.path == "/api/validate-yaml"], "not asked about again and again"


def test_a_hub_that_does_not_say_whether_a_card_is_valid_is_asked_again_later(street, hub):
    hub.faults.add("error", path="/api/validate-yaml", times=1)
    hub.log.clear()
    with open_bot(settings_for(hub, street.home, http_retries=0, **street.settings)) as bot:
        poll(bot)
    assert street.pulls() == []
    assert not [x for x in hub.log if "/commit/" in x.path]
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["open"]
    assert len([x for x in hub.log if "/commit/" in x.path]) == 1


ASKING = b"---\nlicense: mit\nhubbot: true\n---\nAll mine.\n"


def asking(child) -> bytes:
    """The child's own card, in which its owner asks."""
    card = (child.folder / "README.md").read_bytes()
    assert card.startswith(b"---\n")
    return card.replace(b"---\n", b"---\nhubbot: true\n", 1)


def test_an_owner_who_asks_breaks_the_silence_once(street, hub, sure):
    street.comes_by()
    street.api.change_discussion_status(OWNER, street.pulls()[0].num, "closed")
    street.comes_by()
    hub.repos.commit(OWNER, {"README.md": asking(sure[0])})
    street.comes_by()
    first, second = street.pulls()
    assert (first.status, second.status, second.title) == ("closed", "open", first.title)
    street.api.change_discussion_status(OWNER, second.num, "closed")
    street.comes_by()
    hub.repos.commit(OWNER, {"README.md": asking(sure[0]) + b"And more.\n"})
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["closed", "closed"], "the same words asked once"
    other = next(c for c in sure[1:] if c.digits != sure[0].digits)
    hub.repos.commit(OWNER, {"model.safetensors": other.folder / "model.safetensors"})
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["closed", "closed", "open"], "it asks for new weights too"


def test_only_the_card_asks(street, hub):
    """Anybody may comment, and our own database says nothing of who may write in a repo."""
    street.comes_by()
    (pull,) = street.pulls()
    street.api.change_discussion_status(OWNER, pull.num, "closed")
    HfApi(hub.endpoint, token=TOKEN).comment_discussion(OWNER, pull.num, "hubbot: true")
    hub.repos.commit(OWNER, {"README.md": b"# Mine\n\nhubbot: true\n"})
    street.comes_by()
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["closed"]


def test_a_bot_without_memory_takes_no_old_word_for_a_new_one(street, hub):
    street.comes_by()
    street.api.change_discussion_status(OWNER, street.pulls()[0].num, "closed")
    hub.repos.commit(OWNER, {"README.md": ASKING})
    other = Neighbourhood(hub, street.home.parent / "another home")
    other.comes_by()
    other.comes_by()
    assert [p.status for p in street.pulls()] == ["closed"]
    assert "silence for good" in other.remembers().reason


def hours(first: int, last: int) -> str:
    """Quiet hours from now on, counted in hours."""
    now = datetime.now(UTC).hour
    return f"{(now + first) % 24}-{(now + last) % 24}"


def test_nothing_is_opened_in_quiet_hours(hub, tmp_path, sure, monkeypatch):
    upload(hub.repos, OWNER, files_of(sure[0]))
    night = Neighbourhood(hub, tmp_path / "home", quiet_hours=hours(0, 3))
    night.comes_by()
    assert night.pulls() == []
    assert night.remembers().state is SuggestionState.DRAFT
    assert "quiet hours" in night.remembers().reason
    with open_bot(settings_for(hub, night.home, **night.settings)) as bot:
        bot.store.save_suggestion(replace(bot.store.suggestion(OWNER), state=SuggestionState.OPENING))
    night.comes_by()
    assert night.pulls() == [], "what a crash left half opened waits as well"
    monkeypatch.setattr(courtesy, "SETTLING", timedelta(0))  # as if it had been half opened minutes ago
    day = Neighbourhood(hub, night.home, quiet_hours=hours(3, 6))
    day.comes_by()
    assert [p.status for p in day.pulls()] == ["open"]


def test_in_review_the_trusted_need_no_approval(hub, tmp_path, sure):
    for owner in ("owner", "stranger"):
        upload(hub.repos, f"{owner}/model", files_of(sure[0]))
    street = Neighbourhood(hub, tmp_path / "home", mode="review", trusted="Owner, no/body")
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["open"]
    assert [*street.api.get_repo_discussions("stranger/model")] == []
    with open_bot(settings_for(hub, street.home, **street.settings)) as bot:
        assert bot.store.suggestion("stranger/model").state is SuggestionState.DRAFT


def test_trust_sends_nothing_in_mode_draft(hub, tmp_path, sure):
    upload(hub.repos, OWNER, files_of(sure[0]))
    street = Neighbourhood(hub, tmp_path / "home", mode="draft", trusted="owner")
    street.comes_by()
    assert street.remembers().state is SuggestionState.DRAFT
    assert street.pulls() == []


def test_a_title_that_was_answered_is_not_sent_again_for_new_weights(street, hub, sure):
    street.comes_by()
    (pull,) = street.pulls()
    street.api.merge_pull_request(OWNER, pull.num)
    street.comes_by()
    weights = save(load((sure[0].folder / "model.safetensors").read_bytes()), {"saved": "anew"})
    hub.repos.commit(OWNER, {"model.safetensors": weights, "README.md": sure[0].folder / "README.md"})
    street.comes_by()
    assert [p.status for p in street.pulls()] == ["merged"]
    assert street.remembers().state is not SuggestionState.OPENING, "no poll tries it for ever"


def lines_of(diff: str, sign: str) -> list[str]:
    return [line[1:] for line in diff.splitlines() if line.startswith(sign) and line[:3] != sign * 3]


def test_a_section_grows_once_and_is_renewed_in_place(hub, tmp_path, sure, demo_readings):
    upload(hub.repos, OWNER, files_of(sure[0]))
    street = Neighbourhood(hub, tmp_path / "home", card_section=True, tag_prefix="hubbot:")
    street.comes_by()
    (pull,) = street.pulls()
    diff = street.api.get_discussion_details(OWNER, pull.num).diff
    assert lines_of(diff, "-") == []
    assert {"<!-- hubbot:begin -->", "<!-- hubbot:end -->"} < set(lines_of(diff, "+"))
    assert len([line for line in lines_of(diff, "+") if '"hubbot:digit-' in line]) == len(
        demo_readings[sure[0].repo].recognised
    )
    street.api.merge_pull_request(OWNER, pull.num)
    street.comes_by()
    card = hub.repos.read(OWNER, "README.md") + b"\nAdded by hand below.\n"
    other = next(c for c in sure[1:] if c.digits != sure[0].digits)
    hub.repos.commit(OWNER, {"README.md": card, "model.safetensors": other.folder / "model.safetensors"})
    street.comes_by()
    second = street.pulls()[-1]
    assert second.status == "open"
    diff = street.api.get_discussion_details(OWNER, second.num).diff
    (removed,) = lines_of(diff, "-")
    assert removed.startswith("**Read off the weights.**")
    assert "Added by hand below." not in lines_of(diff, "+")


def test_what_became_of_them_is_read_back_and_counted(hub, tmp_path, sure, demo_readings):
    for number in range(3):
        upload(hub.repos, f"owner/model{number}", files_of(sure[0]))
    street = Neighbourhood(hub, tmp_path / "home")
    street.comes_by()
    (first,), (second,), (third,) = (pulls_of(street, number) for number in range(3))
    street.api.comment_discussion("owner/model0", first.num, "Where does that come from?")
    street.comes_by()
    with open_bot(settings_for(hub, street.home, **street.settings)) as bot:
        asked = bot.store.suggestion("owner/model0")
        assert (asked.state, asked.reason) == (
            SuggestionState.OPEN,
            "said there: Where does that come from?",
        )
    street.api.merge_pull_request("owner/model0", first.num)
    street.api.change_discussion_status("owner/model1", second.num, "closed", comment="No.\n\nNot true.")
    street.comes_by()
    environ = clean_environ(HUBBOT_HOME=str(street.home), COLUMNS="120")
    told, plain = (
        subprocess.run(
            [HUBBOT, "card", "outcomes", *more], env=environ, capture_output=True, text=True, check=True
        )
        for more in (["--json"], [])
    )
    found = json.loads(told.stdout)
    assert found["by_tree"] == [
        {"name": sure[0].root, "merged": 1, "closed": 1, "open": 1, "accepted": 0.5},
    ]
    tags = {f"digit-{said.label}" for said in demo_readings[sure[0].repo].recognised}
    assert {one["name"] for one in found["by_tag"]} >= tags
    assert {one["accepted"] for one in found["by_tag"]} == {0.5}
    said = {one["repo"]: (one["state"], one["text"]) for one in found["comments"]}
    assert said["owner/model1"] == ("closed", "said there: No. Not true.")
    assert third.status == "open"
    assert "owner/model2" not in said
    assert "No. Not true." in plain.stdout
    assert "50%" in plain.stdout

"""What an admin says to a draft, and that the bot keeps to it."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from stage import HUBBOT, TOKEN, clean_environ, files_of, settings_for, upload

from hubbot.admin import order
from hubbot.app import open_bot, open_store
from hubbot.card.front_matter import body_start
from hubbot.errors import UsageError
from hubbot.records import SuggestionState
from hubbot.rounds import poll

REPO = "owner/model"
CARD = b"---\nlicense: mit  # since 2021\ntags: [vit]\n---\n# Mine\n"


@pytest.fixture
def sure(children, demo_readings):
    """A child of which several things are recognised."""
    return next(c for c in children if len(demo_readings[c.repo].recognised) >= 3)


@pytest.fixture
def desk(hub, tmp_path, sure):
    """A bot with one draft, on a card in the owner's own hand."""
    return Desk(hub, settings_for(hub, tmp_path / "home"), sure)


class Desk:
    def __init__(self, hub, settings, child):
        self.hub, self.settings = hub, settings
        upload(hub.repos, REPO, {**files_of(child), "README.md": CARD})
        self.poll()
        assert self.draft.state is SuggestionState.DRAFT

    def poll(self, **more):
        with open_bot(replace(self.settings, **more)) as bot:
            poll(bot)

    @property
    def draft(self):
        with open_store(self.settings, read_only=True) as store:
            return store.suggestion(REPO)

    def order(self, verb, **args):
        return order(self.settings, verb, {"repo": REPO, **args}, "ada@lab")

    def fails(self, words, verb, **args):
        before = self.draft
        with pytest.raises(UsageError, match=words):
            self.order(verb, **args)
        assert self.draft == before, "what fails changes nothing"
        with open_store(self.settings, read_only=True) as store:
            last = store.commands()[0]
        assert (last.verb, last.by) == (verb, "ada@lab")
        assert last.outcome.startswith("failed: ")


def test_a_rejection_is_kept_with_its_reason_and_its_name(desk):
    before = desk.draft
    desk.fails("needs a reason", "card reject", reason=" \n ")
    desk.fails("needs a reason", "card reject")
    desk.fails("500 characters at most, not 501", "card reject", reason="n" * 501)
    assert "is rejected" in desk.order("card reject", reason="that is\nno digit")
    after = desk.draft
    assert after == replace(
        before, state=SuggestionState.REJECTED, reason="ada@lab rejected it: that is no digit"
    )
    desk.fails("ada@lab rejected it", "card open")


def test_a_rejection_outlives_a_commit_to_the_readme_and_not_new_weights(desk, children, demo_readings):
    desk.order("card reject", reason="no")
    desk.hub.repos.commit(REPO, {"README.md": CARD + b"More.\n"})
    desk.poll(mode="auto")
    assert desk.draft.state is SuggestionState.REJECTED
    assert not [x for x in desk.hub.log if "/commit/" in x.path and x.method == "POST"]
    other = [c for c in children if demo_readings[c.repo].recognised][-1]
    desk.hub.repos.commit(REPO, {**files_of(other), "README.md": CARD})
    desk.poll()
    assert desk.draft.state is SuggestionState.DRAFT


def test_what_was_rejected_may_be_approved_after_all(desk):
    desk.order("card reject", reason="no")
    desk.order("card approve")
    assert (desk.draft.state, desk.draft.reason) == (SuggestionState.APPROVED, "")
    assert desk.order("card open").startswith("opened http")
    for verb, more in (("card approve", {}), ("card edit", {}), ("card reject", {"reason": "late"})):
        desk.fails("no longer ours to review", verb, **more)


def test_an_admin_who_saw_another_draft_is_not_obeyed(desk):
    seen = desk.draft.seal
    desk.order("card edit", seal=seen, title="Add what the weights say")
    for verb, more in (("card approve", {}), ("card open", {}), ("card reject", {"reason": "no"})):
        desk.fails("another one by now", verb, seal=seen, **more)
    desk.order("card approve", seal=desk.draft.seal)


def test_a_line_is_left_out_of_card_title_and_text(desk):
    before = desk.draft
    gone, *kept = before.added
    desk.order("card approve")
    told = desk.order("card edit", without=gone)
    after, tag = desk.draft, gone.removeprefix("tags: ")
    assert told == f"the suggestion for {REPO} is edited, and adds {', '.join(kept)}"
    assert after.state is SuggestionState.DRAFT, "what was approved was another text"
    assert list(after.added) == kept
    assert tag not in after.new_text + after.title + after.body
    word = tag.removeprefix("digit-")
    assert word in before.body
    assert f"digit {word}" not in after.body, "nor how sure it was of it"
    assert (after.base_commit, after.old_text) == (before.base_commit, CARD.decode())
    head = after.new_text[: body_start(after.new_text)]
    assert "license: mit  # since 2021\n" in head
    assert after.new_text[len(head) :] == "# Mine\n"
    desk.order("card edit", without=kept[0])
    assert list(desk.draft.added) == kept[1:], "an edit goes on from the last one"
    desk.order("card edit", anew=True)
    assert desk.draft == before, "or starts anew"


def test_what_was_left_out_stays_out_when_the_readme_moves_on(desk):
    gone, *kept = desk.draft.added
    desk.order("card edit", without=gone)
    desk.hub.repos.commit(REPO, {"README.md": CARD + b"More.\n"})
    desk.poll()
    assert list(desk.draft.added) == kept
    assert desk.draft.new_text.endswith("More.\n")
    assert gone.removeprefix("tags: ") not in desk.draft.body


def test_words_are_an_admins_and_lines_still_go(desk):
    before = desk.draft
    body = before.body.replace("**How sure it is.**", "**How sure it is, in short.**")
    desk.order("card edit", title="  Add what the weights say ", body=body.replace("\n", "\r\n"))
    mine = desk.draft
    assert mine.title == "Add what the weights say"
    assert mine.body == body
    assert mine.new_text == before.new_text
    desk.order("card edit", without=before.added[0], title=mine.title, body=mine.body)
    assert (desk.draft.title, desk.draft.body) == (mine.title, mine.body), "untouched words stay an admin's"
    desk.order("card edit", title="", body="")
    assert desk.draft.title not in (mine.title, before.title), "or hubbot's again, of what is left"
    desk.order("card edit", anew=True)
    assert desk.draft == before


def test_an_edit_that_cannot_be_is_refused_for_a_reason(desk):
    body = desk.draft.body
    everything = "\n".join(desk.draft.added)
    for words, args in (
        ("nothing of it would change", {}),
        ("nothing of it would change", {"anew": True, "title": "", "body": body}),
        ("does not add 'tags: cat'.*it adds tags: ", {"without": "tags: cat"}),
        ("nothing would be left to add .reject it instead", {"without": everything}),
        ("a title is one line of 3 to 200 visible characters, not 2", {"title": "No"}),
        ("a title is one line", {"title": "x" * 201}),
        ("a title is one line", {"title": "one\ntwo"}),
        ("a title is one line", {"title": "abc\u202edef"}),
        ("20,000 characters at most", {"body": body + "x" * 20_000}),
        ("a character that nobody sees, '.x1b'", {"body": body + "\x1b[2J"}),
        ("how to make it stop: 'hubbot: false' is missing", {"body": body.replace("hubbot: false", "")}),
        ("how to check it: 'hubbot tell' is missing", {"body": body.replace("hubbot tell", "")}),
        ("how to reach you: 'bot@example.org' is missing", {"body": body.replace("bot@example.org", "me")}),
    ):
        desk.fails(words, "card edit", **args)


def test_a_line_that_belongs_to_another_does_not_go_alone(hub, tmp_path, sure):
    desk = Desk(hub, settings_for(hub, tmp_path / "home", tag_prefix="hubbot:"), sure)
    tag = desk.draft.added[0]
    twin = tag.replace("tags: ", "tags: hubbot:")
    desk.fails("belongs to another line", "card edit", without=twin)
    desk.order("card edit", without=tag)
    assert not {tag, twin} & {*desk.draft.added}


def test_a_section_is_written_anew_with_what_is_left(hub, tmp_path, sure):
    desk = Desk(hub, settings_for(hub, tmp_path / "home", card_section=True), sure)
    gone = desk.draft.added[0]
    word = gone.removeprefix("tags: digit-")
    assert word in desk.draft.new_text.partition("hubbot:begin")[2]
    desk.order("card edit", without=gone)
    section = desk.draft.new_text.partition("hubbot:begin")[2]
    assert section
    assert word not in section
    desk.order("card edit", without="section: Read off the weights")
    assert "hubbot:begin" not in desk.draft.new_text
    assert "section" not in MarkdownIt().render(desk.draft.body)


def test_weights_that_were_read_again_are_not_edited_from_memory(desk):
    with open_bot(desk.settings) as bot:
        reading = bot.store.reading(REPO)
        bot.store.record(replace(reading, content_ids=("other",), commit="f" * 40))
    desk.fails("were read again since", "card edit", without=desk.draft.added[0])


def test_the_command_line_says_the_same(desk, tmp_path):
    def hubbot(*words):
        command = [
            HUBBOT,
            "--endpoint",
            desk.hub.endpoint,
            "--database",
            desk.settings.database,
            "card",
            *words,
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=clean_environ(HUBBOT_TOKEN=TOKEN, HUBBOT_DEVICE="cpu", HUBBOT_CONTACT="bot@example.org"),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    before = desk.draft
    body = tmp_path / "body.md"
    body.write_text(f"Hello.\n\n{before.body}")
    code, told = hubbot("edit", REPO, "--without", before.added[0], "--title", "Hello", "--body", str(body))
    assert (code, desk.draft.title, desk.draft.body) == (0, "Hello", body.read_text()), told
    assert list(desk.draft.added) == list(before.added[1:])
    code, told = hubbot("edit", REPO, "--without", "tags: cat")
    assert code == 1
    assert "does not add 'tags: cat'" in told
    assert hubbot("edit", REPO, "--anew")[0] == 0
    assert desk.draft == before
    code, told = hubbot("reject", REPO, "--reason", "not now")
    assert (code, told) == (0, f"the suggestion for {REPO} is rejected")
    assert desk.draft.reason.endswith(" rejected it: not now")
    assert hubbot("reject", REPO)[0] == 2, "a reason is asked for"


def test_what_is_half_opened_is_out_of_an_admins_hands(desk):
    with open_bot(desk.settings) as bot:
        bot.store.save_suggestion(replace(desk.draft, state=SuggestionState.OPENING))
    for verb, more in (("card approve", {}), ("card edit", {}), ("card reject", {"reason": "late"})):
        desk.fails("is opening, and no longer ours", verb, **more)

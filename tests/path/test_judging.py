"""Uploads of an architecture that an autoencoder knows are judged once and shown; others are left alone."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from autoencoders import SHAPES, trained
from safetensors.torch import save as packed
from safetensors.torch import save_file
from stage import settings_for, upload
from typer.testing import CliRunner

from hubbot.admin import draft
from hubbot.app import open_bot, open_library, tell
from hubbot.bot import Bot
from hubbot.cli import app
from hubbot.errors import ExpertError
from hubbot.hub.tensors import contents
from hubbot.hub.uploads import one
from hubbot.localhub.server import Server
from hubbot.orders import FAILED, obey
from hubbot.records import Judgement
from hubbot.rounds import look, poll, read, recheck
from hubbot.sane.artifact import Artifact, save
from hubbot.sane.schema import CONFIG, version
from hubbot.sane.train import Checkpoints
from hubbot.settings import Settings
from space.model import model_page

ANN = "ann/net"


@pytest.fixture(scope="module")
def learned() -> tuple[Artifact, Checkpoints]:
    return trained()


@pytest.fixture
def settings(hub: Server, learned, tmp_path: Path) -> Settings:
    save(tmp_path / "sizes", learned[0])
    return settings_for(hub, tmp_path, sane=str(tmp_path / "sizes"))


@pytest.fixture
def net(learned) -> dict[str, torch.Tensor]:
    """A model of the architecture; what counts steps is no part of one."""
    return {name: value[7].clone() for name, value in learned[1].values().items()} | {"t": torch.tensor(7)}


def each(net: dict[str, torch.Tensor], change) -> dict[str, torch.Tensor]:
    return {name: change(value) if value.is_floating_point() else value for name, value in net.items()}


def put(hub: Server, repo: str, net: dict[str, torch.Tensor]) -> None:
    upload(hub.repos, repo, {"model.safetensors": packed(net), "README.md": b"# Mine\n"})


def judged(bot: Bot, repo: str = ANN) -> tuple[Judgement, ...]:
    return bot.store.several([repo])[0].judgements


def far(net: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same net in a file whose weights do not come with its header."""
    return net | {"places": torch.zeros(40_000, dtype=torch.int64)}


def test_what_an_autoencoder_knows_is_judged_and_nothing_else(hub, settings, net, learned, tmp_path):
    torch.manual_seed(0)
    uploads = {
        ANN: net,
        "ann/half": each(net, lambda value: value.bfloat16()),
        "ann/other": net | {"c.weight": torch.zeros(2, 2)},
        "ann/broken": net | {"a.bias": torch.full((6,), float("nan"))},
        "ann/huge": each(net, lambda value: 1e38 * torch.randn_like(value).clamp(-3, 3)),
        "ann/strange": {name: 9 * torch.randn(shape) for name, shape in SHAPES.items()},
        "ann/narrow": net | {"a.bias": net["a.bias"].to(torch.float8_e4m3fn)},
        "ann/padded": net | {"mask": torch.zeros(100_000, dtype=torch.uint8)},
    }
    for repo, tensors in uploads.items():
        put(hub, repo, tensors)
    with open_bot(replace(settings, sane_bytes=50_000)) as bot:
        assert poll(bot) == len(uploads)
        said = {repo: judged(bot, repo) for repo in uploads}
        readings = {repo: bot.store.reading(repo) for repo in uploads}
        assert all(reading and reading.abstention.code == "unplaced" for reading in readings.values())
    [mine], [half] = said[ANN], said["ann/half"]
    assert (mine.autoencoder, mine.version) == ("sizes", version(tmp_path / "sizes"))
    assert mine.content_ids == readings[ANN].content_ids
    [size], [again] = mine.estimates, half.estimates
    assert (size.name, size.coverage, size.least, size.most) == ("size", 0.8, 0.0, 1.0)
    assert 0 <= size.low < size.value < size.high <= 1
    assert again.value == pytest.approx(size.value, abs=0.02)
    assert said["ann/other"] == ()
    codes = {repo: found[0].abstention.code for repo, found in said.items() if found and found[0].abstention}
    assert codes == {
        "ann/broken": "not-finite",
        "ann/huge": "unlike-training",
        "ann/strange": "unlike-training",
        "ann/narrow": "unsupported-dtype",
        "ann/padded": "too-large",
    }
    assert mine.bytes_read == 0, "so small a file comes with its header, which is the reading's to pay"
    assert said["ann/padded"][0].bytes_read == said["ann/narrow"][0].bytes_read == 0


def test_nothing_is_read_twice_and_only_present_weights_hold(hub, settings, net):
    put(hub, ANN, far(net))
    with open_bot(settings) as bot:
        poll(bot)
        [first] = judged(bot)
        floats = sum(4 * value.numel() for value in net.values() if value.is_floating_point())
        assert floats <= first.bytes_read < 2 * floats
    hub.repos.commit(ANN, {"README.md": b"# Mine, reworded\n"})
    with open_bot(settings) as bot:  # a new life, with nothing in its cache
        began = sum(e.bytes_sent for e in hub.log if e.path.startswith("/blobs/"))
        poll(bot)
        paid = sum(e.bytes_sent for e in hub.log if e.path.startswith("/blobs/")) - began
        assert judged(bot) == (first,)
        assert bot.reader.engine._pool is None, "no worker was started for what was judged before"
        hub.repos.commit(ANN, {"model.safetensors": packed(net | {"c.weight": torch.zeros(1)})})
        poll(bot)
        assert judged(bot) == (), "these weights are of another architecture"
        hub.repos.commit(ANN, {"model.safetensors": packed(far(net))})
        poll(bot)
        assert judged(bot) == (first,), "and the old ones came back"
        assert bot.reader.engine._pool is None
        assert bot.store.judgements(ANN) == [first]
        hub.repos.delete(ANN)
        recheck(bot, 10)
        assert judged(bot) == ()
    assert 0 < paid < 25_000, "three headers, and no weights"


def test_a_hub_that_gives_no_weights_delays_the_judgement_and_not_the_reading(hub, settings, net):
    nets = {ANN: far(net), "bob/net": far(each(net, lambda value: value + 0.01))}
    for repo in nets:
        put(hub, repo, nets[repo])
    blobs = {repo: f"/blobs/{sha256(packed(nets[repo])).hexdigest()}" for repo in nets}
    with open_bot(replace(settings, upload_tries=2, http_retries=0)) as bot:
        for repo in nets:
            contents(bot.hub, one(bot.hub, repo))  # the headers are known, and the weights cannot be had
            hub.faults.add("error", path=blobs[repo])
        look(bot)
        assert read(bot) == 0
        assert bot.store.reading(ANN).abstention.code == "unplaced"
        assert judged(bot) == ()
        hub.faults.clear()
        hub.faults.add("error", path=blobs["bob/net"])
        assert read(bot) == 2
        assert judged(bot)[0].estimates
        [given_up] = judged(bot, "bob/net")
        assert given_up.abstention.code == "hub-unavailable"
        assert bot.store.reading("bob/net").abstention.code == "unplaced"
        hub.faults.clear()
        order = bot.store.enqueue("upload retry", {"repo": "bob/net"}, "ann@here")
        obey(bot)
        assert bot.store.command(order).finished_at
        assert judged(bot, "bob/net")[0].estimates, "a fault of the Hub's is no word on the weights"


def test_an_autoencoder_that_cannot_be_loaded_costs_no_reading(hub, settings, net, tmp_path):
    put(hub, ANN, net)
    save_file({"model.into.bias": torch.zeros(1)}, tmp_path / "sizes" / "model.safetensors")
    with open_bot(settings) as bot:
        assert poll(bot) == 1
        [said] = judged(bot)
        assert said.abstention.code == "engine"
        assert "do not fit" in said.abstention.text
        assert bot.store.reading(ANN).abstention.code == "unplaced"


def test_a_suggestion_reads_nothing_that_only_a_judgement_needs(hub, settings, net):
    put(hub, ANN, far(net))
    paid = []
    for how in (settings, replace(settings, sane="")):
        began = sum(e.bytes_sent for e in hub.log if e.path.startswith("/blobs/"))
        assert draft(ANN, how).state == "refused", "no tree is known"
        paid.append(sum(e.bytes_sent for e in hub.log if e.path.startswith("/blobs/")) - began)
    assert paid[0] == paid[1] > 0


def test_one_that_takes_everything_for_its_own_is_not_asked(settings, tmp_path):
    file = tmp_path / "sizes" / CONFIG
    config = json.loads(file.read_text())
    for change, why in (({"oddest": None}, "unlike its training"), ({"properties": []}, "no properties")):
        file.write_text(json.dumps(config | change))
        with pytest.raises(ExpertError, match=why), open_bot(settings):
            pass


def test_the_page_and_the_command_line_say_so(hub, settings, net, tmp_path):
    put(hub, ANN, net)
    put(hub, "ann/strange", each(net, lambda value: 9 * value))
    with open_bot(settings) as bot:
        poll(bot)
        [size] = judged(bot)[0].estimates
    told = tell(ANN, settings)
    assert told.judgements[0].estimates == (size,)
    shown = CliRunner().invoke(app, ["--database", str(tmp_path / "hubbot.db"), "model", "show", ANN])
    words = f"{size.value:.0%}, in 4 of 5 such models between {size.low:.0%} and {size.high:.0%}"
    assert words in " ".join(shown.stdout.split())
    with closing(open_library(settings.database)) as library:
        page, strange = (model_page(library, repo, "") for repo in (ANN, "ann/strange"))
    assert "What its weights say of its training" in page
    assert f"{size.value:.0%}" in page
    assert f"In 4 of 5 such models the truth lies between {size.low:.0%} and {size.high:.0%}." in page
    assert "unlike those that sizes learned from" in strange


CARD = b"""---\nlicense: mit\nmodel-index:\n- name: net\n  results: []\n---\n# Mine\n\nOwn words.\n"""


def test_estimates_reach_a_card_only_when_an_admin_asks_and_say_what_they_are(hub, settings, net):
    def order(verb: str, repo: str = ANN) -> str:
        number = bot.store.enqueue(verb, {"repo": repo}, "ann@here")
        obey(bot)
        return bot.store.command(number).outcome

    silent = {"ann/strange": each(net, lambda value: 9 * value), "ann/other": {"c": torch.zeros(2)}}
    for repo, tensors in {ANN: net, **silent}.items():
        upload(hub.repos, repo, {"model.safetensors": packed(tensors), "README.md": CARD})
    upload(
        hub.repos, "ann/shy", {"model.safetensors": packed(net), "README.md": b"---\nhubbot: false\n---\n"}
    )
    with open_bot(replace(settings, mode="auto")) as bot:
        poll(bot)
        poll(bot)
        assert bot.store.suggestions() == [], "nobody asked"
        for repo in (*silent, "nobody/here"):
            assert order("card estimates", repo).startswith(FAILED)
        assert "hubbot: false" in order("card estimates", "ann/shy")
        assert bot.store.suggestions() == []
        assert order("card estimates").endswith("adds estimates: size")
        draft = bot.store.suggestion(ANN)
        assert draft.new_text.startswith(CARD.decode()), "every byte of the owner's is there, and no metadata"
        assert "**Estimated from the weights by hubbot, not measured.**" in draft.new_text
        [size] = judged(bot)[0].estimates
        line = f"- `size`: about {size.value:.0%}, between {size.low:.0%} and {size.high:.0%}"
        for text in (draft.new_text, draft.body):
            assert line in text
            assert "4 of 5 models like those that the autoencoder learned from" in text
        for words in ("hubbot: false", "hubbot tell", "bot@example.org", "no field that a leaderboard reads"):
            assert words in draft.body
        assert "no estimates" in order("card estimates", "ann/strange")
        assert "offered as they are" in order("card edit")
        assert order("card estimates").endswith("adds estimates: size"), "asked twice, it is one draft"
        assert bot.store.suggestion(ANN).seal == draft.seal
        assert order("card open").startswith("opened http")
        assert "one at a time" in order("card estimates")
    readme = hub.repos.read(ANN, "README.md", "refs/pr/1")
    assert readme == draft.new_text.encode()

"""The demo's small nets are judged by an autoencoder that lies on the demo's Hub, and mostly rightly."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from stage import settings_for

from hubbot.app import open_reader
from hubbot.demo.nets import AUTOENCODER, repos
from hubbot.demo.nets import NETS as FOLDERS
from hubbot.records import Abstention, Judgement
from hubbot.rounds import consult
from hubbot.sane.artifact import load
from hubbot.sane.judge import judge
from hubbot.zoo.cnn.nets import INITS, NETS


def test_the_truth_lies_where_the_demo_says(demo_hub, tmp_path):
    nets = {repo: files["model.safetensors"] for repo, files in repos().items() if repo != AUTOENCODER}
    said: dict[str, Judgement] = {}
    with open_reader(settings_for(demo_hub, tmp_path, sane=AUTOENCODER)) as reader:
        for repo in nets:
            seen = consult(reader, repo)[0]
            assert seen.judging
            [said[repo]] = seen.judging.said
    told = {repo: judgement for repo, judgement in said.items() if judgement.estimates}
    [odd] = [judgement.abstention for judgement in said.values() if judgement.abstention]
    assert odd.code == "unlike-training"
    assert len(told) == 4
    right, shown = 0, 0
    for repo, judgement in told.items():
        with safe_open(nets[repo], "pt") as weights:
            notes = weights.metadata()
        assert notes["split"] == "test", "no autoencoder learned from it"
        accuracy = float(notes["accuracy"])
        truth = {
            "accuracy": accuracy,
            "epoch": float(notes["epoch"]),
            "gap": float(notes["train_accuracy"]) - accuracy,
        }
        assert {one.name for one in judgement.estimates} == set(truth)
        shown += len(truth)
        right += sum(one.low <= truth[one.name] <= one.high for one in judgement.estimates)
        assert all(one.often == "9 of 10" for one in judgement.estimates)
    assert right >= 0.75 * shown, f"{right} of {shown}"


@pytest.mark.parametrize("init", INITS)
def test_no_untrained_net_is_taken_for_a_trained_one(init):
    """The zoo's own nets begin `uniform`; of those that begin otherwise nothing is known."""
    artifact = load(FOLDERS / AUTOENCODER)
    born = NETS["cnn"].born(20, init, torch.Generator().manual_seed(0))
    for row in born:
        said = judge(artifact, NETS["cnn"].tensors(row))
        if init == "uniform":
            assert not isinstance(said, Abstention)
            assert said[0].low < 0.2
            assert said[1].value < 3
        else:
            assert isinstance(said, Abstention), said

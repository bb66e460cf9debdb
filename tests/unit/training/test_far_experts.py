"""An expert of a far tree: trained, told, drawn, scored again, published and fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import model_j
import numpy as np
import pytest
import torch

from hubbot.errors import ExpertError, HubError, RepoNotFound, UsageError
from hubbot.experts.artifact import describe, load, trained_on
from hubbot.experts.schema import read
from hubbot.experts.train import Schedule
from hubbot.experts.trust import trust
from hubbot.hub.client import Hub
from hubbot.localhub.metadata import complaints, read_card
from hubbot.localhub.server import Server
from hubbot.training.far_experts import Desk, Order, evaluate_far, order_of, train_far
from hubbot.training.layers import layer_scores, plot_layers
from hubbot.training.publishing import card, pull, push
from hubbot.training.recipes import RECIPES, far_recipe
from hubbot.zoo.layout import Zoo, repo_folder, sha256

QUICK = Schedule(epochs=40, patience=40)


@pytest.fixture(scope="module")
def trained(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Desk, Server]]:
    """An expert of the small tree, from two layers of it. Read only, please."""
    home = tmp_path_factory.mktemp("home")
    with Server(filled) as server, Hub(server.endpoint, token="hf_me", sleep=lambda _: None) as hub:
        desk = Desk(hub, home / "shelves", 10**9)
        order = Order.of(model_j.ZOO, "vit", (model_j.OTHER, model_j.LAYER), ())
        report = train_far(desk, order, home / "expert", how=QUICK, progress=False)
        assert report.models == 48
        assert report.skipped == ()
        assert 0 < report.bytes_read < report.bytes_stored / 4
        yield home / "expert", desk, server


def test_validation_chose_the_layer_that_tells_something(trained: tuple[Path, Desk, Server]) -> None:
    folder, _, _ = trained
    info = describe(folder)
    assert (info.name, info.roots) == ("model-j-vit", (model_j.ROOT,))
    assert [want.name for want in info.wanted] == [model_j.LAYER]
    assert info.scores["accuracy"] > 0.9
    assert [label.name for label in info.labels] == list(model_j.CLASSES)
    scores = layer_scores(folder)
    assert [score.layer for score in scores] == [model_j.OTHER, model_j.LAYER]
    assert [score.chosen for score in scores] == [False, True]
    assert scores[0].loss > scores[1].loss


def test_its_provenance_says_all_that_doing_it_again_takes(
    trained: tuple[Path, Desk, Server], near: Zoo
) -> None:
    folder, _, _ = trained
    told = read(folder).provenance
    assert told["zoo"]["zoo"] == model_j.ZOO
    assert re.fullmatch("[0-9a-f]{40}", told["zoo"]["revision"])
    assert told["zoo"]["models"] == {"train": 24, "validation": 8, "calibration": 8, "test": 8}
    assert told["schedule"]["seed"] == 0
    assert told["made_by"]["hubbot"]
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", told["made_by"]["revision"])
    assert order_of(folder) == Order.of(model_j.ZOO, "vit", (model_j.OTHER, model_j.LAYER), (model_j.ROOT,))
    hashes = trained_on(folder)["train"]
    assert hashes == tuple(m.sha256 for m in near.models if m.split == "train")
    assert hashes[0] == sha256(repo_folder(near.folder, "lab/child-000") / "model.safetensors")


def test_the_score_is_reproduced(trained: tuple[Path, Desk, Server]) -> None:
    folder, desk, _ = trained
    found, info = evaluate_far(desk, folder, progress=False), describe(folder)
    assert (found.scores, found.baselines) == (info.scores, info.baselines)


def test_an_expert_of_another_making_has_no_far_zoo(tmp_path: Path) -> None:
    from hubbot.experts.router import shipped

    with pytest.raises(ExpertError, match="names no far zoo"):
        order_of(shipped()[0])


def test_layers_are_drawn(trained: tuple[Path, Desk, Server], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_layers(layer_scores(trained[0]), tmp_path / "layers.png", "layers")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match=r"layers\.docx"):
        plot_layers(layer_scores(trained[0]), tmp_path / "layers.docx", "layers")


# --- on the Hub -----------------------------------------------------------------------------------


def test_the_card_is_valid_and_says_what_matters(trained: tuple[Path, Desk, Server]) -> None:
    folder, _, _ = trained
    text, info = card(folder, "me/expert"), describe(folder)
    assert complaints(text) == ([], [])
    front = read_card(text)
    assert "hubbot-expert" in front["tags"]
    assert "base_model" not in front  # an expert is no child of its roots
    for said in (
        *model_j.CLASSES,
        model_j.LAYER,
        model_j.ROOT,
        info.version,
        f"{info.scores['accuracy']:.3f}",
    ):
        assert said in text
    assert "hubbot expert pull me/expert" in text
    assert "Labels that it told of 8 models, by how likely it called them." in text
    found = trust(folder).reliability
    assert found is not None
    assert f"off by {found.error:.3f} on average" in text


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's, of its own uploads
def test_an_expert_goes_to_the_hub_and_comes_back(
    trained: tuple[Path, Desk, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the local Hub speaks LFS
    folder, desk, server = trained
    address = push(desk.hub, folder, "me/vit-expert")
    assert address.startswith(server.endpoint)
    assert set(server.repos.files("me/vit-expert")) == {
        *(".gitattributes", "README.md", "config.json", "evaluation.json"),
        *("model.safetensors", "trained-on.json"),
    }
    assert server.repos.read("me/vit-expert", "README.md").decode() == card(folder, "me/vit-expert")
    info = pull(desk.hub, "me/vit-expert", tmp_path / "mine", tmp_path / "cache")
    assert (info.version, info.folder) == (describe(folder).version, str(tmp_path / "mine"))
    assert trust(tmp_path / "mine") == trust(folder)
    assert trust(folder).reliability is not None
    assert pull(desk.hub, "me/vit-expert", tmp_path / "mine", tmp_path / "cache") == info  # replaces itself
    probes = [load(place).probe.state_dict() for place in (folder, tmp_path / "mine")]
    assert all(torch.equal(probes[0][name], probes[1][name]) for name in probes[0])


def test_what_is_no_expert_is_not_pulled(trained: tuple[Path, Desk, Server], tmp_path: Path) -> None:
    folder, desk, server = trained
    files = {path.name: path for path in folder.iterdir()}
    config = json.loads((folder / "config.json").read_text())
    config["tensors"][0]["shape"] = [7, 7]
    server.repos.create("lab/odd-expert")
    server.repos.commit("lab/odd-expert", {**files, "config.json": json.dumps(config).encode()})
    with pytest.raises(ExpertError, match="lab/odd-expert"):
        pull(desk.hub, "lab/odd-expert", tmp_path / "odd", tmp_path / "cache")
    assert not (tmp_path / "odd").exists()
    server.repos.create("lab/boastful-expert")
    boast = json.dumps(json.loads((folder / "evaluation.json").read_text()) | {"models": "all of them"})
    server.repos.commit("lab/boastful-expert", {**files, "evaluation.json": boast.encode()})
    with pytest.raises(ExpertError, match="lab/boastful-expert"):
        pull(desk.hub, "lab/boastful-expert", tmp_path / "odd", tmp_path / "cache")
    with pytest.raises((ExpertError, RepoNotFound), match=model_j.ROOT):
        pull(desk.hub, model_j.ROOT, tmp_path / "odd", tmp_path / "cache")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds no expert"):
        pull(desk.hub, "lab/odd-expert", tmp_path / "full", tmp_path / "cache")


def test_who_may_not_publish_is_told(trained: tuple[Path, Desk, Server]) -> None:
    folder, desk, server = trained
    with pytest.raises(HubError, match="somebody"):
        push(desk.hub, folder, "somebody/expert")
    with pytest.raises(UsageError, match="is not a repo"):
        push(desk.hub, folder, "just-a-name")
    with Hub(server.endpoint) as stranger, pytest.raises(UsageError, match="takes a token"):
        push(stranger, folder, "me/expert")


# --- texts ----------------------------------------------------------------------------------------


def test_loras_of_concepts_get_a_text_head(server: Server, hub: Hub, tmp_path: Path) -> None:
    model_j.put_bundle(server, each=12)
    desk = Desk(hub, tmp_path / "shelves", 10**9)
    order = Order.of(model_j.ZOO, "SD_tiny", (model_j.LORA,), model_j.BASES, "a photo of a {}")
    report = train_far(desk, order, tmp_path / "expert", how=QUICK, progress=False)
    info, config = report.expert, read(tmp_path / "expert")
    assert (info.head, info.prompt, info.roots) == ("text", "a photo of a {}", model_j.BASES)
    assert {label.text for label in info.labels} == {"tench", "dog", "house cat", "three-toed sloth"}
    assert info.scores["accuracy"] == 1.0
    assert 0.0 <= info.scores["zero_shot"] <= 1.0
    assert load(tmp_path / "expert").vocabulary.shape[0] == 4
    assert order_of(tmp_path / "expert") == order
    assert config.wanted[0].kind == "lora"


# --- recipes --------------------------------------------------------------------------------------


def test_the_recipes_are_the_papers_subsets_with_their_layers() -> None:
    assert [r.subset for r in RECIPES.values()] == ["SupViT", "DINO", "MAE", "ResNet", "SD_200", "SD_1k"]
    supvit = far_recipe("model-j/supvit")
    assert supvit.bytes_read == pytest.approx(2.4e9, rel=0.02)
    assert supvit.bytes_stored == pytest.approx(350e9, rel=0.05)
    assert supvit.minutes("token") < supvit.minutes() < 30
    assert all(recipe.bytes_read < recipe.bytes_stored / 50 for recipe in RECIPES.values())
    with pytest.raises(UsageError, match="no recipe") as told:
        far_recipe("model-j/nothing")
    assert "model-j/supvit" in str(told.value.hint)


def test_a_recipe_runs_against_a_copy_of_its_zoo(server: Server, hub: Hub, tmp_path: Path) -> None:
    order = Order.of_recipe(far_recipe("model-j/supvit"), zoo=model_j.ZOO, layers=(model_j.LAYER,))
    assert (order.subset, order.roots) == ("SupViT", ("google/vit-base-patch16-224",))
    with pytest.raises(UsageError, match="no models of SupViT"):
        train_far(Desk(hub, tmp_path, 10**9), order, tmp_path / "e", progress=False)


def test_a_sweep_over_few_models_remembers_which(trained: tuple[Path, Desk, Server], tmp_path: Path) -> None:
    _, desk, _ = trained
    order = Order.of(model_j.ZOO, "vit", (), (), most=6)
    report = train_far(desk, order, tmp_path / "few", how=QUICK, progress=False)
    assert report.models == 4 * 6
    assert len(layer_scores(tmp_path / "few")) == 4
    asked_again = order_of(tmp_path / "few")
    assert asked_again.most == 6
    found = evaluate_far(desk, tmp_path / "few", progress=False)
    assert found.scores == report.expert.scores


def test_what_will_not_fit_is_told_before_it_is_read(
    trained: tuple[Path, Desk, Server], tmp_path: Path
) -> None:
    _, desk, server = trained
    small = Desk(desk.hub, tmp_path / "shelves", 48 * 4096 * 2 - 1)
    server.log.clear()
    with pytest.raises(UsageError, match="2 layers of 48 models take 393,216 bytes") as told:
        train_far(
            small,
            Order.of(model_j.ZOO, "vit", (model_j.OTHER, model_j.LAYER), ()),
            tmp_path / "e",
            progress=False,
        )
    assert "--models" in str(told.value.hint)
    assert len([at for at in server.log if at.path.startswith("/blobs/")]) <= 5


def test_nothing_random_is_shared_between_runs(trained: tuple[Path, Desk, Server], tmp_path: Path) -> None:
    folder, desk, _ = trained
    again = train_far(desk, order_of(folder), tmp_path / "again", how=QUICK, progress=False)
    assert again.bytes_read == 0
    assert again.expert.version == describe(folder).version
    weights = [load(place).probe.state_dict() for place in (folder, tmp_path / "again")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])

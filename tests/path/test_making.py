"""`hubbot sane train` and `sample`: from a zoo to an autoencoder, and from models on a Hub to new ones.

Most of it with ResNets hardly trained; where it matters what is estimated, with a tiny autoencoder that knows
what it says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import autoencoders
import pytest
import torch
from safetensors.torch import load_file, save
from stage import upload
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
)
from typer.testing import CliRunner, Result

from hubbot.cli import app
from hubbot.localhub.server import Server
from hubbot.sane.artifact import Artifact
from hubbot.sane.artifact import save as save_artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.schema import Config, version
from hubbot.sane.tokens import shapes_of
from hubbot.training.zoos import build_zoo
from hubbot.zoo.layout import open_zoo, repo_folder

DOCS = Path(__file__).parents[2] / "docs" / "sane.md"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A zoo of ResNets hardly trained, and an autoencoder of them hardly trained."""
    folder = tmp_path_factory.mktemp("making")
    build_zoo("resnet-digits", "tiny", folder / "zoo", progress=False)
    words = [
        "sane",
        "train",
        "--zoo",
        folder / "zoo",
        "--out",
        folder / "mind",
        "--steps",
        "2",
        "--no-norms",
        "--json",
    ]
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["name"], told["version"]) == ("mind", version(folder / "mind"))
    assert [one["name"] for one in told["properties"]] == ["accuracy", "epoch", "gap"]
    return folder / "zoo", folder / "mind"


@pytest.fixture
def prompts(trained, hub: Server) -> list[str]:
    """Three nets of the zoo, uploaded."""
    zoo = open_zoo(trained[0])
    repos = [model.repo for model in zoo.models[:3]]
    for repo in repos:
        files = {file.name: file.read_bytes() for file in repo_folder(zoo.folder, repo).iterdir()}
        upload(hub.repos, repo, files)
    return repos


def sampled(hub: Server, *words: object) -> Result:
    told = ["sane", "sample", *map(str, words)]
    return CliRunner(env={"HF_ENDPOINT": hub.endpoint}).invoke(app, told)


def test_what_is_made_loads_with_its_prompts_library(trained, prompts, hub, tmp_path):
    likes = [word for repo in prompts for word in ("--like", repo)]
    result = sampled(hub, "--with", trained[1], *likes, "--out", tmp_path / "made", "--count", 2, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    first, second = (Path(one["folder"]) for one in told)
    assert [one["estimate"] for one in told] == [None, None], "none was chosen by one"
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    prompt = load_file(repo_folder(trained[0], prompts[0]) / "model.safetensors")
    floats = {name: value.shape for name, value in prompt.items() if value.is_floating_point()}
    assert {name: value.shape for name, value in a.items()} == floats
    assert not torch.equal(a["classifier.1.weight"], b["classifier.1.weight"])
    model = AutoModelForImageClassification.from_pretrained(first)
    assert model(torch.zeros(1, 1, 16, 16)).logits.shape == (1, 10)
    card = (first / "README.md").read_text()
    assert all(f"- {repo}" in card for repo in prompts)
    assert "Nothing of it was measured" in card
    again = sampled(hub, "--with", trained[1], *likes, "--out", tmp_path / "again", "--count", 2, "--json")
    repeated = load_file(Path(json.loads(again.stdout)[1]["folder"]) / "model.safetensors")
    assert all(torch.equal(repeated[name], b[name]) for name in b), "the seed decides"


def test_bad_orders_are_said_in_a_line(trained, prompts, hub, tmp_path):
    like = ("--with", trained[1], "--like", prompts[0])
    (tmp_path / "made" / "0000").mkdir(parents=True)
    for words, told in (
        ((*like, "--out", tmp_path / "made"), "it is there already"),
        ((*like, "--out", tmp_path / "new", "--way", "magic"), "no way 'magic'"),
        (("--with", trained[1], "--like", "no repo", "--out", tmp_path / "new"), "'no repo' is not a repo"),
        (
            ("--with", tmp_path, "--like", prompts[0], "--out", tmp_path / "new"),
            "there is no autoencoder here",
        ),
    ):
        result = sampled(hub, *words)
        assert result.exit_code != 0
        assert told in str(result.exception)
    assert not (tmp_path / "new").exists()


def test_the_examples_of_the_docs_run(trained, prompts, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [(made, _)] = told(hub, "--with", trained[1], "--like", prompts[0], "--out", "made")
    before = load_file(made / "model.safetensors")
    grow, condition = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    scope = {"autoencoder": trained[1], "batches": torch.rand(3, 4, 1, 16, 16)}
    exec(grow, scope)  # noqa: S102
    name = "resnet.embedder.embedder.convolution.weight"
    assert scope["twice_as_wide"][name].shape[1] == 2 * len(before[name])
    assert scope["one_layer_more"]["conv3.weight"].shape == (1, 6, 6, 3, 3)
    exec(condition, scope)  # noqa: S102
    after = load_file(made / "model.safetensors")
    assert {name for name, value in before.items() if not torch.equal(value, after[name])} == {
        name for name in before if name.endswith(("running_mean", "running_var"))
    }


# --- chosen by what is estimated --------------------------------------------------------------


@pytest.fixture(scope="module")
def sizes(tmp_path_factory) -> tuple[Path, list[dict[str, torch.Tensor]]]:
    """An autoencoder that tells the size of models well, and eight models of some size each."""
    artifact, data = autoencoders.trained()
    folder = tmp_path_factory.mktemp("choosing") / "sizes"
    save_artifact(folder, artifact)
    return folder, [{name: value[i] for name, value in data.values().items()} for i in range(8)]


@pytest.fixture
def nets(sizes, hub) -> list[str]:
    """The models, uploaded; the words that make them prompts."""
    repos = [f"ann/net-{i}" for i in range(8)]
    for repo, values in zip(repos, sizes[1], strict=True):
        upload(hub.repos, repo, {"model.safetensors": save(values)})
    return ["--with", str(sizes[0]), *(word for repo in repos for word in ("--like", repo))]


def told(hub: Server, *words: object) -> list[tuple[Path, dict[str, float]]]:
    result = sampled(hub, *words, "--json")
    assert result.exit_code == 0, result.output
    return [(Path(one["folder"]), one["estimate"]) for one in json.loads(result.stdout)]


@pytest.mark.parametrize("way", ["sub", "boot", "gauss"])
def test_those_with_the_best_estimates_are_kept(nets, hub, tmp_path, way):
    order = (*nets, "--way", way, "--draws", 12, "--count", 2, "--bandwidth", 0.5)
    most = told(hub, *order, "--out", tmp_path / "most")
    least = told(hub, *order, "--out", tmp_path / "least", "--by", "size", "--least")
    (large, larger), (small, smaller) = ([one["value"] for _, one in made] for made in (most, least))
    assert large >= larger > smaller >= small
    card = (most[0][0] / "README.md").read_text()
    for words in ("12 draws", "estimated the most size", "an estimate and not a measurement"):
        assert words in card
    assert f"Of this one it is {large:.3f}" in card
    assert "Nothing of it was measured" in card
    # It is what anybody is told of the model who asks.
    upload(hub.repos, "ann/made", {"model.safetensors": (most[0][0] / "model.safetensors").read_bytes()})
    asked = CliRunner(env={"HF_ENDPOINT": hub.endpoint}).invoke(
        app, ["sane", "properties", "ann/made", "--with", nets[1], "--json"]
    )
    [again] = json.loads(asked.stdout)["properties"]
    assert again["value"] == pytest.approx(large, abs=1e-5)


def test_of_nothing_but_odd_models_no_estimate_is_told(sizes, nets, hub, tmp_path):
    folder = tmp_path / "strict"
    folder.mkdir()
    config = json.loads((sizes[0] / "config.json").read_text()) | {"oddest": 1e-9}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").symlink_to(sizes[0] / "model.safetensors")
    words = ("--with", folder, *nets[2:], "--way", "sub", "--draws", 3)
    [(made, silence)] = told(hub, *words, "--out", tmp_path / "made")
    assert silence["code"] == "unlike-training"
    assert "Of itself it is told no estimate" in (made / "README.md").read_text()
    said = sampled(hub, *words, "--out", tmp_path / "again")
    assert "0000  no estimate: its weights are unlike" in said.output.replace("\n", " ")


def test_a_choice_that_cannot_be_made_is_refused(sizes, nets, hub, tmp_path):
    for words, refused in (
        (("--way", "sub", "--by", "width"), "sizes tells no 'width' to choose by"),
        (("--way", "kde", "--by", "size"), "kde keeps all that it draws"),
        (("--way", "boot", "--count", 10**6, "--draws", 10**3), "draws of such a model are"),
    ):
        result = sampled(hub, *nets, "--out", tmp_path / "new", *words)
        assert result.exit_code != 0
        assert refused in str(result.exception)
    assert not (tmp_path / "new").exists()


# --- another number of classes ----------------------------------------------------------------

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
VIT = ViTConfig(**SMALL, image_size=16, patch_size=8, num_labels=3)
BERT = BertConfig(**SMALL, vocab_size=50, max_position_embeddings=20)


def known(net: Path, folder: Path) -> Path:
    """An untrained autoencoder of a model's architecture, as it is stored; it tells no properties."""
    values = load_file(net / "model.safetensors")
    shapes = shapes_of(values)
    config = Config("plain", shapes, 32, norms=True, size=autoencoders.TINY, trained_on="nothing")
    mind = Autoencoder(config.layout, config.size)
    mind.scale.fit(config.layout.tokens({name: value[None] for name, value in values.items()}))
    save_artifact(folder, Artifact(config, "", mind, {}, None))
    return folder


def put(hub: Server, repo: str, model: PreTrainedModel, folder: Path) -> None:
    model.save_pretrained(folder)
    upload(hub.repos, repo, {file.name: file.read_bytes() for file in folder.iterdir()})


@pytest.mark.parametrize(
    ("model", "auto", "given"),
    [
        (ViTForImageClassification(VIT), AutoModelForImageClassification, torch.zeros(1, 3, 16, 16)),
        (BertForSequenceClassification(BERT), AutoModelForSequenceClassification, torch.ones(1, 4).long()),
    ],
    ids=["vit", "bert"],
)
def test_a_model_of_other_classes_loads_with_its_library(hub, tmp_path, model, auto, given):
    put(hub, "ann/net", model, tmp_path / "net")
    mind = known(tmp_path / "net", tmp_path / "mind")
    words = ("--with", mind, "--like", "ann/net", "--bandwidth", 0)
    [(same, _)] = told(hub, *words, "--out", tmp_path / "same")
    [(made, _)] = told(hub, *words, "--out", tmp_path / "made", "--classes", 5)
    loaded, info = auto.from_pretrained(made, output_loading_info=True)
    assert not any(info.values()), "nothing is missing, left over or of another shape"
    assert loaded(given).logits.shape == (1, 5)
    assert loaded.config.id2label == {i: f"LABEL_{i}" for i in range(5)}
    assert "Its head of 5 classes is new" in (made / "README.md").read_text()
    before, after = (load_file(folder / "model.safetensors") for folder in (same, made))
    assert {name for name in after if before[name].shape != after[name].shape} == {
        "classifier.weight", "classifier.bias",
    }  # fmt: skip
    assert all(torch.equal(before[name], after[name]) for name in after if "classifier" not in name)
    assert loaded.classifier.weight.unique(dim=0).shape == (5, 16), "no two classes begin alike"


def test_a_prompt_of_the_zoo_gets_other_classes_too(trained, prompts, hub, tmp_path):
    words = ("--with", trained[1], "--like", prompts[0], "--out", tmp_path / "made", "--way", "sub")
    [(made, estimate)] = told(hub, *words, "--draws", 2, "--classes", 4)
    assert (
        AutoModelForImageClassification.from_pretrained(made)(torch.zeros(1, 1, 16, 16)).logits.shape[1] == 4
    )
    assert json.loads((made / "config.json").read_text())["num_labels"] == 4
    assert estimate


def test_a_head_that_is_not_clear_is_left_alone(sizes, nets, hub, tmp_path):
    model = ViTForImageClassification(VIT)
    put(hub, "ann/net", model, tmp_path / "net")
    mind = known(tmp_path / "net", tmp_path / "mind")
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    for repo, change, refused in (
        ("ann/four", {"id2label": dict.fromkeys("0123", "x")}, "which layer its 4 classes come from is not"),
        ("ann/masked", {"architectures": ["ViTForMaskedImageModeling"]}, "it is a ViTForMaskedImageModeling"),
        ("ann/broken", None, "ann/broken: config.json: "),
    ):
        files = {file.name: file.read_bytes() for file in (tmp_path / "net").iterdir()}
        files["config.json"] = json.dumps(config | change).encode() if change else b"[]"
        upload(hub.repos, repo, files)
        result = sampled(hub, "--with", mind, "--like", repo, "--out", tmp_path / "new", "--classes", 5)
        assert refused in str(result.exception)
    result = sampled(hub, *nets, "--out", tmp_path / "new", "--classes", 5)
    assert "ann/net-0: without a config.json nobody knows its classes" in str(result.exception)
    result = sampled(hub, "--with", mind, "--like", "ann/net", "--out", tmp_path / "new", "--way", "sub")
    assert "plain tells no properties, so that there is nothing to choose by" in str(result.exception)
    assert not (tmp_path / "new").exists()

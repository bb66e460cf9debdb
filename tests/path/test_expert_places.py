"""Experts come from folders and from repos, and one that cannot be used is named."""

from __future__ import annotations

import shutil

import pytest
from stage import settings_for, upload

from hubbot.app import experts, open_reader
from hubbot.errors import ExpertError, RepoNotFound
from hubbot.experts.router import shipped
from hubbot.rounds import consult

ONE = shipped()[1]


def repo_of(folder):
    return {path.name: path for path in folder.iterdir()}


def test_an_expert_on_the_hub_reads_as_the_one_that_was_pushed(hub, tmp_path, children, demo_readings):
    upload(hub.repos, "lab/expert", repo_of(ONE) | {"huge.bin": b"0" * 1000})
    settings = settings_for(hub, tmp_path, experts="lab/expert")
    *_, fetched = experts(settings)
    assert str(tmp_path) in fetched.folder
    original = next(info for info in experts(settings_for(hub, tmp_path)) if info.name == fetched.name)
    assert (fetched.version, fetched.tree) == (original.version, original.tree)
    assert not list(tmp_path.rglob("huge.bin")), "more was fetched than an expert is made of"
    child = next(c for c in children if c.root == fetched.tree)
    upload(hub.repos, child.repo, repo_of(child.folder))
    with open_reader(settings) as reader:
        assert consult(reader, child.repo)[1].predictions == demo_readings[child.repo].predictions


def test_a_folder_of_ones_own_takes_the_tree_over(hub, tmp_path):
    mine = shutil.copytree(ONE, tmp_path / "mine")
    with open_reader(settings_for(hub, tmp_path, experts=str(mine))) as reader:
        tree = experts(settings_for(hub, tmp_path))[1].tree
        assert reader.router.for_tree(tree).folder == str(mine)


@pytest.mark.parametrize(
    ("place", "error"), [("lab/nothing", RepoNotFound), ("lab/other", RepoNotFound), ("nowhere", ExpertError)]
)
def test_what_is_no_expert_is_named(hub, tmp_path, place, error):
    upload(hub.repos, "lab/other", {"README.md": b"no expert here"})
    with pytest.raises(error, match=place):
        experts(settings_for(hub, tmp_path, experts=place))

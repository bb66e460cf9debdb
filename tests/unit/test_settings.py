"""Settings are read once, from three places in a fixed order, and wrong ones are named."""

import pytest

from hubbot.errors import SettingsError
from hubbot.settings import Settings, load


def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(tmp_path):
    file = tmp_path / "hubbot.toml"
    file.write_text('mode = "review"\nbatch_size = 7\npulls_per_day = 9\n')
    settings = load({"HUBBOT_MODE": "off", "HUBBOT_BATCH_SIZE": "8"}, file, batch_size=5)
    assert (settings.batch_size, settings.mode, settings.pulls_per_day) == (5, "off", 9)
    assert settings.pulls_per_owner == Settings().pulls_per_owner


def test_the_hub_clients_own_variables_count_where_ours_are_not_set():
    theirs = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": "hf_theirs"}
    assert load(theirs).endpoint == "http://127.0.0.1:1"
    assert load(theirs | {"HUBBOT_TOKEN": "hf_ours"}).token == "hf_ours"
    assert load(theirs | {"HUBBOT_TOKEN": ""}).token == "hf_theirs", "an empty variable is not set"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"HUBBOT_MOOD": "auto"}, "mood"),
        ({"HUBBOT_MODE": "loud"}, "HUBBOT_MODE"),
        ({"HUBBOT_BATCH_SIZE": "many"}, "HUBBOT_BATCH_SIZE"),
        ({"HUBBOT_BATCH_SIZE": "0"}, "HUBBOT_BATCH_SIZE"),
        ({"HUBBOT_POLL_INTERVAL_S": "nan"}, "HUBBOT_POLL_INTERVAL_S"),
        ({"HUBBOT_ENDPOINT": "ftp://hub"}, "HUBBOT_ENDPOINT"),
        ({"HUBBOT_LOG_FORMAT": "xml"}, "HUBBOT_LOG_FORMAT"),
        ({"HUBBOT_MODE": "auto"}, "owners could not reach you"),
    ],
)
def test_what_cannot_be_used_is_named(environ, named):
    with pytest.raises(SettingsError, match=named):
        load(environ)


def test_a_file_that_is_asked_for_must_be_readable(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load({}, tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("mode = ")
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load({"HUBBOT_CONFIG": str(broken)})
    broken.write_text("batch_size = true")
    with pytest.raises(SettingsError, match="HUBBOT_BATCH_SIZE"):
        load({}, broken)


def test_a_token_is_never_printed():
    assert "hf_secret" not in repr(load({"HUBBOT_TOKEN": "hf_secret"}))


def test_lists_are_split():
    settings = load({"HUBBOT_BLOCKLIST": " spam-lab, a/b ,,"})
    assert settings.blocked == {"spam-lab", "a/b"}


def test_a_database_is_a_file_or_an_address():
    assert load({"HUBBOT_DATABASE_URL": "demo/hubbot.db"}).database == "sqlite:///demo/hubbot.db"
    assert load({"HUBBOT_DATABASE_URL": "sqlite:////x.db"}).database == "sqlite:////x.db"
    assert load({"HUBBOT_HOME": "/somewhere"}).database == "sqlite:////somewhere/hubbot.db"


def test_quiet_hours_are_two_hours():
    assert load({}).quiet is None
    assert load({"HUBBOT_QUIET_HOURS": "22-7"}).quiet == (22, 7)
    assert load({"HUBBOT_QUIET_HOURS": " 0 - 06 "}).quiet == (0, 6)
    for wrong in ("22", "7-7", "22-24", "22:00-7:00", "-1-5", "a-b", "1-2-3"):
        with pytest.raises(SettingsError, match="HUBBOT_QUIET_HOURS"):
            load({"HUBBOT_QUIET_HOURS": wrong})


def test_a_prefix_is_none_of_the_hubs():
    assert load({"HUBBOT_TAG_PREFIX": "hubbot:"}).tag_prefix == "hubbot:"
    for wrong in ("hubbot", "dataset:", "license:", "base_model:", "Hub:", "a b:", "a:b:", ":"):
        with pytest.raises(SettingsError, match="HUBBOT_TAG_PREFIX"):
            load({"HUBBOT_TAG_PREFIX": wrong})


def test_yes_and_no_are_written_true_and_false(tmp_path):
    assert [load({"HUBBOT_CARD_SECTION": said}).card_section for said in ("true", "False")] == [True, False]
    file = tmp_path / "hubbot.toml"
    file.write_text("card_section = true")
    assert load({}, file).card_section
    for wrong in ("yes", "1", "maybe"):
        with pytest.raises(SettingsError, match="HUBBOT_CARD_SECTION"):
            load({"HUBBOT_CARD_SECTION": wrong})
    file.write_text("card_section = 1")
    with pytest.raises(SettingsError, match="HUBBOT_CARD_SECTION"):
        load({}, file)

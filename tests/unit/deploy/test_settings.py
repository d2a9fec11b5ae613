"""What a person can choose with variables."""

from pathlib import Path

import pytest

from deploy.local.errors import SettingError
from deploy.local.settings import PROJECT, Settings


def test_without_variables() -> None:
    settings = Settings.from_environ({})
    assert settings.state_dir == PROJECT / ".local"
    assert (settings.broker, settings.cache_replicas, settings.host) == ("", 1, "127.0.0.1")


def test_an_empty_variable_is_an_absent_one() -> None:
    names = ("BROKER", "CACHE_REPLICAS", "SIGNALBOX_STATE_DIR", "SIGNALBOX_HOST", "SIGNALBOX_POSTGRES_BIN")
    given, none = Settings.from_environ(dict.fromkeys(names, "")), Settings.from_environ({})
    assert (given.state_dir, given.broker, given.cache_replicas) == (none.state_dir, "", 1)
    assert (given.host, given.postgres_bin) == ("127.0.0.1", None)


def test_a_relative_state_folder_is_meant_from_here() -> None:
    assert Settings.from_environ({"SIGNALBOX_STATE_DIR": "x"}).state_dir == Path.cwd() / "x"


@pytest.mark.parametrize(
    "environ",
    [
        {"BROKER": "rabbit"},
        {"CACHE_REPLICAS": "0"},
        {"CACHE_REPLICAS": "many"},
        {"CACHE_REPLICAS": "2", "SIGNALBOX_CACHE_PORT": "65500"},
    ],
)
def test_nonsense_is_refused_with_the_variable(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_environ(environ)
    assert list(environ)[-1] in str(caught.value)

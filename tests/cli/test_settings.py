import pytest

from maxcloud_cli.output import Format
from maxcloud_cli.settings import DEFAULT_API_URL, Settings, settle

NOTHING = {"api_url": None, "api_key": None, "output": None, "quiet": False}


def test_without_anything_the_defaults_hold() -> None:
    assert settle(NOTHING, NOTHING, {}) == Settings(
        DEFAULT_API_URL, None, Format.TABLE, quiet=False
    )


def test_variables_stand_in_for_options() -> None:
    environ = {"MAXCLOUD_API_URL": "http://env", "MAXCLOUD_API_KEY": "key"}
    settled = settle(NOTHING, NOTHING, environ)
    assert (settled.api_url, settled.api_key) == ("http://env", "key")


@pytest.mark.parametrize("before", [{}, {"api_url": "http://before", "output": Format.YAML}])
def test_the_option_nearest_to_the_command_wins(before: dict[str, object]) -> None:
    after = {"api_url": "http://after", "output": Format.JSON, "quiet": True}
    settled = settle(NOTHING | before, NOTHING | after, {"MAXCLOUD_API_URL": "http://env"})
    assert settled == Settings("http://after", None, Format.JSON, quiet=True)


def test_an_option_before_the_command_wins_over_the_variable() -> None:
    settled = settle(NOTHING | {"api_key": "given"}, NOTHING, {"MAXCLOUD_API_KEY": "env"})
    assert settled.api_key == "given"

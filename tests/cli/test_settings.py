from pathlib import Path

import pytest

from maxcloud_cli import credentials
from maxcloud_cli.credentials import CredentialsUnreadable, NoSuchProfile, Profile
from maxcloud_cli.output import Format
from maxcloud_cli.settings import DEFAULT_API_URL, Settings, settle

NOTHING = {"api_url": None, "api_key": None, "profile": None, "output": None, "quiet": False}
NOWHERE = {"XDG_CONFIG_HOME": "/nowhere"}


def profile(
    api_url: str = "https://api.a.test", organisation: str = "Acme", **more: str
) -> Profile:
    fields = {"org_id": organisation, "email": "ada@a.test", "api_key": f"mc_{organisation}"}
    return Profile(name="", api_url=api_url, organisation=organisation, **(fields | more))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def file(environ: dict[str, str]) -> Path:
    return credentials.path(environ)


def test_without_anything_the_defaults_hold() -> None:
    assert settle(NOTHING, NOTHING, NOWHERE) == Settings(
        DEFAULT_API_URL, None, Format.TABLE, quiet=False
    )


def test_variables_stand_in_for_options() -> None:
    environ = NOWHERE | {"MAXCLOUD_API_URL": "http://env", "MAXCLOUD_API_KEY": "key"}
    settled = settle(NOTHING, NOTHING, environ)
    assert (settled.api_url, settled.api_key) == ("http://env", "key")


@pytest.mark.parametrize("before", [{}, {"api_url": "http://before", "output": Format.YAML}])
def test_the_option_nearest_to_the_command_wins(before: dict[str, object]) -> None:
    after = {"api_url": "http://after", "output": Format.JSON, "quiet": True}
    environ = NOWHERE | {"MAXCLOUD_API_URL": "http://env"}
    settled = settle(NOTHING | before, NOTHING | after, environ)
    assert settled == Settings("http://after", None, Format.JSON, quiet=True)


def test_an_option_before_the_command_wins_over_the_variable() -> None:
    environ = NOWHERE | {"MAXCLOUD_API_KEY": "env"}
    assert settle(NOTHING | {"api_key": "given"}, NOTHING, environ).api_key == "given"


def test_the_newest_profile_is_used(environ: dict[str, str], file: Path) -> None:
    for name in ("Acme", "Beta"):
        credentials.add(file, profile(organisation=name))
    settled = settle(NOTHING, NOTHING, environ)
    assert (settled.api_url, settled.api_key) == ("https://api.a.test", "mc_Beta")
    assert settle(NOTHING, NOTHING, environ | {"MAXCLOUD_PROFILE": "acme@api.a.test"}).api_key == (
        "mc_Acme"
    )
    credentials.use(file, "acme@api.a.test")
    assert settle(NOTHING, NOTHING, environ).api_key == "mc_Acme"


def test_a_kept_key_goes_to_its_own_origin_alone(environ: dict[str, str], file: Path) -> None:
    credentials.add(file, profile())
    for other in (
        "http://api.a.test",
        "https://api.a.test:8443",
        "https://api.a.test.evil.test",
        "https://api.b.test",
        "https://user@api.b.test",
        "https://[",
    ):
        for settled in (
            settle(NOTHING | {"api_url": other}, NOTHING, environ),
            settle(NOTHING, NOTHING, environ | {"MAXCLOUD_API_URL": other}),
        ):
            assert (settled.api_url, settled.api_key) == (other, None)
        with pytest.raises(NoSuchProfile, match=r"is for https://api\.a\.test, not for"):
            settle(NOTHING | {"api_url": other, "profile": "acme@api.a.test"}, NOTHING, environ)
    same = settle(NOTHING | {"api_url": "https://API.a.test:443/"}, NOTHING, environ)
    assert same.api_key == "mc_Acme"


def test_of_each_origin_the_newest_is_used(environ: dict[str, str], file: Path) -> None:
    credentials.add(file, profile("http://localhost:8080", "Mine"))
    credentials.add(file, profile())
    here = settle(NOTHING | {"api_url": "http://localhost:8080"}, NOTHING, environ)
    assert here.api_key == "mc_Mine"


def test_a_name_that_is_not_there_is_a_mistake(environ: dict[str, str]) -> None:
    with pytest.raises(NoSuchProfile, match="there is no profile x"):
        settle(NOTHING | {"profile": "x"}, NOTHING, environ)


def test_the_file_is_the_users_alone_and_written_as_a_whole(file: Path) -> None:
    for number in range(3):
        credentials.add(file, profile(organisation=f"o{number}"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert {each.name for each in file.parent.iterdir()} == {"credentials", "credentials.lock"}


def test_no_profile_takes_the_place_of_another(file: Path) -> None:
    first = credentials.add(file, profile(organisation="Ac me!"))
    second = credentials.add(file, profile(organisation="Ac me!", api_key="mc_second"))
    again = credentials.add(file, profile(organisation="Ac me!"))
    assert (first.name, second.name) == ("ac-me@api.a.test", "ac-me@api.a.test-2")
    assert again == first
    assert [each.name for each in credentials.load(file)] == [first.name, second.name]
    credentials.remove(file, first)
    assert credentials.load(file) == [second]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"profiles": [{"name": "x"}]}', "\xff"])
def test_a_file_that_is_none_of_ours_is_left_alone(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="latin-1")
    with pytest.raises(CredentialsUnreadable, match=str(file)):
        credentials.add(file, profile())
    assert file.read_text(encoding="latin-1") == content

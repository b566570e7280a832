from pathlib import Path
from typing import Any

import pytest
import typer

from maxcloud_cli.request import (
    deploy_request,
    env_changes,
    option_of,
    parse_env,
    update_request,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("httpd", ["httpd"]),
        ("httpd,-f,-p 80", ["httpd", "-f", "-p 80"]),
        ('sh,-c,"echo a, b"', ["sh", "-c", "echo a, b"]),
        ('say,""', ["say", ""]),
        ('""', [""]),
        ('"a ""quoted"" word"', ['a "quoted" word']),
        ('"two\nlines"', ["two\nlines"]),
    ],
)
def test_words_are_a_csv_row(text: str, expected: list[str]) -> None:
    assert words("--command", [text]) == expected


def test_rows_are_one_list() -> None:
    assert words("--args", ["a,b", "", "--c"]) == ["a", "b", "--c"]


@pytest.mark.parametrize("text", ['"open', 'a,"b"c', "a\nb"])
def test_words_that_are_no_row_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="comma-separated"):
        words("--args", ["fine", text])


ENV_FILE = r"""
# a comment
PLAIN=value
 SPACED = around the sign
export EXPORTED=yes
EMPTY=
HASH=a#b # a comment
ONLY_COMMENT= # nothing
SINGLE='as $it "stands" \n # here' # a comment
DOUBLE="line\nand \"quotes\" # here"
EQUALS=a=b
"""


def test_an_env_file() -> None:
    assert parse_env(ENV_FILE) == {
        "PLAIN": "value",
        "SPACED": "around the sign",
        "EXPORTED": "yes",
        "EMPTY": "",
        "HASH": "a#b",
        "ONLY_COMMENT": "",
        "SINGLE": r'as $it "stands" \n # here',
        "DOUBLE": 'line\nand "quotes" # here',
        "EQUALS": "a=b",
    }


@pytest.mark.parametrize(
    ("text", "line"), [("A=1\nB", 2), ("=x", 1), ("A='open", 1), ('A="b" c', 1)]
)
def test_an_env_file_names_the_line_that_is_wrong(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^line {line}: "):
        parse_env(text)


def test_variables_of_options_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfA=file\r\nB=file\r\nC=file\r\n")
    changes = env_changes(file, ["B=option", "D=x=y"], ["C", "GONE"])
    assert changes == {"A": "file", "B": "option", "C": None, "D": "x=y", "GONE": None}


def test_wrong_variables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "wrong").write_text("nonsense")
    for file, said in [
        ("missing", "No such file"),
        ("binary", "not UTF-8"),
        ("wrong", "line 1: must be KEY=VALUE"),
    ]:
        with pytest.raises(typer.BadParameter, match=said):
            env_changes(tmp_path / file, [], [])
    with pytest.raises(typer.BadParameter, match="must be KEY=VALUE"):
        env_changes(None, ["NOVALUE"], [])
    with pytest.raises(typer.BadParameter, match="A is given to --env and to --remove-env"):
        env_changes(None, ["A=1"], ["A"])


def test_an_update_holds_what_was_given_and_nothing_else() -> None:
    given = {"image": "nginx:1.30", "command": [], "env_vars": {"A": "1", "B": None}}
    assert update_request(given).model_dump(exclude_unset=True) == given
    assert update_request({}).model_dump(exclude_unset=True) == {}


def test_a_new_service_has_no_variable_to_remove() -> None:
    request = deploy_request("shop", {"image": "nginx", "env_vars": {"A": "1", "B": None}})
    assert request.env_vars == {"A": "1"}
    assert (request.name, request.image, request.port) == ("shop", "nginx", 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"port": 8012}, "--port: 8012 is used by the platform"),
        ({"image": "No Image"}, "IMAGE: must be an image reference"),
        ({"max_scale": 0}, "--max: input should be greater than or equal to 1"),
        ({"timeout_seconds": 601}, "--timeout: input should be less"),
        ({"memory": "lots"}, "--memory: must be an amount such as 512Mi"),
        ({"env_vars": {"1A": "x"}}, "--env: 1A must be letters, digits"),
        ({"env_vars": {"PORT": "1"}}, "--env: PORT is set by the platform"),
    ],
)
def test_a_broken_rule_names_the_option(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        update_request(changes)
    assert said in caught.value.format_message()


def test_a_rule_between_fields_names_them() -> None:
    with pytest.raises(typer.BadParameter, match="min_scale must not be greater"):
        deploy_request("shop", {"image": "nginx", "min_scale": 11})


def test_options_have_the_names_that_deploy_gives_them() -> None:
    fields = ["image", "env_vars.A", "min_scale", "max_scale", "timeout_seconds", "cpu"]
    assert [*map(option_of, fields)] == ["IMAGE", "--env", "--min", "--max", "--timeout", "--cpu"]

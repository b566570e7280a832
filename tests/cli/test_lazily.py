import sys
from types import SimpleNamespace

import pytest
import typer

from maxcloud_cli.lazily import Lazily
from maxcloud_cli.main import COMMANDS, command_line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_a_command_opens_with_the_sentence_that_the_help_shows(command: Lazily) -> None:
    assert command.load().help.splitlines()[0] == command.help


def test_every_sentence_fits_its_line() -> None:
    context = command_line().make_context("maxcloud", [], max_content_width=80)
    assert "..." not in context.get_help().partition("Commands:")[2]


def test_a_group_is_loaded_with_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    app, called = typer.Typer(help="Things."), []
    app.command("add")(lambda: called.append("add"))
    app.command("list")(lambda: called.append("list"))
    things = SimpleNamespace(app=app)
    monkeypatch.setitem(sys.modules, "maxcloud_cli.commands.things", things)
    root = command_line()
    root.add_command(Lazily("things", "things.app", "Things."))
    root(["things", "add"], prog_name="maxcloud", standalone_mode=False)
    assert called == ["add"]

"""Commands that are imported when they are called.

A command costs some milliseconds, to be imported and to have its options read from its signature;
nobody waits for another than the one that was asked for.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand


class Lazily(TyperCommand):
    """Stands in its group for a command of `commands/`, or for a group of them.

    `where` says `module.name` of its function or, for a group, of its Typer. `sentence` is the
    first of its own help, and all that the help of the group above shows.
    """

    def __init__(self, name: str, where: str, sentence: str) -> None:
        super().__init__(name, help=sentence)
        self._where = where

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Let the command itself take the arguments, and with them this one's place."""
        return self.load().make_context(*args, **settings)

    def load(self) -> Any:
        """Return the command itself."""
        module, _, name = self._where.partition(".")
        found = getattr(importlib.import_module(f"maxcloud_cli.commands.{module}"), name)
        app = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self.name)
        else:
            add(app, str(self.name), found)
        return typer.main.get_group(app).commands[str(self.name)]


def add(app: typer.Typer, name: str, function: Callable[..., Any]) -> None:
    """Add a command; `Examples:` at the end of its docstring stand below its options."""
    text, _, examples = (inspect.getdoc(function) or "").partition("\n\nExamples:\n")
    # \b keeps a paragraph's lines as they are.
    epilog = f"\b\nExamples:\n{examples}" if examples else None
    app.command(name, help=text, epilog=epilog)(function)

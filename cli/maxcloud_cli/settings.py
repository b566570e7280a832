"""The global options, before the command or after it, and the client that they make."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maxcloud_cli import credentials
from maxcloud_cli.credentials import Profile
from maxcloud_cli.output import Format, result

if TYPE_CHECKING:
    from maxcloud.client import Client
    from maxcloud.connection import Connection

DEFAULT_API_URL = "http://localhost:8080"

ApiUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help=f"Where the API is.  [MAXCLOUD_API_URL, the profile's, or {DEFAULT_API_URL}]",
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Your API key.  [MAXCLOUD_API_KEY, else the profile's]"),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Which of the kept keys to use.  [MAXCLOUD_PROFILE, else the newest]"
    ),
]
Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="How results are printed.  [table]"),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print the URL or id alone, and no progress."),
]


@dataclass(frozen=True)
class Settings:
    """What every command needs to know, settled."""

    api_url: str
    api_key: str | None
    output: Format
    quiet: bool
    profile: Profile | None = None
    given_key: str | None = None  # said here and now, not taken from the profile

    def with_key(self, key: str) -> "Settings":
        """Return the same with another key."""
        return replace(self, api_key=key)

    def client(self) -> "Client":
        """Return a client of the API, to be closed by the caller."""
        from maxcloud.client import Client  # httpx takes longer to import than --help to print

        return Client(self.api_url, self.api_key)

    def connection(self) -> "Connection":
        """Return what asks the API about itself alone: no model of services is made for it."""
        from maxcloud.connection import Connection

        return Connection(self.api_url, self.api_key)


def before_the_command(
    ctx: typer.Context,
    *,
    api_url: ApiUrl = None,
    api_key: ApiKey = None,
    profile: ProfileName = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Keep the global options that stand before the command; without a command, print the help."""
    ctx.obj = {"api_url": api_url, "api_key": api_key, "profile": profile}
    ctx.obj |= {"output": output, "quiet": quiet}
    if ctx.invoked_subcommand is None:
        result(ctx.get_help())


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the global options too; it gets the Settings as its first argument.

    A group that does something by itself hands them on when a command of it follows.
    """
    globally = inspect.signature(before_the_command).parameters
    settings, *own = inspect.signature(command).parameters.values()

    @functools.wraps(command)
    def run(ctx: typer.Context, **options: Any) -> None:
        after = {name: options.pop(name) for name in globally if name != "ctx"}
        if ctx.invoked_subcommand is not None:
            ctx.obj = {name: after[name] or ctx.obj[name] for name in after}
            return
        command(settle(ctx.obj, after, os.environ), **options)

    by_name = [parameter.replace(kind=settings.KEYWORD_ONLY) for parameter in own]
    by_name += [p.replace(kind=p.KEYWORD_ONLY) for p in globally.values() if p.name != "ctx"]
    run.__signature__ = inspect.Signature([globally["ctx"], *by_name])  # type: ignore[attr-defined]
    return run


def settle(
    before: Mapping[str, Any], after: Mapping[str, Any], environ: Mapping[str, str]
) -> Settings:
    """Return the settings: the option after the command, before it, the variable, the file.

    A key from the file goes to no other origin than its profile's.
    """
    given = {name: after[name] or before[name] for name in before}
    api_url = given["api_url"] or environ.get("MAXCLOUD_API_URL")
    api_key = given["api_key"] or environ.get("MAXCLOUD_API_KEY")
    name = given["profile"] or environ.get("MAXCLOUD_PROFILE")
    kept = None
    if name or not (api_url and api_key):
        kept = credentials.choose(credentials.load(credentials.path(environ)), name, api_url)
    return Settings(
        api_url=api_url or (kept.api_url if kept else DEFAULT_API_URL),
        api_key=api_key or (kept.api_key if kept else None),
        output=given["output"] or Format.TABLE,
        quiet=given["quiet"],
        profile=kept,
        given_key=api_key or None,
    )

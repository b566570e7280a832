"""The `maxcloud` command: registers the commands and holds the entry point."""

import gc
import io
import sys

import typer
from typer.core import TyperGroup

from maxcloud_cli.lazily import Lazily
from maxcloud_cli.settings import before_the_command

COMMANDS = (
    Lazily("deploy", "services.deploy", "Deploy a container image, or change a service that runs."),
    Lazily("list", "services.list_services", "List your services."),
    Lazily("describe", "services.describe", "Show all about a service, and why it is not ready."),
    Lazily("delete", "services.delete", "Delete a service, its revisions and its URL."),
    Lazily("logs", "logs.logs", "Show what a service's instances wrote, and write."),
    Lazily("revisions", "revisions.revisions", "List a service's revisions, newest first."),
    Lazily("rollback", "revisions.rollback", "Send all requests to an older revision."),
    Lazily("traffic", "revisions.traffic", "Split a service's requests, or show the split."),
    Lazily("push", "push.push", "Push an image into your organisation's registry."),
    Lazily("images", "images.app", "List the images in the registry, or delete a tag."),
    Lazily("auth", "auth.app", "Register, log in, and look after keys."),
    Lazily("invite", "invites.app", "Ask people into your organisation, or join one."),
    Lazily("dev", "dev.dev", "Run the whole platform on this machine; Ctrl-C ends it."),
    Lazily("platform", "platform.app", "Look after the platform in a cluster; for operators."),
    Lazily("version", "version.version", "Show the versions of this command and of the API."),
)


def command_line() -> TyperGroup:
    """Return `maxcloud` with all its commands."""
    app = typer.Typer(
        callback=before_the_command,
        invoke_without_command=True,
        help="Deploy container images; each gets a URL and scales from zero with its requests.",
        context_settings={"help_option_names": ["--help", "-h"]},
        rich_markup_mode=None,  # importing rich takes as long as all the rest of --help
        pretty_exceptions_enable=False,
    )
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - it has a callback
    for command in COMMANDS:
        group.add_command(command)
    return group


def main() -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 3 still going."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows its number instead.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command_line()(prog_name="maxcloud", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        from maxcloud_cli import advice  # only who fails waits for it

        return advice.report(error)
    finally:
        # What was imported is not looked through once more when the interpreter ends: 20 ms.
        gc.freeze()
    return code or 0

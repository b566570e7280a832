"""The `maxcloud` command: registers the commands and holds the entry point."""

import io
import sys

import typer

from maxcloud_cli.commands import dev, revisions, services, version
from maxcloud_cli.settings import before_the_command

app = typer.Typer(
    callback=before_the_command,
    invoke_without_command=True,
    help="Deploy container images; each gets a URL and scales from zero with its requests.",
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,  # importing rich takes as long as all the rest of --help
    pretty_exceptions_enable=False,
)
app.command("deploy", epilog=services.DEPLOY_EXAMPLES)(services.deploy)
app.command("list")(services.list_services)
app.command("describe")(services.describe)
app.command("delete")(services.delete)
app.command("revisions")(revisions.revisions)
app.command("rollback")(revisions.rollback)
app.command("traffic", epilog=revisions.TRAFFIC_EXAMPLES)(revisions.traffic)
app.command("dev")(dev.dev)
app.command("version")(version.version)


def main() -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 3 still going."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character shows its number instead.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(prog_name="maxcloud", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        from maxcloud_cli import advice  # only who fails waits for it

        return advice.report(error)
    return code or 0

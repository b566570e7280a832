"""The whole platform on this machine."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from maxcloud_cli import output, pages
from maxcloud_cli.commands.services import deploy_and_wait
from maxcloud_cli.progress import Progress, Step
from maxcloud_cli.settings import Settings

SAMPLE, SAMPLE_IMAGE = "hello", "maxcloud.local/hello"

# How long the sample may take until it answers after a start.
ANSWER_SECONDS = 60
PAUSE = 0.05


class EngineMissing(Exception):
    """The packages of the local engine are not installed."""


def dev(
    port: Annotated[
        int, typer.Option(metavar="N", help="The port of the API and of all services.")
    ] = 8080,
    auth: Annotated[
        bool, typer.Option("--auth", help="Ask for keys, as in production; without it, for none.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the database is kept.  [~/.local/share/maxcloud/dev; root: "
            "/var/lib/maxcloud-dev]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the whole platform on this machine; Ctrl-C ends it.

    No cluster is needed. Deploys a sample the first time. Images other than the sample need Podman
    or Docker. What you deploy is kept, and comes back with the next start.
    """
    try:
        from maxcloud_local import engine
    except ModuleNotFoundError as error:
        raise EngineMissing(str(error.name)) from error
    from maxcloud_cli import live

    data = data_dir.expanduser().absolute() if data_dir else engine.default_data()
    settings = engine.Settings(data, port, asks_for_keys=auth)
    if auth:
        has_mail = any(os.environ.get(name) for name in engine.OF_THE_MAILER)
        live.run(settings, lambda _: introduce(port, data, has_mail=has_mail))
    else:
        live.run(settings, lambda is_found: welcome(port, data, is_found))


def welcome(port: int, data: Path, is_found: Callable[[str], bool]) -> None:
    """Deploy the sample where nothing is deployed yet, and say what to try."""
    url = f"http://localhost:{port}"
    settings = Settings(url, None, output.Format.TABLE, quiet=False)
    with settings.client() as client:
        services = client.list_services()
    if not services:
        services = [deploy_and_wait(settings, SAMPLE, {"image": SAMPLE_IMAGE}, ANSWER_SECONDS)]
    else:
        bring_back([each.name for each in services if each.ready_revision], is_found)
        output.result(pages.services_table(services))
    sample = next((each for each in services if each.name == SAMPLE), services[0])
    command = _this_command()
    output.result(f"\n{sample.url}")
    _suggest(
        port,
        data,
        f"curl {sample.url}",
        f"{command} deploy --name {sample.name} --env TARGET=you",
        f"{command} describe {sample.name}",
    )


def introduce(port: int, data: Path, *, has_mail: bool) -> None:
    """Say what to do first where keys are asked for; proofs and invitations go by mail."""
    command = _this_command()
    register = f"{command} auth register --email you@example.com --org mine"
    verify = f"{command} auth verify TOKEN    # from the mail"
    deploy = f"{command} deploy {SAMPLE_IMAGE} --name {SAMPLE}"
    invite = f"{command} invite create --email a.friend@example.com"
    if has_mail:
        _suggest(port, data, register, verify, deploy, invite)
    else:
        output.result("\nNo mail goes out: SMTP_URL or RESEND_API_KEY lets you invite people.")
        _suggest(port, data, register, deploy)


def _suggest(port: int, data: Path, *lines: str) -> None:
    output.result("\nTry, in another terminal:")
    if port != 8080:  # noqa: PLR2004 - the default of --api-url
        output.result(f"  export MAXCLOUD_API_URL=http://localhost:{port}")
    for line in lines:
        output.result(f"  {line}")
    output.result(f"\nKubernetes' view: kubectl --kubeconfig {data}/kubeconfig get ksvc,pods -A\n")


def bring_back(names: list[str], is_found: Callable[[str], bool]) -> None:
    """Wait until the services from before can be reached again, or until that takes too long."""
    end = time.monotonic() + ANSWER_SECONDS
    with Progress(f"Bringing back {len(names)} service{'s' * (len(names) != 1)}") as progress:
        while time.monotonic() < end:
            progress.show([Step(name) for name in names if is_found(name)])
            if all(map(is_found, names)):
                return
            time.sleep(PAUSE)


def _this_command() -> str:
    """Return how this command is called from here."""
    found = shutil.which("maxcloud")
    if found and Path(found).samefile(sys.argv[0]):
        return "maxcloud"
    return os.path.relpath(sys.argv[0])

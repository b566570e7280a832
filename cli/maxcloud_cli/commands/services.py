"""Deploying services and looking after them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maxcloud_cli import output, pages, request
from maxcloud_cli.instances import Look, in_words
from maxcloud_cli.progress import Progress, Step
from maxcloud_cli.routing import Routing, checked_tag
from maxcloud_cli.settings import Settings, with_settings
from maxcloud_cli.waiting import StillGoing, until_deleted, until_deployed

if TYPE_CHECKING:
    from maxcloud.client import Client
    from maxcloud.models import Service, ServiceEvent

SERVICE = Annotated[str, typer.Argument(metavar="SERVICE", help="The service's name or id.")]
NO_WAIT = Annotated[bool, typer.Option("--no-wait", help="Do not wait until it is done.")]
WAIT_TIMEOUT = Annotated[
    float, typer.Option(metavar="S", help="Seconds to wait.  [300]", show_default=False)
]


@with_settings
def deploy(
    settings: Settings,
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="The service's name, part of its URL.")],
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE", help="The container image; may be left out when NAME exists."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Where the container listens.  [as the image says, or 8080]"
        ),
    ] = None,
    command: Annotated[
        str | None, typer.Option(metavar="A,B", help="Run this instead of the image's entry point.")
    ] = None,
    args: Annotated[
        list[str] | None,
        typer.Option("--args", metavar="A,B", help="The command's arguments; may be repeated."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="Set an environment variable; may be repeated."),
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Set variables from KEY=VALUE lines.")
    ] = None,
    remove_env: Annotated[
        list[str] | None,
        typer.Option(metavar="K", help="Remove an environment variable; may be repeated."),
    ] = None,
    min_scale: Annotated[
        int | None, typer.Option("--min", metavar="N", help="Instances kept without requests.  [0]")
    ] = None,
    max_scale: Annotated[
        int | None, typer.Option("--max", metavar="N", help="Instances at the most.  [10]")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", help="Requests per instance at a time, 0 for no limit.  [80]"),
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(metavar="C", help="CPUs per instance: 1, 0.5 or 250m.  [1]")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="M", help="Memory per instance: 512Mi or 1Gi.  [512Mi]")
    ] = None,
    timeout_seconds: Annotated[
        int | None,
        typer.Option("--timeout", metavar="S", help="Seconds that one request may take.  [300]"),
    ] = None,
    no_traffic: Annotated[
        bool, typer.Option("--no-traffic", help="Leave all requests with the revision that serves.")
    ] = False,
    tag: Annotated[
        str | None,
        typer.Option(metavar="T", help="Give the new revision a URL of its own, with this tag."),
    ] = None,
    no_wait: NO_WAIT = False,
    wait_timeout: WAIT_TIMEOUT = 300,
) -> None:
    """Deploy a container image, or change a service that runs.

    Creates the service NAME, or a new revision of it when it exists; then options that are left
    out keep their value. Waits until it answers and prints its URL.

    Examples:
      maxcloud deploy nginx:1.29 --name shop
      maxcloud deploy ghcr.io/me/api:v2 --name api --port 3000 --env LOG_LEVEL=debug
      maxcloud deploy --name api --min 1 --memory 1Gi
      maxcloud deploy busybox --name hello --command httpd,-f --args -p,8080
    """
    given = {
        "image": image,
        "port": port,
        "command": None if command is None else request.words("--command", [command]),
        "args": None if args is None else request.words("--args", args),
        "env_vars": request.env_changes(env_file, env or [], remove_env or []) or None,
        "min_scale": min_scale,
        "max_scale": max_scale,
        "concurrency": concurrency,
        "cpu": cpu,
        "memory": memory,
        "timeout_seconds": timeout_seconds,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    # A wrong option is found before anything is sent.
    request.update_request(changes)
    routing = Routing(no_traffic=no_traffic, tag=checked_tag(tag))
    limit = None if no_wait else wait_timeout
    service = deploy_and_wait(settings, name, changes, limit, routing)
    if not settings.quiet:
        for line in pages.about_traffic(service, tag):
            output.remark(line)
    if settings.output is output.Format.TABLE:
        output.result(service.url)
    else:
        output.result(output.as_data(service.model_dump(mode="json"), settings.output))


@with_settings
def list_services(settings: Settings) -> None:
    """List your services."""
    with settings.client() as client:
        services = client.list_services()
    if settings.output is not output.Format.TABLE:
        data = [service.model_dump(mode="json") for service in services]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        for service in services:
            output.result(str(service.id))
    else:
        output.result(pages.services_table(services))
        if not services:
            hint = "No services yet. Deploy one: maxcloud deploy nginx:1.29 --name shop"
            output.remark(hint)


@with_settings
def describe(settings: Settings, service: SERVICE) -> None:
    """Show all about a service, and why it is not ready."""
    with settings.client() as client:
        if settings.quiet and settings.output is output.Format.TABLE:
            output.result(client.get_service(service).url)
            return
        look = Look(settings, service)
        found = client.get_service(service)
        revisions = client.revisions(str(found.id))
        events = _events(client, found)
    instances = look.result()
    if settings.output is output.Format.TABLE:
        output.result(pages.service_page(found, revisions, events, in_words(instances)))
        return
    data = found.model_dump(mode="json")
    data["revisions"] = [revision.model_dump(mode="json") for revision in revisions]
    data["events"] = [event.model_dump(mode="json") for event in events]
    # None where nobody knows.
    data["instances"] = instances and [each.model_dump(mode="json") for each in instances]
    output.result(output.as_data(data, settings.output))


@with_settings
def delete(
    settings: Settings,
    service: SERVICE,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_wait: NO_WAIT = False,
    wait_timeout: WAIT_TIMEOUT = 300,
) -> None:
    """Delete a service, its revisions and its URL."""
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(
            "deleting without a terminal to ask on needs it", param_hint="--yes"
        )
    with settings.client() as client:
        found = client.get_service(service)
        question = f"Delete {found.name} ({found.url}) with all its revisions?"
        if not yes and not typer.confirm(question, err=True):
            output.remark(f"{found.name} stays")
            raise typer.Exit(1)
        _delete(client, found, settings, None if no_wait else wait_timeout)
    if settings.output is not output.Format.TABLE:
        data = {"id": str(found.id), "name": found.name, "deleted": not no_wait}
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        output.result(str(found.id))
    else:
        output.result(f"deleting {found.name}" if no_wait else f"deleted {found.name}")


def deploy_and_wait(
    settings: Settings,
    name: str,
    changes: dict[str, Any],
    limit: float | None,
    routing: Routing = Routing(),
) -> "Service":
    """Write the service, and wait up to `limit` seconds for it, or not at all."""
    accepted = False
    title = f"Deploying {name}" + (f" from {changes['image']}" if "image" in changes else "")
    try:
        with settings.client() as client, Progress(title, quiet=settings.quiet) as progress:
            before = _existing(client, name)
            written = _write(client, name, before, changes, routing)
            accepted = True
            if limit is None:
                progress.show([Step("accepted")])
                return written
            latest = before.latest_revision if before else None
            service = until_deployed(client, written, progress, limit, latest)
    except KeyboardInterrupt:
        raise StillGoing("deploy", name, interrupted=True, accepted=accepted) from None
    if before and _revisions(before) == _revisions(service) and not settings.quiet:
        output.remark(f"unchanged: {service.ready_revision} still serves")
    return service


def _events(client: "Client", service: "Service") -> "list[ServiceEvent]":
    from maxcloud.errors import NotFound

    try:
        return client.service_events(str(service.id))
    except NotFound:  # an API that is older than its events
        return []


def _existing(client: "Client", name: str) -> "Service | None":
    from maxcloud.errors import NotFound

    try:
        return client.get_service(name)
    except NotFound:
        return None


def _write(
    client: "Client",
    name: str,
    before: "Service | None",
    changes: dict[str, Any],
    routing: Routing,
) -> "Service":
    if before:
        shares = routing.shares(before)
        if shares is None:
            return client.update(str(before.id), request.update_request(changes))
        asked = request.update_request(changes | {"traffic": shares})
        return client.update(str(before.id), asked, if_match=before.generation)
    if "image" not in changes:
        said = f"there is no service {name} yet, so deploy needs an image to create it from"
        raise typer.BadParameter(said, param_hint="IMAGE")
    if routing.no_traffic:
        said = f"the first revision of {name} gets all its requests"
        raise typer.BadParameter(said, param_hint="--no-traffic")
    service = client.deploy(request.deploy_request(name, changes))
    tagged = routing.shares(service)
    return service if tagged is None else client.set_traffic(str(service.id), tagged)


def _revisions(service: "Service") -> tuple[str | None, str | None]:
    return service.latest_revision, service.ready_revision


def _delete(client: "Client", service: "Service", settings: Settings, limit: float | None) -> None:
    accepted = False
    try:
        with Progress(f"Deleting {service.name}", quiet=settings.quiet) as progress:
            client.delete_service(str(service.id))
            accepted = True
            progress.show([Step("accepted")])
            if limit is not None:
                until_deleted(client, service, progress, limit)
    except KeyboardInterrupt:
        raise StillGoing("deletion", service.name, interrupted=True, accepted=accepted) from None

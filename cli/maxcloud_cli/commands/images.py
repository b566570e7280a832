"""The images that an organisation has in the registry."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import output
from maxcloud_cli.output import Format
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maxcloud.images import Image

_DIGEST_SHOWN = len("sha256:") + 12

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@with_settings
def images(settings: Settings) -> None:
    """List the images in the registry, or delete a tag.

    A tag that begins with maxcloud. keeps what a revision runs, until its service is gone.
    """
    with settings.client() as client:
        found = client.list_images()
    if settings.output is not Format.TABLE:
        data = [image.model_dump(mode="json") for image in found]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        for image in found:
            output.result(f"{image.name}@{image.digest}")
    else:
        output.result(_table(found, datetime.now(UTC)))
        if not found:
            output.remark("No images yet. Push one: maxcloud push shop.tar --name shop")


@app.command()
@with_settings
def delete(
    settings: Settings,
    image: Annotated[str, typer.Argument(metavar="NAME:TAG", help="The image's name and tag.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a tag; an image that is left without one goes in time."""
    name, _, tag = image.rpartition(":")
    if not name or not tag or "/" in tag:
        raise typer.BadParameter(f"{image!r} must be NAME:TAG", param_hint="NAME:TAG")
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        said = "deleting without a terminal to ask on needs it"
        raise typer.BadParameter(said, param_hint="--yes")
    with settings.client() as client:
        if not yes and not typer.confirm(f"Delete {image}?", err=True):
            output.remark(f"{image} stays")
            raise typer.Exit(1)
        client.delete_image_tag(name, tag)
    if settings.output is not Format.TABLE:
        data = {"name": name, "tag": tag, "deleted": True}
        output.result(output.as_data(data, settings.output))
    else:
        output.result(image if settings.quiet else f"deleted {image}")


def _table(images: "Sequence[Image]", now: datetime) -> str:
    rows = [
        (
            image.name,
            ", ".join(image.tags),
            image.digest[:_DIGEST_SHOWN],
            output.size(image.size_bytes),
            output.age((now - image.created_at).total_seconds()),
        )
        for image in images
    ]
    return output.table(("NAME", "TAGS", "DIGEST", "SIZE", "AGE"), rows)

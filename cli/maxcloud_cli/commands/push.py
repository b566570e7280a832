"""Pushing an image into the registry of one's organisation."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import engines, output
from maxcloud_cli.layers import Layers
from maxcloud_cli.output import Format
from maxcloud_cli.progress import Progress, Step
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maxcloud.client import Client
    from maxcloud.pushing.connection import TokenSource
    from maxcloud.pushing.push import Neighbour, Pushed
    from maxcloud.pushing.registry import Registry

# With these tags the platform keeps what revisions run.
_RESERVED = "maxcloud."


class PushInterrupted(Exception):
    """The person does not wait any longer."""


@with_settings
def push(
    settings: Settings,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="An image of Podman or Docker, a tar of `docker save`, or an OCI layout.",
        ),
    ],
    *,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="What the image is called in the registry.")
    ],
    tag: Annotated[
        str, typer.Option(metavar="T", help="Its tag.  [latest]", show_default=False)
    ] = "latest",
) -> None:
    """Push an image into your organisation's registry.

    IMAGE is a file or folder if there is one of this name, else an image of Podman or Docker. No
    engine is needed for a file or folder. What the registry has is not sent again, and a broken
    connection is taken up where it ended. Of an image for several platforms, linux/amd64 is sent.

    Examples:
      maxcloud push shop --name shop --tag v2
      docker save shop -o shop.tar; maxcloud push shop.tar --name shop
      buildah push shop oci:build; maxcloud push build --name shop
    """
    _check(name, tag)
    pushed = _Push(settings, image, name, tag)
    try:
        pushed.run()
    except KeyboardInterrupt:
        raise PushInterrupted(f"interrupted; {name}:{tag} is what it was before") from None
    if settings.output is not Format.TABLE:
        output.result(output.as_data(pushed.data(), settings.output))
    elif settings.quiet:
        output.result(f"{pushed.repository}@{pushed.outcome.digest}")
    else:
        output.result(f"{pushed.repository}:{tag}@{pushed.outcome.digest}")
        for line in pushed.remarks():
            output.remark(line)


def _check(name: str, tag: str) -> None:
    from maxcloud.fields import IMAGE_PATTERN

    if not re.fullmatch(IMAGE_PATTERN, f"registry.invalid/{name}") or ":" in name or "@" in name:
        said = f"{name!r} must be lower case letters, digits, dots and dashes, such as shop"
        raise typer.BadParameter(said, param_hint="--name")
    if not re.fullmatch(IMAGE_PATTERN, f"image:{tag}") or "@" in tag:
        said = f"{tag!r} must be letters, digits, dots and dashes, such as v2"
        raise typer.BadParameter(said, param_hint="--tag")
    if tag.startswith(_RESERVED):
        said = f"tags that begin with {_RESERVED} are the platform's"
        raise typer.BadParameter(said, param_hint="--tag")


class _Push:
    """One push, from the source to what is printed."""

    outcome: "Pushed"

    def __init__(self, settings: Settings, source: str, name: str, tag: str) -> None:
        self._settings, self._source, self._name, self._tag = settings, source, name, tag
        self._platform = ""
        self.repository = ""

    def run(self) -> None:
        """Push the image, showing the steps."""
        from maxcloud.pushing.push import push_scope
        from maxcloud.pushing.registry import Registry

        title = f"Pushing {self._source} as {self._name}:{self._tag}"
        with (
            self._settings.client() as client,
            Progress(title, quiet=self._settings.quiet) as progress,
        ):
            path = f"{client.auth_status().organization.id}/{self._name}"
            with Registry.of_tokens(_tokens(client), push_scope(path)) as registry:
                self.repository = f"{registry.host}/{path}"
                self.outcome = self._pushed(client, registry, path, progress)
            progress.show([Step("unchanged" if self.outcome.unchanged else "pushed")])

    def _pushed(
        self, client: "Client", registry: "Registry", path: str, progress: Progress
    ) -> "Pushed":
        from maxcloud.pushing import push, sources

        file = Path(self._source)
        found = None if _is_archive(self._source) else engines.find(self._source)
        if found and (digest := push.existing(registry, path, self._tag, found.id)):
            return push.Pushed(digest, unchanged=True)
        with _opened(found, file, progress) as archive:
            image = sources.read(archive, {f"{self._name}:{self._tag}", self._tag})
            self._platform = image.platform
            layers = Layers(progress)
            return push.push(
                image,
                registry,
                path,
                self._tag,
                tell=layers.tell,
                neighbours=lambda: _neighbours(client, path),
            )

    def data(self) -> dict[str, object]:
        """Return what came of it, for scripts."""
        return {
            "reference": f"{self.repository}:{self._tag}",
            "digest": self.outcome.digest,
            "unchanged": self.outcome.unchanged,
        }

    def remarks(self) -> Iterator[str]:
        """Yield what a person should know besides."""
        from maxcloud import names
        from maxcloud.pushing.sources import ARCHITECTURE, OS

        ours = f"{OS}/{ARCHITECTURE}"
        if self._platform not in ("", ours):
            yield f"Warning: it is for {self._platform}, and the platform runs {ours}."
            return
        last = self._name.rpartition("/")[2]
        service = "NAME" if names.why_not_a_name(last) else last
        yield f"Run it: maxcloud deploy {self.repository}:{self._tag} --name {service}"


def _tokens(client: "Client") -> "TokenSource":
    return lambda scopes: client.get_registry_token(*scopes).token


def _is_archive(source: str) -> bool:
    """Return whether a file or folder is meant, be it there or not, and no image of an engine."""
    path = Path(source)
    # A folder may have an image's name by chance; one with a layout hardly does.
    is_layout = any((path / name).is_file() for name in ("oci-layout", "index.json"))
    return source.startswith(("/", ".")) or path.is_file() or is_layout


@contextmanager
def _opened(found: engines.EngineImage | None, file: Path, progress: Progress) -> Iterator[Path]:
    if found is None:
        yield file
        return
    progress.show([], going_on=f"{found.engine} saves it")
    with found.saved() as archive:
        progress.show([Step(f"saved by {found.engine}", output.size(archive.stat().st_size))])
        yield archive


def _neighbours(client: "Client", path: str) -> "Sequence[Neighbour]":
    """Return the newest images of the organisation, those of the same name first."""
    from maxcloud.errors import APIError
    from maxcloud.pushing.push import Neighbour

    owner, _, name = path.partition("/")
    try:
        images = client.list_images()
    except APIError:  # it saves time alone
        return []
    images.sort(key=lambda image: image.created_at, reverse=True)
    images.sort(key=lambda image: image.name != name)
    return [Neighbour(f"{owner}/{image.name}", image.digest) for image in images]

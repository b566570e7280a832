"""The forms in which a client may ask for objects: whole, their metadata alone, or a Table."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from maxcloud_local.kinds import Kind
from maxcloud_local.kubernetes.refusals import BadRequest, NotAcceptable
from maxcloud_local.kubernetes.tables import table
from maxcloud_local.store import Object

_JSON = {"application/json", "application/*", "*/*"}


class Shape(StrEnum):
    """What an `Accept` header asks for by its parameter `as`."""

    WHOLE = ""
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"
    TABLE = "Table"


@dataclass(frozen=True)
class Form:
    """How objects of a kind are shown to one client."""

    kind: Kind
    shape: Shape
    row: Callable[[Object], Object]

    def one(self, found: Object) -> Object:
        """Show one object."""
        if self.shape == Shape.TABLE:
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            return table(self.kind, [found], version, self.row)
        return whole(self.kind, found) if self.shape == Shape.WHOLE else only_metadata(found)

    def many(self, found: list[Object], metadata: Object) -> Object:
        """Show a list; `metadata` is the list's own."""
        if self.shape == Shape.TABLE:
            return table(self.kind, found, metadata, self.row)
        if self.shape == Shape.WHOLE:
            api_version, name = self.kind.api_version, f"{self.kind.name}List"
        else:
            api_version, name = "meta.k8s.io/v1", str(Shape.METADATA_LIST)
        return {
            "kind": name,
            "apiVersion": api_version,
            "metadata": metadata,
            "items": [self.one(each) for each in found],
        }


def asked(request: web.Request, kind: Kind) -> Form:
    """Return the form that a request asks for. Raises NotAcceptable and BadRequest."""
    included = request.query.get("includeObject", "Metadata")
    if included not in {"Metadata", "Object"}:
        raise BadRequest("includeObject must be Metadata or Object")
    row = only_metadata if included == "Metadata" else lambda found: whole(kind, found)
    return Form(kind, _shape(request.headers.get("Accept") or "*/*"), row)


def whole(kind: Kind, found: Object) -> Object:
    """Return an object with the name of its kind."""
    return {"apiVersion": kind.api_version, "kind": kind.name, **found}


def only_metadata(found: Object) -> Object:
    """Return a PartialObjectMetadata."""
    return {
        "kind": str(Shape.METADATA),
        "apiVersion": "meta.k8s.io/v1",
        "metadata": found["metadata"],
    }


def _shape(accept: str) -> Shape:
    # In the client's order: kubectl names the form it likes best first.
    for alternative in accept.split(","):
        media_type, *rest = (part.strip() for part in alternative.split(";"))
        said = dict(part.split("=", 1) for part in rest if "=" in part)
        if media_type not in _JSON:
            continue
        if "as" not in said:
            return Shape.WHOLE
        if said["as"] in set(Shape) and (said.get("g"), said.get("v")) == ("meta.k8s.io", "v1"):
            return Shape(said["as"])
    raise NotAcceptable("only application/json is spoken here")

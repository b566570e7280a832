"""One line of the API, as its handler's signature declares it; OpenAPI is written from it too.

A handler takes a Call and what else its signature asks for. A parameter `if_match` is the
generation that the caller wants to change, `page` the part of a list that is wanted (as `Page[type
of its key]`), `query` the query as a model, `form` the body of a form, and any other one a body of
JSON, as its model.
"""

import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from maxcloud import wire
from maxcloud.pages import Pages
from maxcloud.roles import Role

Handler = Callable[..., Awaitable[object]]

_BESIDE_THE_BODY = frozenset({"if_match", "page", "query"})


@dataclass(frozen=True)
class Route:
    """A method and a path, who may ask, and what goes in and out.

    `role` is the least one, None needs no credential. A `secret` answer is shown once and kept
    nowhere.
    """

    method: str
    path: str
    handler: Handler
    role: Role | None
    status: int
    secret: bool = False

    @property
    def template(self) -> str:
        """The path without what only the router reads: `{name:path}` spans several parts of it."""
        return self.path.replace(":path}", "}")

    @cached_property
    def asks(self) -> dict[str, Any]:
        """What the handler takes beside the Call, as annotations by name."""
        hints = typing.get_type_hints(self.handler, include_extras=True)
        return {name: hint for name, hint in hints.items() if name not in {"call", "return"}}

    @cached_property
    def body(self) -> type[BaseModel] | None:
        """The model of the body."""
        models = [hint for name, hint in self.asks.items() if name not in _BESIDE_THE_BODY]
        return models[0] if models else None

    @property
    def takes(self) -> str:
        """The type of the body."""
        if "form" in self.asks:
            return wire.FORM
        return "application/merge-patch+json" if self.method == "PATCH" else "application/json"

    @property
    def query(self) -> type[BaseModel] | None:
        """The model of the query."""
        return self.asks.get("query")

    @cached_property
    def pages(self) -> Pages[Any] | None:
        """How the pages of this list are asked for; None for what is no list."""
        return Pages.of(self.asks["page"]) if "page" in self.asks else None

    @cached_property
    def answer(self) -> Any:
        """The annotation of what the handler returns."""
        return typing.get_type_hints(self.handler)["return"]

    @cached_property
    def media(self) -> str | None:
        """The type of what is answered; None where it is headers alone."""
        if not (isinstance(self.answer, type) and issubclass(self.answer, Response)):
            return "application/json"
        if issubclass(self.answer, RedirectResponse):
            return None
        return self.answer.media_type or "application/json"

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key keeps it from being carried out twice."""
        return self.method == "POST" and self.role is not None

    @cached_property
    def to_json(self) -> Callable[[object], bytes]:
        """Turn what the handler returned into JSON."""
        return TypeAdapter(self.answer).dump_json

    async def read(self, request: Request) -> dict[str, Any]:
        """Return what the handler takes beside the Call, from the request.

        Raises the error of the first thing that is malformed, unknown or too large.
        """
        found: dict[str, Any] = {}
        for name, hint in self.asks.items():
            if name == "if_match":
                found[name] = wire.if_match(request)
            elif name == "page" and self.pages:
                found[name] = self.pages.asked(request.query_params)
            elif name == "query":
                found[name] = wire.read_query(request, hint)
            elif name == "form":
                found[name] = await wire.read_form(request, hint)
            else:
                found[name] = await wire.read_json(request, hint)
        return found

"""Idempotency-Key: a POST that is sent again does nothing again, and answers the same.

What a handler writes and what it answers are one transaction. So of the requests with one key one
is carried out while the others wait for it, and when its process dies in the middle, neither its
work nor its key is left behind. What is kept is what was done: a refusal has changed nothing, so
the same request may be tried again, with the same key, when its reason is gone.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from maxcloud import errors
from maxcloud.store import idempotency as rows
from maxcloud.store.database import Database

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"  # Stripe's word for it

_KEY = re.compile(r"[\x20-\x7e]{1,255}\Z")


def read_key(request: Request) -> str | None:
    """Return the caller's key, or None when there is none; raises InvalidField."""
    lines = request.headers.getlist(HEADER)
    if not lines:
        return None
    key = ", ".join(lines)
    if not _KEY.match(key):
        said = f"{HEADER} must be 1 to 255 printable ASCII characters"
        raise errors.InvalidField(said, field=HEADER)
    return key


def digest_of(path: str, asked: Mapping[str, object]) -> bytes:
    """Return what tells a request from another one of its route: its path and body."""
    models = [value for value in asked.values() if isinstance(value, BaseModel)]
    said = [path, *(model.model_dump_json(exclude_unset=True) for model in models)]
    return hashlib.sha256("\n".join(said).encode()).digest()


async def once(
    db: Database,
    key: rows.Key,
    digest: bytes,
    carry_out: Callable[[Database], Awaitable[Response]],
    *,
    secret: bool,
) -> Response:
    """Carry a request out and keep its answer, or return the one that is kept under its key.

    `carry_out` writes to the database that it is given; what it raises undoes all of it. The body
    of a `secret` answer is not kept. Raises KeyReused when the key is another request's, Conflict
    when the answer was a secret, and what `carry_out` raises.
    """
    async with db.together() as together:
        kept = await rows.wait_for_turn(together, key)
        if kept is None:
            response = await carry_out(together)
            await rows.keep(together, key, _answer(response, digest, secret=secret))
            return response
    if kept.digest != digest:
        said = f"this {HEADER} was sent with another request: send a new one with each request"
        raise errors.KeyReused(said, field=HEADER)
    if kept.body is None:
        raise errors.Conflict(
            "this has been done, and its answer is shown only once: if it was lost, "
            f"delete what was made and send the request with a new {HEADER}"
        )
    return Response(kept.body, kept.status, {**kept.headers, REPLAYED: "true"})


def _answer(response: Response, digest: bytes, *, secret: bool) -> rows.Answer:
    headers = {name: text for name, text in response.headers.items() if name != "content-length"}
    body = None if secret else bytes(response.body)
    return rows.Answer(digest, response.status_code, headers, body)

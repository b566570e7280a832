"""A request that is sent again, and what is kept of it."""

import httpx

KEY = {"Idempotency-Key": "0b3c2c6e-made-by-the-caller"}
KEPT = "select count(*) from idempotency_keys"
SERVICES_MADE = "select count(*) from services"


def same(first: httpx.Response, again: httpx.Response) -> None:
    """Check that an answer is the one that was given before."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    own = {"date", "x-request-id", "idempotent-replayed"}
    first_headers = {k: v for k, v in first.headers.items() if k not in own}
    assert {k: v for k, v in again.headers.items() if k not in own} == first_headers
    assert again.headers["idempotent-replayed"] == "true"

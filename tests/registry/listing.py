"""What the API lists of the registry."""

import httpx

from tests.journeys.platform import eventually

IMAGES = "/api/v1/registry/images"


def listed(http: httpx.Client) -> dict[str, list[str]]:
    """The digests with their tags."""
    answer = http.get(IMAGES)
    assert answer.status_code == 200, answer.text
    return {image["digest"]: image["tags"] for image in answer.json()}


def until_listed(http: httpx.Client, wanted: dict[str, list[str]]) -> None:
    eventually("images", lambda: listed(http), 20, lambda seen: seen == wanted)

"""No web page reaches the API: in DEV_MODE it asks for no credential. Pure.

A browser says where a request comes from: in Origin (RFC 6454) and in Sec-Fetch-* (W3C Fetch
Metadata). What it may send across origins without asking first is neither JSON nor another method
than GET, HEAD and POST (WHATWG Fetch, CORS protocol). That the Host is ours, so that no foreign
name was rebound to this machine, is the gateway's table.
"""

from collections.abc import Mapping

from maxcloud.errors import APIError, Forbidden, UnsupportedMedia

_JSON = {"application/json", "application/merge-patch+json"}
# containerd and its like ask for a token by a form: it changes nothing, and a page of another
# origin does not get to see the answer.
_TAKES_A_FORM = "/api/v1/registry/token"
_FORM = "application/x-www-form-urlencoded"

_OF_THE_API_ITSELF = {"same-origin", "none"}


def why_refused(method: str, path: str, headers: Mapping[str, str], origin: str) -> APIError | None:
    """Return why a request must not reach the API at `origin`, or None for one that may.

    `headers` finds its names in any case.
    """
    if headers.get("Origin", origin).lower() != origin:
        return Forbidden("a web page of another origin must not use this API")
    site = headers.get("Sec-Fetch-Site", "none").lower()
    if site not in _OF_THE_API_ITSELF and not _is_navigation(method, headers):
        return Forbidden("a web page of another site must not use this API")
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if path == _TAKES_A_FORM and media == _FORM:
        return None
    if _has_body(headers) and media not in _JSON:
        return UnsupportedMedia("the body must be JSON: send Content-Type: application/json")
    return None


def _is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a person followed a link: its page sees nothing of the answer."""
    said = (headers.get("Sec-Fetch-Mode", "").lower(), headers.get("Sec-Fetch-Dest", "").lower())
    return method == "GET" and said == ("navigate", "document")


def _has_body(headers: Mapping[str, str]) -> bool:
    return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

"""A registry as a pusher needs it (the OCI distribution specification).

An upload outlives its connection: after a cut the registry is asked how far it came, and gets the
rest.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from maxcloud.pushing.connection import (
    ACCEPTED,
    CREATED,
    NO_CONTENT,
    NOT_FOUND,
    OK,
    TIMEOUT,
    Broken,
    Connection,
    codes_of,
    reason_of,
)
from maxcloud.pushing.contents import ArchiveInvalid, Content
from maxcloud.pushing.packing import digest_of_content
from maxcloud.pushing.sources import JSON_MAX, digest_of

# What one request carries: small enough for a gateway's patience on a slow line, large enough that
# the requests' own time does not count.
CHUNK = 32 * 1024 * 1024

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_RANGE_NOT_SATISFIABLE = 416
# So often a registry may fail at an upload before that is begun anew: what a replica that died has
# left in an object store may be of no use to the others.
_FAILURES_MAX = 2
# The registry knows the upload no more: it was cleared away, or is another registry's.
_UPLOAD_LOST = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}


class _UploadLost(Exception):
    """The upload must begin anew."""


@dataclass
class _Upload:
    place: str  # path and query of its next request
    offset: int = 0
    failures: int = 0  # of the registry itself, without a byte of progress


class Registry(Connection):
    """What is asked of a registry."""

    def manifest(self, repository: str, named: str) -> tuple[bytes, str] | None:
        """Return a manifest and its media type by tag or digest; None when there is none."""
        path = f"/v2/{repository}/manifests/{named}"
        answer = self._ask("GET", path, headers={"Accept": _MANIFESTS})
        if answer.status_code == NOT_FOUND:
            return None
        self._expect(answer, OK)
        return answer.content, answer.headers.get("Content-Type", "").partition(";")[0]

    def small_blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob that is small, such as a config; None when there is no such one."""
        answer = self._ask("GET", f"/v2/{repository}/blobs/{digest}")
        if answer.is_redirect:  # into the object store, which must not get the token
            try:
                answer = httpx.get(answer.headers["Location"], timeout=TIMEOUT)
            except (httpx.RequestError, httpx.InvalidURL):
                return None
        whole = answer.status_code == OK and len(answer.content) <= JSON_MAX
        return answer.content if whole and digest_of(answer.content) == digest else None

    def has(self, repository: str, digest: str) -> bool:
        """Return whether the repository has the blob."""
        answer = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        if answer.status_code != NOT_FOUND and not answer.is_redirect:
            self._expect(answer, OK)
        return answer.status_code != NOT_FOUND

    def mount(self, repository: str, digest: str, other: str) -> bool:
        """Return whether another repository's blob is now this one's too, without being sent."""
        path = f"/v2/{repository}/blobs/uploads/"
        answer = self._ask("POST", path, params={"mount": digest, "from": other})
        if answer.status_code == ACCEPTED:  # the registry began an upload instead
            self._ask("DELETE", self._place(answer))
        return answer.status_code == CREATED

    def put_manifest(self, repository: str, named: str, content: bytes, media_type: str) -> None:
        """Give the content the name, a tag."""
        path = f"/v2/{repository}/manifests/{named}"
        answer = self._ask("PUT", path, content=content, headers={"Content-Type": media_type})
        self._expect(answer, CREATED)

    def upload(
        self, repository: str, digest: str, content: Content, told: Callable[[int], None]
    ) -> None:
        """Put a blob into the repository, over as many connections as it takes.

        `told` is called with the number of bytes that are sent; it goes back after a cut.
        """
        upload: _Upload | None = None
        furthest = 0
        pauses = self._pauses()
        while True:
            try:
                if upload is None:
                    upload = self._begun(repository)
                if self._sent_on(upload, digest, content, told):
                    return
                failure = ""
            except _UploadLost as lost:
                # Its end may have been reached, and the answer lost.
                if self.has(repository, digest):
                    return
                upload, failure = None, str(lost)
            except Broken as broken:
                failure = str(broken)
                if upload and broken.by_registry:
                    upload.failures += 1
            if upload and upload.offset > furthest:
                furthest, pauses = upload.offset, self._pauses()
            if failure:
                self._pause(pauses, failure)
                upload = upload and self._resumed(upload, pauses)

    def _begun(self, repository: str) -> _Upload:
        answer = self._once("POST", f"/v2/{repository}/blobs/uploads/")
        self._expect(answer, ACCEPTED)
        return _Upload(self._place(answer))

    def _sent_on(
        self, upload: _Upload, digest: str, content: Content, told: Callable[[int], None]
    ) -> bool:
        """Send the next chunk; return whether it was the last."""
        begin, end = upload.offset, min(upload.offset + CHUNK, content.size)
        last = end == content.size

        def blocks() -> Iterator[bytes]:
            done = begin
            told(done)
            for block in content.blocks(begin, end):
                yield block
                done += len(block)
                told(done)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(end - begin)}
        if end > begin:
            headers["Content-Range"] = f"{begin}-{end - 1}"
        params = {"digest": digest} if last else None
        method = "PUT" if last else "PATCH"
        answer = self._once(method, upload.place, headers=headers, content=blocks, params=params)
        if answer.status_code == _RANGE_NOT_SATISFIABLE:
            raise Broken("the registry has another part than it said")
        codes = codes_of(answer)
        if answer.status_code == NOT_FOUND or codes & _UPLOAD_LOST:
            raise _UploadLost(reason_of(answer))
        if "DIGEST_INVALID" in codes:
            if digest_of_content(content) != digest:
                raise ArchiveInvalid(f"{digest} in {content.path} is damaged")
            raise _UploadLost("what arrived has another digest")
        self._expect(answer, CREATED if last else ACCEPTED)
        if not last:
            upload.place, upload.offset = self._place(answer), end
        return last

    def _resumed(self, upload: _Upload, pauses: Iterator[float]) -> _Upload | None:
        """Return the upload as far as the registry has it; None when it is of no use any more."""
        failures = upload.failures
        while failures < _FAILURES_MAX:
            try:
                answer = self._once("GET", upload.place)
            except Broken as broken:
                failures += broken.by_registry
                self._pause(pauses, str(broken))
                continue
            found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
            # 0-0 is said of one byte and of none.
            if answer.status_code != NO_CONTENT or not found or found[1] == "0":
                return None
            offset = int(found[1]) + 1
            return _Upload(self._place(answer), offset, failures if offset == upload.offset else 0)
        return None

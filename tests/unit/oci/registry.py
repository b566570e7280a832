"""A registry over real HTTPS whose answers a test writes down."""

import hashlib
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from maxcloud import oci
from maxcloud.oci import Image, ImageRefused

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# The digest of an image that no registry has.
SHA = f"sha256:{'a' * 64}"


def certificate(folder: Path) -> Path:
    """Make a certificate for this machine that is its own authority; return both in one file."""
    made = folder / "registry.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=registry"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-keyout", str(made), "-out", str(folder / "registry.crt")),
        ],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + (folder / "registry.crt").read_bytes())
    return made


def encoded(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def digest_of(content: Any) -> str:
    return f"sha256:{hashlib.sha256(encoded(content)).hexdigest()}"


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class Registry:
    """What it is asked, and what it answers: a status, headers and a body for each path."""

    address: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    token: str | None = None

    def answer(self, path: str, content: Any = b"", status: int = 200, **headers: str) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers[path] = (status, named, encoded(content))

    def add(self, tag: str = "1", repository: str = "team/app", **container: Any) -> str:
        """Put an image for one platform behind a tag; return its manifest's digest."""
        configuration = {"config": container}
        digest = digest_of(configuration)
        manifest = {"mediaType": MANIFEST, "config": {"digest": digest}}
        self.answer(f"/v2/{repository}/blobs/{digest}", configuration)
        for name in (tag, digest_of(manifest)):
            self.answer(f"/v2/{repository}/manifests/{name}", manifest)
        return digest_of(manifest)

    def add_index(self, tag: str, platforms: dict[str, str], repository: str = "team/app") -> str:
        """Put an index behind a tag: the manifests' digests by `os/architecture`."""
        entries = [
            {
                "digest": digest,
                "platform": dict(zip(("os", "architecture"), name.split("/"), strict=True)),
            }
            for name, digest in platforms.items()
        ]
        index = {"mediaType": INDEX, "manifests": entries}
        self.answer(f"/v2/{repository}/manifests/{tag}", index)
        return digest_of(index)


@contextmanager
def serving(pem: Path) -> Iterator[Registry]:
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            registry.asked.append(Asked(parts.path, parse_qs(parts.query), headers))
            status, named, body = registry.answers.get(parts.path, (404, {}, b"{}"))
            wanted = registry.token and parts.path.startswith("/v2/")
            if wanted and headers.get("authorization") != f"Bearer {registry.token}":
                realm = f'realm="https://{registry.address}/token",service="the registry"'
                status, named, body = 401, {"WWW-Authenticate": f"Bearer {realm}"}, b"{}"
            self.send_response(status)
            for key, value in named.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep the tests' output clean."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A caller that hangs up, as one does that was answered too much."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def resolve(registry: Registry, name: str = "team/app:1") -> Image:
    return await oci.resolve(f"{registry.address}/{name}", frozenset({registry.address}))


async def refused(registry: Registry, name: str = "team/app:1") -> tuple[str, str]:
    with pytest.raises(ImageRefused) as error:
        await resolve(registry, name)
    return error.value.reason, str(error.value).replace(registry.address, "HOST")

"""A registry with everything that belongs to it, and what a test does with it."""

import hashlib
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from maxcloud import registry
from maxcloud.config import Config
from maxcloud.registry import Access
from maxcloud_local import registry as local
from tests.conftest import TestDatabase
from tests.functions.people import Organisation
from tests.journeys import images
from tests.journeys.platform import eventually
from tests.store.support import execute

SIGNING = "r" * 32
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Said:
    """What a client said when it ended."""

    code: int
    text: str


@dataclass(frozen=True)
class World:
    """The URL of the functions, their database, and Distribution's settings."""

    url: str
    database: TestDatabase
    config: Config
    settings: local.Settings
    program: Path

    @property
    def host(self) -> str:
        return self.settings.service

    @contextmanager
    def distribution(self, **changes: Any) -> Iterator[None]:
        """Run Distribution while the block runs."""
        jwks, config = self.settings.folder / "jwks.json", self.settings.folder / "config.json"
        jwks.write_text(json.dumps(registry.jwks(self.settings.signing)))
        config.write_text(json.dumps(local.configuration(self.settings, jwks) | changes))
        log = self.settings.folder / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [self.program, "serve", config], stdout=output, stderr=output, env={"PATH": ""}
            )
        try:
            eventually("registry", self.answers, 10, lambda status: status == 401)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def answers(self) -> int:
        try:
            return httpx.get(f"http://{self.host}/v2/").status_code
        except httpx.TransportError:
            return 0

    def ask(self, method: str, path: str, access: Access | None, **options: Any) -> httpx.Response:
        """Ask Distribution with a token of the test's own."""
        granted = [access] if access else []
        token = registry.token([SIGNING], self.host, "test", granted, at=_now(), seconds=60)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        with httpx.Client(base_url=f"http://{self.host}") as client:
            return client.request(method, f"/v2/{path}", headers=headers, **options)

    def push(self, repository: str, tag: str, text: str = "", **manifest: Any) -> str:
        """Push a tiny image behind the clients' backs, and return its digest."""
        access = Access(repository, ("pull", "push"))
        content = f"{tag} {text or uuid.uuid4().hex}".encode()
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}}).encode()
        parts = [self._blob(repository, access, blob) for blob in (config, content)]
        body = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
            | manifest
        ).encode()
        return self.put(repository, tag, body, MANIFEST)

    def put(self, repository: str, tag: str, body: bytes, media: str) -> str:
        """Put a manifest behind a tag, and return its digest."""
        access, headers = Access(repository, ("pull", "push")), {"Content-Type": media}
        path = f"{repository}/manifests/{tag}"
        done = self.ask("PUT", path, access, content=body, headers=headers)
        assert done.status_code == 201, done.text
        return done.headers["docker-content-digest"]

    def digest(self, repository: str, tag: str) -> str | None:
        access, headers = Access(repository, ("pull",)), {"Accept": f"{MANIFEST}, {INDEX}"}
        found = self.ask("HEAD", f"{repository}/manifests/{tag}", access, headers=headers)
        return found.headers["docker-content-digest"] if found.status_code == 200 else None

    def _blob(self, repository: str, access: Access, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self.ask("POST", f"{repository}/blobs/uploads/", access)
        assert begun.status_code == 202, begun.text
        place = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        path = place.raw_path.decode().removeprefix("/v2/")
        done = self.ask("PUT", path, access, content=content)
        assert done.status_code == 201, done.text
        media = "application/vnd.oci.image.layer.v1.tar"
        return {"mediaType": media, "digest": digest, "size": len(content)}


def add_revision(
    world: World, org: Organisation, service: str, repository: str, digest: str
) -> str:
    """Add a ready service whose one revision runs a build; return the revision's name."""
    service_id, name = org.service(service), f"{service}-00001"
    image = f"{world.host}/{repository}@{digest}"
    execute(
        org.database.owner,
        "insert into revisions (org_id, service_id, generation, name, image, digest, template)"
        " values (%s, %s, 1, %s, %s, %s, %s)",
        *(org.id, service_id, name, image, digest, json.dumps({"image": image})),
    )
    update = "update services set latest_revision = %s, ready_revision = %s where id = %s"
    execute(org.database.owner, update, name, name, service_id)
    return name


def archive(folder: Path, page: str = "hello") -> Path:
    """Write an image's archive, as `docker save` does."""
    return images.web(folder / f"{uuid.uuid4().hex}.tar", page=page)


def run(*command: str | Path) -> Said:
    """Run a client to its end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return Said(done.returncode, done.stdout + done.stderr)


def _now() -> int:
    return int(time.time())

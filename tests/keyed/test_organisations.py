"""From a first registration to a colleague, a machine that deploys, and a stranger who may not."""

import uuid
from pathlib import Path

from tests.journeys.platform import eventually
from tests.keyed.platform import Keyed, Person, registered


def person(keyed: Keyed, tmp_path: Path, name: str) -> Person:
    return Person(keyed, tmp_path / name)


def test_a_person_registers_deploys_invites_and_lets_a_machine_deploy(
    keyed: Keyed, tmp_path: Path
) -> None:
    platform, name = keyed.platform, f"o-{uuid.uuid4().hex[:8]}"
    ada, bob = person(keyed, tmp_path, "ada"), person(keyed, tmp_path, "bob")
    ada_at, bob_at = (f"{who}-{uuid.uuid4().hex[:8]}@example.test" for who in ("ada", "bob"))

    nobody = ada("list", code=1)
    assert "authentication required" in nobody.err
    assert "maxcloud auth register" in nobody.err
    ada("auth", "register", "--email", ada_at, "--org", f"Engines {name}")
    refused = ada("deploy", platform.backend.sample, "--name", name, code=1)
    assert "prove your e-mail address first" in refused.err

    ada("auth", "verify", keyed.token(ada_at, "auth verify"))
    url = ada("deploy", platform.backend.sample, "--name", name).out.strip()
    assert platform.get(url).status_code == 200

    ada("invite", "create", "--email", bob_at)
    joined = bob("invite", "accept", keyed.token(bob_at, "invite accept"))
    assert f"you are member of Engines {name}" in joined.out
    assert [service["name"] for service in bob("list", "-o", "json").json] == [name]
    assert "this needs the role admin" in bob("invite", "list", code=1).err
    [invitation] = ada("invite", "list", "-o", "json").json
    assert (invitation["status"], invitation["mail_error"]) == ("accepted", None)

    # As a pipeline has it: a key in the environment and no home.
    machine = Person(keyed, tmp_path / "none")
    key = {"MAXCLOUD_API_KEY": create_key(ada, "deploy")}
    machine("deploy", "--name", name, "--env", "BY=ci", env=key)
    for forbidden in (("auth", "api-keys"), ("invite", "list")):
        assert "your key has deploy" in machine(*forbidden, code=1, env=key).err
    reader = {"MAXCLOUD_API_KEY": create_key(ada, "read")}
    assert "your key has read" in machine("delete", name, "--yes", code=1, env=reader).err
    # The instances live in the organisation's own namespace: what is shown was read there.
    # Nobody waits long for it: a first look may only wake the function.
    seen = eventually(
        "instances",
        lambda: machine("describe", name, "-o", "json", env=reader).json["instances"],
        60,
        lambda instances: instances is not None,
    )
    assert {each["state"] for each in seen} <= {"starting", "ready", "stopping"}
    machine("logs", name, env=reader)

    for made in ada("auth", "api-keys", "-o", "json").json:
        if made["role"] == "deploy":
            ada("auth", "api-keys", "delete", made["id"])
    revoked = machine("deploy", "--name", name, "--env", "BY=nobody", code=1, env=key)
    assert revoked.err.splitlines()[-2:] == [
        "Error: authentication required",
        "Hint: `maxcloud auth register` gives you a key, `maxcloud auth login` takes one you have",
    ]
    ada("delete", name, "--yes")


def create_key(somebody: Person, role: str) -> str:
    command = ("auth", "api-keys", "create", "--name", role, "--role", role, "--quiet")
    return somebody(*command).out.strip()


def test_a_stranger_finds_nothing_of_it(keyed: Keyed, tmp_path: Path) -> None:
    name = f"o-{uuid.uuid4().hex[:8]}"
    ada, eve = (registered(keyed, tmp_path, who) for who in ("ada", "eve"))
    ada("deploy", keyed.platform.backend.sample, "--name", name)
    [service] = ada("list", "-o", "json").json
    assert eve("list", "-o", "json").json == []
    for known_as in (name, service["id"]):
        for command in (("describe",), ("logs",), ("logs", "--follow"), ("delete", "--yes")):
            missing = eve(command[0], known_as, *command[1:], code=1)
            assert "no such service" in missing.err or "there is no service" in missing.err
    taken = eve("deploy", keyed.platform.backend.sample, "--name", name, code=1)
    assert "service name already exists" in taken.err
    assert ada("describe", name, "-o", "json").json["status"] == "ready"
    ada("delete", name, "--yes")

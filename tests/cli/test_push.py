"""`maxcloud push` as a process: the real functions, the real Distribution, real keys."""

import json
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from maxcloud import registry as signing
from maxcloud.http import Api
from maxcloud.roles import Role
from tests.cli.conftest import Done, Maxcloud, against, ended
from tests.conftest import Postgres, TestDatabase, cloned
from tests.distribution import Distribution
from tests.functions.people import Organisation, installation
from tests.pushing import made

SECRET = "r" * 32
LAYERS = (made.layer("a", 300_000), made.layer("b", 300_000))


@dataclass(frozen=True)
class World:
    url: str
    database: TestDatabase
    registry: Distribution


@pytest.fixture(scope="module")
def world(
    postgres: Postgres,
    template: str,
    apis: dict[str, Api],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "jwks.json").write_text(json.dumps(signing.jwks([SECRET])))
    running = Distribution(folder)
    running.host_name = f"registry.localhost:{running.port}"
    changes = {"registry_secrets": (SECRET,), "registry_url": running.host_name}
    with (
        cloned(postgres, template) as database,
        installation(apis, database, **changes) as url,
    ):
        token = {"realm": f"{url}/api/v1/registry/token", "service": running.host_name}
        token |= {"issuer": signing.ISSUER, "jwks": str(folder / "jwks.json")}
        running.auth = {"token": token | {"signingalgorithms": ["ES256"]}}
        running.start()
        try:
            yield World(url, database, running)
        finally:
            running.stop()


@pytest.fixture
def org(world: World) -> Organisation:
    return Organisation(world.database)


@pytest.fixture
def maxcloud(world: World, org: Organisation) -> Maxcloud:
    return as_role(world, org, Role.DEPLOY)


def as_role(world: World, org: Organisation, role: Role) -> Maxcloud:
    ours = against(world.url)
    return Maxcloud(ours.env | {"MAXCLOUD_API_KEY": org.key(role), "HOME": "/nonexistent"})


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return str(made.docker_archive(tmp_path / "shop.tar", *LAYERS))


def error_lines(done: Done) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith(("Error", "Hint"))]


def untimed(done: Done) -> list[str]:
    return [re.sub(r" +\d+\.\d s *", " ", line).rstrip() for line in done.err.splitlines()]


def test_a_push_shows_each_layer_and_prints_the_reference(
    maxcloud: Maxcloud, world: World, org: Organisation, archive: str
) -> None:
    done = maxcloud("push", archive, "--name", "shop", "--tag", "v1")
    assert done.code == 0, done.err
    reference = f"{world.registry.host_name}/{org.id}/shop"
    assert re.fullmatch(rf"{re.escape(reference)}:v1@sha256:[0-9a-f]{{64}}\n", done.out)
    title, *steps, last, hint = untimed(done)
    assert title == f"Pushing {archive} as shop:v1"
    names = sorted(f"  ✓ layer {made.digest(each)[7:19]} pushed" for each in LAYERS)
    assert sorted(step.partition(",")[0] for step in steps) == names
    assert last == "  ✓ pushed"
    assert hint == f"Run it: maxcloud deploy {reference}:v1 --name shop"

    again = maxcloud("push", archive, "--name", "shop", "--tag", "v1", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert again.out == done.out.replace(":v1@", "@")
    data = maxcloud("push", archive, "--name", "shop", "--tag", "v1", "-o", "json")
    digest = done.out.strip().partition("@")[2]
    assert json.loads(data.out) == {
        "reference": f"{reference}:v1",
        "digest": digest,
        "unchanged": True,
    }
    assert untimed(data)[-1] == "  ✓ unchanged"


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_an_image_of_an_engine(
    maxcloud: Maxcloud, tmp_path: Path, archive: str, engine: str
) -> None:
    info = [engine, "info"]
    if (
        not shutil.which(engine)
        or subprocess.run(info, capture_output=True, check=False).returncode
    ):
        pytest.skip(f"{engine} does not run here")
    name = f"localhost/pushed-{uuid.uuid4().hex}"
    entry = made.docker_files(LAYERS, [f"{name}:latest"])
    made.tar(tmp_path / "own.tar", entry)
    subprocess.run([engine, "load", "-i", tmp_path / "own.tar"], check=True, capture_output=True)
    own = Maxcloud(maxcloud.env | {"HOME": str(Path.home())})
    try:
        done = own("push", name, "--name", "shop")
        assert done.code == 0, done.err
        assert f"  ✓ saved by {engine}" in "\n".join(untimed(done))
        again = own("push", name, "--name", "shop")
        assert again.out == done.out
        assert untimed(again)[:2] == [f"Pushing {name} as shop:latest", "  ✓ unchanged"]
    finally:
        subprocess.run([engine, "rmi", name], check=True, capture_output=True)


def test_an_image_for_other_machines_is_told(maxcloud: Maxcloud, tmp_path: Path) -> None:
    config = made.config([], architecture="arm64")
    entry = {"Config": "c.json", "RepoTags": ["shop:v1"], "Layers": []}
    files = {"c.json": config, "manifest.json": json.dumps([entry]).encode()}
    done = maxcloud("push", str(made.tar(tmp_path / "arm.tar", files)), "--name", "shop")
    assert done.code == 0
    assert "Warning: it is for linux/arm64, and the platform runs linux/amd64." in done.err
    assert "Run it" not in done.err


def test_a_key_that_may_only_read(world: World, org: Organisation, archive: str) -> None:
    done = as_role(world, org, Role.READ)("push", archive, "--name", "shop")
    assert done.code == 1
    assert error_lines(done)[0].startswith(
        f"Error: the registry {world.registry.host_name} does not let this key push (401, "
    )
    assert error_lines(done)[1] == "Hint: use a key with the role deploy, member or admin"


def test_a_wrong_key(world: World, archive: str) -> None:
    stranger = Maxcloud(against(world.url).env | {"MAXCLOUD_API_KEY": "mc_" + "0" * 40})
    done = stranger("push", archive, "--name", "shop")
    assert done.code == 1
    assert error_lines(done)[0] == "Error: authentication required"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("no-such-image-anywhere", "no-such-image-anywhere is no file here, and "),
        ("--", "- is no file here, and "),
    ],
)
def test_no_such_image(maxcloud: Maxcloud, source: str, sentence: str) -> None:
    words = ["--", "-"] if source == "--" else [source]
    done = maxcloud("push", "--name", "shop", *words)
    assert done.code == 1
    assert error_lines(done)[0].startswith(f"Error: {sentence}")


@pytest.mark.parametrize("source", ["./nowhere.tar", "/nowhere.tar", "."])
def test_a_path_is_no_image_of_an_engine(maxcloud: Maxcloud, source: str) -> None:
    done = maxcloud("push", source, "--name", "shop")
    assert done.code == 1
    assert re.search(r"is neither a file nor a folder|is not an OCI layout", error_lines(done)[0])


def test_a_broken_archive_is_one_sentence(maxcloud: Maxcloud, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    done = maxcloud("push", str(tmp_path / "x.tar"), "--name", "shop")
    assert done.code == 1
    [error, hint] = error_lines(done)
    assert error.startswith(f"Error: {tmp_path}/x.tar is not a whole tar")
    assert hint == "Hint: save it anew: `docker save IMAGE -o image.tar`"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--name", "Shop"), "'Shop' must be lower case letters"),
        (("--name", "shop:v1"), "'shop:v1' must be lower case letters"),
        (("--name", "../../other/shop"), "must be lower case letters"),
        (("--name", ""), "must be lower case letters"),
        (("--name", "shop", "--tag", "a b"), "'a b' must be letters"),
        (("--name", "shop", "--tag", "maxcloud.shop-00001"), "are the platform's"),
    ],
)
def test_names_that_are_none(
    maxcloud: Maxcloud, archive: str, options: tuple[str, ...], sentence: str
) -> None:
    done = maxcloud("push", archive, *options)
    assert done.code == 2
    assert sentence in error_lines(done)[0]


def test_an_installation_without_a_registry(
    apis: dict[str, Api], database: TestDatabase, archive: str
) -> None:
    with installation(apis, database) as url:
        env = against(url).env | {"MAXCLOUD_API_KEY": Organisation(database).key()}
        # The client asks again for some seconds before it believes a 503.
        done = Maxcloud(env)("push", archive, "--name", "shop")
    assert done.code == 1
    assert "has no registry" in error_lines(done)[0]


def test_nothing_of_the_key_reaches_the_registry(
    maxcloud: Maxcloud, world: World, archive: str, tmp_path: Path
) -> None:
    done = maxcloud("push", archive, "--name", "quiet")
    assert done.code == 0
    key = maxcloud.env["MAXCLOUD_API_KEY"]
    assert key not in done.out + done.err
    for file in world.registry.folder.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_another_organisation_cannot_be_reached(
    maxcloud: Maxcloud, world: World, org: Organisation, archive: str
) -> None:
    assert maxcloud("push", archive, "--name", "shop").code == 0
    stranger = Organisation(world.database).key()
    scope = f"repository:{org.id}/shop:pull"
    headers = {"Authorization": f"Bearer {stranger}"}
    answer = httpx.get(
        f"{world.url}/api/v1/registry/token", params={"scope": scope}, headers=headers
    )
    token = {"Authorization": f"Bearer {answer.json()['token']}"}
    found = httpx.get(
        f"{world.registry.url}/v2/{org.id}/shop/manifests/latest",
        headers=token | {"Host": world.registry.host_name},
    )
    assert found.status_code == 401


def test_ctrl_c_ends_it(
    maxcloud: Maxcloud, world: World, org: Organisation, tmp_path: Path
) -> None:
    layer = made.layer("large", 60_000_000)
    path = str(made.docker_archive(tmp_path / "large.tar", made.layer("small"), layer))
    with maxcloud.start("push", path, "--name", "cut") as process:
        assert process.stderr is not None
        while "layer" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.code == 130, done.err
    assert error_lines(done) == [
        "Error: interrupted; cut:latest is what it was before",
        "Hint: pushing again goes on with what is there",
    ]

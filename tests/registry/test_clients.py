"""skopeo and podman with an API key against the real Distribution: what works, what is refused."""

import shutil
import time
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from maxcloud import keys, registry
from maxcloud.registry import Access
from maxcloud.roles import Role
from tests.functions.people import Organisation
from tests.registry.world import Said, World, add_revision, archive, run


@pytest.fixture(scope="module")
def org(world: World) -> Organisation:
    return Organisation(world.database)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"docker-archive:{archive(tmp_path)}"


def skopeo(*words: str, key: str | None = None) -> Said:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not on this machine")
    command, *rest = words
    options = {
        "copy": ["--src-tls-verify=false", "--dest-tls-verify=false", "--quiet"],
        "list-tags": ["--tls-verify=false"],
        "delete": ["--tls-verify=false"],
        "inspect": ["--tls-verify=false"],
    }[command]
    if key and command == "copy":
        options += [f"--dest-creds=me:{key}", f"--src-creds=me:{key}"]
    elif key:
        options += [f"--creds=me:{key}"]
    return run("skopeo", "--insecure-policy", command, *options, *rest)


def place(world: World, org: Organisation, name: str = "shop", tag: str = "1") -> str:
    return f"docker://{world.host}/{org.id}/{name}:{tag}"


def test_skopeo_pushes_lists_pulls_and_deletes(
    world: World, org: Organisation, source: str, tmp_path: Path
) -> None:
    key = org.key(Role.DEPLOY)
    there = place(world, org, "of-skopeo")
    pushed = skopeo("copy", source, there, key=key)
    assert pushed.code == 0, pushed
    listed = skopeo("list-tags", f"docker://{world.host}/{org.id}/of-skopeo", key=key)
    assert '"1"' in listed.text, listed
    reader = org.key(Role.READ)
    pulled = skopeo("copy", there, f"dir:{tmp_path / 'pulled'}", key=reader)
    assert pulled.code == 0, pulled
    assert (tmp_path / "pulled" / "manifest.json").exists()
    deleted = skopeo("delete", there, key=key)
    assert deleted.code == 0, deleted
    assert world.digest(f"{org.id}/of-skopeo", "1") is None


def test_a_mount_from_another_image_needs_no_second_upload(
    world: World, org: Organisation, source: str
) -> None:
    key = org.key(Role.DEPLOY)
    first, second = place(world, org, "base"), place(world, org, "derived")
    assert skopeo("copy", source, first, key=key).code == 0
    copied = skopeo("copy", first, second, key=key)
    assert copied.code == 0, copied


@pytest.mark.parametrize(
    ("who", "sentence"),
    [("nobody", "authentication required"), ("wrong", "unauthorized"), ("unknown", "unauthorized")],
)
def test_skopeo_is_refused_without_a_good_key(
    world: World, org: Organisation, source: str, who: str, sentence: str
) -> None:
    key = {"nobody": None, "wrong": "wrong", "unknown": keys.make()}[who]
    refused = skopeo("copy", source, place(world, org), key=key)
    assert refused.code != 0
    assert sentence in refused.text.lower(), refused


def test_what_skopeo_may_not_do(world: World, org: Organisation, source: str) -> None:
    theirs = Organisation(world.database)
    there, elsewhere = place(world, org, "rights"), place(world, theirs, "rights")
    assert skopeo("copy", source, there, key=org.key(Role.DEPLOY)).code == 0
    reader = org.key(Role.READ)
    for refused in (
        skopeo("copy", source, there, key=reader),
        skopeo("delete", there, key=reader),
        skopeo("copy", source, elsewhere, key=org.key()),
        skopeo("inspect", there, key=theirs.key()),
        skopeo("list-tags", f"docker://{world.host}/{org.id}/rights", key=theirs.key()),
        skopeo("copy", source, f"docker://{world.host}/library/nginx:1", key=org.key()),
        skopeo("copy", source, place(world, org), key=org.member(is_verified=False).key()),
    ):
        assert refused.code != 0
        assert "denied" in refused.text or "unauthorized" in refused.text.lower(), refused
    assert world.digest(f"{org.id}/rights", "1") is not None


def test_skopeo_deletes_nothing_that_serves(world: World, org: Organisation) -> None:
    repository, key = f"{org.id}/serving", org.key()
    old, new = world.push(repository, "old"), world.push(repository, "new")
    add_revision(world, org, f"s-{org.id.hex[:8]}", repository, new)
    for tag in ("old", "new"):
        refused = skopeo("delete", place(world, org, "serving", tag), key=key)
        assert "401 Unauthorized" in refused.text, refused
    assert (world.digest(repository, "old"), world.digest(repository, "new")) == (old, new)


def test_nobody_lists_all_repositories(world: World, org: Organisation) -> None:
    key, client = org.key(), f"http://{world.host}/v2/_catalog"
    query = {"scope": "registry:catalog:*", "service": world.host}
    token = httpx.get(f"{world.url}/api/v1/registry/token", params=query, auth=("me", key)).json()
    answer = httpx.get(client, headers={"Authorization": f"Bearer {token['token']}"})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert world.ask("GET", "_catalog", Access("catalog", ("*",), type="registry")).is_success


def test_a_nodes_key_pulls_and_no_more(
    world: World, org: Organisation, source: str, tmp_path: Path
) -> None:
    there = place(world, org, "of-a-node")
    assert skopeo("copy", source, there, key=org.key()).code == 0
    robot = registry.pull_key(UUID(str(org.id)), world.settings.signing[0], int(time.time()))
    assert skopeo("copy", there, f"dir:{tmp_path / 'pulled'}", key=robot).code == 0
    refused = skopeo("copy", source, there, key=robot)
    assert "denied" in refused.text, refused


def podman(*words: str, home: Path) -> Said:
    """Podman with an authentication file of its own, so that no login of the machine is touched."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not on this machine")
    command, *rest = words
    extra = [f"--authfile={home / 'auth.json'}", "--tls-verify=false"]
    return run("podman", command, *extra, *rest)


def test_podman_logs_in_pushes_and_pulls(world: World, org: Organisation, tmp_path: Path) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not on this machine")
    key, there = org.key(Role.DEPLOY), f"{world.host}/{org.id}/of-podman:1"
    wrong = podman("login", "-u", "me", "-p", keys.make(), world.host, home=tmp_path)
    assert wrong.code != 0
    assert "invalid username/password" in wrong.text, wrong
    login = podman("login", "-u", "me", "-p", key, world.host, home=tmp_path)
    assert "Login Succeeded" in login.text, login
    loaded = run("podman", "load", "--input", archive(tmp_path, page=str(org.id)))
    [image] = [line.rpartition(" ")[2] for line in loaded.text.splitlines() if "Loaded" in line]
    try:
        pushed = podman("push", image, there, home=tmp_path)
        assert pushed.code == 0, pushed
        pulled = podman("pull", there, home=tmp_path)
        assert pulled.code == 0, pulled
    finally:
        run("podman", "rmi", "--force", there, image)
    assert world.digest(f"{org.id}/of-podman", "1")

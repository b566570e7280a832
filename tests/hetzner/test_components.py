"""What the platform stands on: the order, a second run, and the secrets."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import psycopg.conninfo
import pytest

from maxcloud import registry
from maxcloud_hetzner import components, manifests
from maxcloud_hetzner.errors import BadSetting, ProgramFailed
from maxcloud_hetzner.programs import Kubectl
from maxcloud_hetzner.secrets import objects

ENV = {
    "DNS_ZONE": "example.eu",
    "HETZNER_S3_BUCKET": "example-maxcloud",
    "HETZNER_API_TOKEN": "t0ken",
    "HETZNER_S3_ACCESS_KEY": "acc3ss",
    "HETZNER_S3_SECRET_KEY": "s3cret",
}

# It keeps what it was asked and says that everything is there; `kustomize` prints a stand-in.
KUBECTL = """#!/bin/sh
echo "$*" >> "$STAND_INS/asked"
[ ! -e "$STAND_INS/fail" ] || case "$*" in
*"$(cat "$STAND_INS/fail")"*) echo no >&2; exit 1;;
esac
case "$*" in
*kustomize*) echo "from: ${2##*/} \\${DNS_ZONE}" ;;
*"get crd"*) echo "$3" ;;
*"-f -"*) cat >> "$STAND_INS/applied"; echo >> "$STAND_INS/applied" ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("STAND_INS", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Kubectl()


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def install(kubectl: Kubectl, env: dict[str, str] = ENV) -> list[str]:
    said: list[str] = []
    components.install(kubectl, env, said.append, pause=0)
    return said


def test_what_needs_kinds_comes_after_what_brings_them(kubectl: Kubectl, tmp_path: Path) -> None:
    install(kubectl)
    lines = asked(tmp_path)
    turn = {
        word: min(n for n, line in enumerate(lines) if word in line)
        for word in (
            "release/crds",
            "wait crd --all",
            "wait deployment --all -n cnpg-system",
            "wait certificate/wildcard",
            "wait cluster.postgresql.cnpg.io/database",
        )
    }
    assert list(turn.values()) == sorted(turn.values())
    applied = (tmp_path / "applied").read_text()
    assert [applied.index(f"from: {each}") for each in ("knative", "charts", "certificate")]
    assert (
        applied.index("from: charts")
        < applied.index('"Secret"')
        < applied.index("from: certificate")
    )
    assert "example.eu" in applied
    assert "${" not in applied


def test_a_failure_ends_it_and_the_next_run_does_all_of_it(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    (tmp_path / "fail").write_text("wait deployment --all -n cert-manager")
    with pytest.raises(ProgramFailed, match="no"):
        install(kubectl)
    (tmp_path / "fail").unlink()
    assert install(kubectl)[-1] == "database"


def test_no_secret_is_an_argument_or_said(kubectl: Kubectl, tmp_path: Path) -> None:
    said = install(kubectl)
    for word in ("t0ken", "acc3ss", "s3cret"):
        assert word not in "".join(said + asked(tmp_path))


def test_with_a_database_of_the_operators_none_is_made(kubectl: Kubectl, tmp_path: Path) -> None:
    install(
        kubectl, ENV | {"DATABASE_URL": "postgresql://owner:pw@db.example/maxcloud?sslmode=require"}
    )
    assert "from: database" not in (tmp_path / "applied").read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"DNS_ZONE": ""}, "DNS_ZONE is not set"),
        ({"DNS_ZONE": "example.eu\n  evil: true"}, "a zone such as"),
        ({"HETZNER_LOCATION": "ash"}, "nbg1, fsn1 or hel1"),
        ({"HETZNER_S3_BUCKET": ""}, "make a bucket"),
        ({"HETZNER_API_TOKEN": ""}, "HETZNER_API_TOKEN is not set"),
        ({"REGISTRY_JWT_SECRET": "short"}, "at least 32 bytes"),
        ({"DATABASE_URL": "mysql://x"}, "postgresql://user@host"),
        ({"MAXCLOUD_IMAGE": "ghcr.io/you/maxcloud:latest"}, "by its digest"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_applied(
    kubectl: Kubectl, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(BadSetting, match=said):
        install(kubectl, ENV | changed)
    assert not (tmp_path / "applied").exists()


def test_the_platforms_manifests_need_an_image_by_its_digest(kubectl: Kubectl) -> None:
    image = "ghcr.io/you/maxcloud@sha256:" + "0" * 64
    assert "production example.eu" in components.platform(kubectl, ENV | {"MAXCLOUD_IMAGE": image})
    with pytest.raises(BadSetting, match="MAXCLOUD_IMAGE is not set"):
        manifests.filled("${IMAGE_NAME}", manifests.values(ENV))


# Secrets


def made(env: dict[str, str], there: dict[str, dict[str, str]] | None = None) -> dict[str, Any]:
    found = objects(env, lambda _, name: (there or {}).get(name), "nbg1", "bucket")
    return {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": {
            key: base64.b64decode(value).decode() for key, value in each["data"].items()
        }
        for each in found
    }


def test_what_is_there_stays_and_what_is_said_wins() -> None:
    first = made(ENV)
    there = {name.partition("/")[2]: data for name, data in first.items()}
    assert made(ENV, there) == first
    changed = made(ENV | {"REGISTRY_JWT_SECRET": "x" * 32, "SECRET_KEY": "y" * 32}, there)
    assert changed["mc-system/registry"]["jwt-secret"] == "x" * 32
    assert changed["mc-system/platform"] == {"secret-key": "y" * 32}
    assert changed["mc-system/database"] == first["mc-system/database"]


def test_the_registrys_keys_are_what_its_own_module_makes() -> None:
    data = made(ENV | {"REGISTRY_JWT_SECRET": "x" * 32 + "," + "z" * 32})["mc-system/registry"]
    assert len(json.loads(data["jwks.json"])["keys"]) == 2
    assert data["hook-secret"] == registry.hook_secrets(["x" * 32, "z" * 32])[0]


@pytest.mark.parametrize(
    "url", ["", "postgresql://owner:p%40w@db.example:6432/mine?sslmode=require"]
)
def test_each_function_gets_its_own_roles_address(url: str) -> None:
    data = made(ENV | {"DATABASE_URL": url})["mc-system/database"]
    owner = psycopg.conninfo.conninfo_to_dict(data["owner-url"])
    for role, user in (("api", "mc_api"), ("worker", "mc_worker")):
        found = psycopg.conninfo.conninfo_to_dict(data[f"{role}-url"])
        assert (found["user"], found["password"]) == (user, data[f"{role}-password"])
        same = ("host", "port", "dbname", "sslmode")
        assert [found.get(each) for each in same] == [owner.get(each) for each in same]

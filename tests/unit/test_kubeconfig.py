"""Where a function finds the Kubernetes API."""

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from maxcloud.errors import ConfigError
from maxcloud.knative import kubeconfig
from maxcloud_local.kubernetes.access import make_access, write_kubeconfig

SERVER = "https://127.0.0.1:6443"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The kubeconfig of a local engine."""
    write_kubeconfig(tmp_path / "kubeconfig", SERVER, make_access(tmp_path))
    return tmp_path / "kubeconfig"


def changed(path: Path, **parts: dict[str, Any]) -> Path:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for kind, change in parts.items():
        entry = config[f"{kind}s"][0]
        entry[kind] = change
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def test_the_engines_own_is_understood(written: Path) -> None:
    access = kubeconfig.find({"KUBECONFIG": str(written)})
    assert access.server == SERVER
    assert len(access.token() or "") > 20
    assert access.tls.verify_mode == ssl.CERT_REQUIRED
    assert len(access.tls.get_ca_certs()) == 1


def test_a_token_is_read_each_time(written: Path) -> None:
    access = kubeconfig.read(changed(written, user={"tokenFile": "token"}))
    for token in ("first", "second"):
        (written.parent / "token").write_text(token, encoding="utf-8")
        assert access.token() == token


def test_a_certificate_stands_in_files_or_in_the_file_itself(written: Path) -> None:
    pair = written.parent / "kubernetes.pem"  # key and certificate, the engine's
    inline = base64.b64encode(pair.read_bytes()).decode()
    authority = base64.b64encode((written.parent / "kubernetes.crt").read_bytes()).decode()
    for user in (
        {"client-certificate": pair.name, "client-key": pair.name},
        {"client-certificate-data": inline, "client-key-data": inline},
    ):
        cluster = {"server": SERVER, "certificate-authority-data": authority}
        access = kubeconfig.read(changed(written, user=user, cluster=cluster))
        assert access.token() is None
        assert len(access.tls.get_ca_certs()) == 1


def test_a_server_that_is_not_to_be_checked_is_not(written: Path) -> None:
    cluster = {"server": SERVER, "insecure-skip-tls-verify": True}
    assert kubeconfig.read(changed(written, cluster=cluster)).tls.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    "content", ["", "[]", "a: b", "{", "contexts: []\ncurrent-context: x", None]
)
def test_what_leads_nowhere_is_said_with_its_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"KUBECONFIG: {path} leads to no cluster"):
        kubeconfig.find({"KUBECONFIG": str(path)})


def test_a_pod_uses_its_account(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes((written.parent / "kubernetes.crt").read_bytes())
    (account / "token").write_text("of the account\n", encoding="utf-8")
    monkeypatch.setattr(kubeconfig, "ACCOUNT", account)
    access = kubeconfig.find({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBECONFIG": str(written)})
    assert (access.server, access.token()) == ("https://[fd00::1]:443", "of the account\n")
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert kubeconfig.find(env).server == "https://10.0.0.1:6443"

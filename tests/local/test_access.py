"""The engine's certificate, token and kubeconfig."""

import ssl
import stat
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientConnectorCertificateError, ClientSession, TCPConnector
from cryptography import x509

from maxcloud_local.kubernetes.access import make_access, write_kubeconfig
from tests.local.apiserver import running_api


def test_everything_is_new_at_each_start_and_private(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    first, second = make_access(tmp_path), make_access(tmp_path)
    assert first.token != second.token
    assert first.certificate != second.certificate
    for access in (first, second):
        write_kubeconfig(kubeconfig, "https://127.0.0.1:1", access)
        written = yaml.safe_load(kubeconfig.read_text())
        assert written["users"][0]["user"] == {"token": access.token}
        assert written["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    expected = {"kubeconfig", "kubernetes.pem", "kubernetes.crt"}
    assert {file.name for file in tmp_path.iterdir()} == expected


def test_the_certificate_is_for_loopback(tmp_path: Path) -> None:
    extensions = x509.load_pem_x509_certificate(make_access(tmp_path).certificate).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1"]


@pytest.mark.anyio
async def test_a_strict_client_trusts_the_certificate_and_no_other(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        strict = ssl.create_default_context(cadata=api.access.certificate.decode())
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        async with (
            ClientSession(connector=TCPConnector(ssl=strict)) as client,
            client.get(f"{api.url}/healthz") as answer,
        ):
            assert answer.status == 200
        other = ssl.create_default_context(cadata=make_access(tmp_path).certificate.decode())
        async with ClientSession(connector=TCPConnector(ssl=other)) as client:
            with pytest.raises(ClientConnectorCertificateError):
                await client.get(f"{api.url}/healthz")

"""TLS as in production, with an authority of this test's own in the place of Let's Encrypt."""

from __future__ import annotations

import base64
import datetime
import functools
import json
import socket
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.cluster.environment import NODE_ADDRESS, kubectl
from tests.journeys.platform import Platform, eventually
from tests.unit.test_production import HETZNER, Object, name_of, rendered

MANAGER = "--field-manager=maxcloud-tls-test"
SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", MANAGER, "-f", "-")
INGRESSES = ("api", "distribution")

# OpenSSL takes no wildcard of a name with one part, so this service stands in the certificate too.
NAME = f"k-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Signed:
    authority: str
    certificate: str
    key: str


def wildcard(domain: str) -> Signed:
    """A wildcard for a domain, signed by an authority that is made for it."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("an authority of a test", domain)
    ]
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName(domain), x509.DNSName(f"*.{domain}"), x509.DNSName(f"{NAME}.{domain}")]
    )

    def signed(whose: int, *extensions: tuple[x509.ExtensionType, bool]) -> str:
        builder = (
            x509.CertificateBuilder()
            .issuer_name(names[0])
            .subject_name(names[whose])
            .public_key(keys[whose].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    key = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    authority = signed(0, (x509.BasicConstraints(ca=True, path_length=0), True))
    return Signed(authority, signed(1, (alternatives, False)), key)


def settings() -> list[Object]:
    """Production's own settings of Knative, without what only a load balancer speaks."""
    found = [each for each in rendered(HETZNER[1]) if name_of(each)[1] == "ConfigMap"]
    wanted = [each for each in found if name_of(each)[2] == "knative-serving"]
    for each in wanted:
        each["data"].pop("enable-proxy-protocol", None)
    return wanted


@pytest.fixture(scope="module")
def encrypted(platform: Platform, web: tuple[str, str]) -> Iterator[Signed]:
    """The cluster as production has it; given back as it was."""
    made = wildcard("localhost")
    encode = {"tls.crt": made.certificate, "tls.key": made.key}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "wildcard", "namespace": "kourier-system"},
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in encode.items()},
    }
    # Before the API asks for TLS, which the command line would want proven by a known authority.
    platform.maxcloud("deploy", web[0], "--name", NAME)
    kubectl(*SERVER_SIDE, stdin=json.dumps(secret))
    changed = settings()
    before = {
        each["metadata"]["name"]: json.loads(
            kubectl(
                "get", "configmap", each["metadata"]["name"], "-n", "knative-serving", "-o", "json"
            )
        ).get("data", {})
        for each in changed
    }
    try:
        for each in changed:
            _patch(each["metadata"]["name"], each["data"])
        for name in INGRESSES:
            _option(name, "Redirected")
        yield made
    finally:
        for each in changed:
            old = before[each["metadata"]["name"]]
            _patch(each["metadata"]["name"], {key: old.get(key) for key in each["data"]})
        for name in INGRESSES:
            _option(name, "Enabled")
        kubectl("delete", "secret", "wildcard", "-n", "kourier-system", "--ignore-not-found")
        eventually(
            "HTTP", lambda: platform.api("GET", "/healthz").status_code, 60, lambda s: s == 200
        )
        platform.maxcloud("delete", NAME, "--yes", code=None)


def _patch(name: str, data: dict[str, str | None]) -> None:
    patch = json.dumps({"data": data})
    kubectl("patch", "configmap", name, "-n", "knative-serving", "--type=merge", "-p", patch)


def _option(name: str, option: str) -> None:
    patch = json.dumps({"spec": {"httpOption": option}})
    resource = "ingresses.networking.internal.knative.dev"
    kubectl("patch", resource, name, "-n", "mc-system", "--type=merge", "-p", patch)


def port(name: str) -> int:
    path = f"jsonpath={{.spec.ports[?(@.name=='{name}')].nodePort}}"
    return int(kubectl("get", "service", "kourier", "-n", "kourier-system", "-o", path))


def get(host: str, path: str, signed: Signed) -> httpx.Response | None:
    """GET over TLS from a host that the gateway has, believing that one authority; none yet."""
    context = ssl.create_default_context(cadata=signed.authority)
    address = f"https://{NODE_ADDRESS}:{port('https')}{path}"
    try:
        with httpx.Client(verify=context, timeout=30, trust_env=False) as client:
            extensions = {"sni_hostname": host}
            return client.get(address, headers={"Host": host}, extensions=extensions)
    except httpx.TransportError:
        return None


def redirected(host: str, path: str) -> tuple[int, str]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer = client.get(f"http://{NODE_ADDRESS}:{port('http2')}{path}", headers={"Host": host})
    return answer.status_code, answer.headers.get("location", "")


def is_ok(answer: httpx.Response | None) -> bool:
    return answer is not None and answer.status_code == 200


def test_both_serve_the_wildcard_and_http_leads_there(encrypted: Signed) -> None:
    eventually("the API", lambda: get("localhost", "/healthz", encrypted), 60, is_ok)
    host = f"{NAME}.localhost"
    eventually("the service", lambda: get(host, "/", encrypted), 60, is_ok)
    for each, path in (("localhost", "/healthz"), (host, "/")):
        see = functools.partial(redirected, each, path)
        code, location = eventually(each, see, 60, lambda answer: answer[0] == 301)
        assert (code, location) == (301, f"https://{each}{path}")


def test_the_certificate_that_is_shown_is_the_one_that_was_handed_over(encrypted: Signed) -> None:
    context = ssl.create_default_context(cadata=encrypted.authority)
    context.check_hostname = False
    with (
        socket.create_connection((NODE_ADDRESS, port("https")), timeout=30) as connection,
        context.wrap_socket(connection, server_hostname="anything.localhost") as shown,
    ):
        found = shown.getpeercert()
        assert found
        assert ("DNS", "*.localhost") in found["subjectAltName"]

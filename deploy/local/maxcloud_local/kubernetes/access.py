"""Who may use the engine's Kubernetes API: a token, over TLS, for kubectl sends one no other way.

Token, key and certificate are made anew at each start and are of no use after it.
"""

import ipaddress
import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 365
_NAME = "max-cloud-local"


@dataclass(frozen=True)
class Access:
    """What a client needs, and the server's side of TLS."""

    token: str
    certificate: bytes  # PEM
    tls: ssl.SSLContext


def make_access(folder: Path) -> Access:
    """Make a token and a certificate for loopback; the key in `folder` is this user's alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The library reads a key from files alone.
    pair = folder / "kubernetes.pem"
    _write_private(pair, private + certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair)
    return Access(secrets.token_urlsafe(32), certificate, tls)


def lasting_secret(path: Path) -> str:
    """Return the secret in a file, made the first time; what it signed outlives this start."""
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32).encode())
    return path.read_text(encoding="ascii")


def write_kubeconfig(path: Path, server: str, access: Access) -> None:
    """Write how kubectl reaches `server` (https://127.0.0.1:6443), readable by this user alone."""
    # A file of its own: what stands in the kubeconfig, Python's client puts into a temporary file,
    # which an end without warning leaves behind.
    authority = path.with_name("kubernetes.crt")
    _write_private(authority, access.certificate)
    cluster = {"server": server, "certificate-authority": str(authority)}
    context = {"cluster": _NAME, "user": _NAME, "namespace": "default"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": {"token": access.token}}],
        "contexts": [{"name": _NAME, "context": context}],
        "current-context": _NAME,
    }
    _write_private(path, yaml.safe_dump(kubeconfig, sort_keys=False).encode())


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # Its own authority. Strict clients (Python 3.13's) ask for all of these extensions.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public, now = key.public_key(), datetime.now(UTC)
    subject_key = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _write_private(path: Path, content: bytes) -> None:
    # Readers see the old file or the new one, never a part; mkstemp makes it 0600 from the start.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)

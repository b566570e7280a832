"""Where the Kubernetes API is and what it is shown: of a pod, or of a kubeconfig file."""

import base64
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maxcloud.errors import ConfigError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """`token` is called for each request: the kubelet writes a new one before it expires."""

    server: str
    tls: ssl.SSLContext
    token: Callable[[], str | None]


def find(env: Mapping[str, str]) -> Access:
    """Return the access of this pod, else that of KUBECONFIG or of the usual file.

    Raises ConfigError when there is none.
    """
    if host := env.get("KUBERNETES_SERVICE_HOST"):
        address = f"[{host}]" if ":" in host else host
        server = f"https://{address}:{env.get('KUBERNETES_SERVICE_PORT', '443')}"
        tls = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
        return Access(server, tls, (ACCOUNT / "token").read_text)
    usual = Path.home() / ".kube" / "config"
    return read(Path(env.get("KUBECONFIG", "").split(os.pathsep)[0] or usual))


def read(path: Path) -> Access:
    """Return the access of a kubeconfig's current context.

    A token and a client certificate are understood, no program that makes one. Raises ConfigError.
    """
    import yaml  # no pod reads one

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        return Access(cluster["server"], _tls(path.parent, cluster, user), _token(path, user))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise ConfigError(f"KUBECONFIG: {path} leads to no cluster: {error!r}") from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for each in entries if each["name"] == name)


def _token(path: Path, user: dict[str, Any]) -> Callable[[], str | None]:
    if "tokenFile" in user:
        file: Path = path.parent / user["tokenFile"]
        return file.read_text
    token: str | None = user.get("token")
    return lambda: token


def _tls(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority")
    inline = cluster.get("certificate-authority-data")
    tls = ssl.create_default_context(
        cafile=folder / authority if authority else None,
        cadata=base64.b64decode(inline).decode() if inline else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if "client-certificate" in user:
        tls.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])
    elif "client-certificate-data" in user:
        # The library reads a certificate from files alone.
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            tls.load_cert_chain(pair.name)
    return tls

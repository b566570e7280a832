"""The private registry of a platform under test, and how an image gets there: by skopeo."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

# Gives a command a hosts file of its own, for a name that no resolver of the machine knows.
WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass(frozen=True)
class Private:
    """`host` as it stands in references; `address` is what its name means, `ca` its authority."""

    host: str
    address: str
    ca: Path | None = None
    key: str = "dev"

    def layout(self, archive: Path, folder: Path) -> Path:
        """Write an archive's image as an OCI layout, as build tools do."""
        _require_skopeo()
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet"]
        subprocess.run([*copy, f"docker-archive:{archive}", f"oci:{folder}:latest"], check=True)
        return folder

    def push(self, archive: Path, reference: str) -> str:
        """Push an archive with a key and return the digest."""
        _require_skopeo()
        with tempfile.TemporaryDirectory() as folder:
            digest, hosts = Path(folder) / "digest", Path(folder) / "hosts"
            hosts.write_text(f"127.0.0.1 localhost\n{self.address} {self.host.partition(':')[0]}\n")
            options = [f"--dest-creds=me:{self.key}", f"--digestfile={digest}", "--quiet"]
            if self.ca is None:
                options.append("--dest-tls-verify=false")
            else:
                # skopeo takes every *.crt of a folder for an authority.
                shutil.copy(self.ca, folder)
                options.append(f"--dest-cert-dir={folder}")
            copy = ["skopeo", "--insecure-policy", "copy", *options]
            copy += [f"docker-archive:{archive}", f"docker://{reference}"]
            command = ["unshare", "--mount", "--map-root-user", "sh", "-c", WITH_HOSTS, str(hosts)]
            done = subprocess.run(
                [*command, *copy], capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            return digest.read_text().strip()


def _require_skopeo() -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not on this machine")

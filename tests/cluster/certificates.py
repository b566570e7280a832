"""Authorities and certificates of one cluster, made by openssl and thrown away with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.environment import run

DAYS = "3650"
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose files are `{folder}/{name}.crt` and `.key`."""

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.crt"

    def create(self) -> None:
        """Make the authority's own key and certificate."""
        key, subject = self.folder / f"{self.name}.key", f"/CN=maxcloud-{self.name}"
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        request = ["openssl", "req", "-x509", *CURVE, "-days", DAYS, "-subj", subject, *usage]
        run([*request, "-keyout", str(key), "-out", str(self.certificate)])

    def issue(self, name: str, subject: str, alternatives: str = "") -> tuple[Path, Path]:
        """Make a key and a certificate for a subject such as `/CN=x`; return both files.

        With subject alternative names (`DNS:x,IP:y`) it is a server's, else a client's.
        """
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        purpose = "serverAuth" if alternatives else "clientAuth"
        names = f"subjectAltName={alternatives}\n" if alternatives else ""
        extensions.write_text(f"extendedKeyUsage={purpose}\n{names}")
        new = ["openssl", "req", *CURVE, "-subj", subject]
        run([*new, "-keyout", str(key), "-out", str(request)])
        authority = [
            "-CA",
            str(self.certificate),
            "-CAkey",
            str(self.certificate.with_suffix(".key")),
        ]
        sign = ["openssl", "x509", "-req", "-days", DAYS, *authority, "-CAcreateserial"]
        run([*sign, "-in", str(request), "-out", str(certificate), "-extfile", str(extensions)])
        request.unlink()
        extensions.unlink()
        return certificate, key

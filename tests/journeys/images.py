"""Images made here, from nothing but a static busybox: small, and with nobody else's faults."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
from pathlib import Path

BUSYBOX = Path(shutil.which("busybox") or "/bin/busybox")

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# Shows what reached the process: its environment, and the arguments it was started with.
ENV_PAGE = """#!/bin/sh
echo "Content-Type: text/plain"
echo
env
tr '\\0' ' ' < /proc/1/cmdline
"""

# Holds the request for as many seconds as the query says.
SLEEP_PAGE = """#!/bin/sh
sleep "$QUERY_STRING"
echo "Content-Type: text/plain"
echo
echo "slept $QUERY_STRING"
"""

# What the kernel grants: of the first or the second version of cgroups, whichever is there.
LIMITS_PAGE = """#!/bin/sh
echo "Content-Type: text/plain"
echo
cd /sys/fs/cgroup
cat memory/memory.limit_in_bytes memory.max 2> /dev/null
cat cpu/cpu.cfs_quota_us cpu.max 2> /dev/null
"""

# Writes as many lines as the query says into the container's output, as fast as it can.
BURST_PAGE = """#!/bin/sh
i=0
while [ "$i" -lt "$QUERY_STRING" ]; do
  i=$((i + 1))
  echo "line $i of $QUERY_STRING, and some more words, as the lines of programs have them"
done > /proc/1/fd/1
echo "Content-Type: text/plain"
echo
echo "wrote $i"
"""

# busybox itself ignores SIGTERM as the first process, and would linger.
SERVE = """#!/bin/sh
trap 'exit 0' TERM
/bin/busybox httpd -f -p "${PORT:-80}" -h /www &
wait
"""

# Serves too, and counts the lines it writes; the last one says how many there were.
COUNT = """#!/bin/sh
i=0
trap 'echo "$i in all"; exit 0' TERM
/bin/busybox httpd -f -p "${PORT:-80}" -h /www &
while :; do
  i=$((i + 1))
  echo "line $i $TEXT"
  sleep "${PAUSE:-0.1}"
done
"""
COUNTING = ("/bin/sh", "/count")


def web(archive: Path, *, page: str, command: tuple[str, ...] = ("/bin/sh", "/serve")) -> Path:
    """Write the archive of a web server that answers `page`; it runs as root, EXPOSE 80."""
    files = {
        "bin/busybox": BUSYBOX.read_bytes(),
        "serve": SERVE.encode(),
        "count": COUNT.encode(),
        "www/index.html": page.encode(),
        "www/cgi-bin/env": ENV_PAGE.encode(),
        "www/cgi-bin/sleep": SLEEP_PAGE.encode(),
        "www/cgi-bin/limits": LIMITS_PAGE.encode(),
        "www/cgi-bin/burst": BURST_PAGE.encode(),
        "other/index.html": b"another folder",
    }
    links = {f"bin/{name}": "busybox" for name in ("sh", "env", "echo", "tr", "sleep", "cat")}
    layer = _layer(files, links)
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Cmd": list(command), "ExposedPorts": {"80/tcp": {}}, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        _add(tar, "layer.tar", layer)
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return archive


def _layer(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, body in files.items():
            _add(tar, name, body)
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(body), 0o755
    tar.addfile(entry, io.BytesIO(body))

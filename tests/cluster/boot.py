"""From nothing to a cluster that serves, and back."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import build, cache, images, knative, node
from tests.cluster.components import (
    DEBIAN_PACKAGES,
)
from tests.cluster.environment import GATEWAY_PORT, LOGS, SECONDS_FILE, STATE, run
from tests.cluster.objects import CONFIGURATION
from tests.cluster.progress import BootError, Steps, say, wait_until

KEY_FILE = STATE / "key"
"""Names the sources of a cluster that came up whole."""

RECOVERY_SECONDS = 60
"""How long a cluster may take to bring back what died before it is started anew."""


def up(steps: Steps) -> None:
    """Bring the cluster up, or see that it is; raises BootError when it does not come."""
    _require_machine()
    with cache.only_one("cluster"):
        if _recovers():
            say("is up")
            return
        try:
            _boot(steps)
        except subprocess.CalledProcessError as error:
            raise BootError(f"{error}\nread {LOGS}") from error


def _boot(steps: Steps) -> None:
    with steps.step("end what is left"):
        node.stop()
    with steps.step("install Debian packages"):
        _install_packages()
    with ThreadPoolExecutor() as pool:
        # Debian's layer waits for the network while the compiler waits for the processor.
        layer = pool.submit(images.base_layer)
        with steps.step("build Go programs"):
            programs = [build.binaries(), build.policies()]
            folders = build.module_folders(list(CONFIGURATION))
        with steps.step("make Debian's layer"):
            layer.result()
    with steps.step("make Kubernetes' and Knative's images"):
        system = build.system_images(layer.result())
    with steps.step("make base and database images"):
        debian = [images.base_image(), images.postgres_image()]
    with steps.step("start Kubernetes"):
        node.start(programs)
        wait_until("the node", node.ready, 120, LOGS)
    with steps.step("import images"):
        for archive in (system, *debian):
            node.import_images(archive)
    with steps.step("start Knative"):
        knative.install(folders)
        wait_until("network policies", node.enforces_policies, 60, LOGS / "policies.log")
    with steps.step("reach the gateway"):
        wait_until("the gateway", _gateway_answers, 60, LOGS / "forward.log")
    steps.write(SECONDS_FILE)
    KEY_FILE.write_text(_sources())


def down() -> None:
    """End the cluster; what it leaves is the cache."""
    _require_machine()
    with cache.only_one("cluster"):
        node.stop()


def _recovers() -> bool:
    """Whether a cluster of these very sources runs and is, or soon gets, healthy."""
    if not (node.running() and KEY_FILE.exists() and KEY_FILE.read_text() == _sources()):
        return False
    try:
        wait_until("the running cluster", _healthy, RECOVERY_SECONDS, LOGS)
    except BootError as error:
        say(f"{error}; it is started anew")
        return False
    return True


def _sources() -> str:
    return f"{build.key()} {build.policies_key()}"


def _healthy() -> bool:
    is_up = node.ready() and node.enforces_policies() and knative.available()
    return is_up and _gateway_answers()


def _gateway_answers() -> bool:
    """Whether Envoy listens, which it does when it has its routes: it refuses the host itself."""
    connection = http.client.HTTPConnection("localhost", GATEWAY_PORT, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": "nobody.invalid"})
        return connection.getresponse().getheader("server") == "envoy"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _require_machine() -> None:
    if sys.platform != "linux":
        raise BootError("the cluster needs Linux")
    if os.geteuid() != 0:
        raise BootError("the cluster needs root: run it with sudo")


def _install_packages() -> None:
    missing = [
        package
        for program, package in DEBIAN_PACKAGES.items()
        if not (shutil.which(program) or Path(program).exists())
    ]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BootError(f"there is no apt-get to install {', '.join(missing)} with")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "--quiet"], env=environment)
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    run([*install, *missing], env=environment)

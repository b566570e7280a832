"""Commands: `python -m tests.cluster up | install | test | operate | status | down | registry`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from maxcloud_local.registry import BUILT
from tests.cluster import boot, build, node
from tests.cluster.components import EVENTING, KOURIER, KUBERNETES, SERVING, version
from tests.cluster.environment import GATEWAY, GATEWAY_PORT, REGISTRY, ROOT, kubectl
from tests.cluster.images import push_image
from tests.cluster.install import install
from tests.cluster.progress import BootError, Steps, say
from tests.journeys import images as sample

Sessions = dict[str, tuple[str, ...]]

# What each of them runs under pytest: in a session of its own, for it sets the platform up in its
# own way.
JOURNEYS: Sessions = {
    "run the journeys": ("tests/journeys", "tests/knative", "--ignore=tests/knative/operating"),
    "run the journeys with real keys": ("tests/keyed",),
    "let parts of it fail": ("tests/faults",),
}
# It counts the requests that fail while everything is replaced: nothing else may run beside it.
OPERATIONS: Sessions = {"install, upgrade and mend it": ("tests/knative/operating", "--capture=no")}


def up() -> None:
    """Start a cluster, or see that it runs."""
    boot.up(Steps())


def install_platform() -> None:
    """Put the platform on the cluster that runs, and an image to try it with into its registry."""
    install(Steps())
    push_sample()
    print(f"The API answers at {GATEWAY}. Try:")
    print(f"  .venv/bin/maxcloud deploy {REGISTRY}/hello --name hello")
    print(f"  curl http://hello.localhost:{GATEWAY_PORT}")
    print("  .venv/bin/maxcloud describe hello")


def push_sample() -> None:
    """Put an image into the cluster's registry that answers at once."""
    with tempfile.TemporaryDirectory() as folder:
        archive = sample.web(Path(folder) / "hello.tar", page="Hello from max-cloud\n")
        push_image(archive, f"{REGISTRY}/hello:latest")


def test() -> None:
    """Run what the platform's users do, and let parts of it fail."""
    run_on_a_new_one(JOURNEYS)


def operate() -> None:
    """Run what its operators do, under traffic."""
    run_on_a_new_one(OPERATIONS)


def run_on_a_new_one(sessions: Sessions) -> None:
    """Start a cluster with the platform, run what needs one, and take it down again.

    A boot that fails is tried once more, a test never.
    """
    steps = Steps()
    try:
        boot.up(steps)
    except BootError as error:
        say(f"{error}; once more")
        boot.down()
        boot.up(steps)
    try:
        install(steps)
        push_sample()
        memory = node.memory()
        command = [sys.executable, "-m", "pytest", "--platform=cluster", "--durations=10"]
        for title, tests in sessions.items():
            with steps.step(title):
                subprocess.run([*command, *tests], cwd=ROOT, check=True)
    finally:
        with steps.step("take it down"):
            boot.down()
    for name, seconds in steps.seconds.items():
        print(f"{seconds:8.1f} s  {name}")
    print(f"{sum(memory.values()):8} MB  cluster and platform when installed")


def status() -> None:
    """Print versions, pods and memory."""
    for module in (KUBERNETES, SERVING, EVENTING, KOURIER):
        print(f"{module} {version(module)}")
    if not node.running():
        print("the cluster is down")
        return
    print(kubectl("get", "pods", "-A"))
    memory = node.memory()
    for name, megabytes in memory.items():
        print(f"{megabytes:6} MB  {name}")
    print(f"{sum(memory.values()):6} MB  in all, shared pages counted in each")


def build_registry() -> None:
    """Build Distribution alone, for `maxcloud dev` and the tests of the private registry."""
    build.distribution(BUILT)
    print(BUILT)


COMMANDS = {
    "up": up,
    "install": install_platform,
    "test": test,
    "operate": operate,
    "status": status,
    "down": boot.down,
    "registry": build_registry,
}


def main() -> int:
    """Run the command that the arguments name; errors become one line and exit code 1."""
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python -m tests.cluster {' | '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        COMMANDS[sys.argv[1]]()
    except (BootError, subprocess.CalledProcessError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

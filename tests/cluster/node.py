"""The node's life: namespaces of its own, started from the state folder and ended as one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.cluster import state
from tests.cluster.environment import GATEWAY_PORT, LOGS, STATE, kubectl, run
from tests.cluster.processes import CONTAINERD_SOCKET, HOSTNAME, Process
from tests.cluster.progress import BootError, wait_until

PID_FILE = STATE / "node.pid"
LOG = LOGS / "node.log"


def start(programs: Sequence[Path]) -> None:
    """Write the state folder and start the node; return when its network is there."""
    _require_port()
    state.write(programs)
    machine_network = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare = _launch(machine_network)
    os.close(machine_network)
    wait_until("the node's first process", lambda: bool(_children(unshare.pid)), 10, LOG)
    pid = _children(unshare.pid)[0]
    PID_FILE.write_text(f"{pid} {_started(pid)}\n")

    def ended() -> bool:
        return unshare.poll() is not None

    wait_until("the node's network", lambda: _linked() or ended(), 10, LOG)
    if ended():
        raise BootError(f"the node ended at once; read {LOG}")


def ready() -> bool:
    """Whether the API server answers and the node takes pods."""
    condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    with suppress(subprocess.CalledProcessError, FileNotFoundError):
        return kubectl("get", "node", HOSTNAME, "--request-timeout=5s", "-o", condition) == "True"
    return False


def enforces_policies() -> bool:
    """Whether packets to and from pods pass the rules of network policies."""
    rules = ["iptables", "--list-rules", "KUBE-ROUTER-FORWARD"]
    with suppress(subprocess.CalledProcessError):
        return "KUBE-POD-FW-" in run(["nsenter", f"--target={_first_process()}", "--net", *rules])
    return False


def running() -> bool:
    """Whether the node's first process is alive."""
    return _first_process() is not None


def stop() -> None:
    """End the node and remove its state; a node that is not there is no error."""
    if pid := _first_process():
        os.kill(pid, signal.SIGKILL)
        wait_until("the end of the node", lambda: not running(), 30, LOG)
    if _linked():
        # The kernel keeps a network for as long as a dead process's connections want an answer.
        with suppress(subprocess.CalledProcessError):
            run(["ip", "link", "delete", state.LINK])
    wait_until("the end of the node's network", lambda: not _linked(), 30, "ip link")
    for folder in state.COVERED:
        with suppress(OSError):
            folder.rmdir()
    _remove_cgroups()
    shutil.rmtree(STATE, ignore_errors=True)


def import_images(archive: Path) -> None:
    """Hand an archive of images to the node's containerd."""
    client = ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io"]
    run([*client, "images", "import", str(archive)])


def restart(name: str) -> None:
    """End one process of the node by its recorded id; the first process starts it again."""
    pid_file = Process(name, []).pid_file
    before = pid_file.read_text()
    run(["nsenter", f"--target={_first_process()}", "--pid", "--", "kill", before.strip()])
    # The API server lets its watchers finish first, which takes up to a minute.
    wait_until(f"{name} again", lambda: pid_file.read_text() != before, 90, Process(name, []).log)


def memory() -> dict[str, int]:
    """Resident megabytes of everything that runs in the node, by program."""
    kilobytes: Counter[str] = Counter()
    waiting = [_first_process() or 0]
    while waiting:
        process = waiting.pop()
        waiting += _children(process)
        with suppress(OSError):
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            fields = dict(line.split(":\t", 1) for line in lines)
            kilobytes[fields["Name"]] += int(fields.get("VmRSS", "0 kB").split()[0])
    return {name: count // 1024 for name, count in kilobytes.most_common()}


def _require_port() -> None:
    with socket.socket() as listener:
        # As Go's listeners do: connections of an earlier cluster may linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", GATEWAY_PORT))
        except OSError:
            advice = "end what listens there or set MAXCLOUD_CLUSTER_PORT"
            raise BootError(f"port {GATEWAY_PORT} is taken: {advice}") from None


def _launch(machine_network: int) -> subprocess.Popen[bytes]:
    namespaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc"]
    namespaces += ["--mount", "--uts", "--ipc", "--propagation=private"]
    arguments = [str(state.SPECIFICATION), str(machine_network)]
    with LOG.open("ab") as log:
        return subprocess.Popen(
            [*namespaces, "--", sys.executable, "-m", "tests.cluster.init", *arguments],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[machine_network],
            start_new_session=True,
        )


def _linked() -> bool:
    return state.LINK in (name for _, name in socket.if_nameindex())


def _first_process() -> int | None:
    """The recorded process, unless it ended; its start time tells it from a later namesake."""
    with suppress(OSError, ValueError):
        pid, started = PID_FILE.read_text().split()
        if _started(int(pid)) == started:
            return int(pid)
    return None


def _started(pid: int) -> str:
    """When a living process started, in the kernel's ticks; empty for a dead one."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in listed.split()]
    return []


def _remove_cgroups() -> None:
    """Remove the empty groups that pods leave behind; a group in use refuses."""
    for controller in Path("/sys/fs/cgroup").glob("*/k8s.io"):
        for folder, _, _ in os.walk(controller, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()

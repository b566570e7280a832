"""The first process of the node's namespaces: it starts the node and restarts what dies.

Run as process 1 of new process, mount, host name and message namespaces, with an open
file of the machine's own network namespace. When it ends, the kernel ends every
process, mount, interface and packet rule of the node with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLONE_NEWNET = 0x40000000
RESTART_PAUSE = 1.0


def main(specification: Path, machine_network: int) -> None:
    """Set the node up as the JSON file says, then look after its processes for ever."""
    node = json.loads(specification.read_text())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # What children inherit is the machine's hard limit: raising it needs a right we may lack.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socket.sethostname(node["hostname"])
    for command in node["mounts"]:
        subprocess.run(command, check=True)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare of the network failed")
    machine = ["nsenter", f"--net=/proc/self/fd/{machine_network}"]
    for command in node["machine_links"]:
        subprocess.run([*machine, *command], check=True, pass_fds=[machine_network])
    for command in node["links"]:
        subprocess.run(command, check=True)
    _look_after(node["processes"], machine, machine_network)


def _look_after(processes: list[dict[str, Any]], machine: list[str], network: int) -> None:
    running: dict[int, dict[str, Any]] = {}

    def start(process: dict[str, Any]) -> None:
        command, descriptors = process["command"], []
        if process["on_machine"]:
            command, descriptors = [*machine, *command], [network]
        with Path(process["log"]).open("ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=descriptors)
        Path(process["pid_file"]).write_text(f"{child.pid}\n")
        # The child is waited for below, together with orphans of pods that end up here.
        child.returncode = 0
        running[child.pid] = process

    for process in processes:
        start(process)
    while True:
        pid, status = os.wait()
        if pid in running:
            process = running.pop(pid)
            print(f"{process['name']} ended with status {status}, restarted", flush=True)
            time.sleep(RESTART_PAUSE)
            start(process)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""The jobs of cd.yml, every step from the file, on an emulated project with stand-ins for programs.

tests/knative/operating/test_roll_out.py carries out the step that installs on a cluster.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hetzner.conftest import OPERATOR, World
from tests.hetzner.emulator import TOKEN
from tests.hetzner.test_components import KUBECTL
from tests.workflows import Step, carry_out, environment, steps

RUNNER = "198.51.100.9"
IMAGE = f"ghcr.io/you/max-cloud/functions@sha256:{'0' * 64}"
DIGEST = f"sha256:{'1' * 64}"

# What is not run here, and why.
NOT_HERE = {"make .venv/ready": "it made what these tests run in"}

STAND_INS = {
    "kubectl": KUBECTL,
    "curl": f"""#!/bin/sh
case "$*" in *ip.hetzner.com*) echo {RUNNER} ;; esac
""",
    "maxcloud": """#!/bin/sh
[ "$2" != install ] || cat "$4" >> "$STAND_INS/installed"
""",
    "docker": f"""#!/bin/sh
echo "docker $*" >> "$STAND_INS/asked"
[ "$1" != login ] || cat > "$STAND_INS/password"
while [ $# -gt 0 ]; do
  [ "$1" != --metadata-file ] || echo '{{"containerimage.digest": "{DIGEST}"}}' > "$2"
  shift
done
""",
    "cosign": """#!/bin/sh
echo "cosign $*" >> "$STAND_INS/asked"
""",
}

SECRETS = {
    "KUBECONFIG": "kind: Config, with a key",
    "HETZNER_API_TOKEN": TOKEN,
    "HETZNER_S3_ACCESS_KEY": "acc3ss",
    "HETZNER_S3_SECRET_KEY": "s3cret",
    "RESEND_API_KEY": "re_s3nd",
    "GITHUB_TOKEN": "gh_t0ken",
}
KNOWN = {f"secrets.{name}": value for name, value in SECRETS.items()}
KNOWN |= {"secrets.DNS_ZONE": "example.eu", "vars.HETZNER_OPERATORS": OPERATOR}
KNOWN |= {"vars.HETZNER_S3_BUCKET": "example-maxcloud", "needs.images.outputs.image": IMAGE}
KNOWN |= {"github.repository": "You/max-cloud", "github.event.workflow_run.head_sha": "c0ffee"}


@dataclass
class Runner:
    """A machine of GitHub's, as far as these jobs see it."""

    folder: Path
    env: dict[str, str]
    known: dict[str, str] = field(default_factory=lambda: dict(KNOWN))
    said: str = ""
    failed: bool = False

    def take(self, step: Step) -> None:
        """Carry a step out, unless one before it has failed and it is not for that."""
        if step.name in NOT_HERE or (self.failed and not step.always):
            return
        env = environment(step, self.known) | self.env
        # What stands in for a program goes before the folders that a step adds.
        env["PATH"] = ":".join([str(self.folder), *self._lines("path"), self.env["PATH"]])
        done = carry_out(step.command, env)
        self.said += done.stdout + done.stderr
        self.failed = self.failed or done.returncode != 0
        for line in self._lines("output"):
            name, _, value = line.partition("=")
            self.known[f"steps.{step.id}.outputs.{name}"] = value

    def asked(self) -> list[str]:
        return self._lines("asked")

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def runner(world: World, tmp_path: Path) -> Runner:
    folder = tmp_path / "runner"
    folder.mkdir()
    for name, content in STAND_INS.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "GITHUB_PATH": str(folder / "path"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_ACTOR": "you",
        # cd.yml names a folder that only GitHub's machines have.
        "KUBECONFIG": str(folder / "kubeconfig"),
        "HCLOUD_ENDPOINT": world.emulator.url,
        "STAND_INS": str(folder),
    }
    return Runner(folder, env)


def operators(world: World) -> set[str]:
    """Who may reach the cluster's API by now."""
    rules = world.emulator.one("firewalls", "maxcloud")["rules"]
    return {source for each in rules if each["port"] == "6443" for source in each["source_ips"]}


def test_deploying_installs_the_image_and_opens_the_cluster_for_that_alone(
    world: World, runner: Runner
) -> None:
    world.up()
    reaching = {}
    for step in steps("cd", "deploy"):
        runner.take(step)
        reaching[step.name] = operators(world)
    assert not runner.failed, runner.said
    theirs = f"{OPERATOR}/32"
    assert reaching["The platform, or the image before"] == {theirs, f"{RUNNER}/32"}
    assert operators(world) == {theirs}
    assert stat.S_IMODE((runner.folder / "kubeconfig").stat().st_mode) == 0o600
    assert (runner.folder / "installed").read_text() == "from: production example.eu\n"
    assert runner.said.splitlines()[-2] == f"{IMAGE} runs at https://api.example.eu"
    for secret in SECRETS.values():
        assert secret not in runner.said + "".join(runner.asked())


def test_what_fails_installs_nothing_and_closes_the_cluster_again(
    world: World, runner: Runner
) -> None:
    world.up()
    (runner.folder / "fail").write_text("wait deployment --all -n cert-manager")
    for step in steps("cd", "deploy"):
        runner.take(step)
    assert runner.failed
    assert not (runner.folder / "installed").exists()
    assert operators(world) == {f"{OPERATOR}/32"}


def test_images_are_built_and_signed_by_their_digests(runner: Runner) -> None:
    for step in steps("cd", "images"):
        runner.take(step)
    assert not runner.failed, runner.said
    functions = f"ghcr.io/you/max-cloud/functions@{DIGEST}"
    assert runner.known["steps.build.outputs.functions"] == functions
    login, *built, signed = runner.asked()
    assert (runner.folder / "password").read_text() == "gh_t0ken\n"
    assert "gh_t0ken" not in login
    for name, line in zip(("functions", "cli"), built, strict=True):
        assert f"--tag ghcr.io/you/max-cloud/{name}:c0ffee " in line
    assert signed == f"cosign sign --yes {functions} ghcr.io/you/max-cloud/cli@{DIGEST}"


def test_what_is_not_run_here_is_a_step() -> None:
    there = {step.name for job in ("images", "deploy") for step in steps("cd", job)}
    assert NOT_HERE.keys() <= there

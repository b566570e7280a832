"""What an organisation's instances write: its own people read it, where the instances live."""

import json
import uuid
from pathlib import Path

from tests.journeys import images
from tests.journeys.platform import eventually
from tests.keyed.platform import Keyed, registered

# Knative's window and its grace, and a drain.
TO_ZERO_SECONDS = 180


def test_logs_are_read_in_the_organisations_namespace_by_a_function_at_zero(
    keyed: Keyed, tmp_path: Path
) -> None:
    platform, name = keyed.platform, f"o-{uuid.uuid4().hex[:8]}"
    ada = registered(keyed, tmp_path, "ada")
    archive = images.web(tmp_path / "count.tar", page="counting", command=images.COUNTING)
    image = platform.backend.push(archive, name)
    ada("deploy", image, "--name", name, "--min", "1")

    memory = platform.backend.memory
    eventually("no `logs`", lambda: memory("logs"), TO_ZERO_SECONDS, lambda sizes: sizes == [])
    said = ada("logs", name, "-o", "json").out
    lines = [json.loads(line) for line in said.splitlines()]
    first, *_ = numbers = [int(line["message"].split()[1]) for line in lines]
    assert numbers == list(range(first, first + len(numbers)))
    assert {line["stream"] for line in lines} == {"stdout"}
    ada("delete", name, "--yes")

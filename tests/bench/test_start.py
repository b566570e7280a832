"""From nothing to the first answer, what of it the imports are, and the memory it takes then."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from tests.bench import programs
from tests.bench.figures import Goal, Table, compared, take_turns
from tests.bench.programs import Program
from tests.bench.report import Section
from tests.conftest import FUNCTIONS, TestDatabase

ROUNDS = 12

BARE, FASTAPI = "bare function", "FastAPI"

START = """\
Milliseconds from making the process to the end of its first 200. *bare function* is the least that
functions-framework serves, launched as ours are; *FastAPI* does what `services` does: it lists the
same 20 services from the same PostgreSQL. `services` is asked for its list, the others for what
Knative probes."""

MEMORY = """\
MiB after ten requests. PSS shares out what several processes have in common, as the instances on a
node do."""

IMPORTS = """\
Milliseconds that the modules of a package take for themselves, in a fresh interpreter with
compiled bytecode (`-X importtime`, which slows everything down a little): the least of six, for
what takes two or more."""

Show = Callable[[Section], None]


def contenders(rows: TestDatabase) -> dict[str, Program]:
    functions = sorted(path.stem for path in FUNCTIONS.glob("*.py"))
    ours = {f"`{name}`": programs.function(name, rows) for name in functions}
    return {BARE: programs.bare(), FASTAPI: programs.with_fastapi(rows), **ours}


def test_start(rows: TestDatabase, show: Show) -> None:
    turns = {name: partial(milliseconds, program) for name, program in contenders(rows).items()}
    goals = {"`services`": [Goal(BARE, most=2.2), Goal(FASTAPI, most=1)]}
    table = compared("ms", take_turns(turns, ROUNDS), [BARE, FASTAPI], goals)
    show(Section("Start of a function", START, [table]))


def milliseconds(program: Program) -> float:
    with programs.started(program) as running:
        return running.seconds * 1000


def test_memory(rows: TestDatabase, show: Show) -> None:
    lines = []
    for name, program in contenders(rows).items():
        with programs.started(program) as running:
            for _ in range(10):
                programs.ask(running.port, program.path)
            lines.append([name, *(f"{size:.0f}" for size in running.memory())])
    show(Section("Memory of an instance", MEMORY, [Table(["", "RSS", "PSS"], lines)]))


def test_imports(rows: TestDatabase, show: Show) -> None:
    what = {
        BARE: "from functions_framework.aio import create_asgi_app; import uvicorn",
        "`services`": loading("services"),
        "`reconcile`": loading("reconcile"),
        "`maxcloud --help`": "import maxcloud_cli.main",
        "`maxcloud list`": "import maxcloud_cli.commands.services, maxcloud.client, httpcore",
    }
    taken = take_turns({name: partial(imports, code) for name, code in what.items()}, ROUNDS // 2)
    least = {name: _least(rounds) for name, rounds in taken.items()}
    packages = {package for found in least.values() for package in found}
    most = {package: max(found.get(package, 0) for found in least.values()) for package in packages}
    lines = [
        [
            package,
            *(f"{found[package]:.1f}" if package in found else "" for found in least.values()),
        ]
        for package in sorted(packages, key=lambda each: -most[each])
        if most[package] >= 2
    ]
    total = ["all", *(f"{sum(found.values()):.0f}" for found in least.values())]
    show(Section("What the imports cost", IMPORTS, [Table(["", *least], [total, *lines])]))


def loading(function: str) -> str:
    source = str(FUNCTIONS / f"{function}.py")
    return f"from maxcloud import runtime; runtime.load({function!r}, {source!r})"


def imports(code: str) -> dict[str, float]:
    """Milliseconds by package; what the standard library takes is one of them."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    taken: dict[str, float] = defaultdict(float)
    for microseconds, module in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", said):
        package = module.partition(".")[0]
        is_standard = package in sys.stdlib_module_names or package == "encodings"
        taken["standard library" if is_standard else package] += int(microseconds) / 1000
    return dict(taken)


def _least(rounds: list[dict[str, float]]) -> dict[str, float]:
    packages = {package for taken in rounds for package in taken}
    return {package: min(taken.get(package, 0) for taken in rounds) for package in packages}

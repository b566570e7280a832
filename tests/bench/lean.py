"""An environment with the base install alone, as `pipx install maxcloud` makes it.

The developers' environment has ten times as many packages, and some of them slow every start of
Python down, or offer a library more to import. Nothing is downloaded: the new environment's
packages are links to those here.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

SOURCES = [Path(__file__).parents[2] / folder for folder in ("cli", "shared")]

COMMAND = """#!{python}
import sys
from maxcloud_cli.main import main
sys.exit(main())
"""


def environment(folder: Path) -> Path:
    """Make the environment and return its folder of commands: python and maxcloud."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    packages = Path(paths["purelib"])
    for entry in _entries():
        link = packages / entry.name
        if not link.exists():
            link.symlink_to(entry)
    (packages / "maxcloud.pth").write_text("\n".join(map(str, SOURCES)), encoding="utf-8")
    commands = Path(paths["scripts"])
    command = commands / "maxcloud"
    command.write_text(COMMAND.format(python=commands / "python"), encoding="utf-8")
    command.chmod(0o755)
    return commands


def _entries() -> Iterator[Path]:
    """Yield the top-level files and folders of every package that the base install needs."""
    for name in sorted(_needed("maxcloud") - {"maxcloud"}):
        found = distribution(name)
        folder = Path(str(found.locate_file("")))
        tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        yield from (folder / top for top in sorted(tops))


def _needed(name: str) -> set[str]:
    """Return a distribution and all that it requires here without an extra."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        found.add(each)
        requirements = map(Requirement, distribution(each).requires or ())
        waiting += [
            requirement.name
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found

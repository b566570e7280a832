"""A function's imports are its rights and its cold start: each is looked at in a fresh process."""

import subprocess
import sys

import pytest

from tests.conftest import FUNCTIONS

# What an HTTP function must not load before its first answer, nor be able to use.
HEAVY = {"kubernetes", "httpx", "httpcore", "urllib3", "requests"}
FOREIGN = {"typer", "click", "rich", "yaml", "resend", "fastapi", "structlog", "flask", "aiohttp"}
FORBIDDEN = {
    "auth": HEAVY | FOREIGN,
    "invites": HEAVY | FOREIGN,
    "mailer": HEAVY | FOREIGN,
    "health": HEAVY | FOREIGN,
    # httpx tries to import rich, for a command line of its own; the functions' image has none.
    "logs": (HEAVY - {"httpx", "httpcore"}) | (FOREIGN - {"rich"}) | {"maxcloud.knative.cluster"},
    "registry": HEAVY | FOREIGN,
    "services": HEAVY | FOREIGN,
    "status": (FOREIGN - {"yaml", "aiohttp"}) | {"maxcloud.oci"},
    "reconcile": FOREIGN - {"yaml", "aiohttp"},
}

# functions-framework's own package loads these, whoever uses it.
FRAMEWORKS = {"click", "flask"}

PROGRAM = """
import sys
from maxcloud import runtime
runtime.load({function!r}, {source!r})
print("\\n".join(sorted(sys.modules)))
"""


def loaded_by(function: str) -> set[str]:
    source = str(FUNCTIONS / f"{function}.py")
    code = PROGRAM.format(function=function, source=source)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_function_has_its_list() -> None:
    assert set(FORBIDDEN) == {path.stem for path in FUNCTIONS.glob("*.py")}


@pytest.mark.parametrize("function", FORBIDDEN)
def test_a_function_imports_no_more_than_it_may(function: str) -> None:
    loaded = loaded_by(function)
    assert "maxcloud.http" in loaded
    assert loaded & (FORBIDDEN[function] - FRAMEWORKS) == set()
    other = {f"maxcloud_cli.{name}" for name in ("main", "settings")}
    assert not loaded & (other | {"maxcloud_cli", "maxcloud.client"})


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("maxcloud.client", HEAVY - {"httpx", "httpcore"} | {"psycopg", "starlette", "uvicorn"}),
        ("maxcloud.knative.manifests", HEAVY | {"psycopg", "starlette"}),
        ("maxcloud.knative.pods", HEAVY - {"httpx", "httpcore"} | {"psycopg", "yaml", "aiohttp"}),
        ("maxcloud.knative.status", HEAVY | {"psycopg", "starlette"}),
        ("maxcloud.models", HEAVY | {"psycopg", "starlette", "maxcloud.config"}),
        ("maxcloud.accounts", HEAVY | {"psycopg", "starlette", "maxcloud.config"}),
        ("maxcloud.images", HEAVY | {"psycopg", "starlette", "maxcloud.config"}),
        ("maxcloud.registry", HEAVY | {"psycopg", "starlette", "pydantic"}),
        ("maxcloud.letters", HEAVY | {"psycopg", "starlette", "pydantic", "jwt"}),
        ("maxcloud.store.migrate", HEAVY | {"starlette", "pydantic"}),
    ],
)
def test_a_module_stays_light(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & forbidden == set()

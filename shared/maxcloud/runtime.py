"""Start one function: `python -m maxcloud.runtime`, with FUNCTION_TARGET and FUNCTION_SOURCE.

The app is functions-framework's own; this launcher adds what its server has no setting for: the
configuration is checked before the port is opened, connections are given back at the end, a drain
has a limit, and the garbage collector does not look at what never goes away.
"""

import gc

gc.disable()  # Imports make garbage that is not worth looking for: 25 ms of every cold start.

import sys  # noqa: E402 - the collector is off first

# httpx has a command line of its own and loads it wherever its packages are installed: 30 ms.
sys.modules["httpx._main"] = None  # type: ignore[assignment]

import logging  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
from collections.abc import AsyncIterator  # noqa: E402
from contextlib import asynccontextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

import uvicorn  # noqa: E402
from functions_framework.aio import create_asgi_app  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402

from maxcloud import log, wire  # noqa: E402
from maxcloud.errors import ConfigError  # noqa: E402
from maxcloud.http import Api  # noqa: E402

# As many as Envoy lets through: with the server's own 16 KiB it would depend on how they arrive.
HEADERS_BYTES_MAX = 64 * 1024

# Longer than Knative's queue-proxy keeps a connection that nobody uses (90 s, Go's transport). Else
# a request may meet one that is just being ended, and a write is not sent twice: it is a 502.
IDLE_SECONDS = 120

# How long requests may go on after SIGTERM. Knative's queue-proxy has drained before it comes.
DRAIN_SECONDS = 20


def load(target: str, source: str) -> tuple[Starlette, Api]:
    """Return the app of the function `target` in the file `source`, with its lifespan."""
    app: Starlette = create_asgi_app(target, source)  # type: ignore[no-untyped-call]
    api: Api = sys.modules[Path(source).stem].api

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await api.close()

    app.router.lifespan_context = lifespan
    # functions-framework's router knows seven methods and answers others in its own words.
    app.add_exception_handler(HTTPException, wire.refused_by_router)
    return app, api


def main() -> None:
    """Serve until SIGTERM; a wrong setting ends the process with one sentence."""
    target = os.environ.get("FUNCTION_TARGET", "")
    source = os.environ.get("FUNCTION_SOURCE", f"functions/{target}.py")
    try:
        if not target:
            raise ConfigError("FUNCTION_TARGET is not set: name the function to serve")
        if not Path(source).is_file():
            raise ConfigError(f"FUNCTION_SOURCE must be the file of the function, not '{source}'")
        app, api = load(target, source)
        config = api.configuration()
    except ConfigError as error:
        sys.exit(f"{target or 'maxcloud'}: {error}")
    log.configure(target, config.log_level)
    gc.freeze()
    gc.enable()
    logging.getLogger(__name__).info("starting", extra={"fields": {"milliseconds": _age()}})
    if config.dev_mode:
        logging.getLogger(__name__).warning("DEV_MODE: whoever reaches this may do everything")
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEADERS_BYTES_MAX,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _age() -> int | None:
    """Return for how many milliseconds this process has run, where the system tells (Linux)."""
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return None
    started = int(stat.read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000)


if __name__ == "__main__":
    main()

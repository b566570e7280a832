"""The least that functions-framework can serve, launched as our functions are."""

import gc

gc.disable()

import os  # noqa: E402 - as in maxcloud.runtime

import uvicorn  # noqa: E402
from functions_framework.aio import create_asgi_app, http  # noqa: E402
from starlette.requests import Request  # noqa: E402


@http
async def bare(request: Request) -> str:
    return "ok"


if __name__ == "__main__":
    app = create_asgi_app("bare", __file__)  # type: ignore[no-untyped-call]
    gc.freeze()
    gc.enable()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_config=None,
        access_log=False,
        server_header=False,
    )

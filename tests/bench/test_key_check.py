"""What the check of a key costs: a warm GET with one, beside the same where none is asked for."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import httpx

from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.bench.figures import Table, compared, take_turns
from tests.bench.report import Section
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.conftest import public
from tests.functions.people import Organisation, caller, installation
from tests.functions.support import SERVICES

ROUNDS = 400

WITHOUT, WITH = "without a key (DEV_MODE)", "with a key"

ABOUT = """\
Milliseconds of a list of no services, one after the other, by a function that knows its caller by
the key, and by one that asks for none. The key is looked up in PostgreSQL with every request."""


def test_key_check(
    database: TestDatabase, apis: dict[str, Api], show: Callable[[Section], None]
) -> None:
    db = Database(database.api)
    key = Organisation(database).key()
    with (
        served(public(apis, dev_config(), db), after=db.close) as open_url,
        httpx.Client(base_url=open_url) as developer,
        installation(apis, database) as url,
        caller(url, key) as keyed,
    ):
        turns = {
            WITHOUT: partial(milliseconds, developer),
            WITH: partial(milliseconds, keyed),
        }
        taken = take_turns(turns, ROUNDS)
    tables = [compared("ms", taken, [WITHOUT], digits=2), share(taken[WITH], taken[WITHOUT])]
    show(Section("The check of a key", ABOUT, tables))


def share(keyed: Sequence[float], without: Sequence[float]) -> Table:
    """Return what part of a request with a key is the check of it."""
    parts = [1 - b / a for a, b in zip(keyed, without, strict=True)]
    return Table(
        ["", "% of a warm GET"], [["the check of a key", f"{100 * statistics.median(parts):.0f}"]]
    )


def milliseconds(client: httpx.Client) -> float:
    began = time.perf_counter()
    assert client.get(SERVICES).status_code == 200
    return (time.perf_counter() - began) * 1000

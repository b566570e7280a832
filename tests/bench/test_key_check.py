"""What the check of a key costs: a warm GET with one, beside the same where none is asked for."""

import statistics
import time
from collections.abc import Callable

import httpx

from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.conftest import public
from tests.functions.people import Organisation, caller, installation
from tests.functions.support import SERVICES

ROUNDS, WARM = 400, 50


def milliseconds(ask: Callable[[], httpx.Response]) -> float:
    start = time.perf_counter()
    assert ask().status_code == 200
    return (time.perf_counter() - start) * 1000


def test_a_warm_get_with_a_key_beside_one_without(
    database: TestDatabase, apis: dict[str, Api]
) -> None:
    db = Database(database.api)
    key = Organisation(database).key()
    with (
        served(public(apis, dev_config(), db), after=db.close) as open_url,
        httpx.Client(base_url=open_url) as developer,
        installation(apis, database) as url,
        caller(url, key) as keyed,
    ):
        times: dict[str, list[float]] = {"without": [], "with": []}
        for number in range(ROUNDS + WARM):
            for kind, client in (("without", developer), ("with", keyed)):
                took = milliseconds(lambda client=client: client.get(SERVICES))  # type: ignore[misc]
                if number >= WARM:
                    times[kind].append(took)
    middle = {kind: statistics.median(taken) for kind, taken in times.items()}
    share = (middle["with"] - middle["without"]) / middle["with"]
    print(
        f"\nwarm GET: {middle['without']:.2f} ms without a key, {middle['with']:.2f} ms with one;"
    )
    print(f"the check is {share:.0%} of it")

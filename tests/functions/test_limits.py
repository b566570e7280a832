"""How often something may be tried, counted in the database for all instances."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from maxcloud import keys
from maxcloud.http import Api
from maxcloud.store import limits
from tests.conftest import TestDatabase
from tests.functions.people import AUTH, Organisation, caller, installation
from tests.functions.support import SERVICES, assert_refusal
from tests.store.support import execute

HERE = "192.0.2.1"

BAD_TOKEN = {"token": "a.b.c"}
TRIES = [
    (limits.REGISTER, f"{AUTH}/register", {"email": "a@example.test", "org_name": "Dev"}),
    (limits.VERIFY, f"{AUTH}/verify", BAD_TOKEN),
    (limits.ACCEPT, f"{AUTH}/accept-invite", BAD_TOKEN),
]


@pytest.fixture
def url(database: TestDatabase, apis: dict[str, Api]) -> Iterator[str]:
    with installation(apis, database) as running:
        yield running


def exhaust(database: TestDatabase, limit: limits.Limit, who: str) -> None:
    """Let all attempts but one have happened."""
    insert = "insert into rate_limits values (%s, %s, now() + make_interval(secs => %s))"
    execute(database.owner, insert, f"{limit.what} {who}", limit.most - 1, limit.seconds)


@pytest.mark.parametrize(("limit", "path", "body"), TRIES, ids=lambda part: str(part)[:20])
def test_an_address_tries_so_often_and_then_waits(
    url: str, database: TestDatabase, limit: limits.Limit, path: str, body: dict[str, str]
) -> None:
    exhaust(database, limit, HERE)
    with caller(url, address=HERE) as client:
        assert client.post(path, json=body).status_code in {400, 409, 201}
        for _ in range(2):
            answer = client.post(path, json=body)
            assert_refusal(answer, "too_many_requests")
            assert 0 < int(answer.headers["Retry-After"]) <= limit.seconds
    with caller(url, address="192.0.2.2") as another:
        assert another.post(path, json=body).status_code != 429
    execute(database.owner, "update rate_limits set closes_at = now()")
    with caller(url, address=HERE) as client:
        assert client.post(path, json=body).status_code != 429


def test_keys_are_guessed_so_often_and_good_ones_are_never_refused(
    url: str, database: TestDatabase
) -> None:
    good = Organisation(database).key()
    exhaust(database, limits.FAILED_KEY_OF_ADDRESS, HERE)
    for code in ("unauthenticated", "too_many_requests"):
        with caller(url, keys.make(), HERE) as client:
            assert_refusal(client.get(SERVICES), code)
    with caller(url, good, HERE) as client:
        assert client.get(SERVICES).status_code == 200


def test_a_prefix_is_guessed_so_often_from_wherever(url: str, database: TestDatabase) -> None:
    good = Organisation(database).key()
    prefix = str(keys.prefix_of(good))
    body = f"{prefix}_{'a' * 52}"
    wrong = body + keys._checksum(body)
    exhaust(database, limits.FAILED_KEY_OF_PREFIX, prefix)
    for code in ("unauthenticated", "too_many_requests"):
        with caller(url, wrong) as client:
            assert_refusal(client.get(SERVICES), code)
    with caller(url, good) as client:
        assert client.get(SERVICES).status_code == 200


def test_what_cannot_be_a_key_is_not_even_counted(url: str, database: TestDatabase) -> None:
    with caller(url, "mc_nonsense", HERE) as client:
        assert_refusal(client.get(SERVICES), "unauthenticated")
    assert execute(database.owner, "select * from rate_limits") == []


def test_a_forwarded_address_is_not_believed(url: str, database: TestDatabase) -> None:
    exhaust(database, limits.VERIFY, HERE)
    with caller(url, address=HERE) as client:
        for number in range(3):
            headers = {"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": "for=203.0.113.1"}
            answer = client.post(f"{AUTH}/verify", json=BAD_TOKEN, headers=headers)
    assert answer.status_code == 429


@pytest.mark.parametrize("said", ["", "nonsense", "10.0.0.1, 10.0.0.2"])
def test_callers_without_an_address_are_counted_together(
    url: str, database: TestDatabase, said: str
) -> None:
    with httpx.Client(base_url=url, headers={"x-maxcloud-client": said}) as client:
        client.post(f"{AUTH}/verify", json=BAD_TOKEN)
    assert execute(database.owner, "select bucket from rate_limits") == [("verify None",)]


def test_a_network_of_ipv6_is_one_address(url: str, database: TestDatabase) -> None:
    for address in ("2001:db8::1", "2001:db8::ffff"):
        with caller(url, address=address) as client:
            client.post(f"{AUTH}/verify", json=BAD_TOKEN)
    found = execute(database.owner, "select bucket, attempts from rate_limits")
    assert found == [("verify 2001:db8::/64", 2)]


def test_attempts_at_once_are_all_counted(url: str, database: TestDatabase) -> None:
    def attempt(_: int) -> int:
        with caller(url, address=HERE) as client:
            return client.post(f"{AUTH}/verify", json=BAD_TOKEN).status_code

    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(attempt, range(limits.VERIFY.most + 20)))
    assert (codes.count(400), codes.count(429)) == (limits.VERIFY.most, 20)

"""The function `mailer`, and a Resend that keeps what it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from maxcloud.http import Api
from maxcloud.store.database import Database
from tests.conftest import TestDatabase, dev_config, served
from tests.functions.mailer.telling import Serve
from tests.functions.people import production
from tests.postal import RESEND_KEY, Resend, resend


@pytest.fixture
def post() -> Iterator[Resend]:
    with resend() as running:
        yield running


@pytest.fixture
def serve(apis: dict[str, Api], database: TestDatabase, post: Resend) -> Serve:
    """Serve the mailer, with Resend if no other settings are said."""

    @contextmanager
    def serving(**settings: object) -> Iterator[httpx.Client]:
        through = {"resend_api_key": RESEND_KEY, "resend_api_url": post.url}
        make = dev_config if settings.get("dev_mode") else production
        db = Database(database.worker)
        app = apis["mailer"].build(make(**(settings or through)), db)
        with served(app, after=db.close) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield client

    return serving

"""What the measurements ask of the local engine beside its API."""

import base64

from tests.local.backend import Engine

SAMPLE = "maxcloud.local/hello"


def worker_url(engine: Engine) -> str:
    """Return the address of an engine's database for the workers, who see all rows."""
    secret = engine.kubernetes("GET", "/api/v1/namespaces/mc-system/secrets/database")
    return base64.b64decode(secret["data"]["worker-url"]).decode()

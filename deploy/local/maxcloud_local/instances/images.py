"""What the functions ask about images that no registry has: the sample, and `localhost/…`."""

import hashlib

from aiohttp import web

from maxcloud.references import Reference
from maxcloud_local.instances.containers import LOCAL_HOST
from maxcloud_local.instances.engines import Engines
from maxcloud_local.instances.processes import OWN_HOST, SAMPLE, SAMPLE_SOURCE, no_such
from maxcloud_local.instances.running import CannotStart


def app(engines: Engines) -> web.Application:
    """Return an app that answers `GET /images?reference=…` as functions ask it (maxcloud.oci).

    200 with the digest and the exposed ports, as an image's configuration has them; 404 with
    `reason` and `error`, one sentence.
    """

    async def look_up(request: web.Request) -> web.Response:
        text = request.query.get("reference", "")
        try:
            digest, exposed = await _image(engines, text)
        except CannotStart as error:
            reason = error.failure.reason.replace("ErrImagePull", "ImageNotFound")
            return web.json_response({"error": str(error), "reason": reason}, status=404)
        return web.json_response(
            {"digest": digest, "exposed_ports": {port: {} for port in exposed}}
        )

    application = web.Application()
    application.router.add_get("/images", look_up)
    return application


async def _image(engines: Engines, text: str) -> tuple[str, list[str]]:
    reference = Reference.parse(text)
    if (reference.host, reference.repository) == (OWN_HOST, SAMPLE):
        return f"sha256:{hashlib.sha256(SAMPLE_SOURCE.read_bytes()).hexdigest()}", []
    if reference.host != LOCAL_HOST:
        raise no_such(text)
    if reference.digest:
        return await engines.image(reference.digest)
    return await engines.image(f"{LOCAL_HOST}/{reference.repository}:{reference.tag}")

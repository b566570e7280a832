"""WebSockets through the gateway: messages both ways, and the codes with which they end."""

import asyncio

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, web

from maxcloud.errors import MaxCloudError

Side = web.WebSocketResponse | ClientWebSocketResponse


class Unwilling(MaxCloudError):
    """One of the two does not want a WebSocket; `status` is the answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"no WebSocket: {status}")
        self.status = status


def is_websocket(request: web.Request) -> bool:
    """Tell whether a request asks for a WebSocket (RFC 6455, section 4.2.1)."""
    wanted = {part.strip().lower() for part in request.headers.get("Connection", "").split(",")}
    upgrade = request.headers.get("Upgrade", "").strip().lower()
    return request.method == "GET" and "upgrade" in wanted and upgrade == "websocket"


def offered(request: web.Request) -> list[str]:
    """Return the subprotocols that the client offers."""
    values = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


async def join(request: web.Request, upstream: ClientWebSocketResponse) -> web.WebSocketResponse:
    """Connect the client with the instance until one of them ends it. Raises Unwilling."""
    client = web.WebSocketResponse(
        protocols=[upstream.protocol] if upstream.protocol else [],
        autoping=False,
        autoclose=False,
        compress=False,
        max_msg_size=0,
    )
    if not client.can_prepare(request):
        raise Unwilling(400)
    await client.prepare(request)
    sides: dict[asyncio.Task[tuple[int, bytes]], tuple[Side, Side]] = {
        asyncio.create_task(_hand_on(client, upstream)): (client, upstream),
        asyncio.create_task(_hand_on(upstream, client)): (upstream, client),
    }
    try:
        done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        ended = done.pop()
        (code, reason), (closer, other) = ended.result(), sides[ended]
        if code != WSCloseCode.ABNORMAL_CLOSURE:
            await other.close(code=code, message=reason)
            await closer.close(code=code, message=reason)
        elif request.transport is not None:
            request.transport.abort()
    finally:
        for half in sides:
            half.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
    return client


async def _hand_on(source: Side, target: Side) -> tuple[int, bytes]:
    """Hand on messages until the source ends, and return with which code and reason."""
    while True:
        message = await source.receive()
        try:
            match message.type:
                case WSMsgType.TEXT:
                    await target.send_str(message.data)
                case WSMsgType.BINARY:
                    await target.send_bytes(message.data)
                case WSMsgType.PING:
                    await target.ping(message.data)
                case WSMsgType.PONG:
                    await target.pong(message.data)
                case WSMsgType.CLOSE:
                    # A close without a code is 0 here; none can be sent so.
                    return message.data or WSCloseCode.OK, str(message.extra or "").encode()
                case _:
                    return WSCloseCode.ABNORMAL_CLOSURE, b""
        except ConnectionError:
            return WSCloseCode.ABNORMAL_CLOSURE, b""

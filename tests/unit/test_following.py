"""One stream over several connections, and how long it is worth another try."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from httpx_sse import ServerSentEvent

from maxcloud.client import Client, ConnectionFailed, NoAnswer
from maxcloud.errors import MaxCloudError, NotFound, Unavailable
from maxcloud.following import Interruption, LogEvent, follow
from maxcloud.instances import Instance, InstanceState, LogEntry
from tests.cli.scripted import END, Answer, ScriptedAPI, instance, line, scripted_api, stream

Connection = list[ServerSentEvent] | MaxCloudError

AT_FIRST, LATER = (NoAnswer,), (ConnectionFailed, Unavailable)


class Script:
    """Connections one after the other; the last one comes again and again."""

    def __init__(self, *connections: Connection) -> None:
        self._connections = list(connections)
        self.asked: list[str] = []

    @contextmanager
    def connect(self, last_id: str) -> Iterator[Iterator[ServerSentEvent]]:
        self.asked.append(last_id)
        several = len(self._connections) > 1
        connection = self._connections.pop(0) if several else self._connections[0]
        if isinstance(connection, MaxCloudError):
            raise connection
        yield iter(connection)

    def follow(self, patience: float = 30) -> Iterator[LogEvent]:
        return follow(self.connect, AT_FIRST, LATER, patience)


def said(event: str, id: str = "") -> ServerSentEvent:
    data = '{"name": "a-b", "revision": "a", "state": "ready"}' if event == "instance" else "{}"
    return ServerSentEvent(event, data, id)


OPENING = ServerSentEvent(None, "", "7")


def test_the_next_connection_begins_where_the_last_one_ended() -> None:
    script = Script(
        [OPENING, said("instance", "8"), said("of a newer API", "9")],
        [OPENING, said("farewell")],
        [said("instance"), said("end"), said("instance")],
    )
    kinds = [type(event) for event in script.follow()]
    assert kinds == [Instance, Interruption, Instance]
    assert script.asked == ["", "9", "7"]


def test_before_anything_was_heard_less_is_worth_another_try() -> None:
    with pytest.raises(ConnectionFailed):
        list(Script(ConnectionFailed("refused")).follow())
    script = Script(NoAnswer("lost"), [OPENING], ConnectionFailed("refused"), [said("end")])
    assert len(list(script.follow())) == 3
    assert script.asked == ["", "", "7", "7"]


def test_what_no_repetition_helps_is_raised_at_once() -> None:
    script = Script([OPENING], NotFound("deleted"))
    with pytest.raises(NotFound):
        list(script.follow())
    assert len(script.asked) == 2


def test_it_is_given_up_when_nothing_is_heard_any_more() -> None:
    script = Script([OPENING], Unavailable("down"))
    with pytest.raises(Unavailable, match="down"):
        list(script.follow(patience=0.5))
    waits_long = Script([OPENING], Unavailable("down", retry_after=60))
    with pytest.raises(Unavailable):
        list(waits_long.follow(patience=30))


@pytest.fixture
def scripted() -> Iterator[ScriptedAPI]:
    with scripted_api() as running:
        yield running


def test_the_client_gives_lines_and_instances(scripted: ScriptedAPI) -> None:
    events = [instance("aaaaa", "starting"), line("ünïcode \u2028 line"), END]
    scripted.script("GET", "/api/v1/logs/shop?tail=0", stream(*events))
    scripted.script("GET", "/api/v1/logs/a%2Fb?since=2026-11-22T12%3A00%2B01%3A00", stream(*events))
    with Client(scripted.url, "mc_key") as client:
        assert client.instances("shop") == [
            Instance(name="shop-00001-aaaaa", revision="shop-00001", state=InstanceState.STARTING)
        ]
        [entry] = client.stream_logs("a/b", since="2026-11-22T12:00+01:00")
        assert isinstance(entry, LogEntry)
        assert entry.message == "ünïcode \u2028 line"
        assert entry.timestamp.tzinfo is not None
        for nothing in ("", ".", ".."):
            with pytest.raises(NotFound):
                list(client.stream_logs(nothing))
    assert {asked.headers["Authorization"] for asked in scripted.asked} == {"Bearer mc_key"}


def test_a_short_stream_that_is_cut_is_read_on(scripted: ScriptedAPI) -> None:
    first, rest = stream(line("one")), stream(line("two"), END)
    scripted.script("GET", "/api/v1/logs/shop", first, Answer(502, "bad"), rest)
    with Client(scripted.url) as client:
        assert [entry.message for entry in client.stream_logs("shop")] == ["one", "two"]
    assert [asked.headers.get("Last-Event-ID") for asked in scripted.asked] == [None, "1", "1"]

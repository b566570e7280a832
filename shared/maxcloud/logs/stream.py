"""One request's way through the logs of a service: what there is, and what comes.

A follower gets some lines twice, from a log that it reads itself and from the feed. It passes over
the second by its cursor: so nothing is lost and nothing is doubled where the two meet.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from maxcloud.instances import Instance, InstanceState
from maxcloud.knative.pods import Pod, Pods
from maxcloud.logs.backlog import merged, read
from maxcloud.logs.feed import Feed, Follower
from maxcloud.logs.lines import Line
from maxcloud.logs.places import Cursor


@dataclass(frozen=True, slots=True)
class Entry:
    """A line, and the cursor of who has read it."""

    line: Line
    cursor: str


Event = Entry | Instance
# Some at a time, as they come.
Events = AsyncGenerator[list[Event], None]


def instances(found: Mapping[str, Pod]) -> list[Event]:
    """Return what to say of the instances that there are."""
    return [_instance(pod) for pod in found.values()]


async def backlog(pods: Pods, found: Mapping[str, Pod], cursor: Cursor) -> Events:
    """Yield what instances wrote after a cursor, by time. Raises Unavailable."""
    logs = [read(pods, pod, cursor[name]) for name, pod in found.items() if pod.has_run]
    async with aclosing(merged(logs)) as portions:
        async for lines in portions:
            yield entries(lines, cursor)


def entries(lines: list[Line], cursor: Cursor) -> list[Event]:
    """Return lines, and take the cursor on behind them."""
    return [_passed(line, cursor) for line in lines]


async def following(
    feed: Feed, follower: Follower, cursor: Cursor, first: list[Line] | None = None
) -> Events:
    """Yield both, and then what changes and is written, as it comes, until the follower is closed.

    `first` are the lines after the cursor where somebody has read them since `feed.begin`. Raises
    Unavailable.
    """
    told: dict[str, Instance] = {}
    reads_again = False
    while not follower.closed:
        if first is None:
            feed.begin(follower)
        found = feed.instances
        gone = [each for name, each in told.items() if name not in found]
        pods = [*(_gone(each) for each in gone), *map(_instance, found.values())]
        yield [each for each in pods if _is_news(each, told, cursor)]
        if first is not None:
            yield entries(first, cursor)
            first = None
        else:
            async with aclosing(backlog(feed.pods, found, cursor)) as portions:
                async for portion in portions:
                    if follower.closed:
                        return
                    yield portion
        feed.read_from(cursor)
        # The feed may have read on meanwhile. Once more is enough; where it is not, what stands
        # between cannot be read any more.
        is_behind = any(cursor[name] < place for name, place in follower.behind.items())
        reads_again = is_behind and not reads_again
        while not (reads_again or follower.missed or follower.closed):
            if portion := _portion(await follower.take(), told, cursor):
                yield portion


def _portion(items: list[Pod | Line], told: dict[str, Instance], cursor: Cursor) -> list[Event]:
    portion: list[Event] = []
    for item in items:
        if isinstance(item, Pod):
            if _is_news(instance := _instance(item), told, cursor):
                portion.append(instance)
        elif item.place > cursor[item.instance]:
            portion.append(_passed(item, cursor))
    return portion


def _passed(line: Line, cursor: Cursor) -> Entry:
    cursor[line.instance] = line.place
    return Entry(line, str(cursor))


def _is_news(instance: Instance, told: dict[str, Instance], cursor: Cursor) -> bool:
    """Tell whether a follower has not heard of it, and note that it has now."""
    if instance.state == InstanceState.GONE:
        cursor.forget(instance.name)
        return told.pop(instance.name, None) is not None
    is_news = told.get(instance.name) != instance
    told[instance.name] = instance
    return is_news


def _instance(pod: Pod) -> Instance:
    return Instance(name=pod.name, revision=pod.revision, state=pod.state)


def _gone(instance: Instance) -> Instance:
    return instance.model_copy(update={"state": InstanceState.GONE})

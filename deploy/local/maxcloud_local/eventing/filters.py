"""Which events a Trigger wants: the dialects that eventing/ uses. Pure.

Source: knative.dev/eventing, pkg/eventfilter/subscriptionsapi.
"""

from collections.abc import Callable, Mapping
from typing import Any

from maxcloud.errors import MaxCloudError

Matches = Callable[[Mapping[str, str]], bool]


class UnknownFilter(MaxCloudError):
    """A filter that this engine does not know; the message names it."""


def compiled(filters: list[Any]) -> Matches:
    """Return what tells whether an event's attributes pass every filter; none is no condition.

    Raises UnknownFilter.
    """
    parts = [_one(part) for part in filters]
    return lambda attributes: all(matches(attributes) for matches in parts)


def _one(part: Any) -> Matches:
    match part:
        case {"exact": dict(wanted), **rest} if wanted and not rest:
            return lambda event: all(event.get(name) == value for name, value in wanted.items())
        case {"prefix": dict(wanted), **rest} if wanted and not rest:
            return lambda event: all(
                name in event and event[name].startswith(value) for name, value in wanted.items()
            )
        case {"any": list(inner), **rest} if inner and not rest:
            choices = [_one(each) for each in inner]
            return lambda event: any(matches(event) for matches in choices)
        case _:
            said = ", ".join(map(str, part)) if isinstance(part, dict) else str(part)
            raise UnknownFilter(
                f"the local engine knows the filters exact, prefix and any, not '{said}'"
            )

"""What the platform's own models let through, made up."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError

from maxcloud import fields, names
from maxcloud.models import ServiceSettings, Template

DIGEST = f"sha256:{'a' * 64}"

# Text as JSON has it, and as an environment takes it.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)

service_names = st.from_regex(names.NAME_PATTERN, fullmatch=True).filter(
    lambda name: names.why_not_a_name(name) is None
)
tags = st.from_regex(names.NAME_PATTERN, fullmatch=True).filter(
    lambda tag: names.why_not_a_tag(tag) is None
)
env_keys = st.from_regex(fields.ENV_KEY_PATTERN, fullmatch=True).filter(
    lambda key: key != "PORT" and not key.startswith("K_") and len(key) <= 256
)
cpus = st.integers(10, 64_000).map(lambda millis: f"{millis}m") | st.decimals(
    "0.01", 64, places=3
).map(str)

some_settings: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(0, 65535).filter(lambda port: port not in names.RESERVED_PORTS),
        "command": st.lists(texts, max_size=3),
        "args": st.lists(texts, max_size=3),
        "env_vars": st.dictionaries(env_keys, texts, max_size=4),
        "min_scale": st.integers(0, 20),
        "max_scale": st.integers(1, 1000),
        "concurrency": st.integers(0, 1000),
        "cpu": cpus,
        "memory": st.integers(16, 4096).map(lambda size: f"{size}Mi"),
        "timeout_seconds": st.integers(1, 600),
    },
)


def valid(settings: dict[str, Any]) -> bool:
    """Tell whether these settings keep the rules."""
    try:
        ServiceSettings(**settings)
    except ValidationError:
        return False
    return True


settings = some_settings.filter(valid).map(lambda chosen: ServiceSettings(**chosen))
templates = settings.map(
    lambda chosen: Template(
        image=f"docker.io/library/nginx@{DIGEST}",
        **chosen.model_dump() | {"port": chosen.port or 8080},
    )
)

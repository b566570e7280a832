"""The types of fields in requests: each with the rule it keeps and the sentence that refuses."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from maxcloud import names

ENV_KEYS_MAX = 100
ENV_BYTES_MAX = 32 * 1024

# Kubernetes keeps an object of at most 1.5 MiB, in which one character may be written as six.
WORDS_BYTES_MAX = 64 * 1024


def _name(value: str) -> str:
    if wrong := names.why_not_a_name(value):
        raise ValueError(wrong)
    return value


def _text(value: str) -> str:
    # PostgreSQL keeps no NUL in text, and neither do an argv or an environment.
    if "\x00" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _tag(value: str) -> str:
    if wrong := names.why_not_a_tag(value):
        raise ValueError(wrong)
    return value


# The grammar of distribution/reference (regexp.go, normalize.go): what stands before the first
# slash is a host only with a dot or a port, or as localhost.
_LABEL = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_PORT = r":[0-9]{1,5}"
_HOST = rf"(localhost({_PORT})?|{_LABEL}(\.{_LABEL})*{_PORT}|{_LABEL}(\.{_LABEL})+)"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_TAG, _DIGEST = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "@sha256:[0-9a-f]{64}"
IMAGE_PATTERN = rf"^({_HOST}/)?{_PART}(/{_PART})*({_TAG})?({_DIGEST})?$"


def _image(value: str) -> str:
    if not re.fullmatch(IMAGE_PATTERN, value):
        raise ValueError(
            "must be an image reference such as nginx:1.29 or registry.example.com/team/app:v2"
        )
    return value


def _port(value: int) -> int:
    if value in names.RESERVED_PORTS:
        raise ValueError(f"{value} is used by the platform inside every instance; choose another")
    return value


ENV_KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _env_key(key: str) -> str:
    if not re.fullmatch(ENV_KEY_PATTERN, key):
        raise ValueError("must be letters, digits and underscores, not starting with a digit")
    if key == "PORT" or key.startswith("K_"):
        raise ValueError("is set by the platform and cannot be chosen")
    return key


def _env_vars(env: dict[str, str]) -> dict[str, str]:
    if len(env) > ENV_KEYS_MAX:
        raise ValueError(f"must have at most {ENV_KEYS_MAX} variables")
    if sum(len(value.encode()) for value in env.values()) > ENV_BYTES_MAX:
        raise ValueError(f"values must have at most {ENV_BYTES_MAX} bytes in all")
    return env


def _words(words: list[str]) -> list[str]:
    if sum(len(word.encode()) for word in words) > WORDS_BYTES_MAX:
        raise ValueError(f"must have at most {WORDS_BYTES_MAX} bytes in all")
    return words


CPU_PATTERN = r"^([1-9][0-9]{0,5}m|[0-9]{1,3}(\.[0-9]{1,3})?)$"
MEMORY_PATTERN = r"^[1-9][0-9]{0,11}(Ki|Mi|Gi|k|M|G)?$"
_MEMORY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9, "": 1}


def _cpu(value: str) -> str:
    if not re.fullmatch(CPU_PATTERN, value):
        raise ValueError("must be CPUs such as 1, 0.5 or 250m")
    cpus = int(value[:-1]) / 1000 if value.endswith("m") else float(value)
    if not 0.01 <= cpus <= 64:  # noqa: PLR2004 - the sentence below names both
        raise ValueError("must be between 10m and 64 CPUs")
    return value


def _memory(value: str) -> str:
    if not re.fullmatch(MEMORY_PATTERN, value):
        raise ValueError("must be an amount such as 512Mi or 1Gi")
    number = value.rstrip("KMGik")
    size = int(number) * _MEMORY_UNITS[value[len(number) :]]
    if not 16 * 2**20 <= size <= 256 * 2**30:
        raise ValueError("must be between 16Mi and 256Gi")
    return value


EMAIL_MAX = 254
TITLE_MAX = 64

# RFC 5321, section 4.1.2: a dot-string at a domain of at least two labels, in ASCII. A domain with
# other letters is written in its xn-- form, as it stands in the DNS.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(
    rf"(?=.{{1,64}}@)[\w!#$%&'*+/=?^`{{|}}~-]+(?:\.[\w!#$%&'*+/=?^`{{|}}~-]+)*@{_LABEL}(?:\.{_LABEL})+\Z",
    re.ASCII | re.IGNORECASE,
)


def _email(value: str) -> str:
    if len(value) > EMAIL_MAX or not _EMAIL.match(value):
        raise ValueError("must be an e-mail address such as ada@example.com, in ASCII letters")
    local, _, domain = value.rpartition("@")
    return f"{local}@{domain.lower()}"


def _title(value: str) -> str:
    normal = unicodedata.normalize("NFC", value)
    if not 1 <= len(normal) <= TITLE_MAX:
        raise ValueError(f"must have 1 to {TITLE_MAX} characters")
    # A page shows two blanks as one: names that differ in that alone would look the same.
    if not normal.isprintable() or normal != " ".join(normal.split()):
        raise ValueError("must be one line of words, with a single blank between two of them")
    return normal


# A validator of ours has the better sentence; what it checks is described as far as a pattern goes.
Name = Annotated[
    str,
    AfterValidator(_name),
    Field(json_schema_extra={"pattern": names.NAME_PATTERN, "maxLength": names.NAME_MAX}),
]
Text = Annotated[
    str,
    AfterValidator(_text),
    StringConstraints(max_length=32 * 1024),
    Field(json_schema_extra={"pattern": r"^[^\x00]*$"}),
]
Image = Annotated[
    str,
    StringConstraints(max_length=512),
    AfterValidator(_image),
    Field(json_schema_extra={"pattern": IMAGE_PATTERN}),
]
Port = Annotated[int, Field(ge=0, le=65535), AfterValidator(_port)]
Words = Annotated[list[Text], Field(max_length=256), AfterValidator(_words)]
EnvKey = Annotated[
    str,
    StringConstraints(max_length=256),
    AfterValidator(_env_key),
    Field(json_schema_extra={"pattern": ENV_KEY_PATTERN}),
]
EnvVars = Annotated[
    dict[EnvKey, Text],
    AfterValidator(_env_vars),
    Field(json_schema_extra={"additionalProperties": False, "maxProperties": ENV_KEYS_MAX}),
]
EnvPatch = Annotated[
    dict[EnvKey, Text | None], Field(json_schema_extra={"additionalProperties": False})
]
Scale = Annotated[int, Field(ge=0, le=1000)]
MaxScale = Annotated[int, Field(ge=1, le=1000)]
Concurrency = Annotated[int, Field(ge=0, le=1000)]
Cpu = Annotated[str, AfterValidator(_cpu), Field(json_schema_extra={"pattern": CPU_PATTERN})]
Memory = Annotated[
    str, AfterValidator(_memory), Field(json_schema_extra={"pattern": MEMORY_PATTERN})
]
TimeoutSeconds = Annotated[int, Field(ge=1, le=600)]
# What PostgreSQL counts in a bigint.
Ordinal = Annotated[int, Field(ge=1, le=2**63 - 1)]
RevisionName = Annotated[str, StringConstraints(min_length=1, max_length=63), AfterValidator(_text)]
Percent = Annotated[int, Field(ge=0, le=100)]
Tag = Annotated[
    str,
    AfterValidator(_tag),
    Field(json_schema_extra={"pattern": names.NAME_PATTERN, "maxLength": names.TAG_MAX}),
]
EmailAddress = Annotated[
    str,
    AfterValidator(_email),
    Field(json_schema_extra={"format": "email", "maxLength": EMAIL_MAX}),
]
# What people call an organisation or a key.
Title = Annotated[
    str,
    AfterValidator(_title),
    Field(json_schema_extra={"minLength": 1, "maxLength": TITLE_MAX}),
]

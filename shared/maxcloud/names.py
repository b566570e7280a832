"""The rules for names, the host names made of them, and the namespaces of organisations."""

import re
from uuid import UUID

NAME_PATTERN = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
NAME_MAX = 40

# A tag and a name share one label of a host name.
TAG_MAX = 20

# What a tenant must not be called, because the platform or its operator answers under it.
RESERVED_NAMES = frozenset(
    """
    admin api auth autoconfig autodiscover console dashboard ftp functions grafana health imap
    invites kourier localhost logs mail mailer max-cloud maxcloud metrics mx ns ns1 ns2 platform pop
    postmaster reconcile registry services smtp status webhooks webmail www
    """.split()
)

# Ports that Knative's queue-proxy takes in the same pod:
# knative.dev/serving/pkg/apis/serving/k8s_validation.go, reservedPorts.
RESERVED_PORTS = frozenset({8008, 8012, 8013, 8022, 8112, 9090, 9091})

_NAME = re.compile(NAME_PATTERN)
_UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_HEX_ID = re.compile(r"^[0-9a-f]{32}$")


def why_not_a_name(name: str) -> str | None:
    """Return what is wrong with a service's name in one sentence, or None for a good one."""
    if wrong := _why_not_a_label(name, NAME_MAX):
        return wrong
    if _HEX_ID.match(name) or _UUID.match(name):
        return "must not look like an id"
    if name in RESERVED_NAMES:
        return f"'{name}' is reserved for the platform; choose another name"
    return None


def may_be_a_name(text: str) -> bool:
    """Tell whether a service may have this name, or a function of the platform."""
    return _why_not_a_label(text, NAME_MAX) is None


def why_not_a_tag(tag: str) -> str | None:
    """Return what is wrong with a revision's tag in one sentence, or None for a good one."""
    return _why_not_a_label(tag, TAG_MAX)


def _why_not_a_label(text: str, most: int) -> str | None:
    if not text or len(text) > most:
        return f"must have 1 to {most} characters"
    if not _NAME.match(text) or not text.isascii() or text.endswith("\n"):
        return "must be lower-case letters, digits and hyphens, starting with a letter"
    if "--" in text:
        return "must not contain '--', which separates a tag from a name in host names"
    return None


def as_id(text: str) -> UUID | None:
    """Return the id that `text` spells in its canonical form, or None."""
    return UUID(text) if _UUID.match(text) and not text.endswith("\n") else None


def host(name: str, domain: str) -> str:
    """Return a service's host name; `domain` may carry a port, which a Host header drops."""
    return f"{name}.{domain.partition(':')[0]}"


def url(name: str, domain: str) -> str:
    """Return a service's address: https, but plain http on the local domain."""
    scheme = "http" if is_local(domain) else "https"
    return f"{scheme}://{name}.{domain}"


def tag_url(name: str, tag: str, domain: str) -> str:
    """Return the address of the revision that has a tag (config-network's tag-template)."""
    return url(f"{name}--{tag}", domain)


def api_url(domain: str) -> str:
    """Return where the API is, as people outside reach it."""
    return f"http://{domain}" if is_local(domain) else f"https://api.{domain}"


def is_local(domain: str) -> bool:
    """Tell whether a domain never leaves this machine (RFC 6761, section 6.3)."""
    bare = domain.partition(":")[0]
    return bare == "localhost" or bare.endswith(".localhost")


def revision_name(service: str, generation: int) -> str:
    """Return the name of the revision that a generation makes.

    Ours and not Knative's, so that a revision that was lost comes back under its name.
    """
    return f"{service}-{generation:05d}"

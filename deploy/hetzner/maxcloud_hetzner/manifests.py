"""The manifests of this repository with an operator's own values in them.

`${NAME}` in a manifest is one of VARIABLES and nothing else; a test finds the others.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from maxcloud_hetzner.errors import BadSetting
from maxcloud_hetzner.programs import Kubectl

DEPLOY = Path(__file__).parents[2]
HETZNER = DEPLOY / "hetzner"
PRODUCTION = DEPLOY / "overlays" / "production"

_NAME = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"

# What each value may look like: it stands in YAML, and a bad one would be found late.
VARIABLES = {
    "DNS_ZONE": (rf"({_NAME}\.)+[a-z]{{2,}}", "a zone such as example.eu"),
    "ACME_EMAIL": (r"[^\s@\"']+@[^\s@\"']+", "an address such as admin@example.eu"),
    "HETZNER_CLUSTER": (_NAME, "the cluster's name, such as maxcloud"),
    "HETZNER_LOCATION": (r"nbg1|fsn1|hel1", "nbg1, fsn1 or hel1"),
    "HETZNER_S3_BUCKET": (rf"{_NAME}", "a bucket's name, such as example-maxcloud"),
    "IMAGE_NAME": (r"[a-z0-9][a-z0-9./:_-]*", "an image such as ghcr.io/you/maxcloud@sha256:…"),
    "IMAGE_DIGEST": (r"sha256:[0-9a-f]{64}", "an image by its digest, such as …@sha256:…"),
}

_DEFAULTS = {"HETZNER_CLUSTER": "maxcloud", "HETZNER_LOCATION": "nbg1"}


def values(env: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be put in, from the environment; what is not said there is left out.

    MAXCLOUD_IMAGE is the one image by its digest. Raises BadSetting for a value that is none.
    """
    name, _, digest = env.get("MAXCLOUD_IMAGE", "").partition("@")
    image = {"IMAGE_NAME": name, "IMAGE_DIGEST": digest} if name else {}
    if env.get("DNS_ZONE"):
        image["ACME_EMAIL"] = env.get("ACME_EMAIL") or f"hostmaster@{env['DNS_ZONE']}"
    found = {**_DEFAULTS, **{key: env[key] for key in VARIABLES if env.get(key)}, **image}
    for key, value in found.items():
        pattern, said = VARIABLES[key]
        if not re.fullmatch(pattern, value):
            variable = "MAXCLOUD_IMAGE" if key.startswith("IMAGE_") else key
            raise BadSetting(f"{variable} must be {said}, not '{value}'")
    return found


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return a manifest with the values in it; raises BadSetting for one that is missing."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in known:
            variable = "MAXCLOUD_IMAGE" if found[1].startswith("IMAGE_") else found[1]
            raise BadSetting(f"{variable} is not set: it must be {VARIABLES[found[1]][1]}")
        return known[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def rendered(kubectl: Kubectl, folder: Path, known: Mapping[str, str]) -> str:
    """Return what a kustomization of this repository makes, with the values in it."""
    return filled(kubectl.run("kustomize", str(folder)), known)

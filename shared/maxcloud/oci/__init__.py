"""Ask a registry what an image is: its digest, and the port it exposes.

Tenants choose the hosts, so this is the one place where the platform goes where a stranger points:
HTTPS only, never to an address inside (unless the operator lists the host), small and quick.
"""

from maxcloud.oci.answers import Image, ImageRefused
from maxcloud.oci.lookup import Ours, resolve

__all__ = ["Image", "ImageRefused", "Ours", "resolve"]

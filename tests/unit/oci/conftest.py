"""What the tests of look-ups share: a registry whose certificate is trusted."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.oci.registry import Registry, certificate, serving


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The registries' certificate, trusted as an operator has it trusted: by SSL_CERT_FILE."""
    made = certificate(tmp_path_factory.mktemp("registry"))
    os.environ["SSL_CERT_FILE"] = str(made.with_suffix(".crt"))
    yield made
    del os.environ["SSL_CERT_FILE"]


@pytest.fixture
def registry(pem: Path) -> Iterator[Registry]:
    with serving(pem) as served:
        yield served

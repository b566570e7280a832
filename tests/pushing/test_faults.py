"""Connections that are cut, and a registry that is started anew in the middle."""

import itertools
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from maxcloud.pushing import connection
from maxcloud.pushing.connection import RegistryUnreachable
from maxcloud.pushing.contents import ArchiveInvalid, Content
from maxcloud.pushing.packing import digest_of_content
from maxcloud.pushing.push import push
from maxcloud.pushing.registry import Registry
from maxcloud.pushing.sources import read
from tests.distribution import Distribution, distribution
from tests.pushing import made
from tests.pushing.cutting import Cutter

MB = 10**6
SIZE = 50 * MB


def no_token(_: tuple[str, ...]) -> str:
    return ""


def anew() -> str:
    return f"test/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Content:
    path = tmp_path_factory.mktemp("blob") / "layer"
    path.write_bytes(random.Random(1).randbytes(SIZE))  # noqa: S311
    return Content(path, 0, SIZE)


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_an_upload_goes_on_after_a_cut(registry: Distribution, blob: Content, percent: int) -> None:
    repository, digest = anew(), digest_of_content(blob)
    sent: list[int] = []
    with (
        Cutter(registry.port, [SIZE * percent // 100]) as proxy,
        Registry(f"http://127.0.0.1:{proxy.port}", no_token) as target,
    ):
        target.upload(repository, digest, blob, sent.append)
    assert proxy.made == 1
    assert made.digest(registry.get(f"{repository}/blobs/{digest}").content) == digest
    # What the registry had before the cut was not sent again.
    again = [later for earlier, later in itertools.pairwise(sent) if later < earlier]
    assert again
    assert all(start > SIZE * percent // 100 - 20 * MB for start in again)


def test_many_cuts_are_no_failure_while_it_gets_on(registry: Distribution, blob: Content) -> None:
    repository, digest = anew(), digest_of_content(blob)
    cuts = [SIZE * number // 12 for number in range(1, 12)]
    with (
        Cutter(registry.port, cuts) as proxy,
        Registry(f"http://127.0.0.1:{proxy.port}", no_token) as target,
    ):
        target.upload(repository, digest, blob, lambda _: None)
    assert proxy.made > len(connection.PAUSES)
    assert registry.get(f"{repository}/blobs/{digest}").status_code == 200


def test_a_registry_that_is_started_anew(tmp_path: Path, blob: Content) -> None:
    with distribution(tmp_path) as own:

        def restart() -> None:
            own.stop()
            own.start()

        assert_uploaded_over_a_cut(own, blob, restart)


def test_an_upload_that_the_registry_fails_at_begins_anew(tmp_path: Path, blob: Content) -> None:
    with distribution(tmp_path) as own:

        def spoil() -> None:
            [data] = tmp_path.rglob("_uploads/*/data")
            data.unlink()
            data.mkdir()

        assert_uploaded_over_a_cut(own, blob, spoil)


def assert_uploaded_over_a_cut(
    own: Distribution, blob: Content, at_cut: Callable[[], object]
) -> None:
    repository, digest = anew(), digest_of_content(blob)
    with (
        Cutter(own.port, [SIZE // 2], at_cut) as proxy,
        Registry(f"http://127.0.0.1:{proxy.port}", no_token) as target,
    ):
        target.upload(repository, digest, blob, lambda _: None)
    assert proxy.made == 1
    assert made.digest(own.get(f"{repository}/blobs/{digest}").content) == digest


def test_a_registry_that_stays_away(
    tmp_path: Path, blob: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))
    with distribution(tmp_path) as own:
        with (
            Cutter(own.port, [SIZE // 2], own.stop) as proxy,
            Registry(f"http://127.0.0.1:{proxy.port}", no_token) as target,
            pytest.raises(RegistryUnreachable, match="does not answer"),
        ):
            target.upload(anew(), digest_of_content(blob), blob, lambda _: None)
        own.start()


def test_a_damaged_blob_is_refused_and_nothing_is_listed(
    registry: Distribution, tmp_path: Path
) -> None:
    repository = anew()
    folder = made.oci_layout(tmp_path, made.layer("a"), made.layer("b"))
    image = read(folder)
    content = bytearray(image.layers[1].content.path.read_bytes())
    content[-1] ^= 1
    image.layers[1].content.path.write_bytes(content)
    with (
        Registry(registry.url, no_token) as target,
        pytest.raises(ArchiveInvalid, match="is damaged"),
    ):
        push(image, target, repository, "v1", tell=lambda _: None)
    assert registry.get(f"{repository}/tags/list").status_code == 404

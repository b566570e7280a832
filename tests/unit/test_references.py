"""How a reference of an image is taken apart."""

import pytest

from maxcloud.references import Reference

SHA = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", "latest", None),
        ("nginx:1.29", "docker.io", "library/nginx", "1.29", None),
        ("team/app", "docker.io", "team/app", "latest", None),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest", None),
        ("docker.io/a/b:c", "docker.io", "a/b", "c", None),
        ("ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1", None),
        ("GHCR.io/a", "ghcr.io", "a", "latest", None),
        ("localhost/a", "localhost", "a", "latest", None),
        ("host:5000/a:b", "host:5000", "a", "b", None),
        (f"nginx@{SHA}", "docker.io", "library/nginx", "latest", SHA),
        (f"host:5000/a/b:c@{SHA}", "host:5000", "a/b", "c", SHA),
    ],
)
def test_a_reference_is_taken_apart_as_docker_does(
    text: str, host: str, repository: str, tag: str, digest: str | None
) -> None:
    reference = Reference.parse(text)
    assert reference == Reference(host, repository, tag, digest)
    assert reference.pinned(SHA) == f"{host}/{repository}@{SHA}"

"""Image references, and what their parts are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart, Docker Hub's short forms filled in."""

    host: str
    repository: str
    tag: str
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Take a valid reference apart as Docker does (distribution/reference, normalize.go)."""
        rest, _, digest = text.partition("@")
        first, slash, remainder = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            host, path = first, remainder
        else:
            host, path = "docker.io", rest
        repository, _, tag = path.partition(":")
        if host == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        return cls(host.lower(), repository, tag or "latest", digest or None)

    def pinned(self, digest: str) -> str:
        """Return the reference that means exactly this content."""
        return f"{self.host}/{self.repository}@{digest}"

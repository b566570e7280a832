"""The keys that are kept between commands: one profile per origin and organisation.

They stand in one file of the user's own, the profile that was used last first.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


class CredentialsUnreadable(Exception):
    """The file is there and cannot be read."""


class NoSuchProfile(Exception):
    """No profile has this name, or the one that has it belongs to another origin."""


@dataclass(frozen=True)
class Profile:
    """A key, and where alone it is sent; `organisation` is the name that people know."""

    name: str
    api_url: str
    org_id: str
    organisation: str
    email: str
    api_key: str

    def belongs_to(self, api_url: str) -> bool:
        """Tell whether this address is of the profile's origin."""
        return origin(self.api_url) == origin(api_url)


def origin(api_url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port (RFC 6454); an address that is none has an origin of its own."""
    try:
        parts = urlsplit(api_url)
        return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return "", api_url, None


def path(environ: Mapping[str, str]) -> Path:
    """Return the file."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config"
    return Path(home) / "maxcloud" / "credentials"


def load(file: Path) -> list[Profile]:
    """Return the profiles, the current one first; raises CredentialsUnreadable."""
    import json  # help is shown without it

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [Profile(**profile) for profile in content["profiles"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not what maxcloud wrote"
        raise CredentialsUnreadable(f"cannot read {file}: {said}") from error


def choose(profiles: Sequence[Profile], name: str | None, api_url: str | None) -> Profile | None:
    """Return the profile to use: by name, else the newest of the address, else the newest.

    Raises NoSuchProfile for a name that is not there, or is another origin's than the address.
    """
    if name:
        named = next((each for each in profiles if each.name == name), None)
        if named is None:
            raise NoSuchProfile(f"there is no profile {name}")
        if api_url and not named.belongs_to(api_url):
            raise NoSuchProfile(f"the profile {name} is for {named.api_url}, not for {api_url}")
        return named
    return next((each for each in profiles if not api_url or each.belongs_to(api_url)), None)


def add(file: Path, profile: Profile) -> Profile:
    """Keep a profile and make it the current one; return it with the name that it got.

    No other is overwritten: where its name is taken, it gets a number. The same key in the same
    organisation is the same profile.
    """
    with _changing(file) as profiles:
        same = [
            each
            for each in profiles
            if (each.api_key, each.org_id) == (profile.api_key, profile.org_id)
            and each.belongs_to(profile.api_url)
        ]
        kept = same[0] if same else _with_free_name(profile, profiles)
        profiles[:] = [kept, *(each for each in profiles if each not in same)]
    return kept


def use(file: Path, name: str) -> Profile:
    """Make a profile the current one; raises NoSuchProfile."""
    with _changing(file) as profiles:
        chosen = choose(profiles, name, None)
        assert chosen is not None  # noqa: S101 - a name that is not there was raised
        profiles.sort(key=lambda each: each != chosen)
    return chosen


def remove(file: Path, profile: Profile) -> None:
    """Forget a profile."""
    with _changing(file) as profiles:
        profiles[:] = [each for each in profiles if each.name != profile.name]


def _with_free_name(profile: Profile, profiles: Sequence[Profile]) -> Profile:
    taken = {each.name for each in profiles}
    words = "".join(c if c.isalnum() else "-" for c in profile.organisation.lower()).strip("-")
    wanted = f"{words or 'organisation'}@{urlsplit(profile.api_url).netloc}"
    names = [wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 2))]
    return replace(profile, name=next(name for name in names if name not in taken))


@contextmanager
def _changing(file: Path) -> Iterator[list[Profile]]:
    """Let the profiles be changed, by one process at a time, and written as a whole."""
    # Nothing but a change needs them.
    import fcntl
    import json
    import tempfile

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with file.with_name("credentials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        profiles = load(file)
        yield profiles
        content = {"profiles": [asdict(profile) for profile in profiles]}
        # Readers see the old file or the new one; mkstemp makes it 0600 from the start.
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix="credentials.")
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            json.dump(content, new, indent=2)
            new.flush()
            os.fsync(new.fileno())
        Path(temporary).replace(file)

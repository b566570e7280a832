"""What can go wrong, each in a sentence that an operator can act on.

SetupError
├── BadSetting      what was asked for makes no sense
├── Foreign         something of that name is there and is not this cluster's
├── Refused         Hetzner said no
├── Unreachable     no answer from Hetzner, or from a machine
└── ProgramFailed   ssh or kubectl ended with an error
"""

# What Hetzner's codes mean for somebody who makes a cluster.
_ADVICE = {
    "unauthorized": "make a token with read and write in the project's security settings",
    "forbidden": "make a token with read and write: this one only reads",
    "resource_limit_exceeded": "ask Hetzner to raise the project's limit, or take fewer workers",
    "resource_unavailable": "choose another location or type of machine",
    "placement_error": "choose another location or type of machine",
    "locked": "something else changes it at the moment: run this again in a minute",
    "conflict": "something else changes it at the moment: run this again in a minute",
    "protected": "take its protection off in Hetzner's console first",
}


class SetupError(Exception):
    """The set-up cannot go on; what is made so far stays, and the next run goes on from there."""


class BadSetting(SetupError):
    """A setting makes no sense, or one is missing."""


class Foreign(SetupError):
    """Something has the name of a part of this cluster, and not its label."""

    def __init__(self, thing: str, name: str) -> None:
        super().__init__(
            f"there is a {thing} '{name}' in this project that this cluster did not make: "
            "choose another --name, or another project"
        )


class Refused(SetupError):
    """Hetzner refused what was asked for."""

    def __init__(self, code: str, message: str) -> None:
        hint = f"; {_ADVICE[code]}" if code in _ADVICE else ""
        super().__init__(f"Hetzner refuses: {message} ({code}){hint}")


class Unreachable(SetupError):
    """There was no answer in time."""


class ProgramFailed(SetupError):
    """A program of this machine failed."""

    def __init__(self, program: str, said: str) -> None:
        last = said.strip().rpartition("\n")[2] or "it said nothing"
        super().__init__(f"{program} failed: {last}")

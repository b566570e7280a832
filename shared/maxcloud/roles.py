"""What a key may do."""

from enum import StrEnum


class Role(StrEnum):
    """What a key may do, most to least."""

    ADMIN = "admin"
    MEMBER = "member"
    DEPLOY = "deploy"
    READ = "read"

    def covers(self, least: "Role") -> bool:
        """Tell whether this role may do what asks for `least`."""
        ranks = list(Role)
        return ranks.index(self) <= ranks.index(least)

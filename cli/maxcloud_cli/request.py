"""What deploy's options ask of the API."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from maxcloud.accounts import CreateAPIKeyRequest, InviteRequest, RegisterRequest
    from maxcloud.bodies import Request
    from maxcloud.models import DeployRequest, UpdateRequest
    from maxcloud.roles import Role

_Request = TypeVar("_Request", bound="Request")

# Fields of the API whose options have other names.
_OPTIONS = {
    "image": "IMAGE",
    "env_vars": "--env",
    "min_scale": "--min",
    "max_scale": "--max",
    "timeout_seconds": "--timeout",
    "org_name": "--org",
    "expires_in_days": "--expires-in-days",
    "token": "TOKEN",
}


def option_of(field: str) -> str:
    """Return the option that sets a field of the API, for the path of that field."""
    top = field.partition(".")[0]
    return _OPTIONS.get(top, f"--{top}")


def words(option: str, rows: Sequence[str]) -> list[str]:
    """Return one list from comma-separated rows, where quotes keep a comma: `a,"b,c"`."""
    try:
        # An empty row is an empty list, which is how a list is taken back.
        lists = [csv.reader(io.StringIO(row, newline=""), strict=True) for row in rows if row]
        return [word for [row] in lists for word in row]
    except (csv.Error, ValueError):
        said = "must be a comma-separated list; put quotes around an item that has a comma"
        raise typer.BadParameter(said, param_hint=option) from None


def env_changes(
    file: Path | None, assignments: Sequence[str], removals: Sequence[str]
) -> dict[str, str | None]:
    """Return the variables to set, and with None those to remove; `assignments` win over `file`."""
    changes: dict[str, str | None] = {**(_env_file(file) if file else {})}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            said = f"{assignment!r} must be KEY=VALUE"
            raise typer.BadParameter(said, param_hint="--env")
        if key in removals:
            said = f"{key} is given to --env and to --remove-env"
            raise typer.BadParameter(said, param_hint="--remove-env")
        changes[key] = value
    return changes | dict.fromkeys(removals)


def _env_file(path: Path) -> dict[str, str | None]:
    try:
        return {**parse_env(path.read_text(encoding="utf-8-sig"))}
    except (OSError, UnicodeDecodeError) as error:
        said = f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        raise typer.BadParameter(said, param_hint="--env-file") from None
    except ValueError as error:
        raise typer.BadParameter(f"{path}, {error}", param_hint="--env-file") from None


_COMMENT = re.compile(r"(^|\s+)#.*")
_QUOTED = re.compile(r"""(?:'(?P<literal>[^']*)'|"(?P<escaped>(?:[^"\\]|\\.)*)")\s*(?:#.*)?\Z""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env(text: str) -> dict[str, str]:
    r"""Return the variables of an env file; ValueError names the line that is none.

    A line is KEY=VALUE, blank, or a # comment; `export ` before the key is passed over. 'Single'
    quotes keep all as it stands, "double" ones know \n, \r, \t, \" and \\. A # after a blank
    starts a comment outside quotes.
    """
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or not key.strip():
            raise ValueError(f"line {number}: must be KEY=VALUE")
        variables[key.strip()] = _env_value(value.strip(), number)
    return variables


def _env_value(value: str, number: int) -> str:
    if value[:1] not in ("'", '"'):
        return _COMMENT.sub("", value)
    if not (quoted := _QUOTED.match(value)):
        raise ValueError(f"line {number}: the quote is not closed, or text follows it")
    if quoted["literal"] is not None:
        return quoted["literal"]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted["escaped"])


def update_request(changes: Mapping[str, Any]) -> "UpdateRequest":
    """Return the change of a service that `changes`, fields of the API, ask for."""
    from maxcloud.models import UpdateRequest

    return _checked(UpdateRequest, changes)


def deploy_request(name: str, changes: Mapping[str, Any]) -> "DeployRequest":
    """Return the new service that `changes` ask for; there is no variable to remove yet."""
    from maxcloud.models import DeployRequest

    fields = {"name": name, **changes}
    if "env_vars" in fields:
        fields["env_vars"] = {k: v for k, v in fields["env_vars"].items() if v is not None}
    return _checked(DeployRequest, fields)


def register_request(email: str, org: str) -> "RegisterRequest":
    """Return the new organisation that is asked for."""
    from maxcloud.accounts import RegisterRequest

    return _checked(RegisterRequest, {"email": email, "org_name": org})


def api_key_request(name: str, role: str | None, days: int | None) -> "CreateAPIKeyRequest":
    """Return the new key that is asked for."""
    from maxcloud.accounts import CreateAPIKeyRequest

    fields = {"name": name, "role": _role(role), "expires_in_days": days}
    given = {field: value for field, value in fields.items() if value is not None}
    return _checked(CreateAPIKeyRequest, given)


def invite_request(email: str, role: str) -> "InviteRequest":
    """Return the invitation that is asked for."""
    from maxcloud.accounts import InviteRequest

    return _checked(InviteRequest, {"email": email, "role": _role(role, ("member", "admin"))})


def _role(word: str | None, allowed: Sequence[str] = ()) -> "Role | None":
    """Return the role, one of all or of those allowed."""
    from maxcloud.roles import Role

    known = allowed or list(Role)
    if word is not None and word not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}", param_hint="--role")
    return Role(word) if word is not None else None


def _checked(model: type[_Request], fields: Mapping[str, Any]) -> _Request:
    """Return the model of these fields; a broken rule is a wrong use of the option."""
    from pydantic import ValidationError

    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        # A rule of ours is a ValueError with a sentence; pydantic's own start with a capital.
        rule = first.get("ctx", {}).get("error")
        said = str(rule) if rule else first["msg"][:1].lower() + first["msg"][1:]
        path = [str(part) for part in first["loc"] if part != "[key]"]
        where = f"{path[1]} " if path[:1] == ["env_vars"] and len(path) > 1 else ""
        hint = option_of(path[0]) if path else None
        raise typer.BadParameter(where + said, param_hint=hint) from None

"""The keys of an organisation: one for each machine that deploys."""

from typing import Annotated

import typer

from maxcloud_cli import output, request
from maxcloud_cli.output import Format
from maxcloud_cli.settings import Settings, with_settings

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@with_settings
def api_keys(settings: Settings) -> None:
    """List the keys; `create` makes one, `delete` revokes one."""
    with settings.client() as client:
        found = client.list_api_keys()
    if settings.output is not Format.TABLE:
        data = [key.model_dump(mode="json") for key in found]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        for key in found:
            output.result(str(key.id))
    else:
        head = ("ID", "NAME", "KEY", "ROLE", "CREATED", "LAST USED", "EXPIRES")
        rows = [
            (
                *(str(key.id), key.name, f"{key.prefix}…", key.role, output.day(key.created_at)),
                output.day(key.last_used_at) or "never",
                output.day(key.expires_at) or "never",
            )
            for key in found
        ]
        output.result(output.table(head, rows))


@app.command()
@with_settings
def create(
    settings: Settings,
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What the key is for.")],
    role: Annotated[
        str | None,
        typer.Option(metavar="R", help="admin, member, deploy (for CI) or read.  [your key's]"),
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(metavar="D", help="After how many days it ends.  [never]")
    ] = None,
) -> None:
    """Make a key; it is shown this once, on standard output."""
    wanted = request.api_key_request(name, role, expires_in_days)
    with settings.client() as client:
        made = client.create_api_key(wanted)
    if settings.output is not Format.TABLE:
        output.result(output.as_data(made.model_dump(mode="json"), settings.output))
    else:
        output.result(made.api_key)
        if not settings.quiet:
            output.remark(f"{made.info.name} ({made.info.role}). Keep it: it is shown this once.")


@app.command()
@with_settings
def delete(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Revoke it even if it is the last admin key.")
    ] = False,
) -> None:
    """Revoke a key; whoever uses it is locked out at once."""
    from maxcloud.errors import LastAdminKey

    with settings.client() as client:
        try:
            client.delete_api_key(id)
        except LastAdminKey:
            if not force:
                raise
            output.remark("Warning: nobody can invite or make admin keys any more.")
            client.delete_api_key(id, force=True)
    if settings.output is not Format.TABLE:
        output.result(output.as_data({"id": id, "deleted": True}, settings.output))
    elif settings.quiet:
        output.result(id)
    else:
        output.result(f"deleted {id}")

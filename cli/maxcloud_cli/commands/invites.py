"""Asking people into an organisation, and joining one."""

from typing import Annotated

import typer

from maxcloud_cli import output, request
from maxcloud_cli.commands.auth import keep
from maxcloud_cli.output import Format
from maxcloud_cli.settings import Settings, with_settings

app = typer.Typer(help="Ask people into your organisation, or join one.", rich_markup_mode=None)


@app.command()
@with_settings
def create(
    settings: Settings,
    *,
    email: Annotated[str, typer.Option(metavar="E", help="Whom to invite; a mail goes there.")],
    role: Annotated[str, typer.Option(metavar="R", help="member or admin.")] = "member",
) -> None:
    """Invite a person by mail.

    An earlier invitation of the same address is taken back.
    """
    wanted = request.invite_request(email, role)
    with settings.client() as client:
        made = client.create_invite(wanted)
    invitation = made.invitation
    if settings.output is not Format.TABLE:
        output.result(output.as_data(made.model_dump(mode="json"), settings.output))
    elif settings.quiet:
        output.result(str(invitation.id))
    else:
        until = output.day(invitation.expires_at)
        output.result(f"invited {invitation.email} as {invitation.role}, until {until}")
        if made.token:
            output.remark(f"No mail in DEV_MODE. They type: maxcloud invite accept {made.token}")


@app.command("list")
@with_settings
def list_invites(settings: Settings) -> None:
    """List the invitations, newest first, and what became of each."""
    with settings.client() as client:
        found = client.list_invites()
    if settings.output is not Format.TABLE:
        data = [invitation.model_dump(mode="json") for invitation in found]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet:
        for invitation in found:
            output.result(str(invitation.id))
    else:
        head = ("ID", "EMAIL", "ROLE", "STATUS", "INVITED BY", "EXPIRES", "MAIL")
        rows = [
            (
                *(str(each.id), each.email, each.role, each.status, each.invited_by),
                output.day(each.expires_at),
                each.mail_error or "",
            )
            for each in found
        ]
        output.result(output.table(head, rows))


@app.command()
@with_settings
def revoke(
    settings: Settings,
    id: Annotated[str, typer.Argument(metavar="ID", help="The invitation's id.")],
) -> None:
    """Take an invitation back; its token is of no use from then on."""
    with settings.client() as client:
        client.revoke_invite(id)
    if settings.output is not Format.TABLE:
        output.result(output.as_data({"id": id, "revoked": True}, settings.output))
    else:
        output.result(id if settings.quiet else f"revoked {id}")


@app.command()
@with_settings
def accept(
    settings: Settings,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token from the mail.")],
) -> None:
    """Join the organisation that invited you, and keep your key here."""
    with settings.client() as client:
        joined = client.accept_invite(token.strip())
    profile = keep(settings, joined.user, joined.organization, joined.api_key)
    if settings.output is not Format.TABLE:
        output.result(output.as_data(joined.model_dump(mode="json"), settings.output))
    elif settings.quiet:
        output.result(joined.api_key)
    else:
        output.result(f"you are {joined.role} of {joined.organization.name}")
        output.remark(f"The key is kept in the profile {profile.name}.")

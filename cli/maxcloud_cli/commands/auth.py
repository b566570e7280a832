"""Organisations, keys, and who one is."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from maxcloud_cli import credentials, output, request
from maxcloud_cli.commands import api_keys
from maxcloud_cli.credentials import Profile
from maxcloud_cli.output import Format
from maxcloud_cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from maxcloud.accounts import AuthInfo, Organization, User


class LoginRefused(Exception):
    """The API does not take this key."""


app = typer.Typer(help="Register, log in, and look after keys.", rich_markup_mode=None)
app.add_typer(api_keys.app, name="api-keys")


@app.command()
@with_settings
def register(
    settings: Settings,
    *,
    email: Annotated[str, typer.Option(metavar="E", help="Your address; a mail goes there.")],
    org: Annotated[str, typer.Option(metavar="NAME", help="What your organisation is called.")],
) -> None:
    """Make an organisation of your own, and keep its key here.

    You are its admin. Where addresses are proven, a mail brings the token for `auth verify`.
    """
    wanted = request.register_request(email, org)
    with settings.client() as client:
        made = client.register(wanted)
    profile = keep(settings, made.user, made.organization, made.api_key)
    if settings.output is not Format.TABLE:
        output.result(output.as_data(made.model_dump(mode="json"), settings.output))
    elif settings.quiet:
        output.result(made.api_key)
    else:
        output.result(f"registered {made.organization.name} for {made.user.email}")
        output.remark(f"The key is kept in the profile {profile.name}.")
        output.remark("If a mail arrives: `maxcloud auth verify TOKEN` proves your address.")


@app.command()
@with_settings
def verify(
    settings: Settings,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token from the mail.")],
) -> None:
    """Prove your address by the token that was mailed to it."""
    with settings.client() as client:
        client.verify(token.strip())
    if settings.output is not Format.TABLE:
        output.result(output.as_data({"verified": True}, settings.output))
    elif not settings.quiet:
        output.result("your address is proven; you can deploy now")


@app.command()
@with_settings
def login(settings: Settings) -> None:
    """Keep a key that you have; it is asked for, or read from stdin."""
    key = settings.given_key or _ask_for_key()
    info = _whose(settings.with_key(key))
    profile = keep(settings, info.user, info.organization, key)
    if settings.output is not Format.TABLE:
        output.result(output.as_data(_as_data(info, profile), settings.output))
    elif settings.quiet:
        output.result(profile.name)
    else:
        output.result(f"{info.user.email} in {info.organization.name}, kept as {profile.name}")


@app.command()
@with_settings
def logout(settings: Settings) -> None:
    """Forget the key of the profile in use; it goes on being valid."""
    if settings.profile is None:
        output.remark(f"no key is kept for {settings.api_url}")
        raise typer.Exit(1)
    credentials.remove(credentials.path(os.environ), settings.profile)
    if settings.output is not Format.TABLE:
        output.result(output.as_data({"profile": settings.profile.name}, settings.output))
    elif not settings.quiet:
        output.result(f"forgot {settings.profile.name}")
        output.remark("Its key goes on being valid: `maxcloud auth api-keys delete` revokes one.")


@app.command()
@with_settings
def status(settings: Settings) -> None:
    """Show who you are, where, and what your key may do."""
    with settings.client() as client:
        info = client.auth_status()
    if settings.output is not Format.TABLE:
        output.result(output.as_data(_as_data(info, settings.profile), settings.output))
    elif settings.quiet:
        output.result(str(info.organization.id))
    else:
        fields = {
            "Organisation": [info.organization.name],
            "User": [info.user.email + ("" if info.verified else " (not proven yet)")],
            "Role": [str(info.role)],
            "API": [settings.api_url],
            "Profile": [settings.profile.name if settings.profile else "none"],
            "Organisation ID": [str(info.organization.id)],
        }
        output.result(output.field_list(fields))


@app.command()
@with_settings
def switch(
    settings: Settings,
    name: Annotated[
        str | None, typer.Argument(metavar="PROFILE", help="The profile to use from now on.")
    ] = None,
) -> None:
    """Use another profile from now on, or list them.

    The one in use stands first.
    """
    file = credentials.path(os.environ)
    if name is not None:
        credentials.use(file, name)
    profiles = credentials.load(file)
    if settings.output is not Format.TABLE:
        shown = ("name", "api_url", "org_id", "organisation", "email")
        data = [{field: getattr(each, field) for field in shown} for each in profiles]
        output.result(output.as_data(data, settings.output))
    elif settings.quiet or name is not None:
        for each in profiles[:1] if name else profiles:
            output.result(each.name)
    else:
        rows = [(each.name, each.organisation, each.email, each.api_url) for each in profiles]
        output.result(output.table(("PROFILE", "ORGANISATION", "USER", "API"), rows))


def keep(settings: Settings, user: "User", organisation: "Organization", key: str) -> Profile:
    """Keep a key as a profile; where that fails, show it: nobody has it otherwise."""
    profile = Profile(
        name="",
        api_url=settings.api_url,
        org_id=str(organisation.id),
        organisation=organisation.name,
        email=user.email,
        api_key=key,
    )
    try:
        return credentials.add(credentials.path(os.environ), profile)
    except (OSError, credentials.CredentialsUnreadable):
        output.remark(f"The key could not be kept. Note it down, it is shown this once: {key}")
        raise


def _whose(settings: Settings) -> "AuthInfo":
    """Return whose key it is; raises LoginRefused for one that is nobody's."""
    from maxcloud.errors import Unauthenticated

    with settings.client() as client:
        try:
            return client.auth_status()
        except Unauthenticated as error:
            said = f"{settings.api_url} does not take this key: it is mistyped, expired or revoked"
            raise LoginRefused(said) from error


def _ask_for_key() -> str:
    if sys.stdin.isatty():
        key: str = typer.prompt("API key", hide_input=True, err=True)
    else:
        key = sys.stdin.readline()
    if not key.strip():
        raise typer.BadParameter("give it on standard input", param_hint="API key")
    return key.strip()


def _as_data(info: "AuthInfo", profile: Profile | None) -> dict[str, object]:
    return {**info.model_dump(mode="json"), "profile": profile.name if profile else None}

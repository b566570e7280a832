"""Mailer: send the mails that rows wait for.

`mail_sent_at` is the outbox. An event says which row to look at, the timer's sweep finds what no
event led to. The token is made here, from the row; no event, no row and no log line has it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from functions_framework.aio import http
from starlette.requests import Request

from maxcloud import letters, mail, tokens
from maxcloud.calls import Call
from maxcloud.config import Config, Registration
from maxcloud.errors import PermanentError, TemporaryError
from maxcloud.events import PING, Event, Type, read_data
from maxcloud.hints import Hint
from maxcloud.http import Api
from maxcloud.letters import Letter
from maxcloud.store import mails
from maxcloud.store.invitations import InvitationRow
from maxcloud.store.mails import RegistrationRow

# How many mails of a kind one sweep sends; the next one goes on.
SWEEP_MAILS = 100
# After how many failures it gives up: one may be a letter's own, several are the server's.
SWEEP_FAILURES = 3

_log = logging.getLogger(__name__)

api = Api("mailer", needs_secret=True)


@http
async def mailer(request: Request) -> Any:
    """Serve this function; an ASGI app is an answer that functions-framework awaits."""
    return api.app


@api.events("/")
async def on_event(call: Call, event: Event) -> None:
    """Take a hint about one mail, or the timer's about all of them."""
    if event.type == PING:
        await send_all(call)
    elif event.type == Type.INVITE_CREATED:
        await send_invitation(call, read_data(event, Hint))
    elif event.type == Type.USER_REGISTERED:
        await send_proof(call, read_data(event, Hint))
    else:
        raise PermanentError(f"no handler for {event.type}")


async def send_all(call: Call) -> None:
    """Send what is still to go out; after some failures the others wait for the next sweep."""
    waiting: list[tuple[Callable[[Call, Hint], Awaitable[None]], Hint]] = []
    for hint in await mails.unsent_invitations_across_tenants(call.db, SWEEP_MAILS):
        waiting.append((send_invitation, hint))
    if call.config.registration == Registration.VERIFY:
        for hint in await mails.unsent_registrations_across_tenants(call.db, SWEEP_MAILS):
            waiting.append((send_proof, hint))
    failures: list[TemporaryError] = []
    for send, hint in waiting:
        try:
            await send(call, hint)
        except TemporaryError as error:
            failures.append(error)
            if len(failures) == SWEEP_FAILURES:
                break
    if failures:
        raise failures[-1]


async def send_invitation(call: Call, hint: Hint) -> None:
    """Send the mail of an invitation, once."""

    async def post(row: InvitationRow) -> str | None:
        return await hand_over(call.config, invitation(call.config, row))

    await mails.post_invitation(call.db, hint, post)


async def send_proof(call: Call, hint: Hint) -> None:
    """Send the mail that asks for the proof of an address, once, where one is asked for."""

    async def post(row: RegistrationRow) -> str | None:
        return await hand_over(call.config, proof(call.config, row))

    if call.config.registration == Registration.VERIFY:
        await mails.post_registration(call.db, hint, post)


async def hand_over(config: Config, letter: Letter) -> str | None:
    """Send a letter, or return why it can never be sent; raises TemporaryError."""
    if config.dev_mode and not mail.is_configured(config):
        _log.info("no mail is configured: one would have been sent to %s", letter.to)
        return None
    try:
        await mail.send(config, letter)
    except mail.MailRefused as error:
        _log.warning("mail refused: %s", error)
        return str(error)
    return None


def invitation(config: Config, row: InvitationRow) -> Letter:
    """Return the mail of an invitation."""
    return letters.invitation(
        key=f"invitation-{row.id}",
        to=row.email,
        org_name=row.org_name,
        inviter=row.inviter,
        token=tokens.make(tokens.INVITATION, row.claims(), config.secret_keys[0]),
        domain=config.domain,
        date=row.created_at,
    )


def proof(config: Config, row: RegistrationRow) -> Letter:
    """Return the mail that asks for the proof of an address."""
    return letters.proof_of_address(
        key=f"proof-{row.org_id}-{row.user_id}",
        to=row.email,
        org_name=row.org_name,
        token=tokens.make(tokens.PROOF_OF_ADDRESS, row.claims(), config.secret_keys[0]),
        domain=config.domain,
        date=row.created_at,
    )

"""Handing a letter to Resend, or to a mail server of the operator's own.

A letter is the same at every attempt. Resend keeps the first of those with one key; a mail server
has no such thing, and a second copy carries the same Message-ID.
"""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from maxcloud.config import Config
from maxcloud.errors import MaxCloudError, TemporaryError
from maxcloud.letters import Letter

# How long a server may be silent. A mail server may take a while to say that it has a letter, and
# to give up before means to send it again (RFC 5321, section 4.5.3.2).
SECONDS = 30

_TOO_MANY, _SERVERS_OWN = 429, 500

# What Resend says of a key that it knows (resend.com/docs/dashboard/emails/idempotency-keys): a
# letter with it has gone out in other words, under another SECRET_KEY perhaps, or is about to.
_SENT_BEFORE, _UNDER_WAY = "invalid_idempotent_request", "concurrent_idempotent_requests"
_PORTS = {"smtp": 587, "smtps": 465}

# What the server has against us, and not against one letter.
_NOT_LET_IN = (
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
    smtplib.SMTPNotSupportedError,
    smtplib.SMTPAuthenticationError,
)


class MailRefused(MaxCloudError):
    """This letter will never be taken; the message says why, in words an admin may read."""


def is_configured(config: Config) -> bool:
    """Tell whether there is a way for mail to go out."""
    return bool(config.smtp_url or config.resend_api_key)


async def send(config: Config, letter: Letter) -> None:
    """Hand a letter over; raises MailRefused, or TemporaryError when it is worth another try."""
    if config.smtp_url:
        await asyncio.to_thread(_by_smtp, config, letter)
    elif config.resend_api_key:
        await asyncio.to_thread(_by_resend, config, letter)
    else:
        raise MailRefused("no mail can be sent: the operator must set RESEND_API_KEY or SMTP_URL")


def _by_resend(config: Config, letter: Letter) -> None:
    # Late: it takes as long to load as the rest of the function.
    import resend
    from resend.exceptions import ResendError

    resend.api_key, resend.api_url = config.resend_api_key, config.resend_api_url
    resend.default_http_client = resend.RequestsClient(timeout=SECONDS)
    message: resend.Emails.SendParams = {
        "from": config.email_from,
        "to": letter.to,
        "subject": letter.subject,
        "text": letter.text,
        "html": letter.html,
    }
    try:
        resend.Emails.send(message, {"idempotency_key": letter.key})
    except ResendError as error:
        code = int(error.code) if str(error.code).isdecimal() else _SERVERS_OWN
        # What it says may repeat what it was sent; the kind of error does not.
        said = f"Resend answered {code} ({error.error_type})"
        if error.error_type == _SENT_BEFORE:
            return
        if code == _TOO_MANY or code >= _SERVERS_OWN or error.error_type == _UNDER_WAY:
            raise TemporaryError(said) from None
        raise MailRefused(said) from None


def _by_smtp(config: Config, letter: Letter) -> None:
    url = urlsplit(config.smtp_url)
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    try:
        with _connected(url.scheme, host, port) as server:
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(_message(config, letter))
    except _NOT_LET_IN as error:
        raise TemporaryError(f"the mail server lets us not in: {type(error).__name__}") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _refusal(*next(iter(error.recipients.values()))) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise TemporaryError(f"the mail server is away: {type(error).__name__}") from None


def _connected(scheme: str, host: str, port: int) -> smtplib.SMTP:
    """Return a connection; with TLS where the server offers it, and never a password without."""
    tls = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=tls)
    server = smtplib.SMTP(host, port, timeout=SECONDS)
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=tls)
        server.ehlo()
    else:
        # Then `login` finds no way and says so.
        server.esmtp_features.pop("auth", None)
    return server


def _message(config: Config, letter: Letter) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = config.email_from, letter.to
    message["Subject"], message["Date"] = letter.subject, format_datetime(letter.date)
    message["Message-ID"] = f"<{letter.key}@{config.email_from.rpartition('@')[2]}>"
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def _refusal(code: int, said: bytes | str) -> MaxCloudError:
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    sentence = f"the mail server answered {code}: {' '.join(words.split())[:200]}"
    permanent = 500 <= code < 600  # noqa: PLR2004 - RFC 5321, section 4.2.1
    return MailRefused(sentence) if permanent else TemporaryError(sentence)

"""The mails that the platform sends, in German and English. Pure: one row, one letter."""

from dataclasses import dataclass
from datetime import datetime
from html import escape

from maxcloud import names


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail; `key` is the same for every attempt at it, `date` is the row's."""

    key: str
    to: str
    subject: str
    text: str
    html: str
    date: datetime


@dataclass(frozen=True, slots=True)
class _Words:
    heading: str
    what: str
    how: str
    otherwise: str


def invitation(
    *, key: str, to: str, org_name: str, inviter: str, token: str, domain: str, date: datetime
) -> Letter:
    """Return the mail that invites an address into an organisation."""
    german = _Words(
        f"Einladung zu {org_name}",
        f"{inviter or 'Jemand'} lädt dich ein, auf max-cloud bei {org_name} mitzuarbeiten. "
        "Die Einladung gilt sieben Tage.",
        "So nimmst du sie an: in einem Terminal",
        "oder im Browser",
    )
    english = _Words(
        f"Invitation to {org_name}",
        f"{inviter or 'Somebody'} invites you to work with {org_name} on max-cloud. "
        "The invitation is good for seven days.",
        "This accepts it: in a terminal",
        "or in a browser",
    )
    command = f"maxcloud --api-url {names.api_url(domain)} invite accept {token}"
    link = f"{names.api_url(domain)}/api/v1/auth/accept-invite#{token}"
    return _letter(key, to, date, (german, english), (command, link))


def proof_of_address(
    *, key: str, to: str, org_name: str, token: str, domain: str, date: datetime
) -> Letter:
    """Return the mail that asks a new account for the proof of its address."""
    german = _Words(
        "Bestätige deine Adresse",
        f"Mit dieser Adresse wurde auf max-cloud die Organisation {org_name} angelegt. "
        "Warst du das nicht, dann wirf diese Nachricht weg.",
        "So bestätigst du die Adresse: in einem Terminal",
        "oder im Browser",
    )
    english = _Words(
        "Confirm your address",
        f"The organisation {org_name} was made on max-cloud with this address. "
        "If that was not you, throw this message away.",
        "This confirms the address: in a terminal",
        "or in a browser",
    )
    command = f"maxcloud --api-url {names.api_url(domain)} auth verify {token}"
    link = f"{names.api_url(domain)}/api/v1/auth/verify#{token}"
    return _letter(key, to, date, (german, english), (command, link))


def _letter(
    key: str, to: str, date: datetime, words: tuple[_Words, _Words], ways: tuple[str, str]
) -> Letter:
    german, english = words
    parts = [_text(german, *ways), _text(english, *ways)]
    pages = [_html(german, "de", *ways), _html(english, "en", *ways)]
    return Letter(
        key=key,
        to=to,
        subject=f"{german.heading} / {english.heading}",
        text="\n\n--\n\n".join(parts) + "\n",
        html=f"<!doctype html><html><body>{'<hr>'.join(pages)}</body></html>",
        date=date,
    )


def _text(words: _Words, command: str, link: str) -> str:
    return f"{words.what}\n\n{words.how}\n\n  {command}\n\n{words.otherwise}\n\n  {link}"


def _html(words: _Words, language: str, command: str, link: str) -> str:
    return (
        f'<section lang="{language}"><h1>{escape(words.heading)}</h1><p>{escape(words.what)}</p>'
        f"<p>{escape(words.how)}</p><pre>{escape(command)}</pre><p>{escape(words.otherwise)} "
        f'<a href="{escape(link)}">{escape(link.partition("#")[0])}</a></p></section>'
    )

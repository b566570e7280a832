"""Every error as a person reads it: one sentence, one hint, one exit code. The one place.

Imported when something failed, so it may import what takes its time.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from maxcloud import client, errors
from maxcloud.pushing import connection, contents, packing
from maxcloud_cli import credentials, engines, output
from maxcloud_cli.commands.auth import LoginRefused
from maxcloud_cli.commands.dev import EngineMissing
from maxcloud_cli.commands.push import PushInterrupted
from maxcloud_cli.commands.revisions import NothingOlder
from maxcloud_cli.pages import still_serving
from maxcloud_cli.platform import errors as operators
from maxcloud_cli.request import option_of
from maxcloud_cli.waiting import DeployFailed, StillGoing

FAILED, WRONG_USAGE, STILL_GOING, INTERRUPTED = 1, 2, 3, 130


@dataclass(frozen=True)
class Advice:
    """What went wrong, what to do about it, and the exit code; `details` stand between them."""

    sentence: str
    hint: str = ""
    exit_code: int = FAILED
    details: tuple[str, ...] = ()


def report(error: Exception) -> int:
    """Print the advice for an error on stderr and return the exit code.

    An error that is not known here is a mistake of ours and is raised again.
    """
    if isinstance(error, typer.Abort):
        return INTERRUPTED
    if isinstance(error, OSError):
        # stdout is of no use any more, and the interpreter flushes it once again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return FAILED
    advice = advice_for(error)
    if advice is None:
        raise error
    for line in lines(advice):
        output.remark(line)
    return advice.exit_code


def lines(advice: Advice) -> list[str]:
    """Return the lines that a person sees."""
    shown = [f"Error: {advice.sentence}", *(f"  {line}" for line in advice.details)]
    if advice.hint:
        shown.append(f"Hint: {advice.hint}")
    return [output.harmless(line) for line in shown]


def advice_for(error: Exception) -> Advice | None:
    """Return the advice for an error, or None for one that is a mistake of ours."""
    for kind, advise in _ADVISED:
        if isinstance(error, kind):
            return advise(error)
    return _of_the_api(error)


def _of_wrong_usage(error: typer.TyperException) -> Advice:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "maxcloud"
    message = " ".join(error.format_message().split()).removesuffix(".")
    return Advice(message, f"`{command} --help` shows what is possible", WRONG_USAGE)


def _of_failed_deploy(error: DeployFailed) -> Advice:
    service = error.service
    if service.status == "deleting":
        return Advice(f"{service.name} is being deleted", "deploy it again when it is gone")
    first, *further = service.message.splitlines() or ["the platform gave no reason"]
    if serves := still_serving(service):
        further.append(f"{serves} still serves.")
    hint = _HINTS.get(service.reason.rstrip("0123456789"))
    return Advice(
        f"{service.name} failed ({service.reason or service.status}): {first}",
        (hint or "`maxcloud describe {name}` shows all that is known").format(name=service.name),
        details=tuple(further),
    )


def _of_what_stands_in_the_way(error: operators.NotReady) -> Advice:
    hint = "`maxcloud platform install --help` shows what can be said"
    match error.problems:
        case [only]:
            return Advice(only, hint)
    sentence = f"{len(error.problems)} things stand in the way"
    return Advice(sentence, hint, details=error.problems)


def _of_missing_engine(error: EngineMissing) -> Advice:
    said = f"the local engine is not installed: the package {error} is missing"
    return Advice(said, "pip install 'maxcloud[local]'")


def _of_broken_output(error: OSError) -> Advice:
    return Advice(f"cannot write the result: {error.strerror}")


# By a failed service's reason, without a number at its end.
_HINTS = {
    "ImageNotFound": "check the image's name and tag; outside of your registry it must be public",
    "ImageInvalid": "check the image's name, and that it was built for linux/amd64",
    "ImagePullFailed": "deploy the image again; if it stays so, ask the operator",
    "ExitCode": "the container ended by itself; run it locally with the same variables to see why",
    "OOMKilled": "give it more with --memory",
    "Unschedulable": "ask for less with --cpu or --memory, or ask the operator for room",
    "QuotaExceeded": "ask for less with --memory or --cpu, delete a service, or ask the operator",
    "RevisionMissing": "`maxcloud revisions {name}` shows which ones can serve",
    "NamespaceFailed": "the platform has no place for your organisation; ask the operator",
    "NoContainerEngine": "the sample runs without one: maxcloud deploy maxcloud.local/hello",
    "NotListening": "listen on 0.0.0.0 at $PORT, or name the container's port with --port",
}


def _of_still_going(error: StillGoing) -> Advice:
    look = f"`maxcloud describe {error.name}` shows"
    if not error.accepted:
        said = f"interrupted before the API answered about the {error.what} of {error.name}"
        return Advice(said, f"{look} whether it was accepted", INTERRUPTED)
    if error.interrupted:
        said = f"interrupted; the {error.what} of {error.name} goes on"
        return Advice(said, f"{look} how far it is", INTERRUPTED)
    said = f"the wait is over; the {error.what} of {error.name} goes on"
    return Advice(said, f"{look} how far it is; --wait-timeout waits longer", STILL_GOING)


_ADVISED: tuple[tuple[type[Exception], Callable[[Any], Advice]], ...] = (
    (typer.TyperException, _of_wrong_usage),
    (DeployFailed, _of_failed_deploy),
    (StillGoing, _of_still_going),
    (operators.NotReady, _of_what_stands_in_the_way),
    (EngineMissing, _of_missing_engine),
    (OSError, _of_broken_output),
)


def _of_the_api(error: Exception) -> Advice | None:
    for kind, sentence, hint, exit_code in _OF_THE_API:
        if isinstance(error, kind):
            field, wait = getattr(error, "field", None), getattr(error, "retry_after", None)
            about = {
                "option": option_of(field) if field else "--help",
                "when": f"in {wait} seconds" if wait else "in a moment",
                "request_id": getattr(error, "request_id", None) or "(unknown)",
            }
            return Advice(sentence or str(error), hint.format(**about), exit_code)
    return None


_ADDRESS = "check the address in --api-url or MAXCLOUD_API_URL"

# The first class that fits: the sentence where it is not the error's own, hint, exit code.
_OF_THE_API: tuple[tuple[type[Exception], str, str, int], ...] = (
    (operators.KubernetesMissing, "", "pip install 'maxcloud[platform]'", FAILED),
    (operators.NoCluster, "", "check KUBECONFIG and --context", FAILED),
    (operators.ClusterRefused, "", "check that this context may do it", FAILED),
    (operators.NotInstalled, "", "check --context; `maxcloud platform status` shows it", FAILED),
    (operators.NothingToServe, "", "`kubectl get revisions -n mc-system` shows them", FAILED),
    (operators.ManifestsUnreadable, "", "`kubectl kustomize OVERLAY` prints such", WRONG_USAGE),
    (operators.JobFailed, "", "`kubectl get events -n mc-system` may say more", FAILED),
    (operators.Unwell, "", "the page says what is not ready, and why", FAILED),
    (NothingOlder, "", "`maxcloud revisions SERVICE` shows what there is", FAILED),
    (credentials.NoSuchProfile, "", "`maxcloud auth switch` lists them", WRONG_USAGE),
    (
        credentials.CredentialsUnreadable,
        "",
        "mend the file or remove it, then `maxcloud auth login`",
        FAILED,
    ),
    (PushInterrupted, "", "pushing again goes on with what is there", INTERRUPTED),
    (engines.NoSuchImage, "", "`podman images` or `docker images` shows what there is", FAILED),
    (engines.EngineFailed, "", "save it yourself, and push that file", FAILED),
    (contents.ArchiveInvalid, "", "save it anew: `docker save IMAGE -o image.tar`", FAILED),
    (packing.NoRoom, "", "make room there, or name another folder in TMPDIR", FAILED),
    (connection.KeyRefused, "", "use a key with the role deploy, member or admin", FAILED),
    (connection.RegistryRefused, "", "push it again; if it stays so, ask the operator", FAILED),
    (connection.RegistryUnreachable, "", "push it again: it goes on with what is there", FAILED),
    (client.InvalidSetting, "", "see --api-url and --api-key", WRONG_USAGE),
    (client.NoAnswer, "", "try again; if this was a change, it may have taken effect", FAILED),
    (client.ConnectionFailed, "", f"is it running there? {_ADDRESS}", FAILED),
    (
        LoginRefused,
        "",
        "copy the whole key; a new account begins with `maxcloud auth register`",
        FAILED,
    ),
    (
        errors.Unauthenticated,
        "authentication required",
        "`maxcloud auth register` gives you a key, `maxcloud auth login` takes one you have",
        FAILED,
    ),
    (
        errors.NameTaken,
        "conflict: service name already exists",
        "choose another --name: it is part of the URL, so it is unique for all",
        FAILED,
    ),
    (errors.EmailTaken, "", "ask a member for an invitation, or `maxcloud auth login`", FAILED),
    (errors.OrganizationTaken, "", "choose another --org, or ask its admin to invite you", FAILED),
    (
        errors.ImageInUse,
        "",
        "deploy another image to it, or roll it back; then delete the tag",
        FAILED,
    ),
    (errors.LastAdminKey, "", "`maxcloud auth api-keys create`, or --force", FAILED),
    (errors.EmailUnverified, "", "`maxcloud auth verify TOKEN`, as the mail says", FAILED),
    (
        errors.AlreadyMember,
        "",
        "members log in with a key they have: `maxcloud auth login`",
        FAILED,
    ),
    (errors.TokenExpired, "", "ask whoever invited you for a new one", FAILED),
    (errors.InvitationRevoked, "", "ask whoever invited you for a new one", FAILED),
    (errors.InvitationUsed, "", "`maxcloud auth login` takes the key that came of it", FAILED),
    (errors.InvalidToken, "", "copy the whole token from the newest mail", FAILED),
    (
        errors.PreconditionFailed,
        "somebody else changed the service at the same moment, so nothing was done",
        "look at it with `maxcloud describe SERVICE`, then run the command again",
        FAILED,
    ),
    (errors.ServiceDeleting, "", "try again when `maxcloud list` shows it no longer", FAILED),
    (
        errors.RegistrationClosed,
        "",
        "ask a member for an invitation; `maxcloud invite accept TOKEN` makes you one",
        FAILED,
    ),
    (errors.Forbidden, "", "`maxcloud auth status` shows whose key this is, and its role", FAILED),
    (
        errors.NotFound,
        "",
        "see what there is: `maxcloud list`, `images`, `auth api-keys` or `invite list`",
        FAILED,
    ),
    (errors.Conflict, "", "look at it as it is now, then decide", FAILED),
    (errors.InvalidField, "", "see {option}", WRONG_USAGE),
    (errors.TooManyRequests, "", "try again {when}", FAILED),
    (errors.Unavailable, "", "try again {when}", FAILED),
    (client.NotTheAPI, "", _ADDRESS, FAILED),
    (errors.ConfigError, "", "give it the secret that the functions have", FAILED),
    (errors.EngineError, "", "`maxcloud dev --help` shows what is possible", FAILED),
    (errors.APIError, "", "the operator finds more under request id {request_id}", FAILED),
)

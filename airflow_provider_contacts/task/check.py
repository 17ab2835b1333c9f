"""Check a vendor's connection step by step; nothing is created at the vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_contacts.errors import ConfigError, ContactsError, LookupFailedError, UnreadableError
from airflow_provider_contacts.task.connections import contacts_hook
from airflow_provider_contacts.transport.preflight import answer_of, check_destination, exact_destination
from airflow_provider_contacts.transport.probe import REACHED, Outcome, Step, reach
from airflow_provider_contacts.transport.tokens import TokenError
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.push_settings import shown
from airflow_provider_contacts.vendor_kit.results import Result
from airflow_provider_contacts.vendor_kit.vendor import Destination, Response, Vendor

if TYPE_CHECKING:
    from airflow_provider_contacts.task.contacts_hook import ContactsHook
    from airflow_provider_contacts.transport.client import Client
    from airflow_provider_contacts.transport.connection import Target

NOT_FOUND = 404
READ = ("credential", "destination")


def checked(conn_id: str, destination: Mapping[str, Any] | None = None) -> Iterator[Step]:
    """Yield every step of a push to a vendor as far as nothing is created; behind one that failed, none is tried."""
    try:
        hook = contacts_hook(conn_id)
        target = hook.target()
    except ConfigError as error:
        yield Step("connection", conn_id, "failed", str(error))
        yield from not_tried(*((step, "") for step in (*REACHED, *READ)))
        return
    yield Step("connection", conn_id, "ok", f"{hook.vendor.title} at {target.endpoint.base_url}")
    credential, host = target.endpoint.credential, target.place.host
    later = [(step, host) for step in (*REACHED, *READ)]
    with ExitStack() as stack:
        client = stack.enter_context(hook.client(target))
        steps = [reach(target.endpoint, target.endpoint.base_url, target.request_timeout)]
        if isinstance(credential, ClientCredentials):
            at = urlsplit(credential.token_url).netloc
            later = [*((step, at) for step in (*REACHED, "token")), *later]
            steps[:0] = [reach(target.endpoint, credential.token_url, target.request_timeout), token_step(client, at)]
        steps.append(reads(hook, target, client, destination))
        for step in (one for some in steps for one in some):
            yield step
            later = later[1:]
            if step.result == "failed":
                break
    yield from not_tried(*later)


def not_tried(*steps: tuple[str, str]) -> Iterator[Step]:
    """Yield steps that an earlier one makes pointless."""
    return (Step(step, at, "not tried", "an earlier step failed") for step, at in steps)


def token_step(client: Client, at: str) -> Iterator[Step]:
    """Ask for a token."""
    try:
        client.authorization()
    except TokenError as error:
        yield Step("token", at, "failed", error.result.message or error.result.code)
    else:
        yield Step("token", at, "ok", "client id and secret are accepted")


def reads(hook: ContactsHook, target: Target, client: Client, given: Mapping[str, Any] | None) -> Iterator[Step]:
    """Ask for what the vendor documents as a read, with the credential; then look for the destination."""
    vendor, host, where = hook.vendor, target.place.host, f"connection {hook.contacts_conn_id!r}"
    known: Destination = {}
    fault = None
    try:
        known = check_destination(vendor, given, target.defaults, where)
    except ConfigError as error:
        fault = error
    general, particular = ask(vendor, client, known)
    step = "credential"
    try:
        if general is None:
            text = f"{vendor.title} documents no request that only reads: the credential is not tried"
            yield Step(step, host, "not tried", text)
        else:
            check_json(answer_of(vendor, general, f"{where}: the test request failed", target.place), hook, host)
            yield Step(step, host, "ok", f"{vendor.title} accepts it")
        step = "destination"
        if fault is not None:
            raise fault
        secrets = target.endpoint.secrets
        exact = exact_destination(vendor, client, given, target.defaults, where, secrets=secrets, place=target.place)
        if particular is not None:
            place = replace(target.place, destination=exact)
            answer_of(vendor, particular, f"{where}: the destination cannot be read", place)
    except ContactsError as error:
        yield Step(step, host, "failed", str(error))
    else:
        result, text = found(vendor, known, exact, seen=particular is not None)
        yield Step(step, host, result, text)


def ask(vendor: Vendor, client: Client, destination: Destination) -> tuple[Result | None, Result | None]:
    """Return what the vendor answers for the credential, and for the destination; ``None`` where no read tells.

    That there is no such object says little of the credential: then it is asked without one.
    """
    if vendor.check is None:
        return None, None
    request, plain = vendor.check(destination), vendor.check({})
    result = client.call(request)
    if request == plain:
        return result, None
    absent = isinstance(result, Response) and result.status == NOT_FOUND
    return client.call(plain) if absent and plain.path else result, result


def check_json(answer: Response, hook: ContactsHook, host: str) -> None:
    """Refuse an answer that no vendor gives, such as a page of whoever else is at this address."""
    try:
        answer.json()
    except UnreadableError:
        text = f"connection {hook.contacts_conn_id!r}: {hook.vendor.title} at {host} answers with no JSON"
        raise LookupFailedError(f"{text}: check the connection's host and path") from None


def found(vendor: Vendor, known: Destination, exact: Destination, *, seen: bool) -> tuple[Outcome, str]:
    """Return what is known of a destination in which nothing is wrong."""
    if not exact:
        return "ok", f"none is given, and {vendor.title} needs none"
    if seen:
        return "ok", f"{shown(exact)} is there"
    if exact != known:
        return "ok", f"{shown(known)} is {shown(exact)}"
    return "not tried", f"{shown(exact)} is well formed; a push does not ask {vendor.title} whether it exists"

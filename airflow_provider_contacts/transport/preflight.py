"""Reads before a push: does the destination exist, does the credential work. Nothing is created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError, LookupFailedError, RefusedError, UnreadableError
from airflow_provider_contacts.transport.settings import parse_settings
from airflow_provider_contacts.vendor_kit.push_settings import NOWHERE, Place, hint_of, shown
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, Secrets
from airflow_provider_contacts.vendor_kit.vendor import Destination, Request, Response, Vendor


class Caller(Protocol):
    """The part of a client that is needed here."""

    def call(self, request: Request) -> Result:
        """Send one request and wait for its result."""


def check_destination(vendor: Vendor, given: Destination | None, defaults: Destination, where: str) -> dict[str, Any]:
    """Return the destination, as far as it is known without asking the vendor: the task's over the connection's."""
    form = vendor.destination
    stated = parse_settings(given or {}, form.settings, f"destination for {vendor.title}, {where}")
    chosen = form.exactly_one if any(key in stated for key in form.exactly_one) else ()
    merged = {key: value for key, value in defaults.items() if key not in chosen} | stated
    if missing := [key for key in form.required if key not in merged]:
        raise ConfigError(
            f"{vendor.title} needs the destination {missing}: set it on the task, as "
            f"destination={{{missing[0]!r}: …}}, or in the extra of {where}"
        )
    found = [key for key in form.exactly_one if key in merged]
    if form.exactly_one and len(found) != 1:
        raise ConfigError(
            f"{vendor.title} needs exactly one of {list(form.exactly_one)} in the destination, on the task or in the "
            f"extra of {where}; there is {found or 'none'}"
        )
    if vendor.lookup is None or vendor.lookup.request(merged) is None:
        check_carried(vendor, merged, where)
    return merged


def exact_destination(
    vendor: Vendor,
    caller: Caller,
    given: Destination | None,
    defaults: Destination,
    where: str,
    *,
    secrets: Secrets | None = None,
    place: Place = NOWHERE,
) -> Destination:
    """Return the exact destination; asks the vendor where a name must become an id.

    :param secrets: are masked in an error that quotes the vendor.
    :raises ContactsError: as :func:`check_destination` and :func:`read` do, and for an object that does not exist.
    """
    destination: Destination = check_destination(vendor, given, defaults, where)
    lookup = vendor.lookup
    if lookup is None or (request := lookup.request(destination)) is None:
        return destination
    place = replace(place, destination=destination)
    answer = read(vendor, caller, request, f"{where}: the destination cannot be looked up", place)
    try:
        destination = lookup.read(answer, destination)
    except UnreadableError:
        raise LookupFailedError(
            f"{where}: {vendor.title}{place.host and f' at {place.host}'} answers the look-up of "
            f"{shown(destination)} with what cannot be read: check the connection's host"
        ) from None
    except ConfigError as error:
        raise ConfigError((secrets or Secrets()).clean(f"{where}: {error}", MESSAGE_LENGTH)) from None
    check_carried(vendor, destination, where)
    return destination


def check_carried(vendor: Vendor, destination: Destination, where: str) -> None:
    """Refuse values that no request can carry, before a run is registered or a query is run."""
    try:
        vendor.request_path(destination)
        vendor.destination_fields(destination)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def read(vendor: Vendor, caller: Caller, request: Request, trouble: str, place: Place = NOWHERE) -> Response:
    """Return the 2xx answer to one read request.

    :param trouble: begins the error text; ``place`` says what it tells to check.
    :raises RefusedError: where another try cannot help, else ``LookupFailedError``.
    """
    return answer_of(vendor, caller.call(request), trouble, place)


def answer_of(vendor: Vendor, result: Result, trouble: str, place: Place = NOWHERE) -> Response:
    """Return the 2xx answer that a read request got; see :func:`read`."""
    refused = False
    if not isinstance(result, Response):
        refused = isinstance(result, NotSent) and result.refused
        text = f"{trouble} ({result.code})" + (f": {result.message}" if result.message else "")
    elif 200 <= result.status < 300:  # noqa: PLR2004  # RFC 9110
        if not result.trouble:
            return result
        text = f"{trouble}: {result.trouble}"
    else:
        refused = 300 <= result.status < 500 and result.status not in {408, 425, 429}  # noqa: PLR2004
        code = f"http_{result.status}"
        text = f"{trouble} ({vendor.title}{place.host and f' at {place.host}'} says {code})"
        text += f": {hint_of(code, place)}" if refused and place.conn_id else ""
    raise RefusedError(text) if refused else LookupFailedError(f"{text}; another try may help")

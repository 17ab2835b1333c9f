"""Reads before a push: is the destination there, does the credential work. Nothing is created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError, LookupFailedError, RefusedError, UnreadableError
from airflow_provider_contacts.transport.connection import check_destination
from airflow_provider_contacts.vendor_kit.refusal_messages import NOWHERE, Place, hint_of, shown
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, Secrets
from airflow_provider_contacts.vendor_kit.vendor import Destination, Request, Response, Vendor


class Caller(Protocol):
    """The part of a client that is needed here."""

    def call(self, request: Request) -> Result:
        """Send one request and wait for its result."""


def exact_destination(
    vendor: Vendor,
    caller: Caller,
    given: Any,
    defaults: Destination,
    where: str,
    *,
    secrets: Secrets | None = None,
    place: Place = NOWHERE,
) -> Destination:
    """Return the exact destination; asks the vendor where a name must become an id.

    :param given: the operator's, see :func:`airflow_provider_contacts.transport.connection.check_destination`.
    :param where: names the connection for error texts.
    :param place: the same, whole.
    :param secrets: what is masked in an error that quotes the vendor.
    :raises ConfigError: for unknown, missing or contradicting keys, or an object that does not exist.
    :raises RefusedError: where the vendor refuses the read.
    :raises LookupFailedError: where the read gets no usable answer.
    """
    destination = known_destination(vendor, given, defaults, where)
    lookup = vendor.lookup
    request = lookup.request(destination) if lookup is not None else None
    if lookup is not None and request is not None:
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


def known_destination(vendor: Vendor, given: Any, defaults: Destination, where: str) -> Destination:
    """Return the destination as far as it is known without asking the vendor.

    :raises ConfigError: for unknown, missing or contradicting keys, and for what no request could carry.
    """
    destination = check_destination(vendor, given, defaults, where)
    if vendor.lookup is None or vendor.lookup.request(destination) is None:
        check_carried(vendor, destination, where)
    return destination


def check_carried(vendor: Vendor, destination: Destination, where: str) -> None:
    """Refuse what no request could carry: before a run is registered or a query is run.

    :raises ConfigError: naming the connection and the key.
    """
    try:
        vendor.request_path(destination)
        vendor.destination_fields(destination)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def read(vendor: Vendor, caller: Caller, request: Request, trouble: str, place: Place = NOWHERE) -> Response:
    """Return the 2xx answer to one read request.

    :param trouble: begins the error text.
    :param place: what the error text tells to look at.
    :raises RefusedError: where another try could not help.
    :raises LookupFailedError: where it could.
    """
    result = caller.call(request)
    later = "; another try may help"
    if isinstance(result, Response) and 200 <= result.status < 300:  # noqa: PLR2004  # RFC 9110
        if result.trouble:
            raise LookupFailedError(f"{trouble}: {result.trouble}{later}")
        return result
    if isinstance(result, Response):
        refused = 300 <= result.status < 500 and result.status not in {408, 425, 429}  # noqa: PLR2004
        code = f"http_{result.status}"
        text = f"{trouble} ({vendor.title}{place.host and f' at {place.host}'} says {code})"
        text += f": {hint_of(code, place)}" if refused and place.conn_id else ""
    else:
        refused = isinstance(result, NotSent) and result.refused
        text = f"{trouble} ({result.code})" + (f": {result.message}" if result.message else "")
    raise RefusedError(text) if refused else LookupFailedError(text + later)

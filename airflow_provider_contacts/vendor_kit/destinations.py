"""From a destination to requests: paths, look-ups by name, and what is sent inside each record."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.vendor_kit.json_values import as_id, as_list, as_mapping
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response

PART = re.compile(r"\{(\w+)\}")
SHOWN = 20


def path(template: str) -> Callable[[Destination], str]:
    """Return a function of a destination: its path, such as ``/lists/{list_id}/contacts/``, percent-encoded.

    The function raises ``ConfigError`` for a value that cannot be a part of a path.
    """

    def part(key: str, value: object) -> str:
        # Encoding leaves these as they are, and every URL parser would climb up by them.
        if value in {"", ".", ".."}:
            raise ConfigError(f"{key} must be an id, which {value!r} is not")
        return quote(str(value), safe="")

    return lambda destination: PART.sub(lambda found: part(found[1], destination[found[1]]), template)


def get(template: str, without: str = "") -> Callable[[Destination], Request]:
    """Return a function of a destination: a GET request; ``without`` is its path where the destination lacks a part."""
    keys, whole = PART.findall(template), path(template)
    return lambda destination: Request("GET", whole(destination) if all(map(destination.get, keys)) else without)


def in_records(key: str, check: Callable[[Any], Any] | None = None) -> Callable[[Destination], dict[str, Any]]:
    """Return a function of a destination: the fields by which each record names it.

    :param key: key of the destination, and name of the field.
    :param check: returns the value to send; raises ``ValueError`` for one that the vendor would always refuse.
    """

    def fields(destination: Destination) -> dict[str, Any]:
        value = destination.get(key)
        if value is None:
            return {}
        try:
            return {key: check(value) if check else value}
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None

    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Describe how a destination is made exact before anything is sent, such as an address book's name into its id.

    :param request: takes a destination, returns the read request; ``None`` if the destination is exact already.
    :param read: takes a 2xx answer and the destination, returns the exact destination. Raises ``ConfigError`` if the
        object does not exist or is not unique, ``UnreadableError`` for an answer that cannot be read.
    """

    request: Callable[[Destination], Request | None]
    read: Callable[[Response, Destination], Destination]


def by_name(
    what: str, request: Request, listed: str, *, name_key: str, id_key: str, read_id: Callable[[Any], Any] = as_id
) -> Lookup:
    """Return the look-up of an object that may be given by its exact name in place of its id.

    :param what: the object in words, with the vendor's name.
    :param request: the request that lists all objects.
    :param listed: member of the answer that is the list; each object has ``name`` and ``id``.
    :param name_key: key of the destination for the name.
    :param id_key: key of the destination for the id.
    :param read_id: returns the id of an object; ``None`` for what is none.
    """

    def read(answer: Response, destination: Destination) -> Destination:
        objects = as_list(as_mapping(answer.json()).get(listed))
        if objects is None:
            raise UnreadableError(f"no list of {listed}")
        wanted = destination[name_key]
        found = [one for one in map(as_mapping, objects) if one.get("name") == wanted]
        if not found:
            there = sorted(one["name"] for one in map(as_mapping, objects) if isinstance(one.get("name"), str))
            some = ", ".join(map(repr, there[:SHOWN])) or "none"
            more = f", and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
            raise ConfigError(f"there is no {what} {wanted!r}; there are: {some}{more}")
        if len(found) > 1:
            raise ConfigError(f"{len(found)} {what}s are named {wanted!r}: give {id_key} instead")
        id_ = read_id(found[0].get("id"))
        if id_ is None:
            raise UnreadableError(f"an object of {listed} has no id")
        return {id_key: id_}

    return Lookup(request=lambda destination: request if destination.get(name_key) else None, read=read)


def made_id(field: str) -> Callable[[Payload, str, str], dict[str, Any]]:
    """Return a function that makes an id for a record without one, so that it is found in answers and later.

    The id depends on ``sync_id`` and record identifier alone: every try makes the same one.
    """

    def generated(payload: Payload, sync_id: str, record_identifier: str) -> dict[str, Any]:
        if field in payload:
            return {}
        seed = f"{sync_id}\0{record_identifier}".encode("utf-8", "surrogatepass")
        return {field: f"apc-{hashlib.sha256(seed).hexdigest()[:32]}"}

    return generated

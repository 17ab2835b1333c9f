"""Addresses of requests, as templates whose parts come from the destination."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.vendor_kit.forms import Destination
from airflow_provider_contacts.vendor_kit.vendor import Request

PART = re.compile(r"\{(\w+)\}")


def path(template: str) -> Callable[[Destination], str]:
    """Return the word for a path such as ``/lists/{list_id}/contacts/``, slash policy included."""

    def part(key: str, value: object) -> str:
        # Encoding leaves these as they are, and every URL parser would climb up by them.
        if value in {"", ".", ".."}:
            raise ConfigError(f"{key} must be an id, which {value!r} is not")
        return quote(str(value), safe="")

    return lambda destination: PART.sub(lambda found: part(found[1], destination[found[1]]), template)


def get(template: str, without: str = "") -> Callable[[Destination], Request]:
    """Return the word for a read request.

    :param without: the path where the destination lacks a part of the template.
    """
    keys, whole = PART.findall(template), path(template)
    return lambda destination: Request("GET", whole(destination) if all(map(destination.get, keys)) else without)

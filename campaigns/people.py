"""The invented records of a campaign, recognisable at every vendor, and how a campaign pushes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_contacts import vendors

VENDORS = ("apptoto", "dex", "intermezzo", "nedzo", "talkdesk")

_KEY = re.compile(r"k\d+x\d+")


def reading_extra(vendor: str, delay: float) -> dict[str, float]:
    """Return what a connection's extra says about reading back; nothing where the vendor has no reads.

    :param delay: seconds.
    """
    return {} if vendors.load(vendor).read_back is None else {"reconcile_delay": delay}


def key_of(job: int, number: int) -> str:
    """Return the key of one record of one job; no other record of a campaign has it."""
    return f"k{job}x{number}"


def rows(vendor: str, job: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the records of a job, each with its ``key``; the key is in a field of the vendor's as well."""
    for number in range(count):
        key = key_of(job, number)
        yield {"key": key, **fields(vendor, key, job * 100_000 + number)}


def fields(vendor: str, key: str, number: int) -> dict[str, Any]:
    """Return the native fields of a record.

    :param number: makes a phone number that no other record has.
    """
    email = f"{key}@example.com"
    match vendor:
        case "intermezzo" | "apptoto":
            return {"name": f"Ada {key}", "email": email}
        case "nedzo":
            return {"email": email, "first_name": "Ada", "last_name": key}
        case "dex":
            return {"first_name": "Ada", "last_name": key, "contact_emails": [{"email": email}]}
        case "talkdesk":
            phone = {"phone_type": "MOBILE", "phone_number": f"+1555{number:010}"}
            return {"first_name": "Ada", "last_name": key, "phone_numbers": [phone]}
        case _:
            raise ValueError(f"no vendor of this name: {vendor}")


def key_in(received: Mapping[str, Any]) -> str:
    """Return the key of a record as the vendor received it.

    :raises ValueError: for one that no campaign has sent.
    """
    if found := _KEY.search(json.dumps(received)):
        return found[0]
    raise ValueError("a record without a key is at the vendor")


def pace(vendor: str, batch_size: int) -> dict[str, Any]:
    """Return the operator's parameters: the vendors' own pace would take hours, and is not what is tried here."""
    size = 1 if vendor == "nedzo" else batch_size
    return {"batch_size": size, "requests_per_second": 5000}

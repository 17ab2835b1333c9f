"""What a vendor's server looks at in a value, written apart from the package's own checks, which it may contradict."""

from __future__ import annotations

import re
import uuid
from functools import cache
from typing import Any
from zoneinfo import available_timezones

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\(?\+?[0-9](?:[ ()./-]*[0-9]){4,14}[ ()./-]*")

# Leading digits of a number and the time zones of its country; the first that fits counts.
_ZONES = (
    ("+351", ("Europe/Lisbon", "Atlantic/")),
    ("+44", ("Europe/London", "Europe/Belfast")),
    ("+49", ("Europe/Berlin", "Europe/Busingen")),
    ("+1", ("America/", "US/", "Canada/", "Pacific/Honolulu")),
)


def is_email(value: Any) -> bool:
    """Tell whether a text could be an email address."""
    return isinstance(value, str) and _EMAIL.fullmatch(value) is not None


def is_phone(value: Any) -> bool:
    """Tell whether a text could be dialled: 5 to 15 digits (E.164 allows 15) and punctuation between them."""
    return isinstance(value, str) and _PHONE.fullmatch(value) is not None


def is_uuid(value: Any) -> bool:
    """Tell whether a text is a UUID in any form that Python reads."""
    if not isinstance(value, str):
        return False
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def digits(value: str) -> str:
    """Return the digits of a number alone."""
    return "".join(filter(str.isdigit, value))


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones, and those that Talkdesk shows beside them."""
    return frozenset(available_timezones()) | {"GMT", "UTC"}


def zone_fits(zone: str, number: str) -> bool:
    """Tell whether a zone is one of the number's country; for other countries and zones that name none, it is."""
    if zone in {"GMT", "UTC"}:
        return True
    allowed = next((names for prefix, names in _ZONES if number.startswith(prefix)), None)
    return allowed is None or zone.startswith(allowed)

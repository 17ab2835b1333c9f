"""What a vendor's server checks in a value, written apart from the package's own checks, which it may contradict."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from airflow_provider_contacts.simulator.messages import Answer, Call, Place, Problem, RefusedCallError, parsed

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\(?\+?[0-9](?:[ ()./-]*[0-9]){4,14}[ ()./-]*")

# Leading digits of a number and the time zones of its country; the first that fits counts.
_ZONES = (
    ("+351", ("Europe/Lisbon", "Atlantic/")),
    ("+44", ("Europe/London", "Europe/Belfast")),
    ("+49", ("Europe/Berlin", "Europe/Busingen")),
    ("+1", ("America/", "US/", "Canada/", "Pacific/Honolulu")),
)
_TYPES = {str: "a string", bool: "a boolean", int: "an integer", list: "an array", dict: "an object"}
# FastAPI's words for a value of another type.
_FASTAPI = {
    str: ("Input should be a valid string", "string_type"),
    bool: ("Input should be a valid boolean", "bool_type"),
    list: ("Input should be a valid list", "list_type"),
    dict: ("Input should be a valid dictionary", "model_attributes_type"),
}
EMAIL_PROBLEM = ("value is not a valid email address", "value_error")
UUID_PROBLEM = ("Input should be a valid UUID", "uuid_parsing")


def is_email(value: Any) -> bool:
    """Tell whether a text could be an email address."""
    return isinstance(value, str) and _EMAIL.fullmatch(value) is not None


def is_phone(value: Any) -> bool:
    """Tell whether a text could be dialled: 5 to 15 digits (E.164 allows 15) and punctuation between them."""
    return isinstance(value, str) and _PHONE.fullmatch(value) is not None


def is_uuid(value: Any) -> bool:
    """Tell whether a text is a UUID in any form that Python reads."""
    try:
        return isinstance(value, str) and uuid.UUID(value) is not None
    except ValueError:
        return False


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


def wrong_types(record: Mapping[str, Any], names: Iterable[str], wanted: type) -> Iterator[tuple[str, str]]:
    """Yield each of these fields that is there with a value of another type, and what it must be."""
    for name in names:
        if name in record and type(record[name]) is not wanted:
            yield name, f"must be {_TYPES[wanted]}"


def is_rows(value: Any) -> bool:
    """Tell whether a value is a list of objects."""
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def fastapi_problem(at: Place, wanted: type) -> Problem:
    """Return what FastAPI says of a value that is not of the wanted type."""
    return (at, *_FASTAPI[wanted])


def fastapi_answer(error: RefusedCallError) -> Answer:
    """Return a refusal in FastAPI's form."""
    detail: Any = [{"type": word, "loc": list(path), "msg": text} for path, text, word in error.problems]
    return Answer(error.status, {"detail": detail or error.message})


def fastapi_body(call: Call, wanted: type) -> Any:
    """Return the parsed body, of the wanted type.

    :raises RefusedCallError: 422, with the character's position in place of an index for what is not JSON.
    """
    try:
        body = parsed(call.body) if call.is_json else None
    except ValueError as error:
        raise unprocessable([(("body", getattr(error, "pos", 0)), "JSON decode error", "json_invalid")]) from None
    if not isinstance(body, wanted):
        raise unprocessable([fastapi_problem(("body",), wanted)])
    return body


def unprocessable(problems: list[Problem]) -> RefusedCallError:
    """Return FastAPI's refusal for these reasons."""
    return RefusedCallError(422, "Unprocessable Entity", problems)

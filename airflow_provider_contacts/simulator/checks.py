"""What a vendor's server checks in a value, written apart from the package's own checks, which it may contradict."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, create_model

from airflow_provider_contacts.simulator.messages import Answer, Call, Problem, RefusedCallError, parsed

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\(?\+?[0-9](?:[ ()./-]*[0-9]){4,14}[ ()./-]*")

# Leading digits of a number and the time zones of its country; the first that fits counts.
_ZONES = (
    ("+351", ("Europe/Lisbon", "Atlantic/")),
    ("+44", ("Europe/London", "Europe/Belfast")),
    ("+49", ("Europe/Berlin", "Europe/Busingen")),
    ("+1", ("America/", "US/", "Canada/", "Pacific/Honolulu")),
)


def is_phone(value: Any) -> bool:
    """Tell whether a text could be dialled: 5 to 15 digits (E.164 allows 15) and punctuation between them."""
    return isinstance(value, str) and _PHONE.fullmatch(value) is not None


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


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("value is not a valid email address")
    return value


Email = Annotated[str, AfterValidator(_email)]
Uuid = Annotated[str, AfterValidator(lambda value: str(uuid.UUID(value)))]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(lambda value: str(date.fromisoformat(value)))]


def shape(needed: Mapping[str, Any], others: Mapping[str, Any], *, closed: bool = False) -> Any:
    """Return the type of objects that have the needed fields, and perhaps others; ``closed``: and none beside them."""
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in needed.items()}
    fields |= {name: (kind, None) for name, kind in others.items()}
    config = ConfigDict(strict=True, extra="forbid" if closed else "ignore")
    return create_model("Shape", __config__=config, **fields)


def rows(of: Any) -> Any:
    """Return the type of a list of such objects."""
    return list[of]


def problems_of(wanted: Any, value: Any, *at: str | int) -> list[Problem]:
    """Return what is wrong with the types of a value, in pydantic's words: FastAPI's own."""
    try:
        wanted.model_validate(value, from_attributes=True)
    except ValidationError as error:
        return [((*at, *one["loc"]), one["msg"], one["type"]) for one in error.errors(include_input=False)]
    return []


def first_problem(wanted: Any, value: Any) -> str:
    """Return the first thing that is wrong with the types of a value as one text, empty if nothing is."""
    return next((f"{'.'.join(map(str, path))}: {text}" for path, text, _ in problems_of(wanted, value)), "")


def fastapi_answer(error: RefusedCallError) -> Answer:
    """Return a refusal in FastAPI's form."""
    detail: Any = [{"type": word, "loc": list(path), "msg": text} for path, text, word in error.problems]
    return Answer(error.status, {"detail": detail or error.message})


def fastapi_body(call: Call, wanted: type, problem: tuple[str, str]) -> Any:
    """Return the parsed body; refuse (422) another type, and what is not JSON by the character's position."""
    try:
        body = parsed(call.body) if call.is_json else None
    except ValueError as error:
        raise unprocessable([(("body", getattr(error, "pos", 0)), "JSON decode error", "json_invalid")]) from None
    if not isinstance(body, wanted):
        raise unprocessable([(("body",), *problem)])
    return body


def unprocessable(problems: list[Problem]) -> RefusedCallError:
    """Return FastAPI's refusal for these reasons."""
    return RefusedCallError(422, "Unprocessable Entity", problems)

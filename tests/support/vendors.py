"""What a vendor's words make of records and answers, in short."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_refusal, read_replies
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Payload, Rejected, Response, Stop, Vendor

DESTINATIONS: Mapping[str, Mapping[str, Any]] = {
    "apptoto": {"address_book_id": 7},
    "intermezzo": {"organization_id": "org_1"},
    "talkdesk": {"record_list_id": "l1"},
}
PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "apptoto": {"name": "Ada", "email": "ada@example.com"},
    "dex": {"first_name": "Ada"},
    "intermezzo": {"name": "Ada", "email": "ada@example.com"},
    "nedzo": {"first_name": "Ada", "email": "ada@example.com"},
    "talkdesk": {"first_name": "Ada", "last_name": "L", "phone_number": "+14155550101"},
}
"""A contact that each vendor takes."""

Faults = list[tuple[str, str | None]]


def prepare(vendor: Vendor, record: Mapping[str, Any], **more: Any) -> Record:
    """Return what is sent for a record, or why it must not be sent; ``more`` are parameters of the mapper."""
    place = more.pop("destination", DESTINATIONS.get(vendor.name, {}))
    return Mapper(vendor=vendor, destination=place, **{"sync_id": "s", **more}).prepare(0, plain_row(record))


def payload_of(vendor: Vendor, record: Mapping[str, Any], **more: Any) -> Payload:
    """Return the payload of a record without the destination's fields."""
    prepared = prepare(vendor, record, **more)
    assert not prepared.errors, prepared
    place = more.get("destination", DESTINATIONS.get(vendor.name, {}))
    return {name: value for name, value in prepared.payload.items() if name not in place}


def faults_of(vendor: Vendor, record: Mapping[str, Any]) -> Faults:
    """Return code and field of every reason for which a record is refused."""
    invalid = prepare(vendor, record)
    assert invalid.errors, invalid
    return [(code, field) for code, field, _ in invalid.errors]


def each(values: list[Any]) -> list[Any]:
    """Return values, of any types for mypy."""
    return values


def typed(value: Any) -> str:
    """Return a value as text that tells ``True`` from 1, and 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


def answer(body: Any, status: int = 200) -> Response:
    """Return an answer with a body as JSON, or of these bytes."""
    return Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def replies(vendor: Vendor, body: Any, sent: Sequence[Payload], status: int = 200) -> list[Any]:
    """Return the replies of an answer."""
    return list(read_replies(vendor, answer(body, status), sent))


def brief(vendor: Vendor, body: Any, sent: Sequence[Payload], status: int = 200) -> str:
    """Return the replies of an answer in one line.

    ``+id`` is created, ``-code@field`` rejected, ``?code`` doubt with its id after a colon, ``~code`` again,
    ``!code`` stop.
    """
    return " ".join(map(word_of, replies(vendor, body, sent, status)))


def word_of(reply: Any) -> str:
    """Return one reply as a word."""
    match reply:
        case Created(id=id_):
            return f"+{id_ or ''}"
        case Rejected(errors=errors):
            return "-" + ",".join(f"{error.code}@{error.field}" if error.field else error.code for error in errors)
        case Doubt(code=code, id=id_):
            return f"?{code}" + (f":{id_}" if id_ else "")
        case Again(code=code):
            return f"~{code}"
        case Stop(code=code):
            return f"!{code}"
        case _:
            raise AssertionError(reply)


def reasons(vendor: Vendor, refusal: Response, sent: Sequence[Payload]) -> Mapping[int, tuple[RecordError, ...]]:
    """Return the records that a refusal names, by place."""
    return read_refusal(vendor, refusal, len(sent)).reasons


def named(vendor: Vendor, refusal: Response, sent: Sequence[Payload]) -> dict[int, list[tuple[str, str | None]]]:
    """Return code and field of every reason, by place."""
    return {i: [(one.code, one.field) for one in found] for i, found in reasons(vendor, refusal, sent).items()}


def code_of(vendor: Vendor, refusal: Response) -> str:
    """Return the code of a whole refusal."""
    return read_refusal(vendor, refusal, 1).code


def words_of(value: Any) -> set[str]:
    """Return the names of all members inside a JSON value."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(words_of, members))

"""Batches, results and outcomes as rows: cleaned, cut, and no more than the payload policy allows.

A row is a tuple in the order of ``statements.RECORD``, ``CLAIM`` or ``ANSWER``; its second value is the identifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Literal

import msgspec

from airflow_provider_contacts.ledgers.sql.column_texts import errors_json, payload_json
from airflow_provider_contacts.ledgers.sql.statements import ANSWER, RECORD, Row
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, NAME_LENGTH, clean

Policy = Literal["undelivered", "all", "never"]
"""Which payloads are kept; ``"never"`` keeps no text of the vendor's either, which may echo them."""

# An escape that PostgreSQL's JSON keeps and cannot read; a body is UTF-8, and so holds no surrogate.
ESCAPED_NUL = rb"\u0000"

WORDS = {status: status.value for status in Status}
"""The words themselves: drivers take texts more quickly than enumerations."""
SENDING, SUCCEEDED = WORDS[Status.SENDING], WORDS[Status.SUCCEEDED]

TEXTS = ("error_field", "status_message", "errors", "record_payload")
IDENTIFIER = itemgetter(1)

Said = tuple[str | None, str | None, str | None, str | None]
SAID_NOTHING: Said = (None, None, None, None)


def payload_text(batch: Batch, place: int) -> str | None:
    """Return a payload as JSON text that every database takes."""
    body = batch.bodies[place]
    return body.decode() if ESCAPED_NUL not in body else payload_json(batch.payloads[place])


def mostly_confirmed(result: BatchResult) -> bool:
    """Tell whether an answer confirms at least half of its records, so that the batch itself is ``succeeded``."""
    return 2 * len(result.exceptions) <= len(result.batch)


def ids_json(ids: Sequence[str | None]) -> str:
    """Return ids as JSON text."""
    text = msgspec.json.encode(ids).decode() if all(map(storable, ids)) else None
    return text if text is not None else msgspec.json.encode([clean(one, NAME_LENGTH) for one in ids]).decode()


def storable(record_id: str | None) -> bool:
    """Tell whether an id can be stored as it is; nearly every one can."""
    return record_id is None or (len(record_id) <= NAME_LENGTH and record_id.isprintable())


def confirmed(number: int, result: BatchResult) -> Iterator[Row]:
    """Yield a row of ``statements.ANSWER`` for each record that an answer confirms."""
    identifiers, exceptions = result.batch.identifiers, result.exceptions
    for place, record_id in enumerate(result.ids):
        if place not in exceptions:
            yield None, identifiers[place], number, SUCCEEDED, clean(record_id, NAME_LENGTH), *SAID_NOTHING, None, 0, 0


def excepted(number: int, result: BatchResult, store: Policy) -> Iterator[Row]:
    """Yield a row of ``statements.ANSWER`` for each record that an answer does not confirm, with its payload."""
    for place, outcome in result.exceptions.items():
        payload = None if store == "never" else payload_text(result.batch, place)
        yield answer(number, outcome, store, payload)


def answer(number: int, outcome: Outcome, store: Policy, payload: str | None = None, *, late: bool = False) -> Row:
    """Return an outcome as a row of ``statements.ANSWER``.

    :param late: whether it was concluded later than with the batch's answer.
    """
    return (
        None,
        outcome.record_identifier,
        number,
        WORDS[outcome.status],
        clean(outcome.destination_record_id, NAME_LENGTH),
        *said_of(outcome, texts=store != "never"),
        payload,
        outcome.attempts,
        int(late),
    )


def said_of(outcome: Outcome, *, texts: bool) -> Said:
    """Return why a record is not there: code, field, text, and all reasons as JSON.

    :param texts: whether the vendor's texts may be kept.
    """
    code, field, message, errors = outcome.error_code, outcome.error_field, outcome.status_message, outcome.errors
    if code is None and field is None and message is None and not errors:
        return SAID_NOTHING
    return (
        clean(code, NAME_LENGTH),
        clean(field, NAME_LENGTH),
        clean(message, MESSAGE_LENGTH) if texts else None,
        errors_json(errors, messages=texts),
    )


def unsent(outcomes: Sequence[Outcome], sync_no: int, number: int, store: Policy) -> list[Row]:
    """Return the outcomes of records that were not sent as rows of ``statements.RECORD``, by identifier."""
    texts = store != "never"
    rows = [
        (
            sync_no,
            outcome.record_identifier,
            number,
            place,
            outcome.row_index,
            outcome.attempts,
            outcome.payload_hash,
            WORDS[outcome.status],
            clean(outcome.destination_record_id, NAME_LENGTH),
            *said_of(outcome, texts=texts),
            payload_json(outcome.payload) if texts else None,
        )
        for place, outcome in enumerate(outcomes)
    ]
    return sorted(rows, key=IDENTIFIER)


def under(rows: Sequence[Row], sync_no: int) -> list[Row]:
    """Return rows with their ``sync_no``, in the order of their identifiers."""
    return sorted([(sync_no, *row[1:]) for row in rows], key=IDENTIFIER)


def shortened(row: Row) -> tuple[Row, ...]:
    """Return a row as it is, then ever shorter: what the database refuses must not cost the outcome itself."""
    fields = RECORD if len(row) == len(RECORD) else ANSWER
    textless = without(row, fields, TEXTS)
    return row, textless, without(textless, fields, ("error_code", "destination_record_id"))


def without(row: Row, fields: tuple[str, ...], emptied: Sequence[str]) -> Row:
    """Return a row with some fields emptied."""
    return tuple(None if name in emptied else value for name, value in zip(fields, row, strict=True))

"""Claims and outcomes as rows of the table of records: cleaned, cut, and no more than the payload policy allows.

A row is a tuple in the order of ``statements.RECORD``, ``CLAIM`` or ``ANSWER``; its second value is the identifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal

from airflow_provider_contacts.ledgers.sql.batch_numbers import number_of
from airflow_provider_contacts.ledgers.sql.column_texts import errors_json, payload_json
from airflow_provider_contacts.ledgers.sql.statements import Row
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import Claim
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, NAME_LENGTH, clean

Policy = Literal["undelivered", "all", "never"]
"""Which payloads are kept; ``"never"`` keeps no text of the vendor's either, which may echo them."""

# The only escape that JSONB does not take; a body is UTF-8, and so holds no surrogate.
ESCAPED_NUL = rb"\u0000"

WORDS = {status: status.value for status in Status}
"""The words themselves: drivers take texts more quickly than enumerations."""

TEXTS = ("error_field", "status_message", "errors", "record_payload")
IDENTIFIER = itemgetter(1)

Said = tuple[str | None, str | None, str | None, str | None]
SAID_NOTHING: Said = (None, None, None, None)


def claimed(claims: Sequence[Claim], store: Policy) -> list[Row]:
    """Return claims as rows in the order of their identifiers; each begins with ``None`` for the ``sync_no``.

    The place of a record is its place among the claims of its batch.

    :raises ValueError: for a batch that is not named after a token.
    """
    places: dict[str, int] = {}
    sending, rows = WORDS[Status.SENDING], []
    for claim in claims:
        number = number_of(claim.batch_id)
        if number is None:
            raise ValueError("a batch is not named after this execution")
        place = places[claim.batch_id] = places.get(claim.batch_id, -1) + 1
        standing = claim.standing
        rows.append(
            (
                None,
                claim.record_identifier,
                number,
                place,
                claim.row_index,
                claim.attempts,
                claim.payload_hash,
                sending,
                *(None,) * 5,
                None if store == "never" else stored_text(claim),
                number_of(standing.batch_id) if standing else None,
                WORDS[standing.status] if standing else None,
            )
        )
    return sorted(rows, key=IDENTIFIER)


def stored_text(claim: Claim) -> str | None:
    """Return the payload as JSON text that every database takes."""
    if claim.body is not None and ESCAPED_NUL not in claim.body:
        return claim.body.decode()
    return payload_json(claim.payload)


def answered(outcomes: Sequence[Outcome], store: Policy, awaited: Mapping[int, Any] | set[int]) -> list[Row]:
    """Return the outcomes of batches as rows in the order of their identifiers; those of no batch are left out.

    :param awaited: batches whose answer this is; an outcome of another one was concluded later.
    """
    texts = store != "never"
    rows = [
        (
            None,
            outcome.record_identifier,
            number,
            WORDS[outcome.status],
            clean(outcome.destination_record_id, NAME_LENGTH),
            *said_of(outcome, texts=texts),
            outcome.attempts,
            0 if number in awaited else 1,
        )
        for outcome in outcomes
        if (number := number_of(outcome.batch_id)) is not None
    ]
    return sorted(rows, key=IDENTIFIER)


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


def noted(outcomes: Sequence[Outcome], store: Policy) -> list[Row]:
    """Return the outcomes of records that were not sent as rows, in the order of their identifiers."""
    texts = store != "never"
    rows = [
        (
            None,
            outcome.record_identifier,
            None,
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


def under(rows: Sequence[Row], sync_no: int, batch_no: int | None = None) -> list[Row]:
    """Return rows with their ``sync_no``, and with a batch where they have none yet."""
    return [(sync_no, row[1], row[2] if batch_no is None else batch_no, *row[3:]) for row in rows]


def without_text(row: Row, fields: tuple[str, ...]) -> tuple[Row, ...]:
    """Return a row as it is, then ever shorter: what the database refuses must not cost the outcome itself."""
    textless = without(row, fields, TEXTS)
    return row, textless, without(textless, fields, ("error_code", "destination_record_id"))


def without(row: Row, fields: tuple[str, ...], emptied: tuple[str, ...]) -> Row:
    """Return a row with some fields emptied."""
    return tuple(None if name in emptied else value for name, value in zip(fields, row, strict=True))

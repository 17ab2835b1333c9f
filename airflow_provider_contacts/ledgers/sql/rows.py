"""Batches, results and outcomes as rows: cleaned, cut, and no more than the payload policy allows.

A row is a tuple in the order of ``statements.BATCH``, ``RECORD``, ``CLAIM`` or ``ANSWER``; the second value of the last
three is the identifier.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Literal

import msgspec

from airflow_provider_contacts.ledgers.sql.batch_numbers import number_of
from airflow_provider_contacts.ledgers.sql.statements import Row
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.vendor_kit.sanitize import (
    ERRORS_KEPT,
    MESSAGE_LENGTH,
    NAME_LENGTH,
    REPLACEMENT,
    UNSTORABLE,
    clean,
)

Policy = Literal["undelivered", "all", "never"]
"""Which payloads are kept; ``"never"`` keeps no text of the vendor's either, which may echo them."""

# An escape that PostgreSQL's JSON keeps and cannot read; a body is UTF-8, and so holds no surrogate.
ESCAPED_NUL = rb"\u0000"
# The same within JSON text, where JSON itself escapes control characters; JSONB takes no escaped NUL.
UNSTORABLE_IN_JSON = re.compile(r"\\u0000|[" + "\ud800-\udfff]")

WORDS = {status: status.value for status in Status}
"""The words themselves: drivers take texts more quickly than enumerations."""
SENDING, SUCCEEDED = WORDS[Status.SENDING], WORDS[Status.SUCCEEDED]

TEXTS = ("error_field", "status_message", "errors", "record_payload")
IDENTIFIER = itemgetter(1)

Said = tuple[str | None, str | None, str | None, str | None]
SAID_NOTHING: Said = (None, None, None, None)


class ClaimedBatch:
    """A batch to claim.

    :param alone: whether each of its records has a status and payload of its own from the start.
    """

    def __init__(self, number: int, batch: Batch, store: Policy, *, alone: bool) -> None:
        self.number = number
        self.batch = batch
        self._store = store
        stored = not alone and len(batch) > 1
        body = b"[%b]" % b",".join(batch.bodies) if stored and store != "never" else b""
        self.alone = not stored or ESCAPED_NUL in body
        self._body = None if self.alone or store == "never" else body.decode()
        histories = batch.histories.items()
        self._states = {place: history.state for place, history in histories if history.state is not None}

    def row(self, run_no: int) -> Row:
        """Return the batch's own row."""
        return self.number, run_no, "open" if self.alone else SENDING, self._body

    def read_as_sending(self) -> set[int]:
        """Return the batches whose records were read as ``sending``."""
        numbers = {number_of(one.batch_id) for one in self._states.values() if one.status is Status.SENDING}
        return {number for number in numbers if number is not None}

    def records(self, sync_no: int) -> tuple[list[Row], list[Row]]:
        """Return a row of ``RECORD`` for each record without one, and a row of ``CLAIM`` for each other."""
        rows = self._rows(sync_no)
        if not self._states:
            return list(rows), []
        new, moved = list[Row](), list[Row]()
        for place, row in enumerate(rows):
            if (state := self._states.get(place)) is None:
                new.append(row)
            else:
                moved.append((*row, number_of(state.batch_id), WORDS[state.status]))
        return new, moved

    def _rows(self, sync_no: int) -> Iterator[Row]:
        batch, size = self.batch, len(self.batch)
        attempts: Any = [batch.attempts(place) + 1 for place in range(size)] if self._states else repeat(1, size)
        payloads: Any = repeat(None, size)
        if self.alone and self._store != "never":
            payloads = [payload_text(batch, place) for place in range(size)]
        numbers, status = (repeat(self.number, size), range(size)), SENDING if self.alone else None
        counted = (batch.row_indexes, attempts, batch.payload_hashes, repeat(status, size))
        nothing = (repeat(None, size) for _ in range(5))
        return zip(repeat(sync_no, size), batch.identifiers, *numbers, *counted, *nothing, payloads, strict=True)


def payload_text(batch: Batch, place: int) -> str | None:
    """Return a payload as JSON text that every database takes."""
    body = batch.bodies[place]
    return body.decode() if ESCAPED_NUL not in body else payload_json(batch.payloads[place])


def ids_text(result: BatchResult, *, as_array: bool) -> str | None:
    """Return an answer's ids as one text, if its batch can be settled by them: JSON, or an array of PostgreSQL.

    At least half of the records must be confirmed, and every id be storable as it is; nearly every one is. Of printable
    texts, the two notations differ in their brackets alone.
    """
    if 2 * len(result.exceptions) > len(result.batch):
        return None
    if not all(one is None or (len(one) <= NAME_LENGTH and one.isprintable()) for one in result.ids):
        return None
    text = msgspec.json.encode(result.ids).decode()
    return f"{{{text[1:-1]}}}" if as_array else text


def confirmed(number: int, result: BatchResult) -> Iterator[Row]:
    """Yield a row of ``ANSWER`` for each record that an answer confirms."""
    identifiers, exceptions = result.batch.identifiers, result.exceptions
    for place, record_id in enumerate(result.ids):
        if place not in exceptions:
            yield None, identifiers[place], number, SUCCEEDED, clean(record_id, NAME_LENGTH), *SAID_NOTHING, None, 0, 0


def excepted(number: int, result: BatchResult, store: Policy) -> Iterator[Row]:
    """Yield a row of ``ANSWER`` for each record that an answer does not confirm, with its payload."""
    for place, outcome in result.exceptions.items():
        payload = None if store == "never" else payload_text(result.batch, place)
        yield answer(number, outcome, store, payload)


def answer(number: int, outcome: Outcome, store: Policy, payload: str | None = None, *, late: bool = False) -> Row:
    """Return an outcome as a row of ``ANSWER``; ``late`` if it was concluded later than with the batch's answer."""
    identifier, word = outcome.record_identifier, WORDS[outcome.status]
    record_id = clean(outcome.destination_record_id, NAME_LENGTH)
    said = said_of(outcome, texts=store != "never")
    return None, identifier, number, word, record_id, *said, payload, outcome.attempts, int(late)


def said_of(outcome: Outcome, *, texts: bool) -> Said:
    """Return why a record is not there: code, field, text (where texts may be kept), and all reasons as JSON."""
    text = clean(outcome.status_message, MESSAGE_LENGTH) if texts else None
    names = clean(outcome.error_code, NAME_LENGTH), clean(outcome.error_field, NAME_LENGTH)
    return *names, text, errors_json(outcome.errors, messages=texts)


def unsent(outcomes: Sequence[Outcome], sync_no: int, number: int, store: Policy) -> list[Row]:
    """Return the outcomes of records that were not sent as rows of ``RECORD``, by identifier."""
    texts = store != "never"
    rows = [
        (
            *(sync_no, one.record_identifier, number, place, one.row_index, one.attempts, one.payload_hash),
            *(WORDS[one.status], clean(one.destination_record_id, NAME_LENGTH), *said_of(one, texts=texts)),
            payload_json(one.payload) if texts else None,
        )
        for place, one in enumerate(outcomes)
    ]
    return sorted(rows, key=IDENTIFIER)


def under(rows: Sequence[Row], sync_no: int) -> list[Row]:
    """Return rows with their ``sync_no``, in the order of their identifiers."""
    return sorted([(sync_no, *row[1:]) for row in rows], key=IDENTIFIER)


def shortened(fields: tuple[str, ...], row: Row) -> tuple[Row, ...]:
    """Return a row as it is, then ever shorter: what the database refuses must not cost the outcome itself."""
    emptied = (TEXTS, (*TEXTS, "error_code", "destination_record_id"))
    return row, *(
        tuple(None if name in names else value for name, value in zip(fields, row, strict=True)) for names in emptied
    )


def errors_json(errors: Sequence[RecordError], *, messages: bool) -> str | None:
    """Return the first reasons as JSON text, with the vendor's texts if they may be kept; ``None`` for none."""
    if not errors:
        return None
    kept = [
        {"code": clean(error.code, NAME_LENGTH), "field": clean(error.field, NAME_LENGTH)}
        | ({"message": clean(error.message, MESSAGE_LENGTH)} if messages else {})
        for error in errors[:ERRORS_KEPT]
    ]
    return json.dumps(kept, ensure_ascii=False)


def payload_json(payload: Mapping[str, Any] | None) -> str | None:
    """Return a payload as JSON text that every database takes; ``None`` if there is none or no text can be made.

    What JSON cannot say (dates, decimals, NaN) becomes its text: such a record was refused by our own check and is kept
    for a person to read.
    """
    if payload is None:
        return None
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
        if not UNSTORABLE_IN_JSON.search(text):
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return json.dumps(plain(payload), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's own types, texts storable."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return UNSTORABLE.sub(REPLACEMENT, value)
        case Mapping():
            return {UNSTORABLE.sub(REPLACEMENT, str(name)): plain(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
        case _:
            return UNSTORABLE.sub(REPLACEMENT, str(value))

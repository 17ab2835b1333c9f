"""What is remembered of a record where no table holds it: a digest, a status, codes; no text that tells who it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import ABSENT, Claim
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH, clean

DIGITS = 32
"""Of the identifier's digest: that two of 20,000 records share one has a chance of 10^-30. A log shows twelve."""

CODE_LENGTH = 100

IN_DOUBT = frozenset({Status.SENDING, Status.UNKNOWN})
WEAK = frozenset({Status.REJECTED, Status.INVALID, Status.FAILED})
STATUSES = frozenset(status.value for status in Status if status not in {Status.SKIPPED, Status.DUPLICATE})

OPTIONAL = (str, str, int, str, str, int)
"""Types of what follows the attempts: payload hash, the vendor's id, HTTP status, error code, error field, doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record's place in the memory; fields as in the outcome table.

    :param key: see :func:`key_of`.
    :param was_in_doubt: an earlier request may have created it, although a reading did not find it.
    :param since: of what an earlier execution left: when that one began, in seconds since the epoch.
    """

    key: str
    status: Status
    batch_id: str | None
    attempts: int
    payload_hash: str | None = None
    destination_record_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_field: str | None = None
    was_in_doubt: bool = False
    since: float | None = field(default=None, compare=False)


def key_of(identifier: str) -> str:
    """Return the digest that stands for an identifier, which is often an email address."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def marked(mark: Claim) -> Entry:
    """Return a mark as an entry."""
    return Entry(
        key=key_of(mark.record_identifier),
        status=Status.SENDING,
        batch_id=mark.batch_id,
        attempts=mark.attempts,
        payload_hash=mark.payload_hash,
    )


def decided(outcome: Outcome, before: Entry | None) -> Entry:
    """Return an outcome as an entry, without the vendor's text, which may echo the record.

    :param before: the record's entry so far; attempts never become fewer, and a mark knows what was sent.
    """
    return Entry(
        key=key_of(outcome.record_identifier),
        status=outcome.status,
        batch_id=outcome.batch_id,
        attempts=max(outcome.attempts, before.attempts if before else 0),
        payload_hash=outcome.payload_hash,
        destination_record_id=clean(outcome.destination_record_id, NAME_LENGTH),
        http_status=outcome.http_status,
        error_code=clean(outcome.error_code, CODE_LENGTH),
        error_field=clean(outcome.error_field, NAME_LENGTH),
        was_in_doubt=any(error.code == ABSENT for error in outcome.errors),
        since=before.since if before else None,
    )


def is_due(known: Entry, new: Entry) -> bool:
    """Tell whether an answer may be written over what is known: its batch waits for it, or it confirms the record."""
    if new.batch_id is None or new.batch_id != known.batch_id:
        return False
    return known.status in {*IN_DOUBT, new.status} or new.status is Status.SUCCEEDED


def stands(known: Entry | None, later: Entry) -> bool:
    """Tell whether an entry found later in the memory replaces what was found before."""
    if known is None:
        return True
    if later.batch_id is not None and later.batch_id == known.batch_id:
        return is_due(known, later)
    return known.status is not Status.SUCCEEDED


def encoded(entry: Entry, token: str) -> list[Any]:
    """Return an entry as a JSON list; what is absent at its end is left out.

    :param token: of the execution that keeps the entry; its own batches are named without it.
    """
    batch_id, own = entry.batch_id, f"{token}."
    if batch_id is not None and batch_id.startswith(own) and "." not in batch_id.removeprefix(own):
        batch_id = batch_id.removeprefix(own)
    values = [
        entry.key,
        entry.status.value,
        batch_id,
        entry.attempts,
        entry.payload_hash,
        entry.destination_record_id,
        entry.http_status,
        entry.error_code,
        entry.error_field,
        1 if entry.was_in_doubt else None,
    ]
    while values[-1] is None:
        values.pop()
    return values


def decoded(values: Any, token: str) -> Entry:
    """Return the entry that a JSON list tells.

    :raises LedgerError: for anything that :func:`encoded` does not write.
    """
    match values:
        case [str(key), str(status), (str() | None) as batch_id, int(attempts), *rest] if status in STATUSES:
            optional = (*rest, *[None] * (len(OPTIONAL) - len(rest)))
            if fits(optional):
                payload_hash, destination_record_id, http_status, error_code, error_field, doubt = optional
                return Entry(
                    key=key,
                    status=Status(status),
                    batch_id=batch_id if batch_id is None or "." in batch_id else f"{token}.{batch_id}",
                    attempts=attempts,
                    payload_hash=payload_hash,
                    destination_record_id=destination_record_id,
                    http_status=http_status,
                    error_code=error_code,
                    error_field=error_field,
                    was_in_doubt=bool(doubt),
                )
    raise LedgerError("the task state store holds an entry that this package has not written")


def fits(values: Sequence[Any]) -> bool:
    """Tell whether the optional values of an entry have their types."""
    return len(values) == len(OPTIONAL) and all(
        value is None or isinstance(value, kind) for value, kind in zip(values, OPTIONAL, strict=True)
    )

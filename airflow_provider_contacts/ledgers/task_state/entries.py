"""What one step says of one record where no table holds it: a digest, a status, codes; nothing that names a person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import BatchResult
from airflow_provider_contacts.records.record_state import ABSENT
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH, clean

DIGITS = 32
"""Of the identifier's digest: two of 20,000 records share one with a chance of 10^-30. A log line shows twelve."""

WEAK = frozenset({Status.REJECTED, Status.INVALID, Status.FAILED})


class Entry(Value, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One record's state, kept as a JSON list; the fields as in the outcome table.

    :param payload_hash: ``None`` also in an answer: its claim says what was sent.
    :param was_in_doubt: an earlier request may have created it, although a reading did not find it.
    """

    key: str
    status: Status
    batch_id: str | None = None
    attempts: int = 0
    payload_hash: str | None = None
    destination_record_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_field: str | None = None
    was_in_doubt: bool = False

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return an outcome as an entry, without the vendor's message, which may echo the record."""
        return cls(
            key=key_of(outcome.record_identifier),
            status=outcome.status,
            batch_id=outcome.batch_id,
            attempts=outcome.attempts,
            payload_hash=outcome.payload_hash,
            destination_record_id=clean(outcome.destination_record_id, NAME_LENGTH),
            http_status=outcome.http_status,
            error_code=clean(outcome.error_code, NAME_LENGTH),
            error_field=clean(outcome.error_field, NAME_LENGTH),
            was_in_doubt=any(error.code == ABSENT for error in outcome.errors),
        )

    def encoded(self) -> list[Any]:
        """Return it as a JSON list, without the empty fields at its end."""
        values: list[Any] = msgspec.to_builtins(self)
        while not values[-1]:
            values.pop()
        return values


def key_of(identifier: str) -> str:
    """Return the digest that stands for an identifier, which is often an email address."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def entries_of(result: BatchResult) -> Iterator[Entry]:
    """Yield the entries of a batch's result."""
    for place, identifier in enumerate(result.batch.identifiers):
        if place in result.exceptions:
            yield Entry.of(result.exceptions[place])
        else:
            yield Entry(
                key=key_of(identifier),
                status=Status.SUCCEEDED,
                batch_id=result.batch_id,
                destination_record_id=clean(result.ids[place], NAME_LENGTH),
                http_status=result.http_status,
            )


def folded(known: Entry | None, entry: Entry) -> Entry:
    """Return what stands of a record once an entry follows: ``known`` itself where the entry replaces nothing.

    An answer replaces only what its own batch left, and no weaker word replaces ``succeeded``.
    """
    if known is None:
        return entry
    if not answers(entry, known):
        return known if known.status is Status.SUCCEEDED else entry
    if known.status in {Status.SENDING, Status.UNKNOWN, entry.status} or entry.status is Status.SUCCEEDED:
        return replace(entry, attempts=max(entry.attempts, known.attempts), payload_hash=known.payload_hash)
    return known


def answers(entry: Entry, known: Entry) -> bool:
    """Tell whether an entry speaks of the request that the known one speaks of."""
    return entry.batch_id is not None and entry.batch_id == known.batch_id


def withdrawn(claim: Entry, before: Entry | None) -> Entry:
    """Return what stands of a record whose claim was not acted upon: what stood before."""
    if before is None:
        return replace(claim, status=Status.FAILED, error_code="not_attempted", attempts=0)
    return replace(before, batch_id=claim.batch_id)

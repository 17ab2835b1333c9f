"""The outcome of a record, and the status words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as value
from enum import StrEnum
from typing import Any

from airflow_provider_contacts.frozen import Value


class Status(StrEnum):
    """Say what became of a record. ``SENDING`` is in rows of the outcome table only, never in an :class:`Outcome`."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    INVALID = "invalid"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    DUPLICATE = "duplicate"
    SENDING = "sending"


UNDELIVERED = frozenset({Status.REJECTED, Status.INVALID, Status.FAILED, Status.UNKNOWN})
"""The statuses of records that are not, or not certainly, at the vendor."""

IN_DOUBT = (Status.SENDING, Status.UNKNOWN)
"""The statuses of records that may or may not be at the vendor."""

WITHOUT_ROW = ("key_not_unique", "claimed_elsewhere")
"""The codes of records for which a push writes no row: the row of their key is another record's, or another run's."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """Say one reason why the vendor, or the check before sending, refused a record.

    :param code: the vendor's own code, or one of this package in snake case.
    :param field: dotted path of the vendor's field, such as ``phone_numbers.0.phone_number``.
    :param message: the vendor's text, which may repeat personal data. Messages of this package never do.
    """

    code: str
    field: str | None = None
    message: str | None = value(default=None, repr=False)


def digest_of(identifier: str) -> str:
    """Return the digest by which logs name a record: the first twelve hexadecimal digits of the SHA-256."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Outcome(Value, frozen=True, kw_only=True):
    """Say what became of one record.

    :param record_identifier: the sync key as text; without a key, ``sha256:`` and the digest of the payload.
    :param row_index: position in the input, from 0.
    :param status: one of :class:`Status`, except ``SENDING``.
    :param destination_record_id: the vendor's id, where it gave one.
    :param error_code: code of the first reason, to which ``error_field`` and ``status_message`` belong, too.
    :param error_field: dotted path of the vendor's field.
    :param status_message: text of the vendor, which may repeat personal data, or of this package.
    :param errors: every reason.
    :param http_status: status of the last answer; ``None`` without one.
    :param attempts: requests that carried the record, over all tries and runs.
    :param payload_hash: ``v1:`` and the digest of the mapped payload.
    :param payload: what was sent, or would have been.
    :param batch_id: 16 hexadecimal digits: the request that carried the record. The first ten name the execution.
    :param changed: the record is ``skipped``, and its payload is not the one that was delivered.
    :param from_this_run: ``False`` for the outcome of an earlier run: a held ``unknown``, or a ``skipped``.
    """

    record_identifier: str
    row_index: int
    status: Status
    destination_record_id: str | None = None
    error_code: str | None = None
    error_field: str | None = None
    status_message: str | None = None
    errors: tuple[RecordError, ...] = ()
    http_status: int | None = None
    attempts: int = 0
    payload_hash: str | None = None
    payload: Mapping[str, Any] | None = None
    batch_id: str | None = None
    changed: bool = False
    from_this_run: bool = True

    def __repr__(self) -> str:
        """Name the record by digest: an identifier is often an email address."""
        code = f", error_code={self.error_code!r}" if self.error_code else ""
        return f"Outcome({digest_of(self.record_identifier)}, row_index={self.row_index}, {self.status.value}{code})"

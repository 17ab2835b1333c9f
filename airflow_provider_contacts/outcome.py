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
    """The words of the outcome table. ``SENDING`` is in rows only, never in an :class:`Outcome`."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    INVALID = "invalid"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    DUPLICATE = "duplicate"
    SENDING = "sending"


UNDELIVERED = frozenset({Status.REJECTED, Status.INVALID, Status.FAILED, Status.UNKNOWN})
"""The statuses whose record is not, or not surely, at the vendor."""

IN_DOUBT = (Status.SENDING, Status.UNKNOWN)
"""The statuses whose record may be at the vendor, or not."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """One reason why a record was refused, by the vendor or by our own check.

    :param code: the vendor's own code where it has one, else a code of ours in snake case.
    :param field: dotted path of the vendor field, e.g. ``phone_numbers.0.phone_number``.
    :param message: the vendor's text, which may echo personal data; ours never does.
    """

    code: str
    field: str | None = None
    message: str | None = value(default=None, repr=False)


def digest_of(identifier: str) -> str:
    """Return the twelve digits by which a log line may name a record, never the identifier itself."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Outcome(Value, frozen=True, kw_only=True):
    """The outcome of one record.

    :param record_identifier: the sync key as text, or ``sha256:`` and the digest of the payload.
    :param row_index: position in the input, from 0.
    :param status: one of :class:`Status` but ``SENDING``.
    :param destination_record_id: the vendor's id, if it gave one.
    :param errors: every reason given, the first of which is also in ``error_code``, ``error_field`` and
        ``status_message``.
    :param http_status: status of the last answer, ``None`` without one.
    :param attempts: requests that carried this record, over all tries and runs.
    :param payload_hash: digest of the mapped payload, with its version.
    :param payload: what was sent or would have been.
    :param batch_id: the request that carried it; begins with the execution's token.
    :param changed: a skipped record whose payload differs from the delivered one.
    :param from_this_run: ``False`` for an outcome of an earlier run (a held ``unknown``, a ``skipped``).
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

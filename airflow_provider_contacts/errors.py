"""The exceptions of the package. An exception means that a push cannot go on; a problem of a record is an outcome.

``InvalidRecordError`` and ``UnreadableError`` never leave the package: they become outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class ContactsError(Exception):
    """Tell that a push cannot go on; the base of everything that it raises."""

    code = "not_attempted"
    """The ``error_code`` of the records that are not sent for this reason; their status is ``failed``."""


class ConfigError(ContactsError):
    """Tell what must be configured differently, where, and what is allowed. Nothing was sent; a retry cannot help."""


class SourceError(ContactsError):
    """Tell that the source cannot be read any further. The rows before are sent. The text never quotes a row."""


class LookupFailedError(ContactsError):
    """Tell that a read before the push got no usable answer. Nothing was sent; a retry may help."""


class RefusedError(ContactsError):
    """Tell that the vendor refuses credential, destination or address: 401, 403, 404 or a redirect."""


MOST_RESCHEDULES = 100
"""How often one try comes back after a wait of the vendor, before it fails."""


class RetryLaterError(ContactsError):
    """Tell that the vendor asks for a longer wait than ``max_wait``.

    :param until: the end of the wait, in UTC.
    :param remembered: whether the next execution knows what this one has sent.
    """

    code = "rate_limited"

    def __init__(self, message: str, until: datetime, *, remembered: bool = False) -> None:
        super().__init__(message)
        self.until, self.remembered = until, remembered


class InterruptedPushError(ContactsError):
    """Tell that the push was stopped, by ``execution_timeout`` or SIGTERM for instance."""


class LedgerError(ContactsError):
    """Tell that the outcome table, or Airflow's task state store, fails; nothing more is sent without it."""


class TooSlowError(LedgerError):
    """Tell that a query of the outcome table took too long and was cancelled."""


class SupersededError(LedgerError):
    """Tell that a newer execution of the same task instance has begun; this one sends nothing more."""

    code = "superseded"


class SyncTakenError(SupersededError, ConfigError):
    """Tell that the ``sync_id`` belongs to another destination; nothing is written under it."""

    code = "not_attempted"


class BudgetError(ContactsError):
    """Tell that the database of the shared rate fails; nothing more is sent without it. A retry may help."""


class UndeliveredError(ContactsError):
    """Tell that a finished push left more records undelivered than the task tolerates.

    :param retryable: whether any record is ``failed``, so that a retry may deliver it.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class StillSendingError(ContactsError):
    """Tell that a person cannot be forgotten yet: a request with the record may be under way. A retry may help."""


class InvalidRecordError(ValueError):
    """Tell that a record fails the check before sending; becomes an ``invalid`` outcome. Never quotes a value.

    :param errors: ``(code, field, message)`` of every reason, at least one.
    """

    def __init__(self, errors: Sequence[tuple[str, str | None, str | None]]) -> None:
        super().__init__(", ".join(code for code, _, _ in errors))
        self.errors = tuple(errors)


class UnreadableError(ValueError):
    """Tell that an answer cannot be read; the records of its request become ``unknown``."""

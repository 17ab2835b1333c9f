"""Every exception of the package. An exception means that a push cannot go on; a record's trouble is an outcome.

InvalidRecordError and UnreadableError are not among them: they are caught inside the package and become outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class ContactsError(Exception):
    """Base of what a push can raise."""

    code = "not_attempted"
    """Of the records that are therefore not sent."""


class ConfigError(ContactsError):
    """Something must be configured differently; the text says what, where, and what is allowed. Nothing was sent."""


class SourceError(ContactsError):
    """The source cannot give what follows; the rows before it are sent. The text never quotes a row."""


class LookupFailedError(ContactsError):
    """A read before the push got no usable answer; nothing was sent, and another try may help."""


class RefusedError(ContactsError):
    """The vendor refuses credential, destination or address (401, 403, 404, a redirect); the rest is ``failed``."""


MOST_RESCHEDULES = 100
"""Times that one try may wait without a worker; a vendor that never lets anything in is an error."""


class RetryLaterError(ContactsError):
    """The vendor asked to come back later than this try may wait: at ``until`` (UTC). The rest is ``failed``.

    ``remembered`` tells whether who comes back knows what was sent.
    """

    code = "rate_limited"

    def __init__(self, message: str, until: datetime, *, remembered: bool = False) -> None:
        super().__init__(message)
        self.until, self.remembered = until, remembered


class InterruptedPushError(ContactsError):
    """The push was told to stop; requests in flight are settled or ``unknown``."""


class LedgerError(ContactsError):
    """The memory of what was sent cannot be kept, so nothing more may be sent."""


class TooSlowError(LedgerError):
    """A question about the outcome table took longer than it may, and was given up."""


class SupersededError(LedgerError):
    """A newer execution of the same task instance has registered; this one must not send any more."""

    code = "superseded"


class SyncTakenError(SupersededError, ConfigError):
    """The ``sync_id`` remembers records of another destination; nothing may be written under it."""

    code = "not_attempted"


class BudgetError(ContactsError):
    """The rate that tasks share cannot be asked for, so nothing more may be sent; another try may help."""


class UndeliveredError(ContactsError):
    """The push ended with more undelivered records than tolerated; ``retryable`` if any of them is ``failed``."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class StillSendingError(ContactsError):
    """A person cannot be forgotten while a request with the record may be under way."""


class InvalidRecordError(ValueError):
    """Our own check refuses a record; becomes an ``invalid`` outcome. Texts never quote the record's values.

    :param errors: ``(code, field, message)`` of every reason, at least one.
    """

    def __init__(self, errors: Sequence[tuple[str, str | None, str | None]]) -> None:
        super().__init__(", ".join(code for code, _, _ in errors))
        self.errors = tuple(errors)


class UnreadableError(ValueError):
    """An answer is not what it should be; readers turn it into ``Doubt``."""

"""What the parts of one push share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import BudgetError, ContactsError, RefusedError, RetryLaterError
from airflow_provider_contacts.pacing.adaptive import AdaptivePace
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.reconcile.reader import ReadContext
from airflow_provider_contacts.vendor_kit.vendor import Limits

log = logging.getLogger(__name__)


class Brake:
    """Stops the sending of one push, once.

    ``code`` says why, and is empty until then; ``error`` is what the push raises at its end, ``None`` where its
    outcomes say enough; with ``drain`` the rest of the source is read, so that every record has an outcome.

    :param durable: whether a later execution knows of this one, and goes on where it ends.
    """

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self.code = ""
        self.error: ContactsError | None = None
        self.drain = True

    def pull(self, error: ContactsError | None, code: str = "not_attempted") -> None:
        """Send nothing more; the first reason counts. ``code`` is for one without an error."""
        if self.code:
            return
        self.code, self.error = error.code if error is not None else code, error
        passing = isinstance(error, RetryLaterError | BudgetError)
        self.drain = error is None or isinstance(error, RefusedError) or (passing and not self._durable)
        log.warning("Nothing more is sent: %s", self.code if error is None else str(error) or type(error).__name__)


@dataclass(slots=True)
class Counts:
    """How far a push is."""

    num_read: int = 0  # rows that the source has given
    is_read: bool = False  # whether it is known to have given all
    num_requests: int = 0  # create requests that were sent
    num_sent: int = 0  # records in those
    num_answered: int = 0  # records whose request was answered, each time that it was
    trouble: str | None = None  # why the last request that got no usable answer got none


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContext(ReadContext):
    """What one push is made of."""

    ledger: Ledger
    brake: Brake  # is pulled where the push cannot go on
    counts: Counts = field(default_factory=Counts)


def pace_of(limits: Limits, budget: Budget | None) -> Pace:
    """Return the pace of a push: the rate that is known, or one that adapts to the vendor's answers."""
    rate = limits.requests_per_second
    return AdaptivePace(limits.max_in_flight, budget) if rate is None else Pace(rate, limits.burst, budget)

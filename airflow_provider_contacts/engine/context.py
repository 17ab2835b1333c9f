"""What the parts of one push share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.pacing.adaptive import AdaptivePace
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.reconcile.reader import ReadContext
from airflow_provider_contacts.vendor_kit.vendor import Limits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why nothing more is sent.

    :param error: what the push raises at its end; ``None``: its outcomes say enough.
    :param drain: whether the rest of the source is read, so that every record has an outcome.
    :param note: whether rows may still be written for records that were not sent.
    """

    code: str
    error: BaseException | None = None
    drain: bool = True
    note: bool = True


class Brake:
    """Stops the sending of one push, once; ``halt`` is the reason."""

    def __init__(self) -> None:
        self.halt: StopReason | None = None

    def pull(self, halt: StopReason) -> None:
        """Send nothing more; the first reason counts."""
        if self.halt is None:
            self.halt = halt
            log.warning("Nothing more is sent: %s", halt.code if halt.error is None else reason_of(halt.error))


def reason_of(error: BaseException) -> str:
    """Return why a push ends; of another's exception only its class, whose text may quote a row."""
    return (isinstance(error, ContactsError) and str(error)) or type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContext(ReadContext):
    """What one push is made of.

    :param brake: is pulled where the push cannot go on.
    """

    ledger: Ledger
    brake: Brake = field(default_factory=Brake)


def pace_of(limits: Limits, budget: Budget | None) -> Pace:
    """Return the pace of a push: the rate that is known, or one that adapts to the vendor's answers."""
    rate = limits.requests_per_second
    return AdaptivePace(limits.max_in_flight, budget) if rate is None else Pace(rate, limits.burst, budget)

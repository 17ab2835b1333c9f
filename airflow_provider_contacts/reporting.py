"""What is told of a push: progress while it runs, and in the run's row how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.core.errors import ContactsError, InterruptedPushError, RetryLaterError
from airflow_provider_contacts.core.plan import Plan, planned
from airflow_provider_contacts.core.summary import Report, tally_of

if TYPE_CHECKING:
    from airflow_provider_contacts.core.engine import Push
    from airflow_provider_contacts.core.ledger import Ledger
    from airflow_provider_contacts.core.outcome import Outcome
    from airflow_provider_contacts.core.record import Mapper
    from airflow_provider_contacts.core.settings import PushSettings

log = logging.getLogger(__name__)

PROGRESS_EVERY = 30.0
"""Seconds between two progress lines in the log."""


@contextmanager
def reported(report: Report, ledger: Ledger) -> Iterator[None]:
    """Write into the run's row why a push did not even begin: a row without an end looks like a dead worker."""
    try:
        yield
    except BaseException as error:
        if not report.ended:
            finish(ledger, report, status_of(error) or "failed", error)
        raise


def count_outcomes(push: Push, report: Report, tell: Callable[[], None]) -> None:
    """Run a push, and count every outcome once, wherever it is interrupted.

    :param tell: called after each.
    """
    current: Outcome | None = None
    try:
        with closing(push.run()) as outcomes:
            for outcome in outcomes:
                current = outcome
                report.add(outcome)
                # Counted: a replay's source counts records of its own before the next one comes.
                current = None
                tell()
    except BaseException:
        report.catch_up(current, push.last_words)
        raise


class Progress:
    """Says now and then how far a push is."""

    def __init__(self) -> None:
        self._last = monotonic()

    def tell(self, report: Report) -> None:
        """Log a line if the last one is old enough."""
        if monotonic() - self._last > PROGRESS_EVERY:
            self._last = monotonic()
            log.info("So far: %s", tally_of(report.tally.counts()))


def plan_only(
    report: Report, rows: Iterator[Any], mapper: Mapper, ledger: Ledger, settings: PushSettings
) -> dict[str, Any]:
    """Return the summary of what a push would do now."""
    plan = Plan()
    for outcome in planned(rows, mapper=mapper, ledger=ledger, settings=settings, plan=plan):
        report.tally.add(outcome)
    report.num_requests = plan.num_requests
    report.outcomes.wanted = "none"
    summary = report.summary("succeeded")
    summary["num_planned"] += plan.num_to_send
    summary["num_to_send"] = plan.num_to_send
    log.info("Plan only: %s to send in %s requests; nothing was sent", plan.num_to_send, plan.num_requests)
    return summary


def status_of(error: BaseException | None) -> str | None:
    """Return the run's status word where the push did not come to its end."""
    if error is None:
        return None
    if isinstance(error, RetryLaterError):
        return "partial"
    stopped = isinstance(error, InterruptedPushError) or not isinstance(error, Exception)
    return "aborted" if stopped else "failed"


def finish(ledger: Any, report: Report, status: str, verdict: BaseException | None) -> None:
    """Write the counters into the run's row; a ledger that is away must not hide why the push failed."""
    report.ended = True
    close = getattr(ledger, "finish", None)
    if close is None:
        return
    message = str(verdict) if isinstance(verdict, ContactsError) else type(verdict).__name__ if verdict else None
    try:
        close(report.counts(), status, message)
    except ContactsError:
        if verdict is None:
            raise
        log.warning("The run's row could not be written")

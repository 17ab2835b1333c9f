"""What is told of a push: progress while it runs, and in the run's row how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_contacts.engine.plan import Plan, planned
from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.outcome import UNDELIVERED, Status
from airflow_provider_contacts.task.summary import Report

if TYPE_CHECKING:
    from airflow_provider_contacts.engine.ports import Ledger
    from airflow_provider_contacts.engine.push import Push
    from airflow_provider_contacts.records.mapper import Mapper
    from airflow_provider_contacts.records.sync_ids import LookFirst
    from airflow_provider_contacts.vendor_kit.push_settings import PushSettings

log = logging.getLogger(__name__)

PROGRESS_EVERY = 30.0
"""Seconds between two progress lines in the log."""


class TaskIntake(NamedTuple):
    """What a push is made of.

    :param ledger: as the push sees it.
    """

    rows: Iterator[Any]
    mapper: Mapper
    ledger: Ledger


@contextmanager
def reported(report: Report, ledger: Ledger) -> Iterator[None]:
    """Write into the run's row why a push did not even begin: a run that never ends looks like a dead worker."""
    try:
        yield
    except BaseException as error:
        if not report.ended:
            finish(ledger, report, status_of(report, error), error)
        raise


def count_outcomes(push: Push, report: Report) -> None:
    """Run a push, and count every record once."""
    with closing(push.run()) as portions:
        for finished in portions:
            report.add(finished)


class Progress:
    """Says now and then how far a push is.

    :param now: the moment in seconds; asked often.
    """

    def __init__(self, report: Report, now: Callable[[], float] = monotonic) -> None:
        self._report = report
        self._now = now
        self._last = now()
        self._done = 0

    def tell(self, push: Push) -> None:
        """Log a line if the last one is old enough."""
        passed = self._now() - self._last
        if passed < PROGRESS_EVERY:
            return
        counts = self._report.tally.counts()
        done = counts["num_planned"]
        rate = (done - self._done) / passed
        self._last, self._done = self._now(), done
        log.info("Progress: %s; %s", self._counted(push, counts), self._rest(push, done, rate))

    def _counted(self, push: Push, counts: Mapping[str, int]) -> str:
        found = ", ".join(f"{word} {counts[f'num_{word}']}" for word in SHOWN if counts[f"num_{word}"])
        return (
            f"read {push.num_read}{self._of(push)}, sent {push.num_sent}, answered {push.num_answered}; "
            f"outcomes {counts['num_planned']}{f' ({found})' if found else ''}"
        )

    def _of(self, push: Push) -> str:
        if push.is_read:
            return " (all)"
        total = self._report.total
        return " (the source does not say of how many)" if total is None else f" of {total}"

    def _rest(self, push: Push, done: int, rate: float) -> str:
        speed = f"{rate:.1f} records a second"
        total = push.num_read if push.is_read else self._report.total
        if total is None or rate <= 0:
            return speed
        return f"{speed}, about {max(0, total - done) / rate:.0f} s left"


SHOWN = tuple(status.value for status in Status if status is not Status.SENDING)


def place_of_rows(report: Report, outcomes_conn_id: str | None) -> str:
    """Return where a person finds what became of each record, in a few words.

    :param outcomes_conn_id: ``None`` where there is no table.
    """
    if outcomes_conn_id is None:
        if report.outcomes.wanted == "none":
            return "no outcome was kept: set outcomes_conn_id"
        return "each outcome: XCom return_value of this task, under outcomes"
    run = report.sync_run_id.replace("'", "''")
    wanted = ", ".join(f"'{one.value}'" for one in Status if one in UNDELIVERED and report.tally.statuses[one])
    columns = "record_identifier, status, error_code, error_field, status_message"
    # Shown to a person, never run by this package.
    query = f"SELECT {columns} FROM {report.outcomes_table} WHERE sync_run_id = '{run}'"  # noqa: S608
    twins = report.tally.codes["key_not_unique"]
    named = f"rows (connection {outcomes_conn_id!r}{f'; none for the {twins} of key_not_unique' if twins else ''})"
    return f"{named}: {query}" + (f" AND status IN ({wanted})" if wanted else "")


def plan_only(
    report: Report, intake: TaskIntake, settings: PushSettings, look_first: LookFirst, plan: Plan
) -> dict[str, Any]:
    """Return the summary of what a push would do now."""
    rows, mapper, ledger = intake
    for outcome in planned(rows, mapper=mapper, ledger=ledger, settings=settings, plan=plan, look_first=look_first):
        report.tally.add(outcome)
    report.num_requests = plan.num_requests
    report.outcomes.wanted = "none"
    summary = report.summary("succeeded")
    summary["num_planned"] += plan.num_to_send
    summary |= {
        "num_to_send": plan.num_to_send,
        "num_new": plan.num_new,
        "estimated_minutes": plan.minutes(settings.limits),
        **({"plan": plan.listed} if plan.most else {}),
    }
    log.info("Plan only: %s to send in %s requests; nothing was sent", plan.num_to_send, plan.num_requests)
    return summary


def status_of(
    report: Report, error: BaseException | None, verdict: BaseException | None = None, *, comes_back: bool = False
) -> str:
    """Return the run's status word.

    :param error: why the push could not go on.
    :param verdict: why the task fails although the push came to its end.
    :param comes_back: the task reschedules itself: its try is still running.
    """
    if error is not None:
        return "running" if comes_back else "aborted"
    return "failed" if verdict is not None else report.tally.status()


def finish(ledger: Any, report: Report, status: str, verdict: BaseException | None) -> None:
    """Write the counters into the run's row; a ledger that is away must not hide why the push failed."""
    report.ended = True
    close = getattr(ledger, "finish", None)
    if close is None:
        return
    message = message_of(verdict)
    try:
        close(report.counts(), status, message)
    except ContactsError:
        if verdict is None:
            raise
        log.warning("The run's row could not be written")


def message_of(error: BaseException | None) -> str | None:
    """Return why a run ended as it did; of another's exception only its kind, whose text may quote a row."""
    if error is None or isinstance(error, ContactsError):
        return None if error is None else str(error)
    if isinstance(error, GeneratorExit):
        return "its outcomes were read no further, which stops a push"
    kind = type(error)
    return f"ended by {kind.__module__}.{kind.__qualname__}; the task's log says where"

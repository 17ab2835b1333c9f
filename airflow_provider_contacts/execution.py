"""One execution of a pushing task: ledger, push, counts, summary, and how the task ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowRuntimeError

from airflow_provider_contacts.connections import contacts_hook, sql_hook
from airflow_provider_contacts.core.engine import Push
from airflow_provider_contacts.core.errors import (
    ConfigError,
    ContactsError,
    InterruptedPushError,
    RefusedError,
    RetryLaterError,
    UndeliveredError,
)
from airflow_provider_contacts.core.ledger import Ledger, MemoryLedger
from airflow_provider_contacts.core.plan import Plan, planned
from airflow_provider_contacts.core.summary import OutcomeList, Report, tally_of
from airflow_provider_contacts.parameters import TaskPlan, check

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.core.connection import Target
    from airflow_provider_contacts.core.outcome import Outcome
    from airflow_provider_contacts.core.record import Mapper
    from airflow_provider_contacts.core.settings import PushSettings
    from airflow_provider_contacts.core.vendor import Destination

log = logging.getLogger(__name__)

MOST_WITHOUT_TABLE = 20_000
"""Records of a push whose outcomes go to XCom alone: beyond that, only a table can remember them."""

MOST_RESCHEDULES = 100
"""Times that one try may wait for a vendor's ``Retry-After``; a vendor that never lets anything in is an error."""

PROGRESS_EVERY = 30.0
"""Seconds between two progress lines in the log."""


class StopSign:
    """Says that nothing more may be sent. Set from a signal handler, read by the engine."""

    def __init__(self) -> None:
        self._is_set = False
        self._wake: Callable[[], None] = lambda: None

    def set(self) -> None:
        """Stop, and end whatever wait is going on."""
        self._is_set = True
        self._wake()

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._is_set

    def wakes(self, wake: Callable[[], None]) -> None:
        """Say what ends the engine's wait."""
        self._wake = wake


def run_task(plan: TaskPlan, context: Context, stop: StopSign) -> dict[str, Any]:
    """Run a plan, push the summary to XCom also when the task fails, and end the task as the outcomes say."""
    try:
        execution = Execution(plan, context, stop)
        return execution.run()
    except (ConfigError, RefusedError) as error:
        raise AirflowFailException(str(error)) from error
    except UndeliveredError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
    except RetryLaterError as error:
        # A reschedule leaves nothing behind but the table: without one, the next try would send everything again.
        count = context.get("task_reschedule_count") or 0
        if not execution.remembers or count >= MOST_RESCHEDULES:
            raise
        log.info("The task comes back at %s", error.until.isoformat())
        raise AirflowRescheduleException(error.until) from error  # type: ignore[no-untyped-call]  # Airflow's own


class Execution:
    """One execution; not to be run twice.

    :raises ConfigError: for parameters that are wrong without looking at anything.
    """

    def __init__(self, plan: TaskPlan, context: Context, stop: StopSign) -> None:
        self._plan = plan
        self._ti: Any = context["ti"]
        self._stop = stop
        self._checked = check(plan)
        self._hook = contacts_hook(self._checked.contacts_conn_id)

    @property
    def remembers(self) -> bool:
        """Whether the next execution will know what this one did."""
        return self._checked.outcomes_conn_id is not None

    def run(self) -> dict[str, Any]:
        """Check, push, count; see :func:`run_task`."""
        plan, target = self._plan, self._hook.target()
        settings = self._hook.settings(plan.options, target)
        with self._hook.client(target) as client:
            self._stop.wakes(client.wake)
            destination = self._hook.destination(client, target, plan.destination)
            report = self._report(destination)
            # Parameters that need no row are checked before a run is registered or a query is run.
            self._hook.mapper(plan.options, destination, report.sync_id, None)
            with self._ledger(target, report) as ledger, reported(report, ledger), plan.rows() as source:
                mapper = self._hook.mapper(plan.options, destination, report.sync_id, source.columns)
                rows = source if self.remembers else few_enough(source)
                if self._checked.plan_only:
                    return plan_only(report, rows, mapper, ledger, settings)
                stopping = self._stop.is_set
                push = Push(rows, mapper=mapper, ledger=ledger, sender=client, settings=settings, stopping=stopping)
                return self._push(report, push, ledger)

    def _report(self, destination: Destination) -> Report:
        ti, checked, vendor = self._ti, self._checked, self._hook.vendor
        key = vendor.destination.object_key
        found = destination.get(key) if key else None
        name = None if found is None else str(found)
        default = f"{ti.dag_id}.{ti.task_id}@{checked.contacts_conn_id}" + (f":{name}" if name else "")
        return Report(
            vendor=vendor.name,
            sync_id=checked.sync_id or default,
            sync_run_id=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{self._map_index}",
            destination_object=name,
            outcomes_table=checked.outcomes_table if checked.outcomes_conn_id else None,
            outcomes=OutcomeList(checked.xcom_outcomes),
            started_at=datetime.now(UTC),
        )

    @property
    def _map_index(self) -> int:
        return -1 if self._ti.map_index is None else self._ti.map_index

    @contextmanager
    def _ledger(self, target: Target, report: Report) -> Iterator[Ledger]:
        """Open the memory of this execution, and close it whatever happens."""
        checked = self._checked
        if not checked.outcomes_conn_id:
            if not checked.plan_only:
                log.warning(
                    "No outcomes_conn_id: outcomes go to XCom alone, and nothing is remembered when this try ends; "
                    "a retry or the next run sends the same records again"
                )
            yield MemoryLedger(secrets.token_hex(8), report.sync_run_id)
            return
        from airflow_provider_contacts.ledgers.identity import RunIdentity
        from airflow_provider_contacts.ledgers.opening import Opening, open_for_reading, open_ledger

        ti, source = self._ti, self._plan.source_conn_id
        opening = Opening(
            hook=sql_hook(checked.outcomes_conn_id, "outcomes_conn_id"),
            source=sql_hook(source, "sql_conn_id") if source else None,
            table=checked.outcomes_table,
            create_tables=checked.create_tables,
            store_payload=checked.store_payload,
            run=RunIdentity.of(
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=self._map_index,
                try_number=ti.try_number,
            ),
            sync_id=report.sync_id,
            destination=report.vendor,
            destination_host=target.host,
            destination_object=report.destination_object,
        )
        ledger = open_for_reading(opening) if checked.plan_only else open_ledger(opening)
        with closing(ledger):
            yield ledger

    def _push(self, report: Report, push: Push, ledger: Ledger) -> dict[str, Any]:
        error: BaseException | None = None
        try:
            with closing(push.run()) as outcomes:
                for outcome in with_progress(report, outcomes):
                    report.add(outcome)
        except BaseException as caught:  # noqa: BLE001  # counted and written down first, raised below whatever it is
            error = caught
            for outcome in push.last_words:
                report.add(outcome)
        report.num_requests = push.num_requests
        checked = self._checked
        verdict = error or report.tally.verdict(checked.max_rejected, checked.max_unknown)
        status = status_of(error) or report.tally.status()
        log.info("Push %s: %s", status, tally_of(report.counts()))
        finish(ledger, report, status, verdict)
        summary = report.summary(status)
        if verdict is None:
            return summary
        self._leave(summary)
        raise verdict

    def _leave(self, summary: dict[str, Any]) -> None:
        """Push the summary of a task that fails; an API that is away must not hide why it fails."""
        if not self._ti.task.do_xcom_push:
            return
        try:
            self._ti.xcom_push(key="return_value", value=summary)
        except AirflowRuntimeError as error:
            log.warning("The summary could not be pushed to XCom: %s", type(error).__name__)


@contextmanager
def reported(report: Report, ledger: Ledger) -> Iterator[None]:
    """Write into the run's row why a push did not even begin: a row without an end looks like a dead worker."""
    try:
        yield
    except BaseException as error:
        if not report.ended:
            finish(ledger, report, status_of(error) or "failed", error)
        raise


def with_progress(report: Report, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Hand outcomes on, and say now and then how far it is."""
    last = monotonic()
    for outcome in outcomes:
        yield outcome
        if monotonic() - last > PROGRESS_EVERY:
            last = monotonic()
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


def few_enough(rows: Iterator[Any]) -> Iterator[Any]:
    """Return the rows, if there are not more than XCom can remember.

    :raises ConfigError: naming the parameter that helps, before anything is sent.
    """
    first = list(islice(rows, MOST_WITHOUT_TABLE + 1))
    if len(first) > MOST_WITHOUT_TABLE:
        raise ConfigError(f"more than {MOST_WITHOUT_TABLE} records need an outcome table: set outcomes_conn_id")
    return chain(first)


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

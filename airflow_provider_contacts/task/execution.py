"""One execution of a pushing task: ledger, push, counts, summary, and how the task ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowRuntimeError

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.plan import Plan
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import (
    ConfigError,
    RefusedError,
    RetryLaterError,
    UndeliveredError,
)
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.sync_ids import default_sync_id, refuse_renamed
from airflow_provider_contacts.sources import RowSource, check_key
from airflow_provider_contacts.task.connections import contacts_hook
from airflow_provider_contacts.task.frozen_heap import frozen_heap
from airflow_provider_contacts.task.parameters import TaskPlan, check, parse_text
from airflow_provider_contacts.task.reporting import (
    Progress,
    TaskIntake,
    count_outcomes,
    finish,
    place_of_rows,
    plan_only,
    reported,
    status_of,
)
from airflow_provider_contacts.task.sql_connections import sql_hook
from airflow_provider_contacts.task.stop_sign import StopSign
from airflow_provider_contacts.task.summary import OutcomeList, Report, tally_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.open_table import Opening as TableOpening
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.vendor import Destination

log = logging.getLogger(__name__)

MOST_WITHOUT_TABLE = 20_000
"""Records of a push whose outcomes go to XCom alone: beyond that, only a table can remember them."""

MOST_RESCHEDULES = 100
"""Times that one try may wait for a vendor's ``Retry-After``; a vendor that never lets anything in is an error."""


def run_task(
    plan: TaskPlan, context: Context, stop: StopSign, begin: Callable[[], Execution] | None = None
) -> dict[str, Any]:
    """Run a plan, push the summary to XCom also when the task fails, and end the task as the outcomes say.

    :param begin: makes the execution, for one that is not a push of a source.
    """
    try:
        remember_beginning(plan, context)
        execution = begin() if begin is not None else Execution(plan, context, stop)
        return execution.run()
    except (ConfigError, RefusedError) as error:
        raise AirflowFailException(str(error)) from error
    except UndeliveredError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
    except RetryLaterError as error:
        if not execution.may_come_back:
            raise
        log.warning("%s: the task frees its worker and comes back at %s", error, error.until.isoformat())
        raise AirflowRescheduleException(error.until) from error  # type: ignore[no-untyped-call]  # Airflow's own


def remember_beginning(plan: TaskPlan, context: Context) -> None:
    """Without an outcome table, note that the run has begun; see ``begin_memory``."""
    if parse_text(plan.outcomes_conn_id, "outcomes_conn_id") is not None:
        return
    from airflow_provider_contacts.ledgers.task_state.open_state import begin_memory

    begin_memory(context.get("task_state_store"), first=is_first(context), resend=plan.options.on_unknown == "resend")


def is_first(context: Context) -> bool:
    """Tell whether no execution of this task and dag run can have come before."""
    return context["ti"].try_number == 1 and not context.get("task_reschedule_count")


class Execution:
    """One execution; not to be run twice.

    :raises ConfigError: for parameters that are wrong without looking at anything.
    """

    def __init__(self, plan: TaskPlan, context: Context, stop: StopSign) -> None:
        self._plan = plan
        self._context = context
        self._ti: Any = context["ti"]
        self._stop = stop
        self._checked = check(plan)
        self._hook = contacts_hook(self._checked.contacts_conn_id)
        self._remembers = False

    @property
    def may_come_back(self) -> bool:
        """Whether the task may reschedule itself: without a memory, it would send everything again."""
        return self._remembers and (self._context.get("task_reschedule_count") or 0) < MOST_RESCHEDULES

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
            with (
                self._ledger(target, report) as ledger,
                reported(report, ledger),
                self._intake(ledger, target, report, destination) as intake,
            ):
                self._remembers = ledger.durable
                look = refuse_renamed(ledger, report.sync_id, given=self._checked.sync_id)
                if self._checked.plan_only:
                    counted = Plan(self._checked.plan_rows, self._checked.plan_identifiers == "clear")
                    return plan_only(report, intake, settings, look, counted)
                with self._hook.budget(target, client) as budget:
                    push = Push(
                        intake.rows,
                        mapper=intake.mapper,
                        ledger=intake.ledger,
                        sender=client,
                        settings=settings,
                        stopping=self._stop.is_set,
                        budget=budget,
                        look_first=look,
                        watch=Progress(report).tell,
                    )
                    return self._push(report, push, ledger)

    @contextmanager
    def _intake(
        self,
        ledger: Ledger,
        target: Target,  # noqa: ARG002  # where another source needs it
        report: Report,
        destination: Destination,
    ) -> Iterator[TaskIntake]:
        """Open the source, and let go of it whatever happens."""
        plan = self._plan
        with plan.rows() as source:
            mapper = self._hook.mapper(plan.options, destination, report.sync_id, source.columns)
            check_key(source, mapper.sync_key)
            report.total = source.total
            yield TaskIntake(source if self._checked.outcomes_conn_id else few_enough(source), mapper, ledger)

    def _report(self, destination: Destination) -> Report:
        ti, checked, vendor = self._ti, self._checked, self._hook.vendor
        key = vendor.destination.object_key
        found = destination.get(key) if key else None
        name = None if found is None else str(found)
        return Report(
            vendor=vendor.name,
            sync_id=checked.sync_id or default_sync_id(ti.dag_id, ti.task_id, checked.contacts_conn_id, name),
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
            yield self._ledger_without_table(target, report)
            return
        from airflow_provider_contacts.ledgers.sql.open_table import open_for_reading, open_ledger

        opening = self._opening(checked.outcomes_conn_id, target, report)
        ledger = open_for_reading(opening) if checked.plan_only else open_ledger(opening)
        with closing(ledger):
            yield ledger

    def _opening(self, outcomes_conn_id: str, target: Target, report: Report) -> TableOpening:
        from airflow_provider_contacts.ledgers.run_identity import RunIdentity
        from airflow_provider_contacts.ledgers.sql.open_table import Opening
        from airflow_provider_contacts.ledgers.sql.patience import Patience

        ti, checked, source = self._ti, self._checked, self._plan.source_conn_id
        return Opening(
            hook=sql_hook(outcomes_conn_id, "outcomes_conn_id"),
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
            patience=Patience(stopping=self._stop.is_set),
        )

    def _ledger_without_table(self, target: Target, report: Report) -> Ledger:
        from airflow_provider_contacts.ledgers.run_identity import Binding
        from airflow_provider_contacts.ledgers.task_state.open_state import open_task_state

        binding = Binding(
            sync_id=report.sync_id,
            destination=report.vendor,
            destination_host=target.host,
            destination_object=report.destination_object or None,
        )
        ledger = open_task_state(
            self._context.get("task_state_store"),
            report.sync_run_id,
            binding,
            first=is_first(self._context),
            plan_only=self._checked.plan_only,
        )
        return ledger or MemoryLedger(secrets.token_hex(8), report.sync_run_id)

    def _push(self, report: Report, push: Push, ledger: Ledger) -> dict[str, Any]:
        error: BaseException | None = None
        try:
            with frozen_heap():
                count_outcomes(push, report)
        except BaseException as caught:  # noqa: BLE001  # counted and written down first, raised below whatever it is
            error = caught
        report.num_requests, report.trouble = push.num_requests, push.trouble
        judged = None if error is not None else self._verdict(report)
        verdict = error or judged
        back = isinstance(error, RetryLaterError) and self.may_come_back
        status = status_of(report, error, judged, comes_back=back)
        log.info("Push %s: %s", status, tally_of(report.counts()))
        finish(ledger, report, status, verdict)
        summary = report.summary(status)
        if not isinstance(verdict, UndeliveredError) and (verdict or summary["num_undelivered"] > summary["num_held"]):
            log.info("What became of each record: %s", place_of_rows(report, self._checked.outcomes_conn_id))
        if verdict is None:
            return summary
        self._leave(summary)
        raise verdict

    def _verdict(self, report: Report) -> UndeliveredError | None:
        """Return why the task must fail although the push came to its end."""
        verdict = report.tally.verdict(self._checked.max_rejected, self._checked.max_unknown)
        if verdict is None:
            return None
        lost = report.tally.statuses[Status.FAILED] or report.tally.statuses[Status.UNKNOWN]
        cause = f"last cause: {report.trouble}" if report.trouble and lost else None
        where = place_of_rows(report, self._checked.outcomes_conn_id)
        return UndeliveredError("; ".join(filter(None, [str(verdict), cause, where])), retryable=verdict.retryable)

    def _leave(self, summary: dict[str, Any]) -> None:
        """Push the summary of a task that fails; an API that is away must not hide why it fails."""
        if not self._ti.task.do_xcom_push:
            return
        try:
            self._ti.xcom_push(key="return_value", value=summary)
        except AirflowRuntimeError as error:
            log.warning("The summary could not be pushed to XCom: %s", type(error).__name__)


def few_enough(source: RowSource) -> RowSource:
    """Return the rows; more of them than XCom can remember are a ``ConfigError`` before anything is sent."""
    first, _ = source.look_ahead(MOST_WITHOUT_TABLE + 1)
    if len(first) > MOST_WITHOUT_TABLE:
        raise ConfigError(f"more than {MOST_WITHOUT_TABLE} records need an outcome table: set outcomes_conn_id")
    return source

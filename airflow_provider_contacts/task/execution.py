"""One execution of a pushing task: ledger, push, counts, summary, and how the task ends."""

from __future__ import annotations

import gc
import logging
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowRuntimeError

from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.plan import Plan, planned
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import ConfigError, RefusedError, RetryLaterError, UndeliveredError
from airflow_provider_contacts.ledgers.task_state.open_state import begin_memory, open_task_state
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.sync_ids import refuse_renamed
from airflow_provider_contacts.sources import RowSource, check_key
from airflow_provider_contacts.task.connections import binding_of, contacts_hook, run_of, table_opening
from airflow_provider_contacts.task.parameters import PushParameters, parse_text
from airflow_provider_contacts.task.reporting import Progress, counted, new_report, place_of_rows, reported
from airflow_provider_contacts.task.summary import Report

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.open_table import Opening
    from airflow_provider_contacts.records.mapper import Mapper
    from airflow_provider_contacts.records.sync_ids import LookFirst
    from airflow_provider_contacts.task.base_operator import ContactsOperator
    from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
    from airflow_provider_contacts.vendor_kit.vendor import Destination

    Intake = tuple[Iterator[Any], Mapper, Ledger]

log = logging.getLogger(__name__)

MOST_WITHOUT_TABLE = 20_000
"""Records of a push without an outcome table; only a table can remember more."""

MOST_RESCHEDULES = 100
"""Times that one try may wait for a vendor's ``Retry-After``; a vendor that never lets anything in is an error."""


def run_task(kind: type[Execution], operator: ContactsOperator, context: Context) -> dict[str, Any]:
    """Execute, push the summary to XCom also when the task fails, and end the task as the outcomes say."""
    try:
        execution = kind(operator, context)
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


class Execution:
    """One execution; not to be run twice."""

    def __init__(self, operator: ContactsOperator, context: Context) -> None:
        self._operator, self._context = operator, context
        self._ti: Any = context["ti"]
        self._store = context.get("task_state_store")
        # No execution of this task and dag run can have come before.
        self._is_first = self._ti.try_number == 1 and not context.get("task_reschedule_count")
        if parse_text(operator.outcomes_conn_id, "outcomes_conn_id") is None:
            # Before anything can go wrong, so that a later execution knows of this one.
            begin_memory(self._store, first=self._is_first, resend=operator.on_unknown == "resend")
        self._identity = run_of(self._ti)
        self._interrupts = Interrupts()
        self._parsed = operator.parsed()
        self._parameters = PushParameters.of(self._parsed)
        self._hook = contacts_hook(self._parameters.contacts_conn_id)
        self._target = self._hook.target()
        self._remembers = False

    @property
    def may_come_back(self) -> bool:
        """Whether the task may reschedule itself: without a memory, it would send everything again."""
        return self._remembers and (self._context.get("task_reschedule_count") or 0) < MOST_RESCHEDULES

    def run(self) -> dict[str, Any]:
        """Check, push, count; see :func:`run_task`."""
        parameters, hook, target = self._parameters, self._hook, self._target
        settings = hook.settings(parameters, target)
        with hook.client(target) as client:
            self._operator.wake = client.wake
            destination = hook.destination(client, target, parameters.destination)
            report = new_report(parameters, hook.vendor, destination, self._identity, parameters.sync_id)
            # Parameters that need no row are checked before a run is registered or a query is run.
            hook.mapper(parameters, destination, report.sync_id, None)
            with self._ledger(report) as ledger:
                look = refuse_renamed(ledger, report.sync_id, given=parameters.sync_id)
                if parameters.plan_only:
                    with self._intake(ledger, report, destination) as intake:
                        return self._plan(report, intake, settings, look)
                self._remembers = ledger.durable
                # The source is closed, which may take long, when the end is written.
                with ExitStack() as opened, self._reported(report, ledger):
                    rows, mapper, seen = opened.enter_context(self._intake(ledger, report, destination))
                    budget = opened.enter_context(hook.budget(target, client))
                    push = Push(
                        rows,
                        mapper=mapper,
                        ledger=seen,
                        sender=client,
                        settings=settings,
                        stopping=self._operator.stopping,
                        budget=budget,
                        look_first=look,
                        watch=Progress(report).tell,
                        interrupts=self._interrupts,
                    )
                    with frozen_heap(), self._interrupts.deferred():
                        deque(counted(push, report), maxlen=0)
                    if (error := self._not_tolerated(report)) is not None:
                        raise error
                return report.summary()

    @contextmanager
    def _intake(self, ledger: Ledger, report: Report, destination: Destination) -> Iterator[Intake]:
        """Open the source."""
        parameters = self._parameters
        with self._operator.rows() as source:
            mapper = self._hook.mapper(parameters, destination, report.sync_id, source.columns)
            check_key(source, mapper.sync_key)
            report.total = source.total
            yield source if parameters.outcomes_conn_id else few_enough(source), mapper, ledger

    @contextmanager
    def _ledger(self, report: Report) -> Iterator[Ledger]:
        """Open the memory of this execution."""
        parameters = self._parameters
        if not parameters.outcomes_conn_id:
            binding = binding_of(report, self._target)
            run_id, plan_only = report.sync_run_id, parameters.plan_only
            remembers = open_task_state(self._store, run_id, binding, first=self._is_first, plan_only=plan_only)
            yield remembers or MemoryLedger(secrets.token_hex(8), run_id)
            return
        from airflow_provider_contacts.ledgers.sql.open_table import open_ledger

        opening = self._opening(report)
        with closing(open_ledger(opening, plan_only=parameters.plan_only)) as ledger:
            yield ledger

    def _opening(self, report: Report) -> Opening:
        source, stopping = self._parsed.get("sql_conn_id"), self._operator.stopping
        return table_opening(
            self._parameters, report, self._identity, self._target, source_conn_id=source, stopping=stopping
        )

    @contextmanager
    def _reported(self, report: Report, ledger: Ledger) -> Iterator[None]:
        """Write down how the push ends, and push the summary of one that fails."""
        try:
            with reported(report, ledger, lambda error: isinstance(error, RetryLaterError) and self.may_come_back):
                yield
        except BaseException as error:
            if not isinstance(error, UndeliveredError):
                self._tell_place(report)
            push_summary(self._ti, report.summary())
            raise
        if report.tally.num_undelivered > report.tally.num_held:
            self._tell_place(report)

    def _tell_place(self, report: Report) -> None:
        log.info("Outcome of each record: %s", place_of_rows(report, self._parameters.outcomes_conn_id))

    def _not_tolerated(self, report: Report) -> UndeliveredError | None:
        """Return why the task must fail although the push came to its end."""
        error = report.tally.not_tolerated(self._parameters.max_rejected, self._parameters.max_unknown)
        if error is None:
            return None
        lost = report.tally.statuses[Status.FAILED] or report.tally.statuses[Status.UNKNOWN]
        cause = f"last cause: {report.trouble}" if report.trouble and lost else None
        where = place_of_rows(report, self._parameters.outcomes_conn_id)
        return UndeliveredError("; ".join(filter(None, [str(error), cause, where])), retryable=error.retryable)

    def _plan(self, report: Report, intake: Intake, settings: PushSettings, look_first: LookFirst) -> dict[str, Any]:
        """Return the summary of what a push would do now."""
        rows, mapper, ledger = intake
        plan = Plan(self._parameters.plan_rows, self._parameters.plan_identifiers == "clear")
        for outcome in planned(rows, mapper=mapper, ledger=ledger, settings=settings, plan=plan, look_first=look_first):
            report.tally.add(outcome)
        report.num_requests, report.status, report.wanted = plan.num_requests, "succeeded", "none"
        summary = report.summary()
        summary["num_planned"] += plan.num_to_send
        log.info("Plan only: %s to send in %s requests; nothing was sent", plan.num_to_send, plan.num_requests)
        summary |= {"num_to_send": plan.num_to_send, "num_new": plan.num_new}
        summary["estimated_minutes"] = plan.minutes(settings.limits)
        return summary | ({"plan": plan.listed} if plan.most else {})


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keep what exists out of Python's cyclic collections until the end, unless somebody has frozen it before.

    An Airflow task begins with more than a hundred thousand objects that live as long as the process; collections
    that walk them were a fifth of a push's CPU. Not for a hook's ``push``, which runs in somebody else's code.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def push_summary(ti: Any, summary: dict[str, Any]) -> None:
    """Push the summary of a task that fails; an API server that is away must not hide why it fails."""
    if not ti.task.do_xcom_push:
        return
    try:
        ti.xcom_push(key="return_value", value=summary)
    except AirflowRuntimeError as error:
        log.warning("The summary could not be pushed to XCom: %s", type(error).__name__)


def few_enough(source: RowSource) -> RowSource:
    """Return the rows; more of them than XCom can remember are a ``ConfigError`` before anything is sent."""
    first = source.look_ahead(MOST_WITHOUT_TABLE + 1)
    if len(first) > MOST_WITHOUT_TABLE:
        raise ConfigError(f"more than {MOST_WITHOUT_TABLE} records need an outcome table: set outcomes_conn_id")
    return source

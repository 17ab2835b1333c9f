"""One execution of a pushing task: ledger, push, counts, summary, and how the task ends."""

from __future__ import annotations

import gc
import logging
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowRuntimeError

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.plan import Plan, planned
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import (
    MOST_RESCHEDULES,
    ConfigError,
    RefusedError,
    RetryLaterError,
    UndeliveredError,
)
from airflow_provider_contacts.ledgers.task_state.open_state import begin_memory, open_task_state
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.sources import RowSource
from airflow_provider_contacts.task.connections import contacts_hook, run_of
from airflow_provider_contacts.task.parameters import PushParameters, parse_text, parse_truth
from airflow_provider_contacts.task.pushing import Intake, Pushing
from airflow_provider_contacts.task.signals import Delivery, add_asset_event, asset_uri, emit_metrics, warn_if_partial

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.task.base_operator import ContactsOperator

log = logging.getLogger(__name__)

MOST_WITHOUT_TABLE = 20_000
"""Records of a push without an outcome table; only a table can remember more."""

FROZEN_BY_PYTHON = 1000
"""Objects that a heap may hold frozen which nobody has frozen: Python 3.12 begins with some hundreds."""


def run_task(kind: type[Execution], operator: ContactsOperator, context: Context) -> dict[str, Any]:
    """Execute, push the summary to XCom also when the task fails, and end the task as the outcomes say."""
    try:
        execution = kind(operator, context)
        return execution.execute()
    except (ConfigError, RefusedError) as error:
        raise AirflowFailException(str(error)) from error
    except UndeliveredError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
    except RetryLaterError as error:
        if not execution.comes_back(error):
            raise
        log.warning("%s: the task frees its worker and comes back at %s", error, error.until.isoformat())
        raise AirflowRescheduleException(error.until) from error  # type: ignore[no-untyped-call]  # Airflow's own


class Execution(Pushing):
    """One execution of a task."""

    def __init__(self, operator: ContactsOperator, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]
        self._store = context.get("task_state_store")
        self._num_reschedules = context.get("task_reschedule_count") or 0
        # No execution of this task and dag run can have come before.
        self._is_first = self._ti.try_number == 1 and not self._num_reschedules
        without_table = parse_text(operator.outcomes_conn_id, "outcomes_conn_id") is None
        if without_table and (self._is_first or not only_plans(operator)):
            # Before anything can go wrong, so that a later execution knows of this one. A first plan does, too: then
            # a push of the same run knows that nothing was sent.
            begin_memory(self._store, first=self._is_first, resend=operator.on_unknown == "resend")
        identity = run_of(context)
        self.parsed = operator.parsed()
        parameters = PushParameters.of(self.parsed)
        hook = contacts_hook(parameters.contacts_conn_id)
        if not parameters.plan_only:
            operator.docs_url, operator.identity = hook.vendor.docs_url, identity
        super().__init__(hook, parameters, identity, self.parsed.get("sql_conn_id"))
        self.requires_key = operator.requires_key

    def execute(self) -> dict[str, Any]:
        """Check, push, count; see :func:`run_task`."""
        with self.begun():
            self._operator.wake = self.client.wake
            if self.parameters.plan_only:
                with self.intake() as intake:
                    return self._plan(intake)
            with self.pushed() as portions:
                with frozen_heap(), self.interrupts.deferred():
                    deque(portions, maxlen=0)
                if (error := self.not_tolerated()) is not None:
                    raise error
            return self.report.summary()

    @contextmanager
    def rows(self) -> Iterator[RowSource]:
        """Open the operator's source; more than XCom can remember is a ``ConfigError`` before anything is sent."""
        with self._operator.rows() as source:
            most = MOST_WITHOUT_TABLE
            if not self.parameters.outcomes_conn_id and len(source.look_ahead(most + 1)) > most:
                raise ConfigError(f"more than {most} records need an outcome table: set outcomes_conn_id")
            yield source

    def stopping(self) -> bool:
        """Tell whether the task was told to stop."""
        return self._operator.stopping()

    def memory(self) -> AbstractContextManager[Ledger]:
        """Open the table, or Airflow's task state store."""
        if self.parameters.outcomes_conn_id:
            return super().memory()
        run_id, plan_only = self.report.sync_run_id, self.parameters.plan_only
        may_forget = self._is_first or plan_only
        remembers = open_task_state(self._store, run_id, self.binding(), first=may_forget, plan_only=plan_only)
        return nullcontext(remembers or MemoryLedger(secrets.token_hex(8), run_id))

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Write down how the push ends, push the summary of one that fails, and send the signals."""
        uri = asset_uri(self.binding())
        try:
            with super().reported():
                yield
        except BaseException as error:
            if not isinstance(error, UndeliveredError) and self.report.counts()["num_planned"]:
                self._tell_place()
            push_summary(self._ti, self.report.summary())
            raise
        finally:
            self._operator.delivery = Delivery(uri, self.report.statuses[Status.SUCCEEDED])
            emit_metrics(self.report, self.run)
        warn_if_partial(self.report)
        told = {"status": self.report.status, "sync_run_id": self.report.sync_run_id, **self.report.counts()}
        add_asset_event(self._context, uri, told)
        if self.report.num_undelivered > self.report.num_held:
            self._tell_place()

    def comes_back(self, error: BaseException) -> bool:
        """Tell whether the task reschedules itself for an error: without a memory, it would send everything again."""
        return isinstance(error, RetryLaterError) and error.remembered and self._num_reschedules < MOST_RESCHEDULES

    def _tell_place(self) -> None:
        log.info("Outcome of each record: %s", self.report.place_of_rows(self.parameters.outcomes_conn_id))

    def not_tolerated(self) -> UndeliveredError | None:
        """Return why the task must fail although the push came to its end."""
        report, parameters = self.report, self.parameters
        error = report.not_tolerated(parameters.max_rejected, parameters.max_unknown)
        if error is None:
            return None
        lost = report.statuses[Status.FAILED] or report.statuses[Status.UNKNOWN]
        cause = f"last cause: {report.trouble}" if report.trouble and lost else None
        where = report.place_of_rows(parameters.outcomes_conn_id)
        return UndeliveredError("; ".join(filter(None, [str(error), cause, where])), retryable=error.retryable)

    def _plan(self, intake: Intake) -> dict[str, Any]:
        """Return the summary of what a push would do now."""
        rows, mapper = intake
        report, parameters, shared = self.report, self.parameters, self.target.shared_rate
        report.plan = plan = Plan(parameters.plan_rows, parameters.plan_identifiers == "clear")
        for outcome in planned(rows, mapper=mapper, ledger=self.ledger, settings=self.settings, plan=plan):
            report.count(outcome)
        return report.planned(plan, plan.minutes(self.settings.limits, shared.sustained if shared else None))


def only_plans(operator: ContactsOperator) -> bool:
    """Tell whether nothing will be sent, as far as a parameter that is not checked yet tells."""
    with suppress(ConfigError):
        return parse_truth(operator.plan_only, "plan_only")
    return False


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keep what exists out of Python's cyclic collections until the end, unless somebody has frozen it before.

    An Airflow task begins with more than a hundred thousand objects that live as long as the process; collections
    that walk them were a fifth of a push's CPU. Not for a hook's ``push``, which runs in somebody else's code.
    """
    if gc.get_freeze_count() > FROZEN_BY_PYTHON:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def push_summary(ti: Any, summary: Any) -> None:
    """Push the summary of a task that fails; an API server that is away must not hide why it fails."""
    if not ti.task.do_xcom_push:
        return
    try:
        ti.xcom_push(key="return_value", value=summary)
    except AirflowRuntimeError as error:
        log.warning("The summary could not be pushed to XCom: %s", type(error).__name__)

"""One execution of a pushing task: checks, ledger, push, counts, summary, and how the task ends."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowRescheduleException

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
from airflow_provider_contacts.core.summary import OutcomeList, Tally, XcomOutcomes, parse_tolerance, tally_of
from airflow_provider_contacts.hooks import ContactsHook, PushOptions, hook_for

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.core.connection import Target
    from airflow_provider_contacts.core.engine import Push
    from airflow_provider_contacts.core.outcome import Outcome
    from airflow_provider_contacts.core.record import Mapper
    from airflow_provider_contacts.core.vendor import Destination
    from airflow_provider_contacts.sources import RowSource

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """An operator's parameters, rendered; see ``operators`` for their meaning."""

    contacts_conn_id: str
    destination: Any
    options: PushOptions
    outcomes_conn_id: str | None
    outcomes_table: str
    create_tables: bool
    sync_id: str | None
    max_rejected: Any
    max_unknown: Any
    store_payload: Any
    xcom_outcomes: Any
    plan_only: Any
    rows: Callable[[], AbstractContextManager[RowSource]]
    source_conn_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is checked and parsed of a plan before anything is opened."""

    max_rejected: float
    max_unknown: float
    xcom_outcomes: XcomOutcomes
    plan_only: bool


@dataclass(slots=True, kw_only=True)
class Report:
    """What the summary is made of."""

    vendor: str
    sync_id: str
    sync_run_id: str
    destination_object: str | None
    outcomes_table: str | None
    outcomes: OutcomeList
    started_at: datetime
    tally: Tally = field(default_factory=Tally)
    num_requests: int = 0

    def counts(self) -> dict[str, int]:
        """Return the counters of the runs table."""
        return {**self.tally.counts(), "num_requests": self.num_requests}

    def summary(self, status: str) -> dict[str, Any]:
        """Return the value that goes to XCom: built-in types alone."""
        completed_at = datetime.now(UTC)
        listed = self.outcomes.wanted != "none"
        return {
            "sync_id": self.sync_id,
            "sync_run_id": self.sync_run_id,
            "destination": self.vendor,
            "destination_object": self.destination_object,
            "status": status,
            **self.counts(),
            "error_codes": dict(self.tally.codes),
            "outcomes_table": self.outcomes_table,
            "outcomes_complete": listed and self.outcomes.complete,
            "started_at": self.started_at.isoformat(),
            "completed_at": completed_at.isoformat(),
            "duration_seconds": round((completed_at - self.started_at).total_seconds(), 3),
            **({"outcomes": self.outcomes.entries} if listed else {}),
        }


def run_task(plan: TaskPlan, context: Context, stop: StopSign) -> dict[str, Any]:
    """Run a plan, push the summary to XCom also when the task fails, and end the task as the outcomes say."""
    try:
        return Execution(plan, context, stop).run()
    except (ConfigError, RefusedError) as error:
        raise AirflowFailException(str(error)) from error
    except UndeliveredError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
    except RetryLaterError as error:
        count = context.get("task_reschedule_count") or 0
        if not plan.outcomes_conn_id or count >= MOST_RESCHEDULES:
            raise
        log.info("The task comes back at %s", error.until.isoformat())
        raise AirflowRescheduleException(error.until) from error  # type: ignore[no-untyped-call]  # Airflow's own


class Execution:
    """One execution; not to be run twice."""

    def __init__(self, plan: TaskPlan, context: Context, stop: StopSign) -> None:
        self._plan = plan
        self._ti: Any = context["ti"]
        self._stop = stop
        self._hook: ContactsHook = contacts_hook(plan.contacts_conn_id)
        self._checked = check(plan)

    def run(self) -> dict[str, Any]:
        """Check, push, count; see :func:`run_task`."""
        target = self._hook.target()
        with self._hook.client(target) as client:
            self._stop.wakes(client.wake)
            destination = self._hook.destination(client, target, self._plan.destination)
            report = self._report(destination)
            # Parameters that need no row are checked before a run is registered or a query is run.
            self._hook.mapper(self._plan.options, destination, report.sync_id, None)
            with self._ledger(target, report) as ledger, self._plan.rows() as rows:
                mapper = self._hook.mapper(self._plan.options, destination, report.sync_id, rows.columns)
                if self._checked.plan_only:
                    return self._plan_only(report, rows, mapper, ledger)
                push = self._hook.engine(
                    rows if ledger.durable else few_enough(rows),
                    client=client,
                    target=target,
                    mapper=mapper,
                    options=self._plan.options,
                    ledger=ledger,
                    stopping=self._stop.is_set,
                )
                return self._push(report, push, ledger)

    def _report(self, destination: Destination) -> Report:
        ti, plan, vendor = self._ti, self._plan, self._hook.vendor
        key = vendor.destination.object_key
        found = destination.get(key) if key else None
        name = None if found is None else str(found)
        default = f"{ti.dag_id}.{ti.task_id}@{plan.contacts_conn_id}" + (f":{name}" if name else "")
        return Report(
            vendor=vendor.name,
            sync_id=plan.sync_id or default,
            sync_run_id=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}",
            destination_object=name,
            outcomes_table=plan.outcomes_table if plan.outcomes_conn_id else None,
            outcomes=OutcomeList(self._checked.xcom_outcomes),
            started_at=datetime.now(UTC),
        )

    @contextmanager
    def _ledger(self, target: Target, report: Report) -> Iterator[Ledger]:
        """Open the memory of this execution, and close it whatever happens."""
        plan = self._plan
        if not plan.outcomes_conn_id:
            if not self._checked.plan_only:
                log.warning(
                    "No outcomes_conn_id: outcomes go to XCom alone, and nothing is remembered when this try ends; "
                    "a retry or the next run sends the same records again"
                )
            yield MemoryLedger(secrets.token_hex(8), report.sync_run_id)
            return
        from airflow_provider_contacts.ledgers.identity import RunIdentity
        from airflow_provider_contacts.ledgers.opening import Opening, open_for_reading, open_ledger

        ti = self._ti
        opening = Opening(
            hook=sql_hook(plan.outcomes_conn_id, "outcomes_conn_id"),
            source=sql_hook(plan.source_conn_id, "sql_conn_id") if plan.source_conn_id else None,
            table=plan.outcomes_table,
            create_tables=plan.create_tables,
            store_payload=plan.store_payload,
            run=RunIdentity.of(
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=ti.map_index if ti.map_index is not None else -1,
                try_number=ti.try_number,
            ),
            sync_id=report.sync_id,
            destination=report.vendor,
            destination_host=target.host,
            destination_object=report.destination_object,
        )
        ledger = open_for_reading(opening) if self._checked.plan_only else open_ledger(opening)
        with closing(ledger):
            yield ledger

    def _push(self, report: Report, push: Push, ledger: Ledger) -> dict[str, Any]:
        error: BaseException | None = None
        try:
            with closing(push.run()) as outcomes:
                for outcome in self._with_progress(report, outcomes):
                    report.tally.add(outcome)
                    report.outcomes.add(outcome)
        except BaseException as caught:  # noqa: BLE001  # counted and written down first, raised below whatever it is
            error = caught
            for outcome in push.last_words:
                report.tally.add(outcome)
                report.outcomes.add(outcome)
        report.num_requests = push.num_requests
        checked = self._checked
        verdict = error or report.tally.verdict(checked.max_rejected, checked.max_unknown)
        status = status_of(error) or report.tally.status()
        log.info("Push %s: %s", status, tally_of(report.counts()))
        finish(ledger, report, status, verdict)
        summary = report.summary(status)
        if verdict is None:
            return summary
        self._ti.xcom_push(key="return_value", value=summary)
        raise verdict

    def _with_progress(self, report: Report, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        last = monotonic()
        for outcome in outcomes:
            yield outcome
            if monotonic() - last > PROGRESS_EVERY:
                last = monotonic()
                log.info("So far: %s", tally_of(report.tally.counts()))

    def _plan_only(self, report: Report, rows: Iterator[Any], mapper: Mapper, ledger: Ledger) -> dict[str, Any]:
        options = self._plan.options
        plan = Plan()
        limits = self._hook.limits(options)
        for outcome in planned(
            rows, mapper=mapper, ledger=ledger, limits=limits, on_unknown=options.on_unknown, plan=plan
        ):
            report.tally.add(outcome)
        report.num_requests = plan.num_requests
        report.outcomes.wanted = "none"
        summary = report.summary("succeeded")
        summary["num_planned"] += plan.num_to_send
        summary["num_to_send"] = plan.num_to_send
        log.info("Plan only: %s to send in %s requests; nothing was sent", plan.num_to_send, plan.num_requests)
        return summary


def check(plan: TaskPlan) -> Checked:
    """Check and parse what needs no connection.

    :raises ConfigError: naming the parameter and what is allowed.
    """
    plan.options.check()
    plan.options.key_columns()
    if plan.store_payload not in {"undelivered", "all", "never"}:
        raise ConfigError("store_payload is one of ['undelivered', 'all', 'never']")
    if plan.xcom_outcomes not in {"auto", "all", "undelivered", "none"}:
        raise ConfigError("xcom_outcomes is one of ['auto', 'all', 'undelivered', 'none']")
    words = {"true": True, "false": False}
    plan_only = words.get(plan.plan_only.strip().lower()) if isinstance(plan.plan_only, str) else plan.plan_only
    if not isinstance(plan_only, bool):
        raise ConfigError("plan_only is true or false")
    with_table = bool(plan.outcomes_conn_id)
    return Checked(
        max_rejected=parse_tolerance(plan.max_rejected, "max_rejected", fraction=True),
        max_unknown=parse_tolerance(plan.max_unknown, "max_unknown", fraction=False),
        xcom_outcomes="none" if plan.xcom_outcomes == "auto" and with_table else plan.xcom_outcomes,
        plan_only=plan_only,
    )


def contacts_hook(conn_id: str) -> ContactsHook:
    """Return the hook that a connection's type asks for.

    :raises ConfigError: where the connection does not exist or has a foreign type.
    """
    try:
        conn = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"contacts_conn_id: there is no connection {conn_id!r}") from None
    return hook_for(conn.conn_type or "", conn_id)


def sql_hook(conn_id: str, parameter: str) -> Any:
    """Return the DB-API hook of an SQL connection.

    :raises ConfigError: where the connection does not exist or is no SQL connection.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        hook = BaseHook.get_hook(conn_id)
    except AirflowNotFoundException:
        raise ConfigError(f"{parameter}: there is no connection {conn_id!r}") from None
    if not isinstance(hook, DbApiHook):
        raise ConfigError(f"{parameter}: connection {conn_id!r} is no SQL connection")
    return hook


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
    close = getattr(ledger, "finish", None)
    if close is None:
        return
    counts: Mapping[str, int] = report.counts()
    message = str(verdict) if isinstance(verdict, ContactsError) else type(verdict).__name__ if verdict else None
    try:
        close(counts, status, message)
    except ContactsError:
        if verdict is None:
            raise
        log.warning("The run's row could not be written")

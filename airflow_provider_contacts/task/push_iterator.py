"""An iterator that pushes while it is read, and gives one outcome a record."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources import RowSource, check_key, rows_of_records

if TYPE_CHECKING:
    from airflow_provider_contacts.engine.ports import Ledger
    from airflow_provider_contacts.engine.push import Push
    from airflow_provider_contacts.ledgers.run_identity import RunIdentity
    from airflow_provider_contacts.outcome import Outcome
    from airflow_provider_contacts.pacing.shared import Budget
    from airflow_provider_contacts.records.mapper import Mapper
    from airflow_provider_contacts.task.options import PushOptions
    from airflow_provider_contacts.task.summary import Report
    from airflow_provider_contacts.transport.client import Client
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
    from airflow_provider_contacts.vendor_kit.vendor import Destination, Vendor

log = logging.getLogger(__name__)

NO_TASK = "(none)"
"""DAG and task of a push outside of a task, in the rows of the outcome table."""


class ReachingHook(Protocol):
    """The part of a hook that a push needs; see ``hooks.ContactsHook``."""

    contacts_conn_id: str

    @property
    def vendor(self) -> Vendor:
        """The vendor's words."""

    def target(self) -> Target:
        """Read and check the connection."""

    def settings(self, options: PushOptions, target: Target) -> PushSettings:
        """Return what the engine is told."""

    def client(self, target: Target) -> AbstractContextManager[Client]:
        """Open a client."""

    def budget(self, target: Target, client: Client) -> AbstractContextManager[Budget | None]:
        """Open this push's part of the account's rate."""

    def destination(self, client: Client, target: Target, given: Any) -> Destination:
        """Return the exact destination."""

    def mapper(
        self, options: PushOptions, destination: Destination, sync_id: str, columns: Sequence[str] | None
    ) -> Mapper:
        """Return how rows become payloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The parameters of a call about the outcome table; names and meanings are those of :meth:`PushingHook.push`."""

    outcomes_conn_id: Any
    outcomes_table: Any
    create_tables: Any
    sync_id: Any
    store_payload: Any

    def check(self) -> bool:
        """Check the parameters and the database's connection; return whether there is a memory at all.

        :raises ConfigError: naming the parameter and what is allowed.
        """
        from airflow_provider_contacts.task.parameters import READERS

        for name in self.__dataclass_fields__:
            READERS[name](getattr(self, name), name)
        if not (self.outcomes_conn_id or "").strip():
            return False
        if not (self.sync_id or "").strip():
            raise ConfigError(
                "sync_id must be given with outcomes_conn_id: it names what the table remembers, in this run and in "
                "later ones, such as sync_id='signups'"
            )
        from airflow_provider_contacts.ledgers.sql.database import connect
        from airflow_provider_contacts.task.sql_connections import sql_hook

        connect(sql_hook(self.outcomes_conn_id.strip(), "outcomes_conn_id")).dispose()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A push that was found to make sense.

    :param destination: as it was given.
    :param memory: ``None``: nothing is remembered.
    """

    hook: ReachingHook
    rows: RowSource
    destination: Any
    options: PushOptions
    target: Target
    settings: PushSettings
    memory: Memory | None

    @property
    def sync_id(self) -> str:
        """The ``sync_id``; empty where nothing is remembered."""
        return str(self.memory.sync_id).strip() if self.memory is not None else ""


def checked_plan(hook: ReachingHook, records: Any, destination: Any, options: PushOptions, memory: Memory) -> Plan:
    """Check everything that needs no request.

    :raises ConfigError: naming the connection or the parameter, and what is allowed.
    """
    from airflow_provider_contacts.transport.preflight import known_destination

    options.check()
    remembers = memory.check()
    target = hook.target()
    settings = hook.settings(options, target)
    where = f"connection {hook.contacts_conn_id!r}"
    known = known_destination(hook.vendor, destination, target.defaults, where)
    plan = Plan(
        hook=hook,
        rows=(rows := rows_of_records(records)),
        destination=destination,
        options=options,
        target=target,
        settings=settings,
        memory=memory if remembers else None,
    )
    mapper = hook.mapper(options, known, plan.sync_id, rows.columns)
    check_key(rows, mapper.sync_key if isinstance(records, list | tuple) else ())
    return plan


class Outcomes(Iterator["Outcome"]):
    """The outcomes of one push, one a record, as they settle. Pushes while it is read; from one thread.

    Closed early, also by leaving its ``with``, it stops the push: what is in flight gets three seconds. One that was
    never asked for an outcome has sent nothing, and a warning says so when it goes away.
    """

    def __init__(self, plan: Plan) -> None:
        self._name = repr(plan.hook)
        self._begun = False
        self._outcomes = outcomes_of(plan)
        self._release = plan.rows.close

    def __next__(self) -> Outcome:
        """Return the next outcome; the first call begins the push."""
        self._begun = True
        return next(self._outcomes)

    def __enter__(self) -> Self:
        """Return the iterator itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the push."""
        self.close()

    def close(self) -> None:
        """Stop the push; a second call does nothing."""
        self._outcomes.close()
        self._release()

    def __del__(self) -> None:
        """Say that a push was only prepared."""
        if not self._begun:
            log.warning(
                "%s.push(...) was called, and nobody read its outcomes: nothing was sent. It pushes while it is "
                "iterated: for outcome in hook.push(...)",
                self._name,
            )


def outcomes_of(plan: Plan) -> Generator[Outcome]:
    """Open all that the push takes, push, and let go of it however it ends."""
    from airflow_provider_contacts.engine.push import Push
    from airflow_provider_contacts.task.reporting import Progress, reported

    hook, target = plan.hook, plan.target
    if plan.memory is None:
        log.warning(
            "No outcome table: nothing of this push is remembered, and a retry sends its records again; "
            "set outcomes_conn_id and sync_id"
        )
    with plan.rows as rows, hook.client(target) as client:
        destination = hook.destination(client, target, plan.destination)
        mapper = hook.mapper(plan.options, destination, plan.sync_id, rows.columns)
        check_key(rows, mapper.sync_key)
        run = run_of_this_task()
        report = report_of(plan, destination, run)
        with ledger_of(plan, report, run) as ledger, reported(report, ledger), hook.budget(target, client) as budget:
            tell = Progress(report).tell
            push = Push(
                rows, mapper=mapper, ledger=ledger, sender=client, settings=plan.settings, budget=budget, watch=tell
            )
            yield from counted(push, report, ledger)


def counted(push: Push, report: Report, ledger: Ledger) -> Generator[Outcome]:
    """Hand outcomes on, and write into the run's row how many of each there were."""
    from airflow_provider_contacts.task.reporting import finish, status_of

    error: BaseException | None = None
    current: Outcome | None = None
    try:
        with closing(push.run()) as outcomes:
            for current in outcomes:
                report.add(current)
                yield current
    except BaseException as caught:
        error = caught
        report.catch_up(current, push.last_words)
        raise
    finally:
        report.num_requests = push.num_requests
        finish(ledger, report, status_of(report, error), error)


def report_of(plan: Plan, destination: Destination, run: RunIdentity) -> Report:
    """Return the counters of a push; the caller has the outcomes."""
    from airflow_provider_contacts.task.summary import OutcomeList, Report

    vendor, memory = plan.hook.vendor, plan.memory
    key = vendor.destination.object_key
    found = destination.get(key) if key else None
    return Report(
        vendor=vendor.name,
        sync_id=plan.sync_id,
        sync_run_id=run.sync_run_id,
        destination_object=None if found is None else str(found),
        outcomes_table=memory.outcomes_table.strip() if memory is not None else None,
        outcomes=OutcomeList("none"),
        started_at=datetime.now(UTC),
        total=plan.rows.total,
    )


@contextmanager
def ledger_of(plan: Plan, report: Report, run: RunIdentity) -> Iterator[Ledger]:
    """Open the memory of a push, and close it whatever happens."""
    from airflow_provider_contacts.engine.memory_ledger import MemoryLedger

    memory = plan.memory
    if memory is None:
        yield MemoryLedger(secrets.token_hex(8))
        return
    from airflow_provider_contacts.ledgers.sql.open_table import Opening, open_ledger
    from airflow_provider_contacts.task.parameters import parse_truth
    from airflow_provider_contacts.task.sql_connections import sql_hook

    opening = Opening(
        hook=sql_hook(memory.outcomes_conn_id.strip(), "outcomes_conn_id"),
        source=None,
        table=memory.outcomes_table.strip(),
        create_tables=parse_truth(memory.create_tables, "create_tables"),
        store_payload=memory.store_payload,
        run=run,
        sync_id=report.sync_id,
        destination=report.vendor,
        destination_host=plan.target.host,
        destination_object=report.destination_object,
    )
    with closing(open_ledger(opening)) as ledger:
        yield ledger


def run_of_this_task() -> RunIdentity:
    """Return the run that the rows belong to: that of the task which calls, else one of its own."""
    from airflow.sdk import get_current_context

    from airflow_provider_contacts.ledgers.run_identity import RunIdentity

    try:
        ti: Any = get_current_context()["ti"]
    except RuntimeError:
        run_id = f"push__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}__{secrets.token_hex(8)}"
        return RunIdentity.of(dag_id=NO_TASK, run_id=run_id, task_id=NO_TASK, map_index=-1, try_number=1)
    return RunIdentity.of(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )

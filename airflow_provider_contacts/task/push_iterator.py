"""An iterator that pushes while it is read, and gives one outcome a record."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import get_current_context

from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.sources import RowSource, check_key, rows_of_records
from airflow_provider_contacts.task.connections import run_of, sql_hook, table_opening
from airflow_provider_contacts.task.parameters import PUSH_PARSERS, PushParameters, parse_all
from airflow_provider_contacts.task.reporting import Progress, counted, new_report, reported
from airflow_provider_contacts.task.summary import Report
from airflow_provider_contacts.transport.preflight import known_destination

if TYPE_CHECKING:
    from airflow_provider_contacts.records.batch import Finished
    from airflow_provider_contacts.task.contacts_hook import ContactsHook
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.push_settings import PushSettings

log = logging.getLogger(__name__)

NO_TASK = "(none)"
"""DAG and task of a push outside of a task, in the rows of the outcome table."""


def outcomes_of(hook: ContactsHook, records: Any, given: Mapping[str, Any]) -> Outcomes:
    """Check everything that needs no request, and return what pushes.

    :param given: the other parameters of ``push``.
    """
    parameters = PushParameters.of({**parse_all(PUSH_PARSERS, given), "xcom_outcomes": "none"})
    if parameters.outcomes_conn_id is not None:
        if parameters.sync_id is None:
            raise ConfigError(
                "sync_id must be given with outcomes_conn_id: it names what the table remembers, in this run and in "
                "later ones, such as sync_id='signups'"
            )
        from airflow_provider_contacts.ledgers.sql.database import connect

        connect(sql_hook(parameters.outcomes_conn_id, "outcomes_conn_id")).dispose()
    target = hook.target()
    settings = hook.settings(parameters, target)
    where = f"connection {hook.contacts_conn_id!r}"
    known = known_destination(hook.vendor, parameters.destination, target.defaults, where)
    rows = rows_of_records(records)
    mapper = hook.mapper(parameters, known, parameters.sync_id or "", rows.columns)
    check_key(rows, mapper.sync_key if isinstance(records, list | tuple) else ())
    interrupts = Interrupts()
    portions = portions_of(hook, rows, parameters, target, settings, interrupts=interrupts)
    return Outcomes(repr(hook), portions, rows.close, interrupts)


class Outcomes(Iterator[Outcome]):
    """The outcomes of one push, one a record, as they settle. Pushes while it is read; from one thread.

    Closing it early, also by leaving its ``with``, stops the push: what is in flight gets three seconds. If no
    outcome was ever asked for, nothing was sent, and a warning says so when the iterator goes away.
    """

    def __init__(
        self, name: str, portions: Generator[Finished], release: Callable[[], None], interrupts: Interrupts
    ) -> None:
        self._name, self._portions, self._release, self._interrupts = name, portions, release, interrupts
        self._begun = False
        self._outcomes: Iterator[Outcome] = iter(())

    def __next__(self) -> Outcome:
        """Return the next outcome."""
        self._begun = True
        while (outcome := next(self._outcomes, None)) is None:
            with self._interrupts.deferred():
                self._outcomes = iter(next(self._portions))
        return outcome

    def __enter__(self) -> Self:
        """Return the iterator itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the push."""
        self.close()

    def close(self) -> None:
        """Stop the push; a second call does nothing."""
        with self._interrupts.deferred():
            self._portions.close()
        self._outcomes = iter(())
        self._release()

    def __del__(self) -> None:
        """Warn of a push that was only prepared."""
        if not self._begun:
            log.warning(
                "%s.push(...) was called, and nobody read its outcomes: nothing was sent. It pushes while it is "
                "iterated: for outcome in hook.push(...)",
                self._name,
            )


def portions_of(
    hook: ContactsHook,
    source: RowSource,
    parameters: PushParameters,
    target: Target,
    settings: PushSettings,
    *,
    interrupts: Interrupts,
) -> Generator[Finished]:
    """Open everything that the push takes, push, and close it however it ends."""
    sync_id = parameters.sync_id or ""
    with source as rows, hook.client(target) as client:
        destination = hook.destination(client, target, parameters.destination)
        mapper = hook.mapper(parameters, destination, sync_id, rows.columns)
        check_key(rows, mapper.sync_key)
        run = run_of_caller()
        report = new_report(parameters, hook.vendor, destination, run, sync_id)
        report.total = rows.total
        memory = ledger_of(parameters, report, run, target)
        with memory as ledger, reported(report, ledger), hook.budget(target, client) as budget:
            push = Push(
                rows,
                mapper=mapper,
                ledger=ledger,
                sender=client,
                settings=settings,
                budget=budget,
                watch=Progress(report).tell,
                interrupts=interrupts,
            )
            yield from counted(push, report)


@contextmanager
def ledger_of(parameters: PushParameters, report: Report, run: RunIdentity, target: Target) -> Iterator[Ledger]:
    """Open the memory of a push."""
    if parameters.outcomes_conn_id is None:
        log.warning(
            "No outcome table: nothing of this push is remembered, and a retry sends its records again; "
            "set outcomes_conn_id and sync_id"
        )
        yield MemoryLedger(secrets.token_hex(8))
        return
    from airflow_provider_contacts.ledgers.sql.open_table import open_ledger

    with closing(open_ledger(table_opening(parameters, report, run, target))) as ledger:
        yield ledger


def run_of_caller() -> RunIdentity:
    """Return the run that the rows belong to: that of the task which calls, else one of its own."""
    try:
        return run_of(get_current_context()["ti"])
    except RuntimeError:
        run_id = f"push__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}__{secrets.token_hex(8)}"
        return RunIdentity(dag_id=NO_TASK, run_id=run_id, task_id=NO_TASK, map_index=-1, try_number=1)

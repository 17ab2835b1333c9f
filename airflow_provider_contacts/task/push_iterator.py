"""An iterator that pushes while it is read, and gives one outcome a record."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import get_current_context

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.sources import RowSource, check_key, rows_of_records
from airflow_provider_contacts.task.connections import run_of, sql_hook
from airflow_provider_contacts.task.parameters import PUSH_PARSERS, PushParameters, parse_all
from airflow_provider_contacts.task.pushing import Pushing
from airflow_provider_contacts.transport.preflight import check_destination

if TYPE_CHECKING:
    from airflow_provider_contacts.records.batch import Finished
    from airflow_provider_contacts.task.contacts_hook import ContactsHook

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
    push = HookPush(hook, replace(parameters, sync_id=parameters.sync_id or ""), rows_of_records(records))
    push.check(whole=isinstance(records, list | tuple))
    return Outcomes(push)


class HookPush(Pushing):
    """The push behind a hook's iterator."""

    def __init__(self, hook: ContactsHook, parameters: PushParameters, source: RowSource) -> None:
        super().__init__(hook, parameters, run_of_caller())
        self.source = source

    def check(self, *, whole: bool) -> None:
        """Check the columns; the key, too, of records that are there as a whole."""
        where, defaults = f"connection {self.hook.contacts_conn_id!r}", self.target.defaults
        self.destination = check_destination(self.hook.vendor, self.parameters.destination, defaults, where)
        self.report = self.new_report()
        self.mapper(self.source.columns)
        if whole:
            check_key(self.source, self.parameters.sync_key)

    def rows(self) -> RowSource:
        """Return the records."""
        return self.source

    def memory(self) -> AbstractContextManager[Ledger]:
        """Open the table, or no memory at all."""
        if self.parameters.outcomes_conn_id is not None:
            return super().memory()
        log.warning(
            "No outcome table: nothing of this push is remembered, and a retry sends its records again; "
            "set outcomes_conn_id and sync_id"
        )
        return nullcontext(MemoryLedger(secrets.token_hex(8)))

    def portions(self) -> Generator[Finished]:
        """Open everything that the push takes, push, and close it however it ends."""
        with self.source, self.begun(), self.pushed() as found:
            yield from found


class Outcomes(Iterator[Outcome]):
    """The outcomes of one push, one a record, as they settle. Pushes while it is read; from one thread.

    Closing it early, also by leaving its ``with``, stops the push: what is in flight gets three seconds. If no
    outcome was ever asked for, nothing was sent, and a warning says so when the iterator goes away.
    """

    def __init__(self, push: HookPush) -> None:
        self._push, self._portions = push, push.portions()
        self._begun = False
        self._outcomes: Iterator[Outcome] = iter(())

    def __next__(self) -> Outcome:
        """Return the next outcome."""
        self._begun = True
        while (outcome := next(self._outcomes, None)) is None:
            with self._push.interrupts.deferred():
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
        with self._push.interrupts.deferred():
            self._portions.close()
        self._outcomes = iter(())
        self._push.source.close()

    def __del__(self) -> None:
        """Warn of a push that was only prepared."""
        if not self._begun:
            log.warning(
                "%s.push(...) was called, and nobody read its outcomes: nothing was sent. It pushes while it is "
                "iterated: for outcome in hook.push(...)",
                self._push.hook,
            )


def run_of_caller() -> RunIdentity:
    """Return the run that the rows belong to: that of the task which calls, else one of its own."""
    try:
        return run_of(get_current_context())
    except RuntimeError:
        run_id = f"push__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}__{secrets.token_hex(8)}"
        return RunIdentity(dag_id=NO_TASK, run_id=run_id, task_id=NO_TASK, map_index=-1, try_number=1)

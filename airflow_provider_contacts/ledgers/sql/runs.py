"""The table of runs: who is the newest execution of a run, and how each try ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    ColumnElement,
    Connection,
    and_,
    insert,
    null,
    select,
    update,
)

from airflow_provider_contacts.errors import SupersededError
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.ledgers.sql.bound_statement import Prepared
from airflow_provider_contacts.ledgers.sql.clock import now
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS, Tables
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, clean

RUNNING = "running"
"""Status of a try from its beginning on; also of one that has freed its worker and comes back."""


class Execution:
    """One execution of one try, known by its token.

    It is the newest of its run while every row of the run carries its token. Two that register in the same instant,
    before either can see the other's row, thus both stop rather than both go on.
    """

    def __init__(self, tables: Tables, run: RunIdentity, token: str) -> None:
        self.tables = tables
        self.run = run
        self.token = token
        self._held: Prepared | None = None

    def register(self, connection: Connection, sync_id: str) -> None:
        """Become the newest execution of the run; waits for a claim of an older one to end."""
        runs = self.tables.runs
        connection.execute(
            update(runs).where(runs.c.sync_run_id == self.run.sync_run_id).values(execution_token=self.token)
        )
        begun = connection.execute(
            # A reschedule comes back with the same try number: its counters begin anew.
            update(runs)
            .where(self._own())
            .values(status=RUNNING, status_message=null(), completed_at=null(), **dict.fromkeys(COUNTERS, null()))
        )
        if not begun.rowcount:
            connection.execute(
                insert(runs).values(
                    sync_run_id=self.run.sync_run_id,
                    try_number=self.run.try_number,
                    sync_id=sync_id,
                    status=RUNNING,
                    started_at=now(self.tables.flavour),
                    execution_token=self.token,
                )
            )

    def check(self, connection: Connection) -> None:
        """Hold the run until the transaction ends.

        :raises SupersededError: if a newer execution has registered.
        """
        if self._held is None:
            runs = self.tables.runs
            held = select(runs.c.execution_token).where(runs.c.sync_run_id == self.run.sync_run_id)
            self._held = Prepared(held.with_for_update(read=True), connection.dialect, {})
        tokens = self._held.query(connection, {}).scalars().all()
        if not tokens or any(token != self.token for token in tokens):
            msg = f"a newer execution of {self.run.sync_run_id} has taken over; this one sends nothing more"
            raise SupersededError(msg)

    def finish(
        self, connection: Connection, summary: Mapping[str, Any], status: str | None, message: str | None
    ) -> bool:
        """Write how the try ended; return whether it was written, which a newer execution prevents."""
        runs = self.tables.runs
        written = connection.execute(
            update(runs)
            .where(self._own(), runs.c.execution_token == self.token)
            .values(
                status=status,
                status_message=clean(message, MESSAGE_LENGTH),
                completed_at=null() if status == RUNNING else now(self.tables.flavour),
                **{counter: summary[counter] for counter in COUNTERS if counter in summary},
            )
        )
        return bool(written.rowcount)

    def _own(self) -> ColumnElement[bool]:
        runs = self.tables.runs
        return and_(runs.c.sync_run_id == self.run.sync_run_id, runs.c.try_number == self.run.try_number)

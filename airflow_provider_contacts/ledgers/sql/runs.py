"""The table of runs: who is the newest execution of a run, and how each try ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    ColumnElement,
    Connection,
    Dialect,
    and_,
    insert,
    null,
    select,
    update,
)

from airflow_provider_contacts.errors import SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.clock import now
from airflow_provider_contacts.ledgers.sql.destination_guard import Held, held_of
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS, Flavour, Tables
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, clean

RUNNING = "running"
"""Status of a try from its beginning on; also of one that has freed its worker and comes back."""

# PostgreSQL locks no row that may be absent; the others know no OF.
SHARED: dict[Flavour, str] = {
    "sqlite": "",
    "postgresql": " FOR SHARE OF r",
    **dict.fromkeys(("mysql", "mariadb"), " LOCK IN SHARE MODE"),
}


class Execution:
    """One execution of one try, known by its token.

    It is the newest of its run while every row of the run carries its token. Two that register in the same instant,
    before either can see the other's row, thus both stop rather than both go on.

    ``run_no`` is the number of its try's row; ``None`` before it has registered.
    """

    def __init__(self, tables: Tables, run: RunIdentity, token: str, dialect: Dialect) -> None:
        self.tables = tables
        self.run = run
        self.token = token
        self.run_no: int | None = None
        preparer, mark = dialect.identifier_preparer, "?" if tables.flavour == "sqlite" else "%s"
        self._fence = (
            f"SELECT r.token, s.* FROM {preparer.format_table(tables.runs)} AS r "  # noqa: S608  # our own names
            f"LEFT JOIN {preparer.format_table(tables.syncs)} AS s ON s.sync_id = {mark} "
            f"WHERE r.sync_run_id = {mark} ORDER BY r.run_no{SHARED[tables.flavour]}"
        )

    def register(self, connection: Connection, binding: Binding) -> int:
        """Become the newest execution of the run, and wait for a claim of an older one to end; return ``run_no``."""
        runs, syncs, run = self.tables.runs, self.tables.syncs, self.run
        connection.execute(update(runs).where(runs.c.sync_run_id == run.sync_run_id).values(token=self.token))
        begun = {
            "sync_id": binding.sync_id,
            "sync_no": select(syncs.c.sync_no).where(syncs.c.sync_id == binding.sync_id).scalar_subquery(),
            "status": RUNNING,
            "updated_at": now(self.tables.flavour),
        }
        # A reschedule comes back with the same try number: its counters begin anew.
        emptied = dict.fromkeys(("status_message", "completed_at", "num_total", *COUNTERS), null())
        again = connection.execute(update(runs).where(self._own()).values(**begun, **emptied))
        if not again.rowcount:
            identity = ("sync_run_id", "try_number", "dag_id", "run_id", "task_id", "map_index")
            named = {name: getattr(run, name) for name in identity}
            started = now(self.tables.flavour)
            connection.execute(insert(runs).values(**named, **begun, token=self.token, started_at=started))
        return int(connection.execute(select(runs.c.run_no).where(self._own())).scalar_one())

    def hold(self, connection: Connection, sync_id: str) -> Held | None:
        """Hold the run until the transaction ends; return what the table remembers of a ``sync_id``.

        :raises SupersededError: if a newer execution has registered.
        """
        rows = connection.exec_driver_sql(self._fence, (sync_id, self.run.sync_run_id)).all()
        if not rows or any(row.token != self.token for row in rows):
            msg = f"a newer execution of {self.run.sync_run_id} has taken over; this one sends nothing more"
            raise SupersededError(msg)
        return held_of(rows[0])

    def finish(
        self, connection: Connection, summary: Mapping[str, Any], status: str | None, message: str | None
    ) -> bool:
        """Write how the try ended; return whether it was written, which a newer execution prevents."""
        runs = self.tables.runs
        written = connection.execute(
            update(runs)
            .where(self._own(), runs.c.token == self.token)
            .values(
                status=status,
                status_message=clean(message, MESSAGE_LENGTH),
                updated_at=now(self.tables.flavour),
                completed_at=null() if status == RUNNING else now(self.tables.flavour),
                **{counter: summary[counter] for counter in COUNTERS if counter in summary},
            )
        )
        return bool(written.rowcount)

    def _own(self) -> ColumnElement[bool]:
        runs = self.tables.runs
        return and_(runs.c.sync_run_id == self.run.sync_run_id, runs.c.try_number == self.run.try_number)

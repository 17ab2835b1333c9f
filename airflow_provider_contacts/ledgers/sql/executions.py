"""Who may write: the newest execution of a run, to the one destination that its ``sync_id`` belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import IntegrityError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import LedgerError, SupersededError, SyncTakenError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.expressions import now
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS, Flavour, Tables
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, clean

RUNNING = "running"  # from a try's beginning on; also of one that has freed its worker and comes back
IDENTITY = ("sync_run_id", "try_number", "dag_id", "run_id", "task_id", "map_index")

# PostgreSQL locks no row that may be absent; the others know no OF.
SHARED: dict[Flavour, str] = {
    "sqlite": "",
    "postgresql": " FOR SHARE OF r",
    **dict.fromkeys(("mysql", "mariadb"), " LOCK IN SHARE MODE"),
}

Held = tuple[int, Binding]
"""A row of the table of syncs: its number, and the destination that it names."""


class DestinationGuard:
    """Whether a ``sync_id`` belongs to this destination: sandbox data must not silence production.

    The first write of a ``sync_id`` inserts its row, in its own transaction. The row's key makes those who begin
    together wait for each other.
    """

    def __init__(self, tables: Tables, binding: Binding) -> None:
        self._tables = tables
        self._binding = binding

    def look(self, connection: sa.Connection) -> int | None:
        """Return the number of the ``sync_id``; ``None`` while it is new."""
        syncs = self._tables.syncs
        query = sa.select(syncs).where(syncs.c.sync_id == self._binding.sync_id)
        return self.checked(held_of(connection.execute(query).first()))

    def bind(self, connection: sa.Connection, held: Held | None, run_no: int) -> int:
        """Return the number of the ``sync_id``, whose row, as ``held`` was read, is inserted if it is new."""
        number = self.checked(held)
        if number is not None:
            return number
        syncs, runs = self._tables.syncs, self._tables.runs
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(syncs).values(asdict(self._binding)))
        except IntegrityError:
            pass  # another execution has just inserted it, perhaps for another destination
        number = self.look(connection)
        if number is None:
            raise LedgerError("the sync_id has vanished from the table while it was written")
        connection.execute(sa.update(runs).where(runs.c.run_no == run_no).values(sync_no=number))
        return number

    def checked(self, held: Held | None) -> int | None:
        """Return the number of a row, if its destination is this one; raise ``SyncTakenError`` else."""
        if held is None:
            return None
        number, binding = held
        if binding == self._binding:
            return number
        msg = (
            f"sync_id {binding.sync_id} remembers records of {binding.place()}, and this push goes to "
            f"{self._binding.place()}. Give this push another sync_id, or correct its connection or destination. If "
            "the records themselves have moved with the address, update the destination columns of this sync_id in "
            f"{self._tables.syncs.fullname}"
        )
        raise SyncTakenError(msg)


def held_of(row: sa.Row[Any] | None) -> Held | None:
    """Return a row of the table of syncs as a value."""
    if row is None or row.sync_no is None:
        return None
    values = {field.name: getattr(row, field.name) for field in fields(Binding)}
    return int(row.sync_no), Binding(**values)


class Execution:
    """One execution of one try, known by its token.

    It is the newest of its run while every row of the run carries its token. Two that register in the same instant,
    before either can see the other's row, thus both stop rather than both go on.

    ``run_no`` is the number of its try's row; ``None`` before it has registered.
    """

    def __init__(self, tables: Tables, run: RunIdentity, token: str, dialect: sa.Dialect) -> None:
        self.tables = tables
        self.run = run
        self.token = token
        self.run_no: int | None = None
        quoted, mark = dialect.identifier_preparer.format_table, "?" if tables.flavour == "sqlite" else "%s"
        runs, syncs = quoted(tables.runs), quoted(tables.syncs)
        self._fence = (
            f"SELECT r.token, s.* FROM {runs} AS r LEFT JOIN {syncs} AS s ON s.sync_id = {mark} "  # noqa: S608  # our own names
            f"WHERE r.sync_run_id = {mark} ORDER BY r.run_no{SHARED[tables.flavour]}"
        )
        self._failing_fence = (
            "SELECT 1 / CASE WHEN (SELECT bool_and(f.token = %s) FROM (SELECT r.token "  # noqa: S608  # likewise
            f"FROM {runs} AS r WHERE r.sync_run_id = %s ORDER BY r.run_no{SHARED['postgresql']}) AS f) "
            f"AND EXISTS (SELECT FROM {syncs} AS s WHERE s.sync_no = %s AND s.sync_id = %s AND s.destination = %s "
            "AND s.destination_host = %s AND s.destination_object IS NOT DISTINCT FROM %s) THEN 1 ELSE 0 END"
        )

    def register(self, connection: sa.Connection, binding: Binding) -> int:
        """Become the newest execution of the run, and wait for a claim of an older one to end; return ``run_no``."""
        runs, syncs, run = self.tables.runs, self.tables.syncs, self.run
        connection.execute(sa.update(runs).where(runs.c.sync_run_id == run.sync_run_id).values(token=self.token))
        begun = {
            "sync_id": binding.sync_id,
            "sync_no": sa.select(syncs.c.sync_no).where(syncs.c.sync_id == binding.sync_id).scalar_subquery(),
            "status": RUNNING,
            "updated_at": now(self.tables.flavour),
        }
        # A reschedule comes back with the same try number: its counters begin anew.
        emptied = dict.fromkeys(("status_message", "completed_at", "num_total", *COUNTERS), sa.null())
        again = connection.execute(sa.update(runs).where(self._own()).values(**begun, **emptied))
        if not again.rowcount:
            named = {name: getattr(run, name) for name in IDENTITY}
            started = now(self.tables.flavour)
            connection.execute(sa.insert(runs).values(**named, **begun, token=self.token, started_at=started))
        return int(connection.execute(sa.select(runs.c.run_no).where(self._own())).scalar_one())

    def hold(self, connection: sa.Connection, sync_id: str) -> Held | None:
        """Hold the run until the transaction ends; return the row of the table of syncs for a ``sync_id``."""
        rows = connection.exec_driver_sql(self._fence, (sync_id, self.run.sync_run_id)).all()
        if not rows or any(row.token != self.token for row in rows):
            msg = f"a newer execution of {self.run.sync_run_id} has taken over; this one sends nothing more"
            raise SupersededError(msg)
        return held_of(rows[0])

    def fence(self, sync_no: int, binding: Binding) -> tuple[str, tuple[Any, ...]]:
        """Return a statement of PostgreSQL that holds the run, and fails where :meth:`hold` or the guard would."""
        return self._failing_fence, (self.token, self.run.sync_run_id, sync_no, *asdict(binding).values())

    def finish(
        self, connection: sa.Connection, summary: Mapping[str, Any], status: str | None, message: str | None
    ) -> bool:
        """Write how the try ended; return whether it was written, which a newer execution prevents."""
        runs = self.tables.runs
        counters = (*COUNTERS, "num_total")
        values = {
            "status": status,
            "status_message": clean(message, MESSAGE_LENGTH),
            "updated_at": now(self.tables.flavour),
            "completed_at": sa.null() if status == RUNNING else now(self.tables.flavour),
            **{counter: summary[counter] for counter in counters if counter in summary},
        }
        own = sa.update(runs).where(self._own(), runs.c.token == self.token)
        return bool(connection.execute(own.values(values)).rowcount)

    def _own(self) -> sa.ColumnElement[bool]:
        runs = self.tables.runs
        return sa.and_(runs.c.sync_run_id == self.run.sync_run_id, runs.c.try_number == self.run.try_number)

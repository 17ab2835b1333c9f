"""Who may write: the newest execution of a run, to the one destination that its ``sync_id`` belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, NamedTuple

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import IntegrityError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import LedgerError, SupersededError, SyncTakenError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.expressions import now
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS, Flavour, Tables
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, clean

RUNNING = "running"  # from a try's beginning on; also of one that has freed its worker and comes back
IDENTITY = ("sync_run_id", "try_number", "dag_id", "run_id", "task_id", "map_index", "region")

SHARED: dict[Flavour, str] = {
    "sqlite": "",
    "postgresql": " FOR SHARE",
    **dict.fromkeys(("mysql", "mariadb"), " LOCK IN SHARE MODE"),
}


class Sync(NamedTuple):
    """The row of a ``sync_id``.

    :param forget_key: by which its forgotten records are known; ``None`` before the first.
    :param num_forgets: how often it has forgotten somebody.
    """

    sync_no: int
    forget_key: str | None = None
    num_forgets: int | None = None


def sync_of(connection: sa.Connection, tables: Tables, binding: Binding, *, hold: bool = False) -> Sync | None:
    """Return the row of a ``sync_id``, ``None`` while it is new.

    :param hold: so that nobody is forgotten until the transaction ends.
    :raises SyncTakenError: if it belongs to another destination: sandbox data must not silence production.
    """
    query = sa.select(tables.syncs).where(tables.syncs.c.sync_id == binding.sync_id)
    row = connection.execute(query.with_for_update(read=True) if hold else query).first()
    if row is None:
        return None
    held = binding_of(row)
    if held == binding:
        return Sync(int(row.sync_no), row.forget_key, row.num_forgets)
    msg = (
        f"sync_id {held.sync_id} remembers records of {held.place()}, and this push goes to {binding.place()}. Give "
        "this push another sync_id, or correct its connection or destination. If the records themselves have moved "
        "with the address, or none is delivered or in doubt there, update the destination columns of this sync_id in "
        f"{tables.syncs.fullname}"
    )
    raise SyncTakenError(msg)


def binding_of(row: sa.Row[Any]) -> Binding:
    """Return the destination that a row of the table of syncs names."""
    return Binding(**{field.name: getattr(row, field.name) for field in fields(Binding)})


class Execution:
    """One execution of one try, known by its token.

    It is the newest of its run while every row of the run carries its token. Two that register in the same instant,
    before either can see the other's row, thus both stop rather than both go on.

    ``run_no`` is the number of its try's row, 0 before it has registered.

    :param sync: its row before this execution has looked any record up.
    """

    def __init__(
        self,
        tables: Tables,
        run: RunIdentity,
        binding: Binding,
        token: str,
        dialect: sa.Dialect,
        *,
        sync: Sync | None = None,
    ) -> None:
        self._tables = tables
        self.run = run
        self.binding = binding
        self.token = token
        self.run_no = 0
        self._num_forgets = sync and sync.num_forgets
        quoted, mark = dialect.identifier_preparer.format_table, "?" if tables.flavour == "sqlite" else "%s"
        runs, syncs = quoted(tables.runs), quoted(tables.syncs)
        self._tokens = (
            f"SELECT r.token FROM {runs} AS r WHERE r.sync_run_id = {mark} ORDER BY r.run_no{SHARED[tables.flavour]}"  # noqa: S608  # our own names
        )
        self._fence = (
            f"SELECT 1 / CASE WHEN (SELECT bool_and(f.token = %s) FROM ({self._tokens}) AS f) "  # noqa: S608  # likewise
            f"AND EXISTS (SELECT FROM {syncs} AS s WHERE s.sync_no = %s AND s.sync_id = %s AND s.destination = %s "
            "AND s.destination_host = %s AND s.destination_object IS NOT DISTINCT FROM %s "
            "AND s.num_forgets IS NOT DISTINCT FROM %s FOR SHARE) THEN 1 ELSE 0 END"
        )

    def register(self, connection: sa.Connection) -> int:
        """Become the newest execution of the run, and wait for a claim of an older one to end; return ``run_no``."""
        runs, syncs, run = self._tables.runs, self._tables.syncs, self.run
        connection.execute(sa.update(runs).where(runs.c.sync_run_id == run.sync_run_id).values(token=self.token))
        sync_id, moment = self.binding.sync_id, now(self._tables.flavour)
        # Who removes the whole of it holds this row: either the number is gone already, or this run is seen.
        number = sa.select(syncs.c.sync_no).where(syncs.c.sync_id == sync_id).with_for_update(read=True)
        begun = {
            "sync_id": sync_id,
            "sync_no": connection.execute(number).scalar(),
            "status": RUNNING,
            "updated_at": moment,
        }
        # A reschedule comes back with the same try number: its counters begin anew.
        emptied = dict.fromkeys(("status_message", "completed_at", "num_total", *COUNTERS), sa.null())
        again = connection.execute(sa.update(runs).where(self._own()).values(**begun, **emptied))
        if not again.rowcount:
            named = {name: getattr(run, name) for name in IDENTITY}
            connection.execute(sa.insert(runs).values(**named, **begun, token=self.token, started_at=moment))
        return int(connection.execute(sa.select(runs.c.run_no).where(self._own())).scalar_one())

    def hold(self, connection: sa.Connection) -> Sync:
        """Hold the run and its ``sync_id``, which is bound if it is new, until the transaction ends.

        :raises SupersededError: if a newer execution has registered.
        """
        tokens = connection.exec_driver_sql(self._tokens, (self.run.sync_run_id,)).scalars().all()
        if not tokens or any(token != self.token for token in tokens):
            msg = f"a newer execution of {self.run.sync_run_id} has taken over; this one sends nothing more"
            raise SupersededError(msg)
        return sync_of(connection, self._tables, self.binding, hold=True) or self._bind(connection)

    def fence(self, sync_no: int) -> tuple[str, tuple[Any, ...]]:
        """Return a statement of PostgreSQL that does as :meth:`hold` does, and fails where that would.

        It fails, too, where somebody was forgotten meanwhile.
        """
        bound = asdict(self.binding).values()
        return self._fence, (self.token, self.run.sync_run_id, sync_no, *bound, self._num_forgets)

    def is_current(self, sync: Sync) -> bool:
        """Tell whether nobody was forgotten since before this execution looked any record up."""
        return sync.num_forgets == self._num_forgets

    def _bind(self, connection: sa.Connection) -> Sync:
        """Insert the row of a new ``sync_id``; its key makes those who begin together wait for each other."""
        tables = self._tables
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(tables.syncs).values(asdict(self.binding)))
        except IntegrityError:
            pass  # another execution has just inserted it, perhaps for another destination
        sync = sync_of(connection, tables, self.binding, hold=True)
        if sync is None:
            raise LedgerError("the sync_id has vanished from the table while it was written")
        runs = tables.runs
        connection.execute(sa.update(runs).where(runs.c.run_no == self.run_no).values(sync_no=sync.sync_no))
        return sync

    def finish(
        self, connection: sa.Connection, summary: Mapping[str, Any], status: str | None, message: str | None
    ) -> bool:
        """Write how the try ended; return whether it was written, which a newer execution prevents."""
        runs = self._tables.runs
        moment = now(self._tables.flavour)
        values = {
            "status": status,
            "status_message": clean(message, MESSAGE_LENGTH),
            "updated_at": moment,
            "completed_at": sa.null() if status == RUNNING else moment,
            **{counter: summary[counter] for counter in (*COUNTERS, "num_total") if counter in summary},
        }
        own = sa.update(runs).where(self._own(), runs.c.token == self.token)
        return bool(connection.execute(own.values(values)).rowcount)

    def _own(self) -> sa.ColumnElement[bool]:
        runs = self._tables.runs
        return sa.and_(runs.c.sync_run_id == self.run.sync_run_id, runs.c.try_number == self.run.try_number)

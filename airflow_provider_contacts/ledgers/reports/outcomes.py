"""The reports: everything that the page and the command line ask of one outcome table."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.reports.connection import (
    ERRORS,
    SECONDS,
    ask,
    ledger_error,
    open_engine,
    readers_block,
)
from airflow_provider_contacts.ledgers.reports.doubt_queries import DoubtQueries
from airflow_provider_contacts.ledgers.reports.record_queries import CHUNK, RecordQueries
from airflow_provider_contacts.ledgers.reports.run_queries import RunQueries
from airflow_provider_contacts.ledgers.reports.shapes import (
    DayCounts,
    DoubtGroup,
    Page,
    RecordRow,
    RowFilter,
    RowsOfRun,
    RunFilter,
    RunRow,
    Scope,
)
from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.ledgers.sql.database import kept_open
from airflow_provider_contacts.ledgers.sql.db_errors import place_of
from airflow_provider_contacts.ledgers.sql.schema import look
from airflow_provider_contacts.ledgers.sql.storage_checks import open_store
from airflow_provider_contacts.ledgers.sql.tables import Tables

if TYPE_CHECKING:
    import sqlalchemy as sa

Result = TypeVar("Result")

EVERY_RUN, EVERY_ROW = RunFilter(), RowFilter()


class OutcomeReports:
    """Reads an outcome table. Every method is one transaction that writes nothing, and shows one scope's rows alone.

    Threads may share it. Every method raises ``LedgerError`` if the database cannot be used, and ``TooSlowError`` if a
    statement takes too long. A cursor that is none of ours begins at the beginning.
    """

    def __init__(self, engine: sa.Engine, tables: Tables) -> None:
        self._engine = engine
        self._tables = tables

    @classmethod
    def open(
        cls,
        hook: Any,
        table: str = "contact_outcomes",
        *,
        connect_seconds: float = 3.0,
        statement_seconds: float = 10.0,
    ) -> Self:
        """Connect to the database of a ``DbApiHook``, and look whether the table is there.

        :raises ConfigError: if it is not, or is not ours.
        :raises LedgerError: if the database cannot be reached.
        """
        with kept_open(open_engine(hook, connect_seconds, statement_seconds)) as engine:
            tables = open_store(engine, table)
            absent, _ = look(engine, tables)
            if absent:
                names = ", ".join(one.fullname for one in absent)
                msg = f"{place_of(engine)} has no {names}: correct the table's name or its connection; a push makes it"
                raise ConfigError(msg)
            return cls(engine, tables)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def runs(
        self, scope: Scope, which: RunFilter = EVERY_RUN, after: str | None = None, limit: int = 50
    ) -> Page[RunRow]:
        """Return tries of runs, newest first."""
        return self._of_runs(scope, lambda runs: runs.page(which, after, limit))

    def newest_runs(self, scope: Scope) -> list[RunRow]:
        """Return the newest run of each ``sync_id`` among the last 500 runs, newest first, at most 20."""
        newest: dict[str, RunRow] = {}
        for run in self.runs(scope, limit=500).items:
            newest.setdefault(run.sync_id, run)
        return list(newest.values())[:20]

    def days(self, scope: Scope, which: RunFilter = EVERY_RUN, days: int = 30) -> list[DayCounts]:
        """Return what the runs of each of so many days counted, up to ``which.until`` or today, oldest first.

        A run counts on the day on which its newest try began, with what it delivered over all its tries; without what
        it skipped for that reason, and without what it held of earlier runs.
        """
        return self._of_runs(scope, lambda runs: runs.days(which, days))

    def choices(self, scope: Scope) -> dict[str, list[str]]:
        """Return the values of ``dag_id`` and ``destination`` by which runs can be filtered."""
        return self._of_runs(scope, lambda runs: runs.choices())

    def run(self, scope: Scope, run_no: int) -> RunRow | None:
        """Return one try."""
        return self._of_runs(scope, lambda runs: runs.one(run_no))

    def tries(self, scope: Scope, sync_run_id: str) -> list[RunRow]:
        """Return the tries of a run, newest first."""
        return self._of_runs(scope, lambda runs: runs.tries(sync_run_id))

    def run_of_task(  # noqa: PLR0917  # Airflow's own order of these ids
        self, scope: Scope, dag_id: str, run_id: str, task_id: str, map_index: int = -1, region: str | None = None
    ) -> RunRow | None:
        """Return the newest try of a task instance; without ``region``, of the newest iteration of a loop."""
        named = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        sync_run_id = RunIdentity(**named, try_number=0, region=region).sync_run_id  # type: ignore[arg-type]
        return self._of_runs(scope, lambda runs: runs.of_task(named, sync_run_id, region))

    def rows_of_run(self, scope: Scope, run: RunRow) -> RowsOfRun:
        """Return what the rows of a run say: of all its tries, beside the counters of the newest.

        Its rows are those whose batch belongs to a try of the same ``sync_run_id``. It counts outcomes with a row
        (delivered by any try, rejected, invalid, failed, and unknown but for those held of earlier runs) and without
        one (duplicates, held, and what earlier runs delivered). Where it counts more with a row than there are now, the
        rest is ``num_taken_over`` if another run of the ``sync_id`` was at work since this one began, else
        ``num_without_row``. So ``num_taken_over`` is an estimate, and rather too much: no counter tells the codes
        ``WITHOUT_ROW`` from others.
        """

        def look_at(connection: sa.Connection) -> RowsOfRun:
            tries = RunQueries(connection, self._tables, scope).tries(run.sync_run_id)
            newest = next((one for one in tries if one.counters), run)
            return RecordQueries(connection, self._tables, scope).facts(run, newest)

        return ask(self._engine, look_at)

    def rows(
        self, scope: Scope, sync_run_id: str, which: RowFilter = EVERY_ROW, after: str | None = None, limit: int = 50
    ) -> Page[RecordRow]:
        """Return rows of a run, in the order of their requests."""
        return self._of_records(scope, lambda records: records.page(sync_run_id, which, after, limit))

    def each_row(self, scope: Scope, sync_run_id: str, which: RowFilter = EVERY_ROW) -> Generator[RecordRow]:
        """Yield all rows of a run in that order, at constant memory and without a time-out for all of them.

        The transaction lasts until the iterator is exhausted or closed. Where it would keep pushes from writing, each
        thousand rows have one of their own, and a row that moves meanwhile may come twice or not at all.
        """
        if ask(self._engine, readers_block):
            after: str | None = ""
            while after is not None:
                page = self.rows(scope, sync_run_id, which, after, CHUNK)
                yield from page.items
                after = page.after
            return
        engine = self._engine.execution_options(**{SECONDS: None})
        try:
            with engine.connect() as connection, connection.begin():
                yield from RecordQueries(connection, self._tables, scope).each(sync_run_id, which)
                return
        except ERRORS as error:
            failure = ledger_error(self._engine, error)
        raise failure

    def record(self, scope: Scope, name: str) -> list[RecordRow]:
        """Return the rows of a record under every ``sync_id``, at most 200; ``name`` is its key, or its digest.

        What is not delivered comes first, each part newest first.
        """
        return self._of_records(scope, lambda records: records.record(name))

    def doubts(self, scope: Scope) -> list[DoubtGroup]:
        """Return what is in doubt by ``sync_id``, most first."""
        return ask(self._engine, lambda connection: DoubtQueries(connection, self._tables, scope).groups())

    def rows_in_doubt(self, scope: Scope, sync_id: str, after: str | None = None, limit: int = 50) -> Page[RecordRow]:
        """Return the rows of a ``sync_id`` that are in doubt, those of the oldest run first."""
        return ask(
            self._engine, lambda connection: DoubtQueries(connection, self._tables, scope).page(sync_id, after, limit)
        )

    def _of_runs(self, scope: Scope, work: Callable[[RunQueries], Result]) -> Result:
        return ask(self._engine, lambda connection: work(RunQueries(connection, self._tables, scope)))

    def _of_records(self, scope: Scope, work: Callable[[RecordQueries], Result]) -> Result:
        return ask(self._engine, lambda connection: work(RecordQueries(connection, self._tables, scope)))

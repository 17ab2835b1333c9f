"""Rows of the outcome table that are to be sent again: in order of their key, some at a time, while it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    inspect,
    literal,
    or_,
    select,
    true,
)

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.clock import seconds_since
from airflow_provider_contacts.ledgers.sql.database import READING, connect
from airflow_provider_contacts.ledgers.sql.db_errors import transact
from airflow_provider_contacts.ledgers.sql.destination_guard import BindingCheck
from airflow_provider_contacts.ledgers.sql.reconcile_queries import parsed
from airflow_provider_contacts.ledgers.sql.state_rows import STANDING_COLUMNS, standing_of
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.ledgers.sql.storage_checks import open_store
from airflow_provider_contacts.ledgers.sql.tables import Flavour, Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.columns import Reasons
from airflow_provider_contacts.records.record_state import INTERRUPTED, RESPECT
from airflow_provider_contacts.records.stored_payloads import Selection, Stored

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, RowMapping

    from airflow_provider_contacts.ledgers.sql.open_table import Opening

PAGE = 500
"""Rows read at once, each with its payload."""


class SelectedRows:
    """The rows of one ``sync_id`` that a selection names, and those that this very run has written before.

    What an earlier try of the run has settled is thus counted again by the next one. Close it.

    ``known`` tells whether the ``sync_id`` has any row at all.

    :param engine: of its own, so that reading does not wait for the ledger's writing.
    """

    def __init__(self, engine: Engine, tables: Tables, opening: Opening, selection: Selection) -> None:
        self._engine = engine
        self._table = tables.outcomes
        self._sync_id = opening.sync_id
        binding = Binding(
            sync_id=opening.sync_id,
            destination=opening.destination,
            destination_host=opening.destination_host,
            destination_object=opening.destination_object or None,
        )
        self._statements = Statements(tables, binding, opening.run, opening.store_payload)
        self._condition = condition(tables, selection, opening.run.sync_run_id)
        columns = self._table.c
        self._columns: tuple[ColumnElement[Any], ...] = (
            *(columns[name] for name in STANDING_COLUMNS),
            seconds_since(columns.batch_started_at, tables.flavour).label("age"),
            seconds_since(columns.batch_completed_at, tables.flavour).label("ended"),
            # As text on every database: drivers read JSON each in its own way.
            cast(columns.errors, Text).label("errors"),
            cast(columns.record_payload, Text).label("payload"),
        )
        self.known = self._is_known(BindingCheck(tables, binding))

    @classmethod
    def open(cls, opening: Opening, selection: Selection) -> SelectedRows:
        """Connect, and look whether there is anything.

        :raises ConfigError: for a database that cannot be used.
        :raises LedgerError: if it cannot be reached.
        """
        engine = connect(opening.hook)
        return opening.patience.run(lambda: cls(engine, open_store(engine, opening.table), opening, selection))

    def pages(self) -> Iterator[list[Stored]]:
        """Yield all rows in order of their identifiers, each once, as they are when their page is read.

        A row that is written meanwhile keeps its place in that order, so that none comes twice.
        """
        after = ""
        while self.known and (page := self._read(self._page(after))):
            yield page
            after = page[-1].standing.record_identifier

    def among(self, identifiers: Collection[str]) -> dict[str, Stored]:
        """Return the rows of these records, so far as they are selected.

        :param identifiers: at most a thousand.
        """
        if not identifiers or not self.known:
            return {}
        query = self._statements.rows_of(*self._columns).where(self._condition)
        rows = self._read(query, self._statements.keys(list(identifiers)))
        return {row.standing.record_identifier: row for row in rows}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _is_known(self, binding: BindingCheck) -> bool:
        def look(connection: Connection) -> bool:
            # A plan creates no table.
            there = inspect(connection).has_table(self._table.name, schema=self._table.schema)
            return there and not binding.is_new(connection)

        return transact(self._engine, look, repeatable=True, options={READING: True})

    def _page(self, after: str) -> Select[Any]:
        columns = self._table.c
        return (
            select(*self._columns)
            .where(columns.sync_id == self._sync_id, columns.record_identifier > after, self._condition)
            # Both, so that the primary key is read in its order rather than sorted.
            .order_by(columns.sync_id, columns.record_identifier)
            .limit(PAGE)
        )

    def _read(self, query: Select[Any], parameters: dict[str, Any] | None = None) -> list[Stored]:
        def read(connection: Connection) -> list[Stored]:
            return [stored_of(row) for row in connection.execute(query, parameters or {}).mappings()]

        return transact(self._engine, read, repeatable=True, options={READING: True})


def condition(tables: Tables, selection: Selection, sync_run_id: str) -> ColumnElement[bool]:
    """Return what a row must be.

    :param sync_run_id: of the replay: what it has written is its own, whatever has become of it.
    """
    columns = tables.outcomes.c
    certain = sorted(status.value for status in selection.statuses - {Status.UNKNOWN})
    kinds: list[ColumnElement[bool]] = [columns.status.in_(certain)]
    if Status.UNKNOWN in selection.statuses:
        kinds += [columns.status == Status.UNKNOWN.value, left_behind(tables)]
    wanted = [or_(*kinds)]
    if selection.error_codes is not None:
        # What the row will say once it counts as unknown.
        code = case((columns.status == Status.SENDING.value, literal(INTERRUPTED)), else_=columns.error_code)
        wanted.append(code.in_(selection.error_codes))
    if selection.since is not None:
        written = func.coalesce(columns.batch_completed_at, columns.batch_started_at)
        wanted.append(written >= moment(selection.since, tables.flavour))
    if selection.max_attempts is not None:
        wanted.append(columns.attempts < selection.max_attempts)
    return or_(columns.sync_run_id == sync_run_id, and_(true(), *wanted))


def left_behind(tables: Tables) -> ColumnElement[bool]:
    """Return whether a row was left ``sending`` by an execution that must be dead."""
    columns = tables.outcomes.c
    age = seconds_since(columns.batch_started_at, tables.flavour)
    return and_(columns.status == Status.SENDING.value, age >= RESPECT)


def moment(value: datetime, flavour: Flavour) -> Any:
    """Return a moment as the table's columns hold it."""
    utc = value.astimezone(UTC)
    match flavour:
        case "sqlite":
            # As the table's own texts, without the fraction where there is none: it then sorts before all of them.
            fraction = f".{utc.microsecond // 1000:03}" if utc.microsecond else ""
            return f"{utc:%Y-%m-%d %H:%M:%S}{fraction}"
        case "postgresql":
            return utc
        case "mysql" | "mariadb":
            return utc.replace(tzinfo=None)


def stored_of(row: RowMapping) -> Stored:
    """Return a row as a value.

    :raises LedgerError: for a status that is none of ours, which only a person can have written.
    """
    payload = parsed(row["payload"])
    return Stored(
        standing=standing_of({name: row[name] for name in (*STANDING_COLUMNS, "age", "ended", "errors")}),
        reasons=reasons_of(parsed(row["errors"])),
        payload=payload if isinstance(payload, dict) else None,
    )


def reasons_of(errors: Any) -> Reasons:
    """Return the reasons that a row names."""
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return tuple((str(one.get("code") or ""), one.get("field"), one.get("message")) for one in found)

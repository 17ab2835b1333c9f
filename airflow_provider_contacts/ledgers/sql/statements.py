"""The statements of one ledger, written once for two ways of handing over rows.

On PostgreSQL and SQLite all rows of a call go as one JSON text into one statement, which the database takes apart while
Python does something else; elsewhere the driver runs a statement for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.bulk_rows import Given, many_keys, many_rows, one_row, parameter
from airflow_provider_contacts.ledgers.sql.clock import now
from airflow_provider_contacts.ledgers.sql.tables import Flavour, JsonText, Tables
from airflow_provider_contacts.outcome import Status

MARKED = ("record_identifier", "row_index", "batch_id", "attempts", "payload_hash", "record_payload")
READ = ("read_status", "read_batch_id")
ANSWERED = (
    "record_identifier",
    "batch_id",
    "status",
    "destination_record_id",
    "error_code",
    "error_field",
    "status_message",
    "errors",
    "http_status",
    "attempts",
)
NOTED = (*ANSWERED, "row_index", "payload_hash", "record_payload")

WEAK = (Status.REJECTED.value, Status.INVALID.value, Status.FAILED.value)
DOUBTFUL = (Status.SENDING.value, Status.UNKNOWN.value)

# What an earlier attempt left and a new mark makes untrue.
CLEARED = ("destination_record_id", "error_code", "error_field", "status_message", "errors", "http_status")
# A person's verdict, which whatever is written afterwards makes untrue.
VERDICT = ("settled_by", "settled_at")


def rows_by_key(tables: Tables, sync_id: str, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the query for some rows of a ``sync_id``, named by the parameter that :func:`keys_for` makes."""
    table = tables.outcomes
    query, key = select(*columns), table.c.record_identifier
    if tables.flavour == "postgresql":
        return query.where(*found_in(table, many_keys(sync_id)))
    some = key.in_(bindparam(parameter("record_identifier"), expanding=True))
    if tables.flavour == "sqlite":
        # One text however many they are: SQLAlchemy would write a parameter for each of them, every time.
        given = func.json_each(bindparam(parameter("record_identifier"), type_=Text())).table_valued("value")
        some = key.in_(select(given.c.value))
    return query.where(table.c.sync_id == sync_id, some)


def keys_for(flavour: Flavour, identifiers: Sequence[str]) -> dict[str, Any]:
    """Return what :func:`rows_by_key` takes for some records."""
    some = msgspec.json.encode(identifiers).decode() if flavour == "sqlite" else list(identifiers)
    return {parameter("record_identifier"): some}


def found_in(table: Table, rows: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a row of the table is one of those given, by its key."""
    columns = table.c
    return columns.sync_id == rows.c.sync_id, columns.record_identifier == rows.c.record_identifier


class Statements:
    """What one ledger says to the outcome table.

    :param store: the payload policy.
    """

    def __init__(self, tables: Tables, binding: Binding, run: RunIdentity, store: str) -> None:
        self.tables = tables
        self.flavour = tables.flavour
        self.table = tables.outcomes
        self.binding = binding
        self.run = run
        self.store = store
        self.bulk = tables.flavour in {"postgresql", "sqlite"}
        self.insert_marks = self._insert(MARKED, self._fresh_mark)
        self.renew_marks = self._update(MARKED + READ, self._as_read, self._mark)
        self.settle = self._update(ANSWERED, self._in_doubt, self._answer)
        self.insert_notes = self._insert(NOTED, self._fresh_note)
        self.weaken = self._update(NOTED, self._is_weak, self._note)

    def rows_of(self, *columns: ColumnElement[Any]) -> Select[Any]:
        """Return the query for some rows of this ``sync_id``, named by the parameter of ``record_identifier``."""
        return rows_by_key(self.tables, self.binding.sync_id, *columns)

    def keys(self, identifiers: Sequence[str]) -> dict[str, Any]:
        """Return what :meth:`rows_of` takes for some records."""
        return keys_for(self.flavour, identifiers)

    def _insert(self, fields: tuple[str, ...], values: Callable[[Given], dict[str, Any]]) -> Insert:
        """Return the insertion of rows that are absent; those present are left as they are."""
        if self.bulk:
            given = many_rows(fields, self.flavour)
            row = values(lambda name: given.c[name])
            # The condition only tells SQLite that what follows is no join.
            selected = select(*(self._typed(name, value) for name, value in row.items())).select_from(given)
            selected = selected.where(true())
            if self.flavour == "sqlite":
                return (
                    sqlite.insert(self.table)
                    .from_select(list(row), selected, include_defaults=False)
                    .on_conflict_do_nothing()
                )
            inserted = postgresql.insert(self.table).from_select(list(row), selected, include_defaults=False)
            return inserted.on_conflict_do_nothing().returning(self.table.c.record_identifier)
        # Not INSERT IGNORE, which would store what it cuts.
        kept = {"record_identifier": self.table.c.record_identifier}
        return mysql.insert(self.table).values(values(one_row)).on_duplicate_key_update(kept)

    def _update(
        self,
        fields: tuple[str, ...],
        condition: Callable[[Given], ColumnElement[bool]],
        values: Callable[[Given], dict[str, Any]],
    ) -> Update:
        columns = self.table.c
        if not self.bulk:
            one = (columns.sync_id == self.binding.sync_id, columns.record_identifier == one_row("record_identifier"))
            return update(self.table).where(*one, condition(one_row)).values(values(one_row))
        rows = many_rows(fields, self.flavour)

        def given(name: str) -> ColumnElement[Any]:
            return rows.c[name]

        changes = {name: self._typed(name, value) for name, value in values(given).items()}
        found = update(self.table).where(*found_in(self.table, rows), condition(given))
        changed = found.values(changes)
        return changed if self.flavour == "sqlite" else changed.returning(columns.record_identifier)

    def _typed(self, name: str, value: Any) -> Any:
        """Cast for PostgreSQL, which takes neither text for JSON nor an untyped value out of a query."""
        if self.flavour != "postgresql":
            return value if isinstance(value, ColumnElement) else literal(value)
        kind = self.table.c[name].type
        if not isinstance(value, ColumnElement):
            # Not to the column's own length: a cast would cut in silence.
            return cast(literal(value), Integer() if isinstance(kind, Integer) else Text())
        return cast(value, kind) if isinstance(kind, JsonText) else value

    def _as_read(self, given: Given) -> ColumnElement[bool]:
        return and_(
            self.table.c.status == given("read_status"),
            self.table.c.batch_id.is_not_distinct_from(given("read_batch_id")),
        )

    def _in_doubt(self, given: Given) -> ColumnElement[bool]:
        """Allow the answer to the request that the row waits for.

        The same answer twice is one; and a creation confirmed late stands over whatever was concluded meanwhile.
        """
        return and_(
            self.table.c.batch_id == given("batch_id"),
            or_(
                self._is_one_of(DOUBTFUL),
                self.table.c.status == given("status"),
                given("status") == Status.SUCCEEDED.value,
            ),
        )

    def _is_weak(self, given: Given) -> ColumnElement[bool]:  # noqa: ARG002  # one signature for all conditions
        return self._is_one_of(WEAK)

    def _is_one_of(self, statuses: tuple[str, ...]) -> ColumnElement[bool]:
        # Not IN, whose list SQLAlchemy cannot hand over for many rows at once.
        return or_(*(self.table.c.status == status for status in statuses))

    def _written_by(self) -> dict[str, Any]:
        run = self.run
        return {
            "sync_run_id": run.sync_run_id,
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "task_id": run.task_id,
            "map_index": run.map_index,
            "try_number": run.try_number,
        }

    def _bound(self) -> dict[str, Any]:
        binding = self.binding
        return {
            "sync_id": binding.sync_id,
            "destination": binding.destination,
            "destination_host": binding.destination_host,
            "destination_object": binding.destination_object,
        }

    def _fresh_mark(self, given: Given) -> dict[str, Any]:
        return {
            **self._bound(),
            **{name: given(name) for name in MARKED},
            **self._written_by(),
            "status": Status.SENDING.value,
            "batch_started_at": now(self.flavour),
        }

    def _mark(self, given: Given) -> dict[str, Any]:
        return {
            **{name: given(name) for name in MARKED if name != "record_identifier"},
            **self._written_by(),
            **dict.fromkeys(CLEARED + VERDICT, null()),
            "status": Status.SENDING.value,
            "batch_started_at": now(self.flavour),
            "batch_completed_at": null(),
        }

    def _answer(self, given: Given) -> dict[str, Any]:
        values = {name: given(name) for name in ANSWERED if name not in {"record_identifier", "batch_id", "attempts"}}
        values["attempts"] = self._most_attempts(given)
        values["batch_completed_at"] = now(self.flavour)
        values |= dict.fromkeys(VERDICT, null())
        if self.store != "all":
            succeeded = given("status") == Status.SUCCEEDED.value
            kept = case((succeeded, null()), else_=self.table.c.record_payload)
            values["record_payload"] = null() if self.store == "never" else kept
        return values

    def _fresh_note(self, given: Given) -> dict[str, Any]:
        return {
            **self._bound(),
            **{name: given(name) for name in NOTED},
            **self._written_by(),
            "batch_completed_at": now(self.flavour),
        }

    def _note(self, given: Given) -> dict[str, Any]:
        return {
            **{name: given(name) for name in NOTED if name != "record_identifier"},
            **self._written_by(),
            **dict.fromkeys(VERDICT, null()),
            "attempts": self._most_attempts(given),
            "batch_completed_at": now(self.flavour),
        }

    def _most_attempts(self, given: Given) -> ColumnElement[int]:
        kept = self.table.c.attempts
        return case((given("attempts") > kept, given("attempts")), else_=func.coalesce(kept, given("attempts")))

"""Rows into the outcome table, in bulk where the database can."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect  # noqa: TID253  # imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.sql.bound_statement import Prepared
from airflow_provider_contacts.ledgers.sql.bulk_rows import ROWS, document_of, parameter
from airflow_provider_contacts.ledgers.sql.db_errors import refused
from airflow_provider_contacts.ledgers.sql.rows import Row
from airflow_provider_contacts.ledgers.sql.statements import (
    ANSWERED,
    DOUBTFUL,
    MARKED,
    NOTED,
    READ,
    Statements,
)
from airflow_provider_contacts.outcome import Status

Write = Callable[[Connection, Sequence[Row]], Collection[str]]


class Writer(Protocol):
    """How rows reach the table. Each method returns the identifiers that were written."""

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""


def writer_for(statements: Statements, dialect: Dialect) -> Writer:
    """Return the writer for a ledger's database."""
    kinds: Mapping[str, Callable[[Statements, Dialect], Writer]] = {"postgresql": BulkWriter, "sqlite": CountingWriter}
    return kinds.get(statements.flavour, RowWriter)(statements, dialect)


def split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the marks of records that had no row, and those of records that had one."""
    absent = [row for row in rows if row["read_status"] is None]
    return absent, [row for row in rows if row["read_status"] is not None]


def is_due(row: Row, batch_id: str | None, status: str | None) -> bool:
    """Tell whether an answer may be written; says what the statement itself says, to know which rows it writes."""
    return batch_id == row["batch_id"] and (
        status in {*DOUBTFUL, row["status"]} or row["status"] == Status.SUCCEEDED.value
    )


class BulkWriter:
    """All rows in one statement, which tells what it wrote (PostgreSQL)."""

    def __init__(self, statements: Statements, dialect: Dialect) -> None:
        self._insert_marks = Bulk(statements, statements.insert_marks, MARKED, dialect)
        self._renew_marks = Bulk(statements, statements.renew_marks, MARKED + READ, dialect)
        self._settle = Bulk(statements, statements.settle, ANSWERED, dialect)
        self._weaken = Bulk(statements, statements.weaken, NOTED, dialect)
        self._insert_notes = Bulk(statements, statements.insert_notes, NOTED, dialect)

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        return self._insert_marks.written(connection, absent) | self._renew_marks.written(connection, present)

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        return self._settle.written(connection, rows)

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""
        return self._weaken.written(connection, rows) | self._insert_notes.written(connection, rows)


class Bulk:
    """One statement for all rows of a call.

    :param fields: of a row that the statement takes.
    """

    def __init__(
        self, statements: Statements, statement: ClauseElement, fields: tuple[str, ...], dialect: Dialect
    ) -> None:
        self._fields = fields
        self._sync_id = statements.binding.sync_id
        self._flavour = statements.flavour
        self._statement = Prepared(statement, dialect, {parameter(ROWS): ROWS})

    def written(self, connection: Connection, rows: Sequence[Row]) -> set[str]:
        """Run it; return the identifiers that it wrote."""
        return set(self._run(connection, rows).scalars()) if rows else set()

    def count(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Run it; return how many rows it wrote."""
        return self._run(connection, rows).rowcount if rows else 0

    def _run(self, connection: Connection, rows: Sequence[Row]) -> CursorResult[Any]:
        document = document_of(self._fields, rows, self._sync_id, self._flavour)
        return self._statement.query(connection, {ROWS: document})


class RowWriter:
    """A statement a row (MySQL, MariaDB)."""

    def __init__(self, statements: Statements, dialect: Dialect) -> None:
        fields = {parameter(name): name for name in {*MARKED, *READ, *NOTED}}
        self._insert_marks = Prepared(statements.insert_marks, dialect, fields)
        self._renew_marks = Prepared(statements.renew_marks, dialect, fields)
        self._settle = Prepared(statements.settle, dialect, fields)
        self._weaken = Prepared(statements.weaken, dialect, fields)
        self._insert_notes = Prepared(statements.insert_notes, dialect, fields)
        self._current = Current(statements)

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        self._insert_marks.run(connection, absent)
        self._renew_marks.run(connection, present)
        return self._current.marked(connection, rows)

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        current = self._current.read(connection, rows, lock=True)
        due = [row for row in rows if is_due(row, *current.get(row["record_identifier"], (None, None)))]
        self._settle.run(connection, due)
        return [row["record_identifier"] for row in due]

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""
        self._weaken.run(connection, rows)
        self._insert_notes.run(connection, rows)
        return ()


class CountingWriter(BulkWriter):
    """All rows in one statement, of which only the number written is known (SQLite).

    It would tell them one by one, and take back Python's lock for each: nearly always it wrote all of them.
    """

    def __init__(self, statements: Statements, dialect: Dialect) -> None:
        super().__init__(statements, dialect)
        self._current = Current(statements)

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        written = self._insert_marks.count(connection, absent) + self._renew_marks.count(connection, present)
        return every(rows) if written == len(rows) else self._current.marked(connection, rows)

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        if self._settle.count(connection, rows) == len(rows):
            return every(rows)
        # A row that waits takes the answer, and one that does not keeps another: what is there now tells which.
        return self._current.holding(connection, rows)

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""
        self._weaken.count(connection, rows)
        self._insert_notes.count(connection, rows)
        return ()


class Current:
    """What the table holds now of some rows."""

    def __init__(self, statements: Statements) -> None:
        columns = statements.table.c
        self._keys = statements.keys
        self._query = statements.rows_of(columns.record_identifier, columns.batch_id, columns.status)

    def read(self, connection: Connection, rows: Sequence[Row], *, lock: bool = False) -> dict[str, tuple[Any, Any]]:
        """Return batch and status by identifier.

        :param lock: until the transaction ends.
        """
        query = self._query.with_for_update() if lock else self._query
        found = connection.execute(query, self._keys(every(rows)))
        return {identifier: (batch_id, status) for identifier, batch_id, status in found}

    def marked(self, connection: Connection, rows: Sequence[Row]) -> list[str]:
        """Return the rows that carry the mark given."""
        return self.holding(connection, [{**row, "status": Status.SENDING.value} for row in rows])

    def holding(self, connection: Connection, rows: Sequence[Row]) -> list[str]:
        """Return the rows that the table holds with the batch and the status given."""
        current = self.read(connection, rows)
        return [
            row["record_identifier"]
            for row in rows
            if current.get(row["record_identifier"]) == (row["batch_id"], row["status"])
        ]


def every(rows: Sequence[Row]) -> list[str]:
    """Return the identifiers of all rows."""
    return [row["record_identifier"] for row in rows]


def one_by_one(
    connection: Connection, rows: Sequence[Row], write: Write, shorten: Callable[[Row], tuple[Row, ...]]
) -> frozenset[str]:
    """Write rows each for itself, and what is refused once more in ever shorter forms.

    :param shorten: a row's forms, the whole first.
    """
    return frozenset(one for row in rows for one in write_shorter(connection, shorten(row), write))


def write_shorter(connection: Connection, forms: Sequence[Row], write: Write) -> Collection[str]:
    """Write the first form of a row that the database takes; the last one's refusal is raised."""
    for form in forms[:-1]:
        try:
            with connection.begin_nested():
                return write(connection, [form])
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            if not refused(error):
                raise
    return write(connection, forms[-1:])

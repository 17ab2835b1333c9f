"""Rows into the outcome table, in bulk where the database can."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Executable  # noqa: TID253  # imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.core.outcome import Status
from airflow_provider_contacts.ledgers.prepared import Prepared
from airflow_provider_contacts.ledgers.rows import Row
from airflow_provider_contacts.ledgers.statements import (
    ANSWERED,
    DOUBTFUL,
    MARKED,
    NOTED,
    READ,
    Statements,
    parameter,
)
from airflow_provider_contacts.ledgers.trouble import refused

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
    if statements.bulk:
        return ArrayWriter(statements)
    return CountingWriter(statements, dialect) if statements.flavour == "sqlite" else RowWriter(statements, dialect)


def split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the marks of records that had no row, and those of records that had one."""
    absent = [row for row in rows if row["read_status"] is None]
    return absent, [row for row in rows if row["read_status"] is not None]


def is_due(row: Row, batch_id: str | None, status: str | None) -> bool:
    """Tell whether an answer may be written; says what the statement itself says, to know which rows it writes."""
    return batch_id == row["batch_id"] and (
        status in {*DOUBTFUL, row["status"]} or row["status"] == Status.SUCCEEDED.value
    )


class ArrayWriter:
    """All rows in one statement (PostgreSQL)."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        inserted = self._run(connection, self._statements.insert_marks, MARKED, absent)
        return inserted | self._run(connection, self._statements.renew_marks, MARKED + READ, present)

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        return self._run(connection, self._statements.settle, ANSWERED, rows)

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""
        written = self._run(connection, self._statements.weaken, NOTED, rows)
        return written | self._run(connection, self._statements.insert_notes, NOTED, rows)

    def _run(
        self, connection: Connection, statement: Executable, fields: tuple[str, ...], rows: Sequence[Row]
    ) -> set[str]:
        if not rows:
            return set()
        arrays = {parameter(name): [row[name] for row in rows] for name in fields}
        return set(connection.execute(statement, arrays).scalars())


class RowWriter:
    """A statement a row (SQLite, MySQL, MariaDB)."""

    def __init__(self, statements: Statements, dialect: Dialect) -> None:
        fields = {parameter(name): name for name in {*MARKED, *READ, *NOTED}}
        # SQLite takes a tenth longer for every row whose constants it is handed; of the others, the spelling of texts
        # is a setting.
        prepared = partial(Prepared, dialect=dialect, fields=fields, spelled=statements.flavour == "sqlite")
        self._insert_marks = prepared(statements.insert_marks)
        self._renew_marks = prepared(statements.renew_marks)
        self._settle = prepared(statements.settle)
        self._weaken = prepared(statements.weaken)
        self._insert_notes = prepared(statements.insert_notes)
        columns = statements.table.c
        self._keys = statements.keys
        self._current = statements.rows_of(columns.record_identifier, columns.batch_id, columns.status)

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        self._insert_marks.run(connection, absent)
        self._renew_marks.run(connection, present)
        return self._marked(connection, rows)

    def _marked(self, connection: Connection, rows: Sequence[Row]) -> list[str]:
        return self._holding(connection, [{**row, "status": Status.SENDING.value} for row in rows])

    def _holding(self, connection: Connection, rows: Sequence[Row]) -> list[str]:
        """Return the rows that the table holds with the batch and the status given."""
        current = self._read(connection, rows)
        return [
            row["record_identifier"]
            for row in rows
            if current.get(row["record_identifier"]) == (row["batch_id"], row["status"])
        ]

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        current = self._read(connection, rows, lock=True)
        due = [row for row in rows if is_due(row, *current.get(row["record_identifier"], (None, None)))]
        self._settle.run(connection, due)
        return [row["record_identifier"] for row in due]

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands."""
        self._weaken.run(connection, rows)
        self._insert_notes.run(connection, rows)
        return ()

    def _read(self, connection: Connection, rows: Sequence[Row], *, lock: bool = False) -> dict[str, tuple[Any, Any]]:
        query = self._current.with_for_update() if lock else self._current
        found = connection.execute(query, self._keys(every(rows)))
        return {identifier: (batch_id, status) for identifier, batch_id, status in found}


class CountingWriter(RowWriter):
    """A statement a row, where the driver counts what was written: nearly always nothing must be read (SQLite)."""

    def claim(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Insert or renew marks, where the row is still as it was read."""
        absent, present = split(rows)
        written = self._insert_marks.run(connection, absent) + self._renew_marks.run(connection, present)
        return every(rows) if written == len(rows) else self._marked(connection, rows)

    def settle(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the row waits for them."""
        if self._settle.run(connection, rows) == len(rows):
            return every(rows)
        # A row that waits takes the answer, and one that does not keeps another: what is there now tells which.
        return self._holding(connection, rows)


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

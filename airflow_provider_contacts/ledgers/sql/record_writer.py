"""Rows into the tables of batches and records, each write in the one order in which everybody locks.

Batches come first, in the order of their numbers; then all insertions and then all updates of records, each in the
order of their identifiers. Two that write at once thus wait for each other rather than block each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection, Dialect  # noqa: TID253  # imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.sql.db_errors import refused
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks
from airflow_provider_contacts.ledgers.sql.rows import IDENTIFIER
from airflow_provider_contacts.ledgers.sql.statements import (
    ANSWER,
    CLAIM,
    DOUBTFUL,
    RECORD,
    Row,
    Statements,
)
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status

log = logging.getLogger(__name__)

Write = Callable[[Connection, Sequence[Row]], Collection[str]]

READ_STATUS = CLAIM.index("read_status")
BATCH_NO = RECORD.index("batch_no")
ANSWER_STATUS = ANSWER.index("status")


class RecordWriter:
    """Writes claims, answers and notes, and tells which of them were written.

    PostgreSQL and SQLite count what they write; only where the count differs, the rows are read. The drivers of MySQL
    and MariaDB count an insertion that was lost as one: there, the rows are always read.

    :param store: the payload policy.
    """

    def __init__(self, tables: Tables, dialect: Dialect, store: str) -> None:
        records = tables.records.c
        self._table = tables.records.fullname
        self._counts = tables.flavour in {"sqlite", "postgresql"}
        self._statements = Statements(tables, dialect, store)
        self._current = Lookup(tables, (records.record_identifier, records.batch_no, records.status), alone=True)

    def batches(
        self, connection: Connection, run_no: int, claims: Sequence[Row], answers: Sequence[tuple[int, int | None]]
    ) -> None:
        """Write which batches have been answered, and insert those that begin.

        :param answers: number and HTTP status of batches.
        """
        self._statements.answer_batches.run(connection, sorted(answers))
        new = sorted({row[BATCH_NO] for row in claims})
        self._statements.insert_batches.run(connection, [(number, run_no) for number in new])

    def insert(self, connection: Connection, claims: Sequence[Row]) -> int:
        """Claim records that were absent; return how many of them were."""
        return self._statements.insert_records.run(connection, [row for row in claims if row[READ_STATUS] is None])

    def move(self, connection: Connection, claims: Sequence[Row], inserted: int) -> Collection[str]:
        """Claim records that are still as they were read; return all that were claimed.

        :param claims: in the order of ``statements.CLAIM``; all of the transaction.
        :param inserted: how many of them :meth:`insert` has written.
        """
        present = [row for row in claims if row[READ_STATUS] is not None]
        written = inserted + self._statements.move_records.run(connection, present)
        if self._counts and written == len(claims):
            return every(claims)
        return self._claimed(connection, claims)

    def unchanged(self, connection: Connection, claims: Sequence[Row]) -> frozenset[str]:
        """Return those of the claims that stand as they were written, also after the commit."""
        standing = frozenset(self._claimed(connection, claims))
        if len(standing) < len(claims):
            changed, table = len(claims) - len(standing), self._table
            log.warning("%s records are not sent: a trigger or rule of %s changes their marks", changed, table)
        return standing

    def _claimed(self, connection: Connection, claims: Sequence[Row]) -> Collection[str]:
        return self._holding(connection, claims, [(row[BATCH_NO], Status.SENDING.value) for row in claims])

    def answer(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write answers, where the record waits for them.

        :param rows: in the order of ``statements.ANSWER``.
        """
        if not self._counts:
            rows = self._due(connection, rows)
            self._statements.answer_records.run(connection, rows)
            return every(rows)
        if self._statements.answer_records.run(connection, rows) == len(rows):
            return every(rows)
        # A record that waits takes the answer, and one that does not keeps another: what is there now tells which.
        return self._holding(connection, rows, [(row[BATCH_NO], row[ANSWER_STATUS]) for row in rows])

    def begin_notes(self, connection: Connection, batch_no: int, run_no: int) -> None:
        """Insert the batch of records that were never sent."""
        self._statements.insert_note_batch.run(connection, [(batch_no, run_no)])

    def note(self, connection: Connection, rows: Sequence[Row]) -> Collection[str]:
        """Write weak outcomes, where nothing stronger stands; return nothing.

        :param rows: in the order of ``statements.RECORD``.
        """
        self._statements.insert_records.run(connection, rows)
        self._statements.weaken_records.run(connection, rows)
        return ()

    def _read(self, connection: Connection, rows: Sequence[Row], *, lock: bool) -> dict[str, tuple[int, str | None]]:
        """Return batch and status of what is there now, by identifier."""
        found = (self._current.run(connection, some[0][0], every(some), lock=lock) for some in chunks(rows))
        return {row.record_identifier: (row.batch_no, row.status) for some in found for row in some}

    def _holding(
        self, connection: Connection, rows: Sequence[Row], wanted: Sequence[tuple[int, str]]
    ) -> Collection[str]:
        """Return the records that have the batch and the status wanted."""
        current = self._read(connection, rows, lock=False)
        return [name for name, one in zip(every(rows), wanted, strict=True) if current.get(name) == one]

    def _due(self, connection: Connection, rows: Sequence[Row]) -> list[Row]:
        """Return the answers that may be written, and lock their records: says what the statement itself says."""
        current = self._read(connection, rows, lock=True)
        due = []
        for row in rows:
            batch_no, status = current.get(row[1], (None, None))
            new = row[ANSWER_STATUS]
            if batch_no == row[BATCH_NO] and (status in {*DOUBTFUL, new} or new == Status.SUCCEEDED.value):
                due.append(row)
        return due


def every(rows: Sequence[Row]) -> list[str]:
    """Return the identifiers of all rows."""
    return list(map(IDENTIFIER, rows))


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

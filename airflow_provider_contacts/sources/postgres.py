"""PostgreSQL: a result that stays at the server, in a transaction that may last as long as the vendor takes."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow_provider_contacts.sources.link import Link, Read

log = logging.getLogger(__name__)


class Postgres(Link):
    """What both drivers of PostgreSQL share: a server-side cursor in a transaction that may last."""

    def prepare(self) -> None:
        """Let the transaction last as long as the push, as far as its limits are the user's to change."""
        self.make_read_only()
        cursor = self.plain_cursor()
        try:
            # Until the end of the transaction: a pooler hands the session on as it was.
            cursor.execute(
                "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN "
                "('idle_in_transaction_session_timeout', 'transaction_timeout') AND setting <> '0'"
            )
            cursor.fetchall()
        except Exception as error:  # noqa: BLE001  # a database that only speaks PostgreSQL's protocol
            self.connection.rollback()
            log.warning(
                "%s: the session's time limits cannot be read (%s); where the vendor is slower than they allow, the "
                "database ends the query",
                self.origin,
                type(error).__name__,
            )
        finally:
            cursor.close()

    def make_read_only(self) -> None:
        """Let the query write nothing."""

    def plain_cursor(self) -> Any:
        """Return a cursor that gives tuples."""

    def refused_whole(self, error: BaseException) -> bool:
        """Tell whether the server gave none of the rows."""
        return isinstance(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None), str)


class Psycopg(Postgres):
    """psycopg: a chunk whose values cannot be converted is there, and read row by row."""

    def make_read_only(self) -> None:
        """Let the query write nothing."""
        self.connection.read_only = True

    def plain_cursor(self) -> Any:
        """Return a cursor that gives tuples."""
        return self.connection.cursor(row_factory=import_module("psycopg.rows").tuple_row)

    def open_cursor(self) -> Any:
        """Return a server-side cursor."""
        return self.connection.cursor(f"contacts_{uuid4().hex}", row_factory=import_module("psycopg.rows").tuple_row)

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        before = self.cursor.pgresult
        try:
            return super().read(size)
        except Exception as error:  # noqa: BLE001  # whatever the conversion raises
            failure = error
        if self.cursor.pgresult is before:
            return [], failure, None
        return self.converted(failure)

    def converted(self, failure: BaseException) -> Read:
        """Return the rows of a chunk before the one that cannot be converted."""
        result = self.cursor.pgresult
        transformer = import_module("psycopg.adapt").Transformer(self.cursor)
        transformer.set_pgresult(result)
        rows: list[Any] = []
        for place in range(result.ntuples):
            try:
                rows.append(transformer.load_row(place, tuple))
            except Exception as error:  # noqa: BLE001  # likewise
                return rows, error, self.bad_column(transformer, result, place)
        return rows, failure, None

    def bad_column(self, transformer: Any, result: Any, place: int) -> str | None:
        """Return the column of a row that cannot be converted."""
        for index, column in enumerate(self.cursor.description or ()):
            value = result.get_value(place, index)
            try:
                if value is not None:
                    transformer.get_loader(result.ftype(index), result.fformat(index)).load(value)
            except Exception:  # noqa: BLE001  # likewise
                return str(column[0])
        return None

    def cancel(self) -> None:
        """End the query."""
        cancel = getattr(self.connection, "cancel_safe", self.connection.cancel)
        cancel()


class Psycopg2(Postgres):
    """psycopg2: tells the columns with the first rows, and converts a chunk row by row only when iterated."""

    def make_read_only(self) -> None:
        """Let the query write nothing."""
        self.connection.readonly = True

    def plain_cursor(self) -> Any:
        """Return a cursor that gives tuples."""
        return self.connection.cursor(cursor_factory=import_module("psycopg2.extensions").cursor)

    def open_cursor(self) -> Any:
        """Return a server-side cursor."""
        plain = import_module("psycopg2.extensions").cursor
        return self.connection.cursor(f"contacts_{uuid4().hex}", cursor_factory=plain)

    def first(self, chunk_size: int) -> Read | None:
        """Return the first rows, which bring the columns along."""
        found = self.read(chunk_size)
        if found[1] is not None and not self.cursor.description:
            raise found[1]
        return found

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        self.cursor.itersize = size
        return self.one_by_one(size, lambda: next(self.cursor, None))

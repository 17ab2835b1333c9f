"""PostgreSQL: a result that stays at the server, in a transaction that may last as long as the vendor takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow_provider_contacts.sources.driver_connection import Link, Read

log = logging.getLogger(__name__)


SAVEPOINT = "contacts_rows"

MOMENTS = {1082: "PYDATE", 1083: "PYTIME", 1114: "PYDATETIME", 1184: "PYDATETIMETZ", 1266: "PYTIME"}
"""The database's numbers of its types of moments, and how psycopg2 reads them."""


def exact(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a reader that refuses ``infinity``, which psycopg2 takes for the year 9999 or 1, and 24 o'clock."""

    def found(text: str | None, cursor: Any) -> Any:
        if text is not None and (text.endswith("infinity") or text.startswith("24:")):
            raise ValueError("Python has no such moment")
        return read(text, cursor)

    return found


class Postgres(Link):
    """Shared by both drivers of PostgreSQL: a server-side cursor in a transaction that may last."""

    saved = False
    query: tuple[Any, ...] = ()
    count = 0

    def prepare(self) -> None:
        """Let the transaction last as long as the push, as far as its limits are the user's to change."""
        self.make_read_only()
        cursor = self.plain_cursor()
        try:
            # Until the end of the transaction: a pooler hands the session on as it was.
            cursor.execute(
                "SELECT set_config(name, CASE name WHEN 'synchronize_seqscans' THEN 'off' ELSE '0' END, true) "
                "FROM pg_settings WHERE name IN "
                "('idle_in_transaction_session_timeout', 'transaction_timeout', 'synchronize_seqscans')"
            )
            cursor.fetchall()
            cursor.execute(f"SAVEPOINT {SAVEPOINT}")
            self.saved = True
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
        """Let the query write nothing, and see one moment throughout."""

    def plain_cursor(self) -> Any:
        """Return a cursor that gives tuples."""

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Read | None:
        """Run the query; return the first rows where the columns are not known before them."""
        self.query = (sql, parameters) if parameters else (sql,)
        return super().execute(sql, parameters, chunk_size)

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        found = self.read_chunk(size)
        if size > 1 and self.saved and self.refused_whole(found[1]):
            found = self.read_slowly(size, found[1])
        self.count += len(found[0])
        return found

    def read_chunk(self, size: int) -> Read:
        """Return up to so many rows, or none where the server refuses one of them."""
        return super().read(size)

    def read_slowly(self, size: int, failure: BaseException | None) -> Read:
        """Return the rows before the one that the server refuses: of a fetch it gives all or none.

        The query runs once more, in the same transaction and of the same moment, and every row is fetched by itself.
        """
        try:
            self.cursor.close()
            self.plain_cursor().execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            self.cursor = self.open_cursor()
            self.cursor.execute(*self.query)
            if self.count:
                self.cursor.scroll(self.count)
        except Exception:  # noqa: BLE001  # the connection is lost, say: the first error tells
            return [], failure, None
        self.saved = False
        return self.one_by_one(size, self.cursor.fetchone)

    def refused_whole(self, error: BaseException | None) -> bool:
        """Tell whether the server gave none of the rows."""
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        return isinstance(state, str) and self.saved


class Psycopg(Postgres):
    """psycopg: a chunk whose values cannot be converted is there, and read row by row."""

    def make_read_only(self) -> None:
        """Let the query write nothing, and see one moment throughout."""
        self.connection.read_only = True
        self.connection.isolation_level = import_module("psycopg").IsolationLevel.REPEATABLE_READ

    def plain_cursor(self) -> Any:
        """Return a cursor that gives tuples."""
        return self.connection.cursor(row_factory=import_module("psycopg.rows").tuple_row)

    def open_cursor(self) -> Any:
        """Return a server-side cursor."""
        return self.connection.cursor(f"contacts_{uuid4().hex}", row_factory=import_module("psycopg.rows").tuple_row)

    def read_chunk(self, size: int) -> Read:
        """Return up to so many rows."""
        before = self.cursor.pgresult
        try:
            return super().read_chunk(size)
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

    described: Sequence[Any] | None = None

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns, which the driver forgets with an error."""
        return self.cursor.description or self.described

    def one_by_one(self, size: int, fetch: Callable[[], Any]) -> Read:
        """Return up to so many rows, those before a bad one included."""

        def noted() -> Any:
            row = fetch()
            self.described = self.cursor.description or self.described
            return row

        return super().one_by_one(size, noted)

    def make_read_only(self) -> None:
        """Let the query write nothing, and see one moment throughout."""
        self.connection.readonly = True
        self.connection.isolation_level = import_module("psycopg2.extensions").ISOLATION_LEVEL_REPEATABLE_READ

    def prepare(self) -> None:
        """Besides, refuse the moments that Python lacks, for which the driver gives other ones without a word."""
        extensions = import_module("psycopg2.extensions")
        for number, name in MOMENTS.items():
            read = exact(getattr(extensions, name))
            extensions.register_type(extensions.new_type((number,), name, read), self.connection)
        super().prepare()

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
        if found[1] is not None and not self.description:
            raise found[1]
        return found

    def read_chunk(self, size: int) -> Read:
        """Return up to so many rows."""
        self.cursor.itersize = size
        return self.one_by_one(size, lambda: next(self.cursor, None))

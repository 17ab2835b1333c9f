"""One connection that is read, for any driver; the modules of the drivers hold the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from airflow_provider_contacts.sources.driver_errors import column_told


class Chunk(NamedTuple):
    """Rows, the error that ended them, and the column that it is about."""

    rows: Sequence[Any]
    error: BaseException | None = None
    column: str | None = None


class Link:
    """One connection and its cursor. Every method but :meth:`cancel` is for one thread.

    :param origin: names the source in the log.
    """

    reads_ahead = False
    """Whether the driver fetches the next row before it returns one, and loses that one when the fetch fails."""

    def __init__(self, connection: Any, hook: Any, origin: str) -> None:
        self.connection = connection
        self.hook = hook
        self.origin = origin
        self.cursor: Any = None
        self.exhausted = False

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns of the result, once they are known."""
        found: Sequence[Any] | None = self.cursor.description
        return found

    def prepare(self) -> None:
        """Set up the session for a long reading."""

    def open_cursor(self) -> Any:
        """Return a cursor that leaves the result at the server where the driver has one."""
        return self.connection.cursor()

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Chunk | None:  # noqa: ARG002  # for psycopg2
        """Run the query; return the first rows where the columns are not known before them."""
        self.cursor = self.open_cursor()
        self.cursor.execute(sql, *([parameters] if parameters else []))
        return None

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows."""
        return Chunk(self.cursor.fetchmany(size))

    def row_by_row(self, size: int, fetched: Iterator[Any]) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        rows: list[Any] = []
        try:
            # Keeps what comes before an error.
            rows.extend(islice(fetched, size))
        except Exception as error:  # noqa: BLE001  # whatever the driver raises for a row
            names = tuple(column[0] for column in self.cursor.description or ())
            return Chunk(rows, error, column_told(error, names))
        self.exhausted = len(rows) < size
        return Chunk(rows)

    def suspects(self, failed: Chunk, size: int) -> int:  # noqa: ARG002  # of a fetch that gives all or none
        """Return how many of the next rows may be the one that cannot be read."""
        return 2 if self.reads_ahead and failed.column is None else 1

    def cancel(self) -> None:
        """End what the connection is doing; called from another thread."""
        for one, name in ((self.connection, "cancel"), (self.connection, "interrupt"), (self.cursor, "cancel")):
            if callable(found := getattr(one, name, None)):
                found()
                return

    def close(self) -> None:
        """Close cursor and connection."""
        try:
            if self.cursor is not None:
                self.cursor.close()
        finally:
            self.connection.close()


class Sqlite(Link):
    """sqlite3; the database may be the one with the outcome table."""

    reads_ahead = True

    def prepare(self) -> None:
        """Make the connection read-only."""
        self.connection.execute("PRAGMA query_only = ON")

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        return self.row_by_row(size, self.cursor)

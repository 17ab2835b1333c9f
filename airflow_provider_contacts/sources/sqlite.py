"""SQLite: a row is read when it is asked for, and Python's driver looks one row ahead."""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.sources.driver_connection import Link, Read


class Sqlite(Link):
    """sqlite3, read-only; the database may be the one with the outcome table."""

    def prepare(self) -> None:
        """Let the query write nothing."""
        self.connection.execute("PRAGMA query_only = ON")
        self.count = 0
        self.query: tuple[Any, ...] = ()
        self.last: Any = None

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Read | None:
        """Run the query."""
        self.query = (sql, parameters) if parameters else (sql,)
        return super().execute(sql, parameters, chunk_size)

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        rows, error, column = self.one_by_one(size, lambda: next(self.cursor, None))
        self.last = rows[-1] if rows else self.last
        self.count += len(rows)
        if error is not None and column is None:
            rows = [*rows, *self.swallowed()]
        return rows, error, column

    def swallowed(self) -> list[Any]:
        """Return the row that is lost with the error of the one behind it, which the driver reads before it is wanted.

        It is asked for anew, together with the row before it: unless that is the one that was read last, the rows come
        in another order now, and nothing is certain.
        """
        text = str(self.query[0]).rstrip().rstrip(";")
        known = min(self.count, 1)
        try:
            again = self.connection.execute(
                f"SELECT * FROM (\n{text}\n) LIMIT {known + 1} OFFSET {self.count - known}",  # noqa: S608  # the user's own query
                *self.query[1:],
            ).fetchall()
        except Exception:  # noqa: BLE001  # it was the row itself that failed
            return []
        return again[known:] if len(again) == known + 1 and (not known or again[0] == self.last) else []

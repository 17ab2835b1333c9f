"""One connection that is read, whatever its driver: what the drivers do differently is in the modules beside this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_contacts.sources.driver_errors import column_told

Read = tuple[Sequence[Any], BaseException | None, str | None]
"""Rows, the error that ended them, and the column that it is about."""


class Link:
    """One connection and its cursor, by whatever driver. Every method but :meth:`cancel` is for one thread.

    :param origin: names the source in the log.
    """

    def __init__(self, connection: Any, hook: Any, origin: str) -> None:
        self.connection = connection
        self.hook = hook
        self.origin = origin
        self.cursor: Any = None
        self.exhausted = False

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns of the result, once it is there."""
        found: Sequence[Any] | None = self.cursor.description
        return found

    def prepare(self) -> None:
        """Make the session fit for a long reading."""

    def open_cursor(self) -> Any:
        """Return a cursor that leaves the result at the server, where the driver's plain one would not."""
        return self.connection.cursor()

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Read | None:
        """Run the query; return the first rows where the columns are not known before them."""
        self.cursor = self.open_cursor()
        if parameters:
            self.cursor.execute(sql, parameters)
        else:
            self.cursor.execute(sql)
        return None if self.cursor.description else self.first(chunk_size)

    def first(self, chunk_size: int) -> Read | None:  # noqa: ARG002  # where a driver describes late
        """Return the first rows, if only they tell the columns."""
        return None

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        chunk = self.cursor.fetchmany(size)
        self.exhausted = not chunk
        return chunk, None, None

    def refused_whole(self, error: BaseException) -> bool:  # noqa: ARG002  # where a driver tells
        """Tell whether a failed reading gave none of its rows, good ones included."""
        return False

    def cancel(self) -> None:
        """End what the connection is doing; called from another thread."""
        for one, name in ((self.connection, "cancel"), (self.connection, "interrupt"), (self.cursor, "cancel")):
            if callable(found := getattr(one, name, None)):
                found()
                return

    def close(self) -> None:
        """Let go of cursor and connection."""
        try:
            if self.cursor is not None:
                self.cursor.close()
        finally:
            self.connection.close()

    def one_by_one(self, size: int, fetch: Callable[[], Any]) -> Read:
        """Return up to so many rows, those before a bad one included."""
        rows: list[Any] = []
        try:
            while len(rows) < size and (row := fetch()) is not None:
                rows.append(row)
        except Exception as error:  # noqa: BLE001  # whatever the driver raises for a row
            names = tuple(column[0] for column in self.cursor.description or ())
            return rows, error, column_told(error, names)
        self.exhausted = len(rows) < size
        return rows, None, None

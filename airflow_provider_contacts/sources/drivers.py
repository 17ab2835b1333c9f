"""What the drivers do differently: leave a result at the server, stop at one bad row, cancel, and keep a session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow_provider_contacts.sources.trouble import column_told

log = logging.getLogger(__name__)

Read = tuple[Sequence[Any], BaseException | None, str | None]
"""Rows, the error that ended them, and the column that it is about."""

LONGEST_PUSH = 7 * 24 * 3600
"""Seconds for which a session must outlive a vendor that takes its time."""


def link_of(hook: Any, origin: str) -> Link:
    """Connect, and return the connection as its driver wants to be treated."""
    connection = hook.get_conn()
    try:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)  # noqa: FBT003  # Airflow's signature
        link = LINKS.get(driver_of(connection), Link)(connection, hook, origin)
        link.prepare()
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    return link


def driver_of(connection: Any) -> str:
    """Return the top-level package of the driver whose connection this is, or derives from."""
    packages = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next((name for name in packages if name in LINKS), "")


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


class Sqlite(Link):
    """sqlite3: a row is read when it is asked for."""

    def prepare(self) -> None:
        """Let the query write nothing."""
        self.connection.execute("PRAGMA query_only = ON")

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        return self.one_by_one(size, lambda: next(self.cursor, None))


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


class MySql(Link):
    """mysqlclient, PyMySQL and MySQL's own driver: unbuffered; a session that waits for a slow reader."""

    drains = True
    """Whether closing a cursor reads what is left of its result, or refuses: then only the connection is closed."""

    def prepare(self) -> None:
        """Let the server wait for a reader that is as slow as the vendor."""
        try:
            self.connection.cursor().execute(
                f"SET SESSION net_write_timeout = GREATEST(@@SESSION.net_write_timeout, {LONGEST_PUSH}), "
                f"SESSION wait_timeout = GREATEST(@@SESSION.wait_timeout, {LONGEST_PUSH})"
            )
        except Exception as error:  # noqa: BLE001  # a proxy that lets nobody set anything
            log.warning(
                "%s: net_write_timeout cannot be set for the session (%s); where the vendor takes longer than that for "
                "the rows of one chunk, the server ends the query",
                self.origin,
                type(error).__name__,
            )

    def open_cursor(self) -> Any:
        """Return an unbuffered cursor."""
        driver = driver_of(self.connection)
        if driver == "mysql":
            return self.connection.cursor()
        return self.connection.cursor(import_module(f"{driver}.cursors").SSCursor)

    def read(self, size: int) -> Read:
        """Return up to so many rows."""
        if not hasattr(self.cursor, "fetchone"):
            return super().read(size)
        return self.one_by_one(size, self.cursor.fetchone)

    def cancel(self) -> None:
        """End the query over a second connection: the first one is busy with it."""
        number = getattr(self.connection, "thread_id", None) or getattr(self.connection, "connection_id", None)
        number = number() if callable(number) else number
        if isinstance(number, int):
            other = self.hook.get_conn()
            try:
                other.cursor().execute(f"KILL QUERY {number}")
            finally:
                other.close()

    def close(self) -> None:
        """Let go of the connection at once."""
        if not self.drains:
            if not self.exhausted:
                with suppress(Exception):
                    self.cancel()
            with suppress(Exception):
                self.cursor.close()
        self.connection.close()


class PyMySql(MySql):
    """PyMySQL: reads what is left of a result in any case, so the query is ended first."""

    drains = False


LINKS: Mapping[str, type[Link]] = {
    "MySQLdb": MySql,
    "mysql": MySql,
    "psycopg": Psycopg,
    "psycopg2": Psycopg2,
    "pymysql": PyMySql,
    "sqlite3": Sqlite,
}

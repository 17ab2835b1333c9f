"""One connection that is read: what every driver does alike, and what each one needs besides."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import Any
from uuid import uuid4

log = logging.getLogger(__name__)

LONGEST_PUSH = 7 * 24 * 3600
"""Seconds for which a session must outlive a slow vendor."""

MOMENTS = {1082: "PYDATE", 1083: "PYTIME", 1114: "PYDATETIME", 1184: "PYDATETIMETZ", 1266: "PYTIME"}
"""OIDs of PostgreSQL's date and time types, and psycopg2's name of their readers."""


class Link:
    """One connection and its cursor, for any driver. Every method but :meth:`cancel` is for one thread.

    :param origin: names the source in the log.
    """

    def __init__(self, connection: Any, hook: Any, origin: str) -> None:
        self.connection, self.hook, self.origin = connection, hook, origin
        self.cursor: Any = None

    def prepare(self) -> None:
        """Set up the session for a long reading."""

    def open_cursor(self) -> Any:
        """Return a cursor that leaves the result at the server where the driver has one."""
        return self.connection.cursor()

    def execute(self, sql: str, parameters: Any) -> None:
        """Run the query; its columns are in the cursor's description."""
        self.cursor = self.open_cursor()
        self.cursor.execute(sql, *([parameters] if parameters else []))

    def read(self, size: int, into: list[Any]) -> None:
        """Append up to ``size`` rows; if one fails, those before it where the driver can tell."""
        into.extend(self.cursor.fetchmany(size))

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

    def warn(self, limits: str, error: Exception) -> None:
        """Tell of time limits that the session keeps."""
        text = "%s: %s cannot be set for the session (%s); a vendor that is slower than they allow ends the query"
        log.warning(text, self.origin, limits, type(error).__name__)


class RowByRow(Link):
    """A driver that converts a row when it is asked for it."""

    def read(self, size: int, into: list[Any]) -> None:
        """Append up to ``size`` rows; if one fails, those before it."""
        into.extend(islice(self.cursor, size))


class Sqlite(RowByRow):
    """sqlite3; the database may be the one with the outcome table."""

    def prepare(self) -> None:
        """Make the connection read-only."""
        self.connection.execute("PRAGMA query_only = ON")


class MySqlConnector(RowByRow):
    """MySQL's own driver, whose plain cursor is unbuffered. A cursor that is closed reads the rest of its result."""

    def prepare(self) -> None:
        """Let the server wait for a reader that is as slow as the vendor."""
        # Known before it is needed: from another thread, mysqlclient tells nothing of a connection that is busy.
        self.number = self.session()
        try:
            self.connection.cursor().execute(
                # The cast is for MySQL, whose GREATEST of these is a decimal.
                f"SET SESSION net_write_timeout = CAST(GREATEST(@@net_write_timeout, {LONGEST_PUSH}) AS UNSIGNED), "
                f"SESSION wait_timeout = CAST(GREATEST(@@wait_timeout, {LONGEST_PUSH}) AS UNSIGNED)"
            )
        except Exception as error:  # noqa: BLE001  # a proxy that lets nobody set anything
            self.warn("net_write_timeout and wait_timeout", error)

    def session(self) -> int:
        """Return the server's number of the session."""
        return int(self.connection.connection_id)

    def cancel(self) -> None:
        """End the query over a second connection: the first one is busy with it."""
        other = self.hook.get_conn()
        try:
            other.cursor().execute(f"KILL QUERY {self.number}")
        finally:
            other.close()

    def close(self) -> None:
        """Close the connection alone, after ending a query that is not read to its end: C code reads the rest."""
        if getattr(self.connection, "unread_result", False):
            with suppress(Exception):  # closing then takes as long as the rest of the rows, and loses nothing
                self.cancel()
        self.connection.close()


class MySqlClient(MySqlConnector):
    """mysqlclient, whose plain cursor reads the whole result at once."""

    def open_cursor(self) -> Any:
        """Return an unbuffered cursor."""
        return self.connection.cursor(import_module("MySQLdb.cursors").SSCursor)

    def session(self) -> int:
        """Return the server's number of the session."""
        return int(self.connection.thread_id())


class Psycopg(Link):
    """psycopg: a server-side cursor in a transaction that may last."""

    read_only = "read_only"
    tuples = ("row_factory", "psycopg.rows", "tuple_row")
    """The cursor's parameter, and its value's module and name, that make rows tuples."""

    def prepare(self) -> None:
        """Make the transaction read-only, and lift the time limits that a user may lift."""
        setattr(self.connection, self.read_only, True)
        cursor = self.connection.cursor()
        try:
            # Until the end of the transaction: a pooler hands the session on as it was.
            cursor.execute(
                "SELECT set_config(name, '0', true) FROM pg_settings "
                "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
            cursor.fetchall()
        except Exception as error:  # noqa: BLE001  # a database that only speaks PostgreSQL's protocol
            self.connection.rollback()
            self.warn("time limits", error)
        finally:
            cursor.close()

    def open_cursor(self) -> Any:
        """Return a server-side cursor that gives tuples, whatever the connection asks for."""
        parameter, module, value = self.tuples
        factory = getattr(import_module(module), value)
        return self.connection.cursor(f"contacts_{uuid4().hex}", **{parameter: factory})


class Psycopg2(Psycopg):
    """psycopg2."""

    read_only = "readonly"
    tuples = ("cursor_factory", "psycopg2.extensions", "cursor")

    def prepare(self) -> None:
        """Besides, refuse moments that Python lacks, which the driver would change."""
        super().prepare()
        extensions = import_module("psycopg2.extensions")
        for number, name in MOMENTS.items():
            read = exact(getattr(extensions, name))
            extensions.register_type(extensions.new_type((number,), name, read), self.connection)

    def execute(self, sql: str, parameters: Any) -> None:
        """Run the query; only a fetch brings its columns."""
        super().execute(sql, parameters)
        self.cursor.fetchmany(0)

    def read(self, size: int, into: list[Any]) -> None:
        """Append up to ``size`` rows; if one fails, those before it."""
        self.cursor.itersize = size
        into.extend(islice(self.cursor, size))


def exact(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a reader that refuses ``infinity``, which psycopg2 takes for the year 9999 or 1, and 24 o'clock."""

    def found(text: str | None, cursor: Any) -> Any:
        if text is not None and (text.endswith("infinity") or text.startswith("24:")):
            raise ValueError("Python has no such moment")
        return read(text, cursor)

    return found


LINKS: dict[str, type[Link]] = {
    "MySQLdb": MySqlClient,
    "mysql": MySqlConnector,
    "psycopg": Psycopg,
    "psycopg2": Psycopg2,
    "sqlite3": Sqlite,
}
"""By the top-level package of a driver."""


def link_of(hook: Any, origin: str) -> Link:
    """Connect, and return the connection with what its driver needs; ``origin`` names the source in the log."""
    connection = hook.get_conn()
    try:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)  # noqa: FBT003  # Airflow's signature
        packages = [kind.__module__.partition(".")[0] for kind in type(connection).__mro__]
        link = next((LINKS[name] for name in packages if name in LINKS), Link)(connection, hook, origin)
        link.prepare()
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    return link

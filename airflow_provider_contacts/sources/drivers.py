"""One connection that is read: what every driver does alike, and what each one needs besides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple
from uuid import uuid4

log = logging.getLogger(__name__)

LONGEST_PUSH = 7 * 24 * 3600
"""Seconds for which a session must outlive a slow vendor."""

MOMENTS = {1082: "PYDATE", 1083: "PYTIME", 1114: "PYDATETIME", 1184: "PYDATETIMETZ", 1266: "PYTIME"}
"""OIDs of PostgreSQL's date and time types, and psycopg2's name of their readers."""


class Chunk(NamedTuple):
    """Rows, the error that ended them, and the column that it is about."""

    rows: Sequence[Any]
    error: BaseException | None = None
    column: str | None = None


class Link:
    """One connection and its cursor, for any driver. Every method but :meth:`cancel` is for one thread."""

    reads_ahead = (
        False  # the driver fetches the next row before it returns one, and loses that one when the fetch fails
    )

    def __init__(self, connection: Any, hook: Any, origin: str) -> None:
        self.connection = connection
        self.hook = hook
        self.origin = origin
        self.cursor: Any = None
        self.exhausted = False

    def description(self) -> Any:
        """Return the columns of the result, once they are known."""
        return self.cursor.description

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
        """Return up to ``size`` rows; if one fails, those before it where the driver can tell."""
        return Chunk(self.cursor.fetchmany(size))

    def row_by_row(self, size: int, fetched: Iterator[Any]) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        rows: list[Any] = []
        try:
            rows.extend(islice(fetched, size))  # keeps what comes before an error
        except Exception as error:  # noqa: BLE001  # whatever the driver raises for a row
            return Chunk(rows, error)
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
        """Return up to ``size`` rows; the text of an error may name a column of the query."""
        chunk = self.row_by_row(size, self.cursor)
        text = str(chunk.error)
        names = [column[0] for column in self.cursor.description or ()]
        return chunk._replace(column=next((name for name in names if f"column '{name}' with text" in text), None))


class MySql(Link):
    """mysqlclient. A cursor that is closed reads the rest of its result, so only the connection is closed."""

    driver = "MySQLdb"

    def prepare(self) -> None:
        """Let the server wait for a reader that is as slow as the vendor."""
        try:
            self.connection.cursor().execute(
                f"SET SESSION net_write_timeout = GREATEST(@@SESSION.net_write_timeout, {LONGEST_PUSH}), "
                f"SESSION wait_timeout = GREATEST(@@SESSION.wait_timeout, {LONGEST_PUSH})"
            )
        except Exception as error:  # noqa: BLE001  # a proxy that lets nobody set anything
            text = "%s: net_write_timeout cannot be set for the session (%s); a vendor slower than it ends the query"
            log.warning(text, self.origin, type(error).__name__)

    def open_cursor(self) -> Any:
        """Return an unbuffered cursor."""
        return self.connection.cursor(import_module(f"{self.driver}.cursors").SSCursor)

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        return self.row_by_row(size, iter(self.cursor.fetchone, None))

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
        """Close the connection alone."""
        self.connection.close()


class PyMySql(MySql):
    """PyMySQL. It reads the rest of a result in any case, so the query is ended first."""

    driver = "pymysql"

    def close(self) -> None:
        """End the query and close cursor and connection."""
        with suppress(Exception):
            if not self.exhausted:
                self.cancel()
            self.cursor.close()
        self.connection.close()


class MySqlConnector(MySql):
    """MySQL's own driver. Its plain cursor is unbuffered."""

    reads_ahead = True
    open_cursor = Link.open_cursor


class Postgres(Link):
    """What both drivers of PostgreSQL share: a server-side cursor in a transaction that may last."""

    read_only: str
    tuples: tuple[str, str, str]  # the cursor's parameter, and its value's module and name, that make rows tuples

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
            text = "%s: the session's time limits cannot be read (%s); a vendor slower than they allow ends the query"
            log.warning(text, self.origin, type(error).__name__)
        finally:
            cursor.close()

    def open_cursor(self) -> Any:
        """Return a server-side cursor that gives tuples, whatever the connection asks for."""
        parameter, module, value = self.tuples
        factory = getattr(import_module(module), value)
        return self.connection.cursor(f"contacts_{uuid4().hex}", **{parameter: factory})

    def suspects(self, failed: Chunk, size: int) -> int:
        """Return how many of the next rows may be the bad one: of a fetch the server gives all or none."""
        state = getattr(failed.error, "sqlstate", None) or getattr(failed.error, "pgcode", None)
        return size if isinstance(state, str) else 1


class Psycopg(Postgres):
    """psycopg. A chunk with a value that cannot be converted is converted again, row by row."""

    read_only = "read_only"
    tuples = ("row_factory", "psycopg.rows", "tuple_row")

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows, those before one that cannot be converted included."""
        before = self.cursor.pgresult
        try:
            return super().read(size)
        except Exception as error:  # noqa: BLE001  # whatever the conversion raises
            result = self.cursor.pgresult
            if result is before:
                return Chunk([], error)
        transformer = import_module("psycopg.adapt").Transformer(self.cursor)
        transformer.set_pgresult(result)
        return self.row_by_row(size, (transformer.load_row(place, tuple) for place in range(result.ntuples)))

    def cancel(self) -> None:
        """End the query."""
        getattr(self.connection, "cancel_safe", self.connection.cancel)()


class Psycopg2(Postgres):
    """psycopg2. Columns are known with the first rows; iteration converts row by row."""

    read_only = "readonly"
    tuples = ("cursor_factory", "psycopg2.extensions", "cursor")
    described: Any = None

    def description(self) -> Any:
        """Return the columns, which the driver forgets with an error."""
        return self.described or self.cursor.description

    def prepare(self) -> None:
        """Besides, refuse moments that Python lacks, which the driver would change."""
        super().prepare()
        extensions = import_module("psycopg2.extensions")
        for number, name in MOMENTS.items():
            read = exact(getattr(extensions, name))
            extensions.register_type(extensions.new_type((number,), name, read), self.connection)

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Chunk | None:
        """Run the query; its first rows bring the columns along."""
        super().execute(sql, parameters, chunk_size)
        found = self.read(chunk_size)
        if found.error is not None and not self.description():
            raise found.error
        return found

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        self.cursor.itersize = size
        return self.row_by_row(size, self._fetched())

    def _fetched(self) -> Iterator[Any]:
        for row in self.cursor:
            self.described = self.described or self.cursor.description
            yield row


def exact(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a reader that refuses ``infinity``, which psycopg2 takes for the year 9999 or 1, and 24 o'clock."""

    def found(text: str | None, cursor: Any) -> Any:
        if text is not None and (text.endswith("infinity") or text.startswith("24:")):
            raise ValueError("Python has no such moment")
        return read(text, cursor)

    return found


MYSQL: dict[str, type[Link]] = {"MySQLdb": MySql, "mysql": MySqlConnector, "pymysql": PyMySql}
LINKS: dict[str, type[Link]] = {**MYSQL, "psycopg": Psycopg, "psycopg2": Psycopg2, "sqlite3": Sqlite}
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

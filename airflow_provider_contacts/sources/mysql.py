"""MySQL and MariaDB: unbuffered, in a session that waits for a slow reader; cancelled over a second connection."""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import import_module
from typing import Any

from airflow_provider_contacts.sources.driver_connection import Link, Read

log = logging.getLogger(__name__)

LONGEST_PUSH = 7 * 24 * 3600
"""Seconds for which a session must outlive a vendor that takes its time."""


class MySql(Link):
    """mysqlclient, PyMySQL and MySQL's own driver: unbuffered; a session that waits for a slow reader."""

    driver = "MySQLdb"
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
        return self.connection.cursor(import_module(f"{self.driver}.cursors").SSCursor)

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

    driver = "pymysql"
    drains = False


class MySqlConnector(MySql):
    """MySQL's own driver: its plain cursor is an unbuffered one."""

    def open_cursor(self) -> Any:
        """Return an unbuffered cursor."""
        return self.connection.cursor()

    def read(self, size: int) -> Read:
        """Return up to so many rows; the driver looks one ahead, and keeps the row before the one that fails."""
        rows, error, column = super().read(size)
        kept = getattr(self.cursor, "_nextrow", None)
        if error is not None and isinstance(kept, tuple) and kept and kept[0] is not None:
            rows = [*rows, kept[0]]
        return rows, error, column

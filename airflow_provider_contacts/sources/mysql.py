"""MySQL and MariaDB: unbuffered, in a session that waits for a slow reader; cancelled over a second connection."""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import import_module
from typing import Any

from airflow_provider_contacts.sources.link import Chunk, Link

log = logging.getLogger(__name__)

LONGEST_PUSH = 7 * 24 * 3600
"""Seconds for which a session must outlive a slow vendor."""


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
            log.warning(
                "%s: net_write_timeout cannot be set for the session (%s); where the vendor takes longer than that for "
                "the rows of one chunk, the server ends the query",
                self.origin,
                type(error).__name__,
            )

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

    def open_cursor(self) -> Any:
        """Return an unbuffered cursor."""
        return self.connection.cursor()

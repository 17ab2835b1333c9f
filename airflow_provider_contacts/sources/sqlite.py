"""SQLite: read-only; Python's driver reads one row ahead."""

from __future__ import annotations

from airflow_provider_contacts.sources.link import Chunk, Link


class Sqlite(Link):
    """sqlite3; the database may be the one with the outcome table."""

    reads_ahead = True

    def prepare(self) -> None:
        """Make the connection read-only."""
        self.connection.execute("PRAGMA query_only = ON")

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        return self.row_by_row(size, self.cursor)

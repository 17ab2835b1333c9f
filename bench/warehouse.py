"""The warehouse that is read, and the outcome tables that are written, in SQLite and in PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench.job import connect
from campaigns.people import fields, key_of
from tests.support.servers import Postgres

COLUMNS = ("number", "key", "first_name", "last_name", "phone_number", "email")
TABLE = """\
CREATE TABLE contacts (
  number INTEGER PRIMARY KEY, key TEXT, first_name TEXT, last_name TEXT, phone_number TEXT, email TEXT
)"""
PLAIN = """\
CREATE TABLE plain_outcomes (
  record_identifier TEXT, status TEXT, destination_record_id TEXT, http_status INTEGER, batch INTEGER
)"""
"""What the plain task keeps: one row a record, as far as it knows."""

WRITTEN = (*(f"contact_outcomes_{name}" for name in ("records", "batches", "runs", "syncs")), "plain_outcomes")


def people(seed: int, count: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the warehouse, in the order of the columns.

    :param seed: part of every key.
    """
    for number in range(count):
        key = key_of(seed, number)
        one = fields("talkdesk", key, number)
        (phone,) = one["phone_numbers"]
        email = fields("nedzo", key, number)["email"]
        yield number, key, one["first_name"], one["last_name"], phone["phone_number"], email


@dataclass(frozen=True, slots=True)
class Databases:
    """Where all is read and written.

    :param folder: of the SQLite files.
    :param server: ``None`` where there is no PostgreSQL.
    """

    folder: Path
    server: Postgres | None

    def fill(self, seed: int, count: int) -> None:
        """Write the warehouses."""
        with closing(sqlite3.connect(self.folder / "warehouse.db")) as database:
            database.execute(TABLE)
            database.executemany(f"INSERT INTO contacts VALUES ({', '.join('?' * len(COLUMNS))})", people(seed, count))  # noqa: S608  # our own words
            database.commit()
        if self.server is None:
            return
        with connect(self.server.connection()) as database:
            database.execute(TABLE)
            with database.cursor() as cursor, cursor.copy(f"COPY contacts ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in people(seed, count):
                    copy.write_row(row)
        with connect(self.server.connection()) as database:
            database.autocommit = True
            database.execute("VACUUM ANALYZE contacts")

    def source(self, kind: str) -> Mapping[str, Any]:
        """Return Airflow's connection of a warehouse."""
        return self._server() if kind == "postgres" else self._file("warehouse.db")

    def outcomes(self, kind: str) -> Mapping[str, Any]:
        """Return Airflow's connection of empty outcome tables."""
        if kind == "postgres":
            with connect(self._server()) as database:
                database.execute("DROP VIEW IF EXISTS contact_outcomes")
                for name in WRITTEN:
                    database.execute(f"DROP TABLE IF EXISTS {name}")
                database.execute(PLAIN)
            with connect(self._server()) as database:
                database.autocommit = True
                # What one run leaves to be written must not be the next one's burden.
                database.execute("CHECKPOINT")
            return self._server()
        for file in self.folder.glob("outcomes.db*"):
            file.unlink()
        with closing(sqlite3.connect(self.folder / "outcomes.db")) as database:
            database.execute(PLAIN)
            database.commit()
        return self._file("outcomes.db")

    def server_cpu(self) -> float:
        """Return the seconds of CPU that PostgreSQL's processes have used so far; 0 without a server."""
        pid = self.server and self.server.pid()
        if not pid:
            return 0.0
        server = psutil.Process(pid)
        own = server.cpu_times()
        used = own.user + own.system + own.children_user + own.children_system
        for child in server.children():
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                used += times.user + times.system
        return float(used)

    def kept(self, kind: str, table: str) -> int:
        """Return the outcomes of delivered records in a table."""
        connection = self._server() if kind == "postgres" else self._file("outcomes.db")
        with closing(connect(connection)) as database, suppress(sqlite3.OperationalError):
            cursor = database.execute(f"SELECT count(*) FROM {table} WHERE status = 'succeeded'")  # noqa: S608  # likewise
            return int(cursor.fetchone()[0])
        return 0

    def _server(self) -> Mapping[str, Any]:
        if self.server is None:
            raise RuntimeError("there is no PostgreSQL")
        return self.server.connection()

    def _file(self, name: str) -> Mapping[str, Any]:
        return {"conn_type": "sqlite", "host": str(self.folder / name)}

"""What one measured process is given to do. The standard library alone: every environment's Python reads it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from bench.stub import BULK, SINGLE

CHUNK = 5_000
"""Rows fetched at once."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bulk": ("key", "first_name", "last_name", "phone_number"),
    "single": ("key", "email", "first_name", "last_name"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Records to read, and where they go.

    :param way: which of a program's ways.
    :param url: the stub's root.
    :param kind: ``bulk``: Talkdesk's request of ``batch_size`` records; ``single``: Nedzo's of one.
    :param first: number of the first record.
    :param in_flight: requests at the same time, for who can have several.
    :param source: Airflow's connection of the warehouse; ``conn_type`` is ``sqlite`` or ``postgres``.
    :param outcomes: Airflow's connection of the outcomes, for who keeps any.
    :param folder: where the process may write.
    :param shards: tasks among which the records are divided, and ``shard``, which of them this is.
    :param extra_path: folder of packages that only a peer has.
    """

    way: str
    url: str
    kind: str
    records: int
    batch_size: int
    in_flight: int
    source: Mapping[str, Any] = field(repr=False)
    outcomes: Mapping[str, Any] = field(repr=False)
    folder: str
    first: int = 0
    shards: int = 1
    shard: int = 0
    extra_path: str = ""

    @property
    def target(self) -> str:
        """The URL of the create request."""
        return self.url + (BULK if self.kind == "bulk" else SINGLE)

    @property
    def query(self) -> str:
        """The statement that reads the records."""
        return f"{self.select} WHERE number >= {self.first} AND number < {self.first + self.records} ORDER BY number"

    @property
    def select(self) -> str:
        """The beginning of the statement."""
        return f"SELECT {', '.join(COLUMNS[self.kind])} FROM contacts"  # noqa: S608  # our own words

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the records, streamed."""
        with closing(connect(self.source)) as database:
            # A named cursor is what streams from PostgreSQL.
            cursor = database.cursor() if self.source["conn_type"] == "sqlite" else database.cursor("rows")
            cursor.execute(self.query)
            names = COLUMNS[self.kind]
            while chunk := cursor.fetchmany(CHUNK):
                for row in chunk:
                    yield dict(zip(names, row, strict=True))

    def payloads(self) -> Iterator[dict[str, Any]]:
        """Yield the records as the vendor wants them."""
        return (payload(self.kind, row) for row in self.rows())

    def bodies(self) -> Iterator[Any]:
        """Yield what each request says."""
        payloads = self.payloads()
        if self.kind == "single":
            yield from payloads
            return
        while batch := list(islice(payloads, self.batch_size)):
            yield {"records": batch}

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Job:
        """Return a job of JSON."""
        return cls(**json.loads(text))


def payload(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the vendor's fields of a row."""
    if kind == "single":
        return {name: row[name] for name in ("email", "first_name", "last_name")}
    phone = {"phone_number": row["phone_number"], "phone_type": "MOBILE"}
    return {"first_name": row["first_name"], "last_name": row["last_name"], "phone_numbers": [phone]}


def connect(connection: Mapping[str, Any]) -> Any:
    """Return a DB-API connection to one of Airflow's."""
    if connection["conn_type"] == "sqlite":
        return sqlite3.connect(connection["host"])
    import psycopg

    return psycopg.connect(host=connection["host"], user=connection["login"], dbname=connection["schema"])

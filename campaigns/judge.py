"""The simulator in a process of its own, what is really there, and what the outcome table says of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import Request, urlopen

from airflow_provider_contacts.simulator.messages import Seen
from campaigns.people import VENDORS, key_in, key_of
from campaigns.task import SEARCHED

if TYPE_CHECKING:
    from sqlalchemy import Engine

QUIET = 0.25
"""Seconds without a new contact after which nothing is on its way any more; requests take less."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A running simulator.

    :param connections: ready Airflow connections by id.
    """

    url: str
    connections: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def state(self, vendor: str, *, since: int = 0, requests: bool = False) -> dict[str, Any]:
        """Return counts and contacts of a vendor.

        :param since: contacts to leave out, the oldest first.
        """
        return self._ask(f"state?vendor={vendor}&offset={since}&requests={str(requests).lower()}")

    def creates(self, vendor: str) -> list[Seen]:
        """Return a vendor's create requests, in the order of their answers."""
        seen = (Seen(**one) for one in self.state(vendor, requests=True)["request_log"])
        return [one for one in seen if one.kind == "write"]

    def set(self, **knobs: Any) -> None:
        """Set knobs; two underscores stand for the dot."""
        self._ask("faults", {name.replace("__", "."): value for name, value in knobs.items()})

    def count(self, vendor: str) -> int:
        """Return how many contacts exist."""
        found: int = self._ask("summary")[vendor]["stored"]
        return found

    def at_rest(self, vendor: str, *, since: int = 0, requests: bool = False) -> dict[str, Any]:
        """Return the state when nothing is on its way any more."""
        count = -1
        while count != (count := self.count(vendor)):
            time.sleep(QUIET)
        return self.state(vendor, since=since, requests=requests)

    def _ask(self, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/_simulator/{path}", data=data)  # noqa: S310  # the simulator on loopback
        with urlopen(request, timeout=60) as answer:  # noqa: S310  # likewise
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def simulator(folder: Path, seed: int, **knobs: str) -> Iterator[Simulated]:
    """Run the simulator as a process, and yield it when it listens.

    :param knobs: two underscores stand for the dot.
    """
    settings = [f"--set={name.replace('__', '.')}={value}" for name, value in knobs.items()]
    command = [sys.executable, "-P", "-m", "airflow_provider_contacts.simulator", "--port=0", f"--seed={seed}"]
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "simulator.log").open("ab") as log,
        subprocess.Popen(
            [*command, *settings],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": SEARCHED},
        ) as process,
    ):
        try:
            yield started(process)
        finally:
            process.terminate()


def started(process: subprocess.Popen[str]) -> Simulated:
    """Read what the simulator prints when it starts."""
    url, connections = "", {}
    for line in process.stdout or ():
        if match := re.match(r"Simulator at (\S+)", line):
            url = match[1]
        if match := re.match(r"export AIRFLOW_CONN_(\w+)='(.*)'$", line):
            connections[match[1].lower()] = json.loads(match[2])
        if url and len(connections) == len(VENDORS):
            return Simulated(url, connections)
    raise RuntimeError("the simulator did not start")


SAID = "SELECT record_identifier, status, destination_record_id FROM contact_outcomes WHERE dag_id = :job"


@dataclass(frozen=True, slots=True)
class Said:
    """What a row of the outcome table says: the status, and the vendor's id where it has one."""

    status: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """One outcome table.

    :param connection: the Airflow connection to it.
    """

    name: str
    connection: Mapping[str, Any] = field(repr=False)
    engine: Engine = field(repr=False)

    def said(self, dag_id: str) -> dict[str, Said]:
        """Return what every row of a job says; nothing where there is no table yet."""
        from sqlalchemy import inspect, text

        if not inspect(self.engine).has_table("contact_outcomes"):
            return {}
        with self.engine.connect() as connection:
            rows = connection.execute(text(SAID), {"job": dag_id})
            return {key: Said(status, id_) for key, status, id_ in rows}


def book_of(name: str, connection: Mapping[str, Any], url: str) -> Book:
    """Return the outcome table behind an Airflow connection and the same place as a URL of SQLAlchemy."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return Book(name, connection, create_engine(url, poolclass=NullPool))


def sqlite_book(folder: Path) -> Book:
    """Return an outcome table in an SQLite file of a folder."""
    file = folder / "outcomes.db"
    return book_of("SQLite", {"conn_type": "sqlite", "host": str(file)}, f"sqlite:///{file}")


class Server(Protocol):
    """A database server on which tables of outcomes can be."""

    def url(self, *, database: str = ...) -> str:
        """Return a URL for SQLAlchemy."""

    def connection(self, *, database: str = ...) -> dict[str, Any]:
        """Return an Airflow connection."""


def server_book(kind: str, server: Server, database: str) -> Book:
    """Return an outcome table in a new database of a server.

    A simulator that starts again gives the same ids again: rows of an earlier one must not be in the same table.
    """
    from sqlalchemy import create_engine, text

    maker = create_engine(server.url(), isolation_level="AUTOCOMMIT")
    with maker.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {database}"))
    maker.dispose()
    return book_of(kind, server.connection(database=database), server.url(database=database))


DOUBTED = frozenset({"unknown", "sending"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of the records of a job, and what is said of it.

    :param created: contacts at the vendor.
    :param twice: records that exist more than once there.
    :param unsaid: records that are there although nobody says so: neither succeeded nor in doubt.
    :param untrue: records that are said to be there, and are not.
    :param mistaken: records that are there, under another id than the one that is said.
    :param without: records without any outcome.
    :param failed: records that are said not to be there.
    :param doubted_there: records in doubt that are there.
    :param doubted_absent: records in doubt that are not.
    """

    records: int = 0
    created: int = 0
    twice: int = 0
    unsaid: int = 0
    untrue: int = 0
    mistaken: int = 0
    without: int = 0
    succeeded: int = 0
    failed: int = 0
    doubted_there: int = 0
    doubted_absent: int = 0

    @property
    def lost(self) -> int:
        """Records of which the user is told nothing, or something wrong."""
        return self.unsaid + self.untrue + self.mistaken + self.without

    @property
    def doubted(self) -> int:
        """Records in doubt."""
        return self.doubted_there + self.doubted_absent

    def __add__(self, other: Finding) -> Finding:
        """Return the sums."""
        return Finding(**{name: getattr(self, name) + getattr(other, name) for name in Finding.__slots__})


Present = Mapping[str, Sequence[str]]
"""The vendor's ids of what exists, by key."""


def present(state: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what exists at the vendor."""
    found: dict[str, list[str]] = {}
    for contact in state["contacts"]:
        found.setdefault(key_in(contact["received"]), []).append(str(contact["id"]))
    return found


def find(there: Present, said: Mapping[str, Said], job: int, records: int) -> Finding:
    """Hold the outcome table of a job against the vendor."""
    keys = [key_of(job, number) for number in range(records)]
    rows = {key: said.get(key, Said("")) for key in keys}
    exists = {key: there[key] for key in keys if key in there}
    succeeded = {key for key, row in rows.items() if row.status == "succeeded"}
    doubted = {key for key, row in rows.items() if row.status in DOUBTED}
    without = {key for key, row in rows.items() if not row.status}
    failed = rows.keys() - succeeded - doubted - without
    return Finding(
        records=records,
        created=sum(map(len, exists.values())),
        twice=sum(len(ids) > 1 for ids in exists.values()),
        unsaid=len(failed & exists.keys()),
        untrue=len(succeeded - exists.keys()),
        mistaken=sum(rows[key].id not in {None, *exists[key]} for key in succeeded & exists.keys()),
        without=len(without),
        succeeded=len(succeeded),
        failed=len(failed),
        doubted_there=len(doubted & exists.keys()),
        doubted_absent=len(doubted - exists.keys()),
    )

"""A simulator on loopback, SQLite files, and an Execution API in memory: what a pushing task needs to run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import running
from tests.airflow_harness import MemAPI, run_op, scope_of

if TYPE_CHECKING:
    from airflow.sdk.execution_time.supervisor import TaskRunResult


DEX: dict[str, Any] = {"task_id": "push", "contacts_conn_id": "dex_default", "sync_key": "key", "retries": 3}
TABLED: dict[str, Any] = {**DEX, "outcomes_conn_id": "outcomes"}
CALLS: dict[str, Any] = {**TABLED, "contacts_conn_id": "talkdesk_default"}


def push(records: Any, dag_id: str = "d", **parameters: Any) -> Any:
    """Return a task that pushes records, to Dex and with a table where the parameters do not say otherwise."""
    from airflow.sdk import DAG

    from airflow_provider_contacts.operators import PushContactsOperator

    with DAG(dag_id, schedule=None):
        return PushContactsOperator(**{**TABLED, **parameters}, records=records)


def sql_push(sql: str = "SELECT * FROM people", **parameters: Any) -> Any:
    """Return a task that pushes the rows of a query, with the same defaults."""
    from airflow.sdk import DAG

    from airflow_provider_contacts.operators import SqlToContactsOperator

    with DAG("d", schedule=None):
        return SqlToContactsOperator(**{"sql_conn_id": "warehouse", **TABLED, **parameters}, sql=sql)


def file_push(path: Any, **parameters: Any) -> Any:
    """Return a task that pushes the rows of files, with the same defaults."""
    from airflow.sdk import DAG

    from airflow_provider_contacts.operators import FilesToContactsOperator

    with DAG("d", schedule=None):
        return FilesToContactsOperator(**{**TABLED, **parameters}, path=str(path))


@dataclass(frozen=True, slots=True)
class Served:
    """A simulator and where it is served."""

    simulator: Simulator
    url: str


@pytest.fixture(scope="session")
def served_once() -> Iterator[Served]:
    simulator = Simulator()
    with running(simulator) as url:
        yield Served(simulator, url)


@pytest.fixture
def served(served_once: Served) -> Served:
    served_once.simulator.reset(knobs=True)
    return served_once


@dataclass(slots=True, repr=False)
class World:
    """One warehouse, one outcome table, one vendor account; everything that happens stays."""

    served: Served
    folder: Path
    api: MemAPI = field(default_factory=MemAPI)  # keeps XComs and rendered fields, and serves the connections

    def __post_init__(self) -> None:
        self.api.connections = {
            **{f"{name}_default": value for name, value in self.simulator.connections(self.served.url).items()},
            "outcomes": {"conn_type": "sqlite", "host": str(self.folder / "outcomes.db")},
            "warehouse": {"conn_type": "sqlite", "host": str(self.folder / "warehouse.db")},
        }

    @property
    def simulator(self) -> Simulator:
        return self.served.simulator

    def connect(self, conn_id: str, **values: Any) -> None:
        """Change or define a connection."""
        known = dict(self.api.connections)
        known[conn_id] = {**known.get(conn_id, {}), **values}
        self.api.connections = known

    def run(self, op: Any, try_number: int = 1, **where: Any) -> TaskRunResult:
        """Run one try of an operator."""
        return run_op(op, self.api, try_number, **where)

    def summary(self, op: Any, **where: Any) -> Any:
        """Return what the last try left in XCom, of a push checked for what must hold in every summary."""
        found = self.api.xcoms[scope_of(op, **where), "return_value"]
        if "num_planned" in found:
            assert found["num_undelivered"] == sum(found[name] for name in SUM[1:5])
            assert "num_to_send" in found or found["num_planned"] == sum(found[name] for name in SUM), found
        return found

    def done(self, op: Any, try_number: int = 1, **where: Any) -> Any:
        """Run one try that must succeed; return what it returned: of a push, its summary."""
        error = self.run(op, try_number, **where).error
        assert error is None, error
        return self.summary(op, **where)

    def refused(self, op: Any, try_number: int = 1, **where: Any) -> str:
        """Run one try that must fail for good; return why."""
        result = self.run(op, try_number, **where)
        assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException"), result.error
        return str(result.error)

    def set(self, **knobs: str) -> None:
        """Set knobs of the simulated Dex."""
        for name, value in knobs.items():
            self.simulator.set(f"dex.{name}", value)

    def query(self, sql: str, file: str = "outcomes.db", parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        with closing(sqlite3.connect(self.folder / file)) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(sql, parameters)]
            connection.commit()
            return found

    def one(self, sql: str, file: str = "outcomes.db") -> Any:
        """Return the one value of a query."""
        (row,) = self.query(sql, file)
        (value,) = row.values()
        return value

    def statuses(self, table: str = "contact_outcomes") -> dict[str, str]:
        """Return the status of every row of the outcome table."""
        rows = self.query(f"SELECT record_identifier, status FROM {table}")
        return {row["record_identifier"]: row["status"] for row in rows}

    def runs(self, table: str = "contact_outcomes") -> list[tuple[str, int, str | None]]:
        """Return run, try and status of every row of the table of runs."""
        rows = self.query(f"SELECT sync_run_id, try_number, status FROM {table}_runs ORDER BY started_at, try_number")
        return [(row["sync_run_id"], row["try_number"], row["status"]) for row in rows]

    def fill(self, rows: Sequence[Mapping[str, Any]], table: str = "people", file: str = "warehouse.db") -> None:
        """Write rows into a new table of the warehouse."""
        columns = list(rows[0])
        with closing(sqlite3.connect(self.folder / file)) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(row.values()) for row in rows])
            connection.commit()

    def sent(self, vendor: str = "dex") -> int:
        """Return how many create requests the vendor has seen."""
        return int(self.simulator.vendors[vendor].counts["write"])

    def stored(self, vendor: str = "dex") -> list[dict[str, Any]]:
        """Return the contacts that exist at the vendor, as they were received."""
        return [one.received for one in self.simulator.vendors[vendor].stored]


def postgres_connection(server: Any) -> dict[str, Any]:
    """Return the Airflow connection to a test's PostgreSQL server."""
    return {"conn_type": "postgres", "host": str(server.folder), "login": "postgres", "schema": "postgres"}


def refusal(world: World, make: Callable[[], Any]) -> str:
    """Return why a task cannot do anything: a literal is refused with the DAG, what is known later when it runs."""
    try:
        op = make()
    except ConfigError as error:
        return str(error)
    return world.refused(op)


def counts(summary: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    """Return counters of a summary by the second part of their names."""
    return tuple(summary[f"num_{name}"] for name in names)


SUM = ("num_succeeded", "num_rejected", "num_invalid", "num_failed", "num_unknown", "num_skipped", "num_duplicate")
"""The counters that make up ``num_planned``; the second to the fifth are the undelivered."""


@pytest.fixture
def world(served: Served, tmp_path: Path) -> World:
    return World(served, tmp_path)


def people(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return records for Dex with the key ``key``."""
    return [
        {"key": f"p{n}", "first_name": f"First{n}", "email": f"p{n}@example.com"} for n in range(start, start + count)
    ]


def callees(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return records for Talkdesk with the key ``key``."""
    return [
        {"key": f"c{n}", "first_name": f"First{n}", "last_name": f"Last{n}", "phone_number": f"+1555010{n:04}"}
        for n in range(start, start + count)
    ]

"""Pushes from keys into a table, without Airflow: here, or in processes of their own that run at the same time.

As a program it reads one job a line from its standard input, and writes one report a line.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts import vendors
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.open_table import Opening
from airflow_provider_contacts.ledgers.sql.open_table import open_ledger as open_ledger_of
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.transactions import Patience
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.task.parameters import PushParameters
from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import StoredConnection, resolve
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from tests.support.fake_vendor import outcomes_of
from tests.support.processes import environment

if TYPE_CHECKING:
    from airflow_provider_contacts.simulator.app import Simulator

HURRIED = Clock(random=lambda: -0.98)  # chance that is no chance: every backoff lasts a hundredth of its full length


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One execution of one run: the table's database by its URL, the connection to Dex, and the keys to push."""

    database: str
    vendor: dict[str, Any]
    keys: list[str]
    dag_id: str = "dag"
    try_number: int = 1
    sync_id: str = "sync"
    batch_size: int = 10
    max_in_flight: int = 2
    request_attempts: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How an execution ended: the ledger's token, identifier, status and code of each outcome, and the error."""

    token: str
    outcomes: list[list[str | None]]
    error: str | None

    def by_status(self) -> Counter[str]:
        """Return how many records have each status."""
        return Counter(str(status) for _, status, _ in self.outcomes)

    def having(self, status: Status) -> list[str]:
        """Return the records of one status."""
        return [str(identifier) for identifier, found, _ in self.outcomes if found == status]


@dataclass
class UrlHook:
    """As much of an Airflow hook as the ledger's engine takes."""

    url: str
    conn_type: str = "any"

    def get_conn_id(self) -> str:
        return "outcomes_db"

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any]) -> Any:
        from sqlalchemy import create_engine

        return create_engine(self.url, **engine_kwargs)


def person(key: str) -> dict[str, Any]:
    """Return the record of a key."""
    return {"key": key, "first_name": f"First {key}", "email": email_of(key)}


def email_of(key: str) -> str:
    return f"{key}@example.com"


def open_ledger(job: Job, host: str) -> SqlLedger:
    """Open the table as the operators do."""
    run = RunIdentity(dag_id=job.dag_id, run_id="run", task_id="task", map_index=-1, try_number=job.try_number)
    binding = Binding(sync_id=job.sync_id, destination="dex", destination_host=host, destination_object=None)
    return open_ledger_of(Opening(hook=UrlHook(job.database), run=run, binding=binding, patience=Patience(0.0)))


def push(job: Job, clock: Clock | None = None) -> Report:
    """Run a job to its end, whatever that is."""
    outcomes: list[list[str | None]] = []
    token, error = "", None
    try:
        with pushing(job, clock or Clock()) as (token, found):
            outcomes.extend([one.record_identifier, one.status.value, one.error_code] for one in found)
    except ContactsError as caught:
        error = type(caught).__name__
    return Report(token=token, outcomes=outcomes, error=error)


@contextmanager
def pushing(job: Job, clock: Clock) -> Iterator[tuple[str, Iterator[Any]]]:
    """Open everything that a push takes; yield the ledger's token and the outcomes as they come."""
    dex = vendors.load("dex")
    target = resolve(dex, StoredConnection(**{"conn_id": "dex", **job.vendor}))
    options = PushParameters(
        batch_size=job.batch_size, max_in_flight=job.max_in_flight, request_attempts=job.request_attempts
    )
    settings = PushSettings(limits=options.limits(dex), request_attempts=options.request_attempts)
    mapper = Mapper(vendor=dex, destination={}, sync_id=job.sync_id, sync_key=("key",), field_map={}, unmapped="error")
    with ExitStack() as after:
        ledger = after.enter_context(closing(open_ledger(job, target.host)))
        client = after.enter_context(closing(Client(target.endpoint)))
        rows = map(person, job.keys)
        push = Push(rows, mapper=mapper, ledger=ledger, sender=client, settings=settings, clock=clock)
        yield ledger.token, outcomes_of(push)


def vendor_connection(simulator: Simulator, url: str) -> dict[str, Any]:
    """Return the connection to a served Dex, as :class:`Job` takes it."""
    known = simulator.connections(url)["dex"]
    wanted = ("host", "schema", "port", "login", "password", "extra")
    return {name: known[name] for name in wanted if known.get(name) is not None}


def created(simulator: Simulator) -> Counter[str]:
    """Return how often each key was created at the vendor."""
    emails = [one.received["contact_emails"][0]["email"] for one in simulator.vendors["dex"].stored]
    return Counter(email.removesuffix("@example.com") for email in emails)


class Runner:
    """A process that runs jobs, one after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.support.table_pushing"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._line() == "ready"

    def start(self, job: Job) -> None:
        """Hand over a job, and do not wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(job)) + "\n")
        self.process.stdin.flush()

    def report(self) -> Report:
        """Wait for the end of the job."""
        return Report(**json.loads(self._line()))

    def has_ended(self, seconds: float) -> bool:
        """Tell whether the job ends within so many seconds."""
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


def at_once(runners: Sequence[Runner], jobs: Sequence[Job]) -> list[Report]:
    """Run jobs at the same time, each in a process of its own."""
    for runner, job in zip(runners, jobs, strict=True):
        runner.start(job)
    return [runner.report() for runner in runners]


def main() -> None:
    """Run the jobs that come."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(push(Job(**json.loads(line))))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

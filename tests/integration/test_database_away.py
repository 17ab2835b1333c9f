"""The database of the outcome table goes away in the middle of a push: stopped, killed, in the middle of a commit.

``CONTACTS_ROUNDS`` says how many rounds of killing at random are played; ``CONTACTS_SEED`` is the seed of the first.
"""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.push_settings import Clock
from tests.support.commit_cutter import CommitCutter, Moment, What
from tests.support.ledger_conformance import Database
from tests.support.pushing import Served
from tests.support.servers import FOR_KILLS, MariaDB, NoServerError, Postgres, temporary_folder
from tests.support.table_pushing import HURRIED, Job, Report, created, push, vendor_connection

ROUNDS = int(os.environ.get("CONTACTS_ROUNDS", "2"))
FIRST = int(os.environ.get("CONTACTS_SEED", "1"))
NUMBERS = count(1)
AWAY = {"LedgerError", "MomentaryError"}  # what a push ends with whose database does not come back in time

pytestmark = pytest.mark.filterwarnings(
    # Of "in:" or, from Python 3.14 on, "while finalizing socket".
    r"ignore:Exception ignored [^<]*<socket\.socket .*family=1,:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module", params=sorted(FOR_KILLS))
def server(request: pytest.FixtureRequest) -> Iterator[Postgres | MariaDB]:
    """Start a server that no other test depends on."""
    try:
        with FOR_KILLS[request.param]() as found:
            yield found
    except NoServerError as reason:
        pytest.skip(str(reason))


@dataclass(slots=True)
class Outage:
    """One push whose database goes away, and what is left of it; ``back`` is set when the server is there again."""

    server: Postgres | MariaDB
    served: Served
    name: str
    back: threading.Event = field(default_factory=threading.Event)

    def job(self, **values: Any) -> Job:
        vendor = vendor_connection(self.served.simulator, self.served.url)
        settings: dict[str, Any] = {"database": self.server.url(database=self.name), "vendor": vendor}
        keys = [f"k{number:03}" for number in range(40)]
        return Job(**{**settings, "keys": keys, "batch_size": 2, "max_in_flight": 3, **values})

    def push_while(self, job: Job, clock: Clock, event: Callable[[], None]) -> Report:
        """Run a job while something happens to the server."""
        trouble: list[BaseException] = []

        def happen() -> None:
            try:
                event()
            except BaseException as error:  # noqa: BLE001  # raised in the test's own thread
                trouble.append(error)

        thread = threading.Thread(target=happen)
        thread.start()
        report = push(job, clock)
        thread.join(60)
        for error in trouble:
            raise error
        return report

    @property
    def patient(self) -> Clock:
        """What makes the engine's first backoff last until the server is there again, and the others short.

        However busy the machine is, the outage is shorter than the engine's patience.
        """

        def chance() -> float:
            assert self.back.wait(60), "the server does not come back"
            return HURRIED.random()

        return Clock(random=chance)

    def start(self) -> None:
        self.server.start()
        self.back.set()

    def wait_for(self, requests: int) -> None:
        """Wait until the vendor has seen so many requests."""
        deadline = time.monotonic() + 30
        while self.served.simulator.vendors["dex"].counts["write"] < requests:
            assert time.monotonic() < deadline, "the push sends nothing"
            time.sleep(0.001)

    def statuses(self) -> dict[str, str]:
        found = Database(self.server.url(database=self.name))
        with closing(found):
            return {row["record_identifier"]: row["status"] for row in found.rows()}

    def check(self, report: Report) -> dict[str, str]:
        """Check what must hold however a push has ended; return the status of each row."""
        rows, there = self.statuses(), created(self.served.simulator)
        assert max(there.values(), default=1) == 1
        # A mark was durable before its request left, and what was sent is not forgotten.
        assert {rows.get(one) for one in there} <= {"sending", "unknown", "succeeded"}
        # What is certain is true.
        assert {one for one, status in rows.items() if status == "succeeded"} <= set(there)
        assert set(report.having(Status.SUCCEEDED)) <= set(there)
        told = [one for one, _, _ in report.outcomes]
        assert len(set(told)) == len(told)
        return rows

    def finish(self, job: Job) -> None:
        """Run the next try undisturbed; check that nothing is lost, nothing is sent twice, and doubt is held."""
        before = self.check(Report(token="", outcomes=[], error=None))
        report = push(replace(job, try_number=job.try_number + 1))
        rows = self.check(report)
        assert report.error is None
        assert sorted(str(one) for one, _, _ in report.outcomes) == job.keys
        assert set(rows.values()) <= {"succeeded", "unknown"}
        doubtful = {one for one, status in before.items() if status in {"sending", "unknown"}}
        assert {one for one, status in rows.items() if status == "unknown"} == doubtful
        assert set(job.keys) - doubtful <= set(created(self.served.simulator))


@pytest.fixture
def outage(server: Postgres | MariaDB, served: Served) -> Iterator[Outage]:
    served.simulator.set("dex.latency", "3ms-15ms")
    name = f"away_{next(NUMBERS)}"
    owner = Database(server.url())
    with closing(owner), owner.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    made = Outage(server, served, name)
    # The tables are there before anything happens.
    assert push(made.job(keys=[], dag_id="before")).error is None
    yield made
    # PyMySQL leaves the socket open on which a server did not answer: here it is found, not in another test.
    gc.collect()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_short_outage_costs_no_outcome(outage: Outage, end: str) -> None:
    def event() -> None:
        outage.wait_for(6)
        getattr(outage.server, end)()
        time.sleep(0.2)
        outage.start()

    # So many that a push is not through before a server has come to its end.
    job = outage.job(keys=[f"k{number:04}" for number in range(600)])
    report = outage.push_while(job, outage.patient, event)
    assert report.error in AWAY
    rows = outage.check(report)
    # The answers that came during the outage were written after it, and what was not sent says so.
    assert "sending" not in rows.values()
    assert {one for one, status in rows.items() if status == "succeeded"} == set(created(outage.served.simulator))
    outage.finish(job)
    assert set(created(outage.served.simulator)) == set(job.keys)


def test_a_long_outage_leaves_marks_behind(outage: Outage) -> None:
    def event() -> None:
        outage.wait_for(6)
        outage.server.kill()

    # So slow that requests are under way when the database dies.
    outage.served.simulator.set("dex.reply_delay", "100ms")
    job = outage.job()
    report = outage.push_while(job, HURRIED, event)
    assert report.error in AWAY
    outage.server.start()
    rows = outage.check(report)
    assert "sending" in rows.values(), "the push has outlasted the outage"
    outage.finish(job)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_killed_at_random(outage: Outage, seed: int) -> None:
    chance = random.Random(seed)
    server, job = outage.server, outage.job(batch_size=chance.randint(1, 4), max_in_flight=chance.randint(1, 6))

    def event() -> None:
        time.sleep(chance.uniform(0.0, 0.3))
        server.kill()
        time.sleep(chance.choice((0.0, 0.1)))
        outage.start()

    for number in range(1, chance.randint(2, 4)):
        outage.back.clear()
        clock = chance.choice((HURRIED, outage.patient))
        job = replace(job, try_number=number)
        outage.check(outage.push_while(job, clock, event))
    outage.finish(job)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", ["claim", "answer"])
def test_killed_in_a_commit(outage: Outage, what: What, moment: Moment) -> None:
    server = outage.server
    died: list[threading.Thread] = []

    def die() -> None:
        server.kill()
        died.append(threading.Thread(target=outage.start))
        died[-1].start()

    with temporary_folder("cut-") as folder:
        folder.chmod(0o755)
        cutter = CommitCutter(server, folder, what=what, moment=moment, number=3, die=die)
        job = outage.job(database=server.url(database=outage.name, folder=folder))
        report = push(job, outage.patient)
        assert cutter.has_cut.wait(30)
        for thread in died:
            thread.join(60)
        cutter.close()
    # An answer is written again at once, which may do.
    assert report.error in AWAY or (what, report.error) == ("answer", None)
    rows = outage.check(report)
    assert "sending" not in rows.values(), "the database was back in time"
    outage.finish(replace(job, database=server.url(database=outage.name)))
    assert set(created(outage.served.simulator)) == set(job.keys)

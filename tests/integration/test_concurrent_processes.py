"""Tasks that run at the same time and push the same records under one ``sync_id``: real processes, real servers.

``CONTACTS_ROUNDS`` says how many rounds are played, each with its own seed; ``CONTACTS_SEED`` is the first of them.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.ledgers.sql.forgetting import ForgetResult, forget
from airflow_provider_contacts.ledgers.sql.schema import existing
from airflow_provider_contacts.outcome import Status
from tests.support.forget_histories import cells
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import Database
from tests.support.pushing import Served
from tests.support.servers import wait_until
from tests.support.table_pushing import Job, Report, Runner, at_once, created, push, vendor_connection

PROCESSES = 4
ROUNDS = int(os.environ.get("CONTACTS_ROUNDS", "2"))
FIRST = int(os.environ.get("CONTACTS_SEED", "1"))
KEYS = [f"k{number:03}" for number in range(90)]


@pytest.fixture(scope="module")
def runners() -> Iterator[list[Runner]]:
    started = [Runner() for _ in range(PROCESSES)]
    yield started
    for runner in started:
        runner.close()


@pytest.fixture(params=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with closing(fresh_database(request.param, request, tmp_path)) as found:
        yield found


@dataclass(slots=True)
class Round:
    """What one seed makes of chance."""

    seed: int
    served: Served
    database: Database
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def job(self, **values: Any) -> Job:
        connection = vendor_connection(self.served.simulator, self.served.url)
        settings: dict[str, Any] = {"database": self.database.url, "vendor": connection, "keys": []}
        return Job(**{**settings, "sync_id": f"sync-{self.seed}", **values})

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = [row for row in self.database.rows() if row["sync_id"] == f"sync-{self.seed}"]
        return {row["record_identifier"]: row for row in rows}

    def shuffled(self) -> list[str]:
        return self.chance.sample(KEYS, k=len(KEYS))

    def tries(self) -> tuple[Job, Job]:
        """Return two tries of one run, which push all keys in an order of their own."""
        first, second = (
            self.job(keys=self.shuffled(), try_number=number, batch_size=self.chance.randint(1, 3)) for number in (1, 2)
        )
        return first, second

    def set(self, **knobs: str) -> None:
        for name, value in knobs.items():
            self.served.simulator.set(f"dex.{name}", value)

    def created(self) -> Counter[str]:
        return created(self.served.simulator)

    def wait_for(self, requests: int) -> None:
        """Wait until the vendor has seen so many requests."""
        while self.served.simulator.vendors["dex"].counts["write"] < requests:
            time.sleep(0.0005)

    def leave_failed(self, keys: list[str]) -> None:
        """Leave rows behind that may be claimed anew."""
        self.set(http_429="always")
        left = push(self.job(keys=keys, dag_id="before", batch_size=100, request_attempts=1))
        self.set(http_429="never")
        assert left.by_status() == {"failed": len(keys)}


@pytest.fixture(params=range(FIRST, FIRST + ROUNDS))
def this(request: pytest.FixtureRequest, served: Served, database: Database) -> Round:
    return Round(request.param, served, database)


def overlapping(chance: random.Random) -> Iterator[list[str]]:
    """Yield what each process pushes: most of the keys, in an order of its own."""
    for number in range(PROCESSES):
        mine = chance.sample(KEYS, k=chance.randint(len(KEYS) * 2 // 3, len(KEYS)))
        order = chance.choice(("shuffled", "ascending", "descending"))
        if order != "shuffled":
            mine.sort(reverse=order == "descending")
        # Every key belongs to somebody.
        yield mine if number else [*mine, *sorted(set(KEYS) - set(mine))]


def check_counts(report: Report, job: Job) -> None:
    """Check that every record of a job has ended in one outcome, one that a competitor may have."""
    assert sorted(str(one) for one, _, _ in report.outcomes) == sorted(job.keys)
    codes = {(status, code) for _, status, code in report.outcomes if status == "failed"}
    assert codes <= {("failed", "claimed_elsewhere")}
    assert set(report.by_status()) <= {"succeeded", "skipped", "failed", "unknown"}


@pytest.mark.parametrize("faults", [False, True], ids=["calm", "faults"])
def test_no_key_is_created_twice(this: Round, runners: list[Runner], faults: bool) -> None:
    chance = this.chance
    this.leave_failed(chance.sample(KEYS, k=len(KEYS) // 3))
    this.set(latency="0ms-8ms")
    if faults:
        this.set(store_then_drop="0.05", http_429="0.05", retry_after="zero")
    jobs = [
        this.job(keys=mine, dag_id=f"dag-{number}", batch_size=chance.randint(1, 9), max_in_flight=chance.randint(1, 4))
        for number, mine in enumerate(overlapping(chance))
    ]
    reports = at_once(runners, jobs)
    for report, job in zip(reports, jobs, strict=True):
        assert report.error is None
        check_counts(report, job)
    there = this.created()
    assert max(there.values()) == 1
    delivered = [one for report in reports for one in report.having(Status.SUCCEEDED)]
    assert max(Counter(delivered).values()) == 1, "two have delivered one record"
    rows = this.rows()
    assert {one for one, row in rows.items() if row["status"] == "succeeded"} == set(delivered)
    unknown = {one for one, row in rows.items() if row["status"] == "unknown"}
    assert set(there) - set(delivered) == unknown & set(there)
    if not faults:
        assert set(delivered) == set(KEYS) == set(there)
    # The run after them sends what is left over, and nothing else.
    this.set(store_then_drop="never", http_429="never")
    last = push(this.job(keys=KEYS, dag_id="after"))
    assert last.error is None
    assert set(last.by_status()) <= {"succeeded", "skipped", "unknown"}
    assert max(this.created().values()) == 1
    assert set(this.created()) | set(last.having(Status.UNKNOWN)) == set(KEYS)


def test_a_zombie_sends_nothing_once_its_successor_has_begun(this: Round, runners: list[Runner]) -> None:
    database = this.database
    zombie, heir = this.tries()
    this.set(latency="5ms-15ms")
    runners[0].start(zombie)
    this.wait_for(this.chance.randint(1, 10))
    # So slow that it has not finished when its successor begins.
    this.set(reply_delay="1s")
    runners[1].start(heir)
    wait_until(lambda: len(database.rows("contact_outcomes_runs")) > 1, "the successor begins")
    this.set(reply_delay="0ms")
    reports = [runner.report() for runner in runners[:2]]
    assert (reports[0].error, reports[1].error) == ("SupersededError", None)
    check_counts(reports[1], heir)
    rows = this.rows()
    begun = next(row["started_at"] for row in database.rows("contact_outcomes_runs") if row["try_number"] == 2)
    late = [one for one, row in rows.items() if owner(row) == reports[0].token and row["batch_started_at"] > begun]
    assert late == [], "marked by the zombie after its successor had registered"
    # What the zombie had under way is in doubt for its successor, which leaves it; everything else is delivered.
    doubtful = {one for one, row in rows.items() if row["status"] == "unknown"}
    assert set(rows) == set(KEYS)
    assert {row["status"] for row in rows.values()} <= {"succeeded", "unknown"}
    assert set(KEYS) - doubtful <= set(this.created())
    assert {owner(rows[one]) for one in doubtful} <= {reports[0].token}
    assert max(this.created().values()) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_a_process_that_is_stopped_goes_on_behind_its_successor(this: Round, runners: list[Runner]) -> None:
    # As on a machine that is suspended: anywhere, also in the middle of a claim or of an answer.
    stopped, heir = this.tries()
    this.set(latency="0ms-4ms")
    runners[0].start(stopped)
    this.wait_for(this.chance.randint(1, 20))
    time.sleep(this.chance.random() / 100)
    runners[0].process.send_signal(signal.SIGSTOP)
    try:
        runners[1].start(heir)
        # Longer only where the other one stands still with a lock.
        has_ended = runners[1].has_ended(3)
    finally:
        runners[0].process.send_signal(signal.SIGCONT)
    reports = [runner.report() for runner in runners[:2]]
    assert reports[1].error is None
    assert reports[0].error == "SupersededError" or not has_ended
    check_counts(reports[1], heir)
    assert max(this.created().values()) == 1
    rows = this.rows()
    delivered = {one for one, row in rows.items() if row["status"] == "succeeded"}
    assert delivered == set(this.created()), "a late answer stands over its successor's doubt"
    assert {row["status"] for one, row in rows.items() if one not in delivered} <= {"unknown"}
    assert set(rows) == set(KEYS)
    bodies = {row["body"] for row in this.database.rows("contact_outcomes_batches") if row["status"] != "sending"}
    assert bodies <= {None}


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_nobody_is_sent_who_has_been_forgotten(this: Round, runners: list[Runner]) -> None:
    chance = this.chance
    # Rows that are claimed anew, and others that somebody else inserts between a look and a claim.
    this.leave_failed(chance.sample(KEYS, k=len(KEYS) // 2))
    this.set(latency="0ms-8ms", http_429="0.3", retry_after="zero", store_then_drop="0.1")
    engine = this.database.engine()
    tables = existing(engine, "contact_outcomes")
    for number, mine in enumerate(overlapping(chance)):
        size = {"batch_size": chance.randint(1, 9), "max_in_flight": chance.randint(1, 4)}
        runners[number].start(this.job(keys=mine, dag_id=f"dag-{number}", **size))
    gone: dict[str, int] = {}
    waiting = chance.sample(KEYS, k=len(KEYS) // 2)
    while waiting and not all(runner.has_ended(0) for runner in runners):
        some, waiting = waiting[:3], waiting[3:]
        found, _ = forget(engine, tables, some)
        done = {
            key for key, finding in found.items() if finding in {ForgetResult.FORGOTTEN, ForgetResult.ALREADY_FORGOTTEN}
        }
        gone |= {key: this.created()[key] for key in done}
        waiting += [key for key in some if key not in done]
    assert {runner.report().error for runner in runners} == {None}
    this.set(http_429="never", store_then_drop="never")
    last = push(this.job(keys=KEYS, dag_id="after"))
    assert len(gone) > len(KEYS) // 10
    assert {key: this.created()[key] for key in gone} == gone
    assert max(this.created().values()) == 1
    assert set(gone) <= set(last.having(Status.SKIPPED))
    kept = cells(this.database)
    assert [key for key in gone if key in kept] == []


def owner(row: dict[str, Any]) -> str:
    """Return the token of the execution that has marked a row last."""
    return str(row["batch_id"])[:10]


def test_many_that_begin_as_one_run(served: Served, database: Database, runners: list[Runner]) -> None:
    # What a broken scheduler may do: the same try of the same task, several times over.
    database.open("before").close()  # these jobs do not wait where another one makes the tables
    this = Round(FIRST, served, database)
    this.set(latency="20ms-40ms")
    jobs = [this.job(keys=this.shuffled(), batch_size=3) for _ in range(PROCESSES)]
    reports = at_once(runners, jobs)
    assert max(this.created().values()) == 1
    assert {report.error for report in reports} <= {None, "SupersededError"}
    assert [report.error for report in reports].count(None) <= 1
    last = push(replace(jobs[0], try_number=2))
    assert last.error is None
    assert max(this.created().values()) == 1
    assert set(this.created()) | set(last.having(Status.UNKNOWN)) == set(KEYS)

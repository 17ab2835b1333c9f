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
from dataclasses import dataclass, replace
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
KEYS = 90


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

    def __post_init__(self) -> None:
        self.served.simulator.reset(knobs=True)

    @property
    def random(self) -> random.Random:
        return random.Random(self.seed)

    def job(self, **values: Any) -> Job:
        connection = vendor_connection(self.served.simulator, self.served.url)
        settings: dict[str, Any] = {"database": self.database.url, "vendor": connection, "keys": []}
        return Job(**{**settings, "sync_id": f"sync-{self.seed}", **values})

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = [row for row in self.database.rows() if row["sync_id"] == f"sync-{self.seed}"]
        return {row["record_identifier"]: row for row in rows}

    def leave_failed(self, keys: list[str]) -> None:
        """Leave rows behind that may be claimed anew."""
        self.served.simulator.set("dex.http_429", "always")
        left = push(self.job(keys=keys, dag_id="before", batch_size=100, request_attempts=1))
        self.served.simulator.set("dex.http_429", "never")
        assert left.by_status() == {"failed": len(keys)}


def overlapping(chance: random.Random, keys: list[str]) -> Iterator[list[str]]:
    """Yield what each process pushes: most of the keys, in an order of its own."""
    for number in range(PROCESSES):
        mine = chance.sample(keys, k=chance.randint(len(keys) * 2 // 3, len(keys)))
        order = chance.choice(("shuffled", "ascending", "descending"))
        if order != "shuffled":
            mine.sort(reverse=order == "descending")
        # Every key belongs to somebody.
        yield mine if number else [*mine, *sorted(set(keys) - set(mine))]


def check_counts(report: Report, job: Job) -> None:
    """Check that every record of a job has ended in one outcome, one that a competitor may have."""
    assert sorted(str(one) for one, _, _ in report.outcomes) == sorted(job.keys)
    codes = {(status, code) for _, status, code in report.outcomes if status == "failed"}
    assert codes <= {("failed", "claimed_elsewhere")}
    assert set(report.by_status()) <= {"succeeded", "skipped", "failed", "unknown"}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
@pytest.mark.parametrize("faults", [False, True], ids=["calm", "faults"])
def test_no_key_is_created_twice(
    served: Served, database: Database, runners: list[Runner], seed: int, faults: bool
) -> None:
    this = Round(seed, served, database)
    chance = this.random
    keys = [f"k{number:03}" for number in range(KEYS)]
    this.leave_failed(chance.sample(keys, k=KEYS // 3))
    served.simulator.set("dex.latency", "0ms-8ms")
    if faults:
        served.simulator.set("dex.store_then_drop", "0.05")
        served.simulator.set("dex.http_429", "0.05")
        served.simulator.set("dex.retry_after", "zero")
    jobs = [
        this.job(keys=mine, dag_id=f"dag-{number}", batch_size=chance.randint(1, 9), max_in_flight=chance.randint(1, 4))
        for number, mine in enumerate(overlapping(chance, keys))
    ]
    reports = at_once(runners, jobs)
    for report, job in zip(reports, jobs, strict=True):
        assert report.error is None
        check_counts(report, job)
    assert max(created(served.simulator).values()) == 1
    delivered = [one for report in reports for one in report.having(Status.SUCCEEDED)]
    assert max(Counter(delivered).values()) == 1, "two have delivered one record"
    rows = this.rows()
    assert {one for one, row in rows.items() if row["status"] == "succeeded"} == set(delivered)
    assert set(created(served.simulator)) - set(delivered) == {
        one for one, row in rows.items() if row["status"] == "unknown" and created(served.simulator)[one]
    }
    if not faults:
        assert set(delivered) == set(keys) == set(created(served.simulator))
    # The run after them sends what is left over, and nothing else.
    served.simulator.set("dex.store_then_drop", "never")
    served.simulator.set("dex.http_429", "never")
    last = push(this.job(keys=keys, dag_id="after"))
    assert last.error is None
    assert set(last.by_status()) <= {"succeeded", "skipped", "unknown"}
    assert max(created(served.simulator).values()) == 1
    assert set(created(served.simulator)) | set(last.having(Status.UNKNOWN)) == set(keys)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_a_zombie_sends_nothing_once_its_successor_has_begun(
    served: Served, database: Database, runners: list[Runner], seed: int
) -> None:
    this = Round(seed, served, database)
    chance = this.random
    keys = [f"k{number:03}" for number in range(KEYS)]
    served.simulator.set("dex.latency", "5ms-15ms")
    zombie, heir = (
        this.job(keys=chance.sample(keys, k=KEYS), try_number=number, batch_size=chance.randint(1, 3))
        for number in (1, 2)
    )
    runners[0].start(zombie)
    enough = chance.randint(1, 10)
    while served.simulator.vendors["dex"].counts["write"] < enough:
        time.sleep(0.002)
    # So slow that it has not finished when its successor begins.
    served.simulator.set("dex.reply_delay", "1s")
    runners[1].start(heir)
    wait_until(lambda: len(database.rows("contact_outcomes_runs")) > 1, "the successor begins")
    served.simulator.set("dex.reply_delay", "0ms")
    reports = [runner.report() for runner in runners[:2]]
    assert max(created(served.simulator).values()) == 1
    assert (reports[0].error, reports[1].error) == ("SupersededError", None)
    check_counts(reports[1], heir)
    rows = this.rows()
    begun = next(row["started_at"] for row in database.rows("contact_outcomes_runs") if row["try_number"] == 2)
    late = [one for one, row in rows.items() if owner(row) == reports[0].token and row["batch_started_at"] > begun]
    assert late == [], "marked by the zombie after its successor had registered"
    # What the zombie had under way is in doubt for its successor, which leaves it; everything else is delivered.
    doubtful = {one for one, row in rows.items() if row["status"] == "unknown"}
    assert set(rows) == set(keys)
    assert {row["status"] for row in rows.values()} <= {"succeeded", "unknown"}
    assert set(keys) - doubtful <= set(created(served.simulator))
    assert {owner(rows[one]) for one in doubtful} <= {reports[0].token}
    assert max(created(served.simulator).values()) == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_a_process_that_is_stopped_goes_on_behind_its_successor(
    served: Served, database: Database, runners: list[Runner], seed: int
) -> None:
    # As on a machine that is suspended: anywhere, also in the middle of a claim or of an answer.
    this = Round(seed, served, database)
    chance = this.random
    keys = [f"k{number:03}" for number in range(KEYS)]
    served.simulator.set("dex.latency", "0ms-4ms")
    stopped, heir = (
        this.job(keys=chance.sample(keys, k=KEYS), try_number=number, batch_size=chance.randint(1, 3))
        for number in (1, 2)
    )
    runners[0].start(stopped)
    enough = chance.randint(1, 20)
    while served.simulator.vendors["dex"].counts["write"] < enough:
        time.sleep(0.0005)
    time.sleep(chance.random() / 100)
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
    assert max(created(served.simulator).values()) == 1
    rows = this.rows()
    delivered = {one for one, row in rows.items() if row["status"] == "succeeded"}
    assert delivered == set(created(served.simulator)), "a late answer stands over its successor's doubt"
    assert {one: row["status"] for one, row in rows.items() if one not in delivered} == dict.fromkeys(
        set(keys) - delivered, "unknown"
    )
    assert {row["body"] for row in database.rows("contact_outcomes_batches") if row["status"] != "sending"} <= {None}


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_nobody_is_sent_who_has_been_forgotten(
    served: Served, database: Database, runners: list[Runner], seed: int
) -> None:
    this = Round(seed, served, database)
    chance = this.random
    keys = [f"k{number:03}" for number in range(KEYS)]
    # Rows that are claimed anew, and others that somebody else inserts between a look and a claim.
    this.leave_failed(chance.sample(keys, k=KEYS // 2))
    for name, value in {
        "latency": "0ms-8ms",
        "http_429": "0.3",
        "retry_after": "zero",
        "store_then_drop": "0.1",
    }.items():
        served.simulator.set(f"dex.{name}", value)
    engine = database.engine()
    tables = existing(engine, "contact_outcomes")
    for number, mine in enumerate(overlapping(chance, keys)):
        size = {"batch_size": chance.randint(1, 9), "max_in_flight": chance.randint(1, 4)}
        runners[number].start(this.job(keys=mine, dag_id=f"dag-{number}", **size))
    gone: dict[str, int] = {}
    waiting = chance.sample(keys, k=KEYS // 2)
    while waiting and not all(runner.has_ended(0) for runner in runners):
        some, waiting = waiting[:3], waiting[3:]
        found, _ = forget(engine, tables, some)
        done = {
            key for key, finding in found.items() if finding in {ForgetResult.FORGOTTEN, ForgetResult.ALREADY_FORGOTTEN}
        }
        gone |= {key: created(served.simulator)[key] for key in done}
        waiting += [key for key in some if key not in done]
    assert {runner.report().error for runner in runners} == {None}
    for name in ("http_429", "store_then_drop"):
        served.simulator.set(f"dex.{name}", "never")
    last = push(this.job(keys=keys, dag_id="after"))
    assert len(gone) > KEYS // 10
    assert {key: created(served.simulator)[key] for key in gone} == gone
    assert max(created(served.simulator).values()) == 1
    assert set(gone) <= set(last.having(Status.SKIPPED))
    kept = cells(database)
    assert [key for key in gone if key in kept] == []


def owner(row: dict[str, Any]) -> str:
    """Return the token of the execution that has marked a row last."""
    return str(row["batch_id"])[:10]


def test_many_that_begin_as_one_run(served: Served, database: Database, runners: list[Runner]) -> None:
    # What a broken scheduler may do: the same try of the same task, several times over.
    database.open("before").close()  # these jobs do not wait where another one makes the tables
    this = Round(FIRST, served, database)
    served.simulator.set("dex.latency", "20ms-40ms")
    keys = [f"k{number:03}" for number in range(KEYS)]
    jobs = [this.job(keys=this.random.sample(keys, k=KEYS), batch_size=3) for _ in range(PROCESSES)]
    reports = at_once(runners, jobs)
    assert max(created(served.simulator).values()) == 1
    assert {report.error for report in reports} <= {None, "SupersededError"}
    assert [report.error for report in reports].count(None) <= 1
    last = push(replace(jobs[0], try_number=2))
    assert last.error is None
    assert max(created(served.simulator).values()) == 1
    assert set(created(served.simulator)) | set(last.having(Status.UNKNOWN)) == set(keys)

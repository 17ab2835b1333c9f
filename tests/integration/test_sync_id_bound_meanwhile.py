"""A new ``sync_id`` that another task binds to another destination first: whoever is not bound writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_contacts.errors import ConfigError, SyncTakenError
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.push_settings import Clock
from tests.support.ledger_conformance import Database, answer, claim, mark, outcome, put, results, send
from tests.support.table_pushing import Job, pushing, vendor_connection

if TYPE_CHECKING:
    from tests.support.pushing import World

SANDBOX = "sandbox.test"
PLACES = ("one.test", "two.test", "two.test")

Attempt = Callable[[SqlLedger, str], Any]

FIRST_WRITES: dict[str, Attempt] = {
    "claim": lambda ledger, key: put(ledger, [mark(ledger, key)]),
    "unsent": lambda ledger, key: ledger.record_unsent([outcome(key, Status.INVALID, error_code="invalid_email")]),
}


@pytest.fixture
def database(database_of_any_kind: Database) -> Database:
    return database_of_any_kind


def written(database: Database) -> list[list[dict[str, Any]]]:
    """Return all that the tables hold of a sync_id."""
    return [database.rows(f"contact_outcomes_{name}") for name in ("syncs", "batches", "records")]


def hosts(database: Database) -> set[str]:
    return {row["destination_host"] for row in database.rows()}


@pytest.mark.parametrize("write", FIRST_WRITES.values(), ids=list(FIRST_WRITES))
@pytest.mark.parametrize("key", ["mine", "theirs"])
def test_who_is_late_writes_nothing(database: Database, write: Attempt, key: str) -> None:
    late, first = database.open("late", destination_host=SANDBOX), database.open("first")
    claim(first, "theirs")
    before = written(database)
    with pytest.raises(ConfigError, match=f"remembers records of .*goes to dex at {SANDBOX}"):
        write(late, key)
    assert written(database) == before
    assert claim(database.open("next"), "more") == {"more"}, "the later runs of the one that is bound work"


def test_who_is_late_neither_reads_nor_settles_the_others_records(database: Database) -> None:
    late, first = database.open("late", destination_host=SANDBOX), database.open("first")
    (sent,) = send(first, "key")
    calls: list[Callable[[], Any]] = [
        *(lambda key=key: late.states([key]) for key in ("key", "absent")),
        lambda: late.record_outcomes([outcome("key", Status.UNKNOWN, sent.batch_id)]),
        lambda: late.record_results(results([sent], Status.SUCCEEDED)),
        lambda: put(late, [], results([sent], Status.SUCCEEDED)),
    ]
    before = written(database)
    for call in calls:
        with pytest.raises(SyncTakenError):
            call()
    assert written(database) == before


@pytest.mark.parametrize("write", FIRST_WRITES.values(), ids=list(FIRST_WRITES))
def test_of_two_that_write_at_once_one_is_bound(database: Database, write: Attempt) -> None:
    database.open("before", sync_id="before")
    for round_number in range(3):
        sync_id = f"round-{round_number}"
        ledgers = [
            database.open(f"run-{number}", sync_id=sync_id, destination_host=place)
            for number, place in enumerate(PLACES)
        ]
        start = threading.Barrier(len(ledgers))

        def run(number: int, ledgers: Any = ledgers, start: Any = start) -> str | None:
            start.wait(timeout=30)
            try:
                write(ledgers[number], f"key-{number}")
            except SyncTakenError:
                return None
            return PLACES[number]

        with ThreadPoolExecutor(len(ledgers)) as threads:
            bound = {place for place in threads.map(run, range(len(ledgers))) if place is not None}
        for ledger in ledgers:
            ledger.close()
        assert len(bound) == 1
        written = {row["destination_host"] for row in database.rows() if row["sync_id"] == sync_id}
        assert written == bound


def test_the_first_write_is_waited_for(database: Database) -> None:
    late, first = database.open("late", destination_host=SANDBOX), database.open("first")
    with ThreadPoolExecutor(1) as threads:
        with database.engine().begin() as connection:
            values = "'sync', 'dex', 'api.dex.test', 'list-1'"
            columns = "sync_id, destination, destination_host, destination_object"
            connection.exec_driver_sql(f"INSERT INTO contact_outcomes_syncs ({columns}) VALUES ({values})")
            waiting = threads.submit(FIRST_WRITES["unsent"], late, "mine")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        with pytest.raises(SyncTakenError):
            waiting.result(timeout=30)
    assert database.rows() == []
    assert claim(first, "key") == {"key"}


def test_a_push_that_is_late_sends_and_writes_nothing(database: Database, world: World) -> None:
    connection = vendor_connection(world.simulator, world.served.url)
    job = Job(database=database.url, vendor=connection, keys=["mine", "theirs", "more"], dag_id="late")
    outcomes: list[Any] = []
    with pushing(job, Clock()) as (_, found):
        winner = database.open("first", destination_host="elsewhere.test", destination_object=None)
        answer(winner, send(winner, "theirs"), Status.SUCCEEDED, destination_record_id="x")
        before = database.rows()
        with pytest.raises(SyncTakenError):
            outcomes.extend(found)
    assert {(one.record_identifier, one.status, one.error_code) for one in outcomes} == {
        (key, Status.FAILED, "not_attempted") for key in job.keys
    }
    assert world.sent() == 0
    assert database.rows() == before
    assert hosts(database) == {"elsewhere.test"}
    database.open("second", destination_host="elsewhere.test", destination_object=None)

"""What is old goes, and what a later push needs stays: on every kind of database, also while pushes run."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.errors import ConfigError, SupersededError
from airflow_provider_contacts.ledgers.sql.database import flavour_of
from airflow_provider_contacts.ledgers.sql.forgetting import forget
from airflow_provider_contacts.ledgers.sql.pruning import COUNTS, Pruner
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.ledgers.sql.tables import build
from airflow_provider_contacts.outcome import RecordError, Status
from airflow_provider_contacts.records.record_state import ABSENT
from tests.support.ledger_conformance import Database, answer, batch_of, claim, conclude, make, marks, outcome, put
from tests.support.pushing import Served
from tests.support.table_pushing import Job, Runner, created, push, vendor_connection

DAYS = 100 * 86_400
OLD = 90.0 * 86_400
SAID: dict[str, Any] = {
    "error_code": "x",
    "error_field": "email",
    "status_message": "ada@example.com is taken",
    "errors": (RecordError("x", "email", 'ada@example.com "is" taken'), RecordError(ABSENT), RecordError("message")),
}
CLEARED = {"record_payload": None, "status_message": None, "errors": None}


@pytest.fixture
def database(database_of_any_kind: Database) -> Database:
    return database_of_any_kind


def pruner(database: Database, seconds: float = OLD, table: str = "contact_outcomes") -> Pruner:
    engine = database.engine()
    with engine.connect():
        return Pruner(engine, build(table, flavour_of(engine)), seconds)


def counted(**counts: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTS, 0), **counts}


def age(database: Database, seconds: int = DAYS) -> None:
    """Make all that stands so much older."""
    moved = {
        "batches": ("batch_started_at", "batch_completed_at"),
        "records": ("settled_at",),
        "runs": ("started_at", "updated_at", "completed_at"),
    }
    how = {
        "s": "strftime('%Y-%m-%d %H:%M:%f', {0}, '-{1} seconds')",
        "p": "{0} - interval '{1} seconds'",
        "m": "{0} - INTERVAL {1} SECOND",
    }[database.url[0]]
    for table, names in moved.items():
        changes = ", ".join(f"{name} = {how.format(name, seconds)}" for name in names)
        database.run(f"UPDATE contact_outcomes_{table} SET {changes}")


def ended(database: Database) -> None:
    """Let every run be over."""
    database.run("UPDATE contact_outcomes_runs SET status = 'partial', completed_at = updated_at")


def every_kind(database: Database, sync_id: str = "sync") -> None:
    """Leave records of every status behind, each with all that it may have, and a batch of some sent as one."""
    ledger = database.open("before", sync_id=sync_id, store_payload="all")
    ledger.record_unsent([outcome("invalid", Status.INVALID, payload={"email": "ada@example.com"}, **SAID)])
    for status in (Status.SUCCEEDED, Status.REJECTED, Status.FAILED, Status.UNKNOWN):
        put(ledger, sent := batch_of(ledger, status.value))
        said = {} if status is Status.SUCCEEDED else SAID
        answer(ledger, sent, status, http_status=409, destination_record_id="id", **said)
    put(ledger, sent := batch_of(ledger, "one", "two"))
    answer(ledger, sent, Status.SUCCEEDED, destination_record_id="id")
    put(ledger, batch_of(ledger, "left", "behind"))


def test_payloads_and_texts_of_what_is_certain_go_and_nothing_else(database: Database) -> None:
    every_kind(database)
    age(database)
    every_kind(database, "another")
    before = shown_of_all(database)
    expected = counted(num_payloads=6, num_texts=3)
    assert pruner(database).count() == expected
    assert shown_of_all(database) == before, "counting changes nothing"
    assert pruner(database).prune() == expected
    after = shown_of_all(database)
    for key, row in before.items():
        sync_id, name = key
        kept = sync_id == "another" or name in {"unknown", "left", "behind"}
        codes = [{"code": one["code"], "field": one["field"]} for one in row["errors"] or ()] or None
        assert after[key] == (row if kept else {**row, **CLEARED, "errors": codes}), key
        assert row["record_payload"] is not None, key
    assert pruner(database).prune() == counted()


def shown_of_all(database: Database) -> dict[tuple[str, str], dict[str, Any]]:
    rows = {(row["sync_id"], row["record_identifier"]): row for row in database.rows()}
    for row in rows.values():
        row["errors"] = json.loads(row["errors"]) if isinstance(row["errors"], str) else row["errors"]
    return rows


def test_on_sqlite_nothing_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/outcomes.db")) as database:
        ledger = database.open()
        ledger.record_unsent(
            [outcome(f"k{number}", Status.INVALID, payload={"notes": "canary" * 2000}) for number in range(20)]
        )
        age(database)
        assert pruner(database).prune()["num_payloads"] == 20
        database.close()
    assert b"canary" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_doubt_that_a_reading_ended_is_remembered(database: Database) -> None:
    ledger = database.open()
    put(ledger, sent := batch_of(ledger, "a"))
    answer(ledger, sent, Status.REJECTED, **SAID)
    age(database)
    pruner(database).prune()
    state = database.open(try_number=2).states(["a"])["a"]
    assert (state.was_in_doubt, state.error_code, state.error_field, state.status_message) == (True, "x", "email", None)


def test_a_text_of_a_further_reason_goes_too(database: Database) -> None:
    reasons = (RecordError("x"), RecordError("y", "email", "ada@example.com is taken"))
    database.open().record_unsent([outcome("a", Status.INVALID, error_code="x", errors=reasons)])
    assert pruner(database, 0.0).prune()["num_texts"] == 1
    assert "ada@example.com" not in str(database.rows())


def test_the_age_is_that_of_the_outcome(database: Database) -> None:
    ledger = database.open()
    put(ledger, sent := batch_of(ledger, "a", "b"))
    answer(ledger, sent, Status.UNKNOWN)
    age(database)
    conclude(ledger, [outcome("a", Status.FAILED, sent[0].batch_id, **SAID)])
    assert pruner(database).prune() == counted(), "what was a doubt until now is young"
    assert pruner(database, 0.0).prune() == counted(num_payloads=1, num_texts=1)


def test_batches_that_no_record_names_go_and_a_late_answer_to_one_is_harmless(database: Database) -> None:
    ledger = database.open()
    put(ledger, old := batch_of(ledger, "a", "b"))
    answer(ledger, old, Status.FAILED)
    put(ledger, again := batch_of(ledger, "a", "b"))
    assert pruner(database).prune() == counted()
    age(database)
    assert pruner(database).prune() == counted(num_batches=1)
    assert answer(ledger, old, Status.SUCCEEDED) == set()
    assert {row["status"] for row in database.rows()} == {"sending"}
    assert answer(ledger, again, Status.SUCCEEDED, destination_record_id="id") == {"a", "b"}
    assert pruner(database).prune() == counted()


def test_a_batch_that_may_be_under_way_stays(database: Database) -> None:
    ledger = database.open()
    claim(ledger, "a")
    database.run("UPDATE contact_outcomes_batches SET status = 'sending'", "DELETE FROM contact_outcomes_records")
    assert pruner(database, 0.0).prune() == counted()
    database.backdate(3700)
    assert pruner(database, 0.0).prune() == counted(num_batches=1)


def test_a_record_that_moves_meanwhile_is_left_alone(database: Database) -> None:
    ledger = database.open()
    make(ledger, "a", Status.FAILED)
    make(ledger, "b", Status.FAILED)
    age(database)
    at_work = pruner(database)
    pages = at_work._pages(at_work._clearable(), 1)
    rows = next(pages)
    assert put(ledger, marks(ledger, "a")) == {"a"}
    statements = Statements(at_work.tables, at_work.engine.dialect, "undelivered")
    assert at_work._write(statements.clear_records, 1, rows) == 1
    assert at_work._write(statements.delete_records, 1, rows) == 1
    assert [(row["record_identifier"], row["record_payload"] is None) for row in database.rows()] == [("a", False)]


def test_named_syncs_go_whole(database: Database) -> None:
    for sync_id in ("sync", "other", "stays"):
        ledger = database.open(sync_id, sync_id=sync_id)
        put(ledger, sent := batch_of(ledger, "a", "b", "c"))
        answer(ledger, sent, Status.SUCCEEDED, destination_record_id="id")
        put(ledger, sent := batch_of(ledger, "d", "e"))
        answer(ledger, sent, Status.FAILED)
    ended(database)
    age(database)
    expected = counted(num_payloads=2, num_batches=4, num_records=10, num_runs=2, num_syncs=2)
    assert pruner(database).count(["sync", "other"]) == expected
    assert pruner(database).prune(["sync", "other"]) == expected
    assert {row["sync_id"] for row in database.rows()} == {"stays"}
    assert [row["sync_id"] for row in database.rows("contact_outcomes_syncs")] == ["stays"]
    assert [row["sync_id"] for row in database.rows("contact_outcomes_runs")] == ["stays"]
    with pytest.raises(ConfigError, match="'sync': not in the table"):
        pruner(database).prune(["sync"])
    # The next push knows nobody, and may go elsewhere.
    again = database.open("again", sync_id="sync", destination_object="list-2")
    sent = batch_of(again, "a", "d")
    assert put(again, sent) == {"a", "d"}
    assert answer(again, sent, Status.SUCCEEDED) == {"a", "d"}


@pytest.mark.parametrize(
    ("status", "is_old", "why"),
    [
        (Status.UNKNOWN, True, "1 records are unknown, settle them first"),
        (Status.SENDING, True, "1 records are sending, settle them first"),
        (Status.FAILED, False, "1 records are younger than older_than, 1 runs are younger, or are running"),
        (None, False, "1 runs are younger, or are running"),
    ],
)
def test_what_may_not_go_stays_with_all_that_is_named(
    database: Database, status: Status | None, is_old: bool, why: str
) -> None:
    make(database.open("fit", sync_id="fit"), "a", Status.SUCCEEDED)
    ledger = database.open("unfit", sync_id="sync")
    make(ledger, "a", Status.SUCCEEDED)
    age(database)
    if status is not None:
        ledger = database.open("unfit", sync_id="sync")
        make(ledger, "b", status)
    else:
        database.open("newer", sync_id="sync")
    ended(database)
    if is_old:
        age(database)
    before = [database.rows(f"contact_outcomes_{name}") for name in ("syncs", "runs", "batches", "records")]
    for call in (pruner(database).prune, pruner(database).count):
        with pytest.raises(ConfigError) as caught:
            call(["fit", "sync"])
        assert str(caught.value) == f"sync_ids: no sync is removed, since some must stay. 'sync': {why}"
    assert before == [database.rows(f"contact_outcomes_{name}") for name in ("syncs", "runs", "batches", "records")]


def test_the_forgotten_of_a_named_sync_stay(database: Database) -> None:
    ledger = database.open()
    for name, status in (("a", Status.SUCCEEDED), ("b", Status.SUCCEEDED), ("c", Status.UNKNOWN)):
        make(ledger, name, status)
    ended(database)
    age(database)
    work = pruner(database)
    forget(work.engine, work.tables, ["b", "c"])
    expected = counted(num_batches=1, num_records=1, num_runs=1)
    assert work.count(["sync"]) == expected
    assert work.prune(["sync"]) == expected
    again = database.open("again")
    assert {name: state.is_forgotten for name, state in again.states("abc").items()} == {"b": True, "c": True}
    assert claim(again, "a") == {"a"}


def removed_syncs(database: Database) -> tuple[Pruner, dict[int, str]]:
    """Return what removes a sync whose records are gone already, and the sync."""
    make(database.open("before"), "a", Status.SUCCEEDED)
    ended(database)
    age(database)
    database.run("DELETE FROM contact_outcomes_records")
    return pruner(database), {1: "sync"}


def test_a_push_that_registers_while_its_sync_goes_sees_none(database: Database) -> None:
    work, named = removed_syncs(database)
    with ThreadPoolExecutor(1) as threads:
        with work.engine.begin() as connection:
            assert work._remove(connection, named) == {"num_runs": 1, "num_syncs": 1}
            opening = threads.submit(database.open, "new")
            with pytest.raises(TimeoutError):
                opening.result(timeout=0.5)
        ledger = opening.result(timeout=30)
    sent = batch_of(ledger, "a", "b")
    assert put(ledger, sent) == {"a", "b"}
    assert answer(ledger, sent, Status.SUCCEEDED) == {"a", "b"}
    assert {row["sync_id"] for row in database.rows()} == {"sync"}


def test_a_sync_stays_once_a_push_has_registered(database: Database) -> None:
    work, named = removed_syncs(database)
    ledger = database.open("new")
    with pytest.raises(ConfigError, match="a push of 'sync' has begun"), work.engine.begin() as connection:
        work._remove(connection, named)
    assert [row["run_id"] for row in database.rows("contact_outcomes_runs")] == ["before", "new"]
    assert claim(ledger, "a") == {"a"}


def test_an_execution_whose_run_is_gone_claims_nothing(database: Database) -> None:
    asleep = database.open("asleep")
    make(asleep, "a", Status.SUCCEEDED)
    age(database)
    assert pruner(database).prune(["sync"])["num_runs"] == 1
    with pytest.raises(SupersededError):
        put(asleep, marks(asleep, "b"))
    assert database.rows() == []


@pytest.mark.parametrize("seed", range(1, 1 + int(os.environ.get("CONTACTS_ROUNDS", "1"))))
def test_beside_pushes_that_lose_answers_and_are_killed(database: Database, served: Served, seed: int) -> None:
    chance, simulator = random.Random(seed), served.simulator
    keys = [f"k{number:03}" for number in range(60)]
    database.open("before").close()
    # What there is to remove in any case; the pushes may leave some, too.
    earlier = database.open("earlier", sync_id="earlier")
    for _ in range(2):
        make(earlier, "other", Status.FAILED)
    for name, value in {
        "store_then_drop": "0.06",
        "http_429": "0.1",
        "retry_after": "zero",
        "latency": "0-8ms",
    }.items():
        simulator.set(f"dex.{name}", value)
    connection = vendor_connection(simulator, served.url)
    job = Job(database=database.url, vendor=connection, keys=keys, batch_size=4, request_attempts=2)
    is_over = threading.Event()

    def prune_on() -> Counter[str]:
        work, total = pruner(database, 0.0), Counter[str]()
        while not is_over.is_set():
            total.update(work.prune())
            with pytest.raises(ConfigError, match="'sync': "):
                work.prune(["sync"])
        return total + Counter(work.prune())

    steady = [Runner(), Runner()]
    with ThreadPoolExecutor(1) as threads:
        pruning = threads.submit(prune_on)
        for turn in range(2):
            runners = [*steady, Runner()]
            for number, runner in enumerate(runners):
                mine = chance.sample(keys, k=len(keys) * 2 // 3)
                runner.start(replace(job, keys=mine, dag_id=f"dag-{turn}-{number}"))
            time.sleep(0.2 + chance.random() / 5)
            runners[-1].process.kill()
            runners[-1].close()
            assert [runner.report().error for runner in steady] == [None, None]
        is_over.set()
        total = pruning.result(timeout=60)
    for runner in steady:
        runner.close()
    assert total["num_batches"] > 0, "a claim is rid of its failed attempts"
    assert total["num_payloads"] > 0
    database.run("DELETE FROM contact_outcomes_records WHERE record_identifier = 'other'")
    for name in ("store_then_drop", "http_429"):
        simulator.set(f"dex.{name}", "never")
    last = push(replace(job, dag_id="after"))
    assert last.error is None
    assert max(created(simulator).values()) == 1
    rows = {row["record_identifier"]: row for row in database.rows()}
    doubtful = {one for one, row in rows.items() if row["status"] in {"unknown", "sending"}}
    assert set(rows) == set(keys)
    assert set(rows) - doubtful <= set(created(simulator))
    assert all(rows[one]["record_payload"] is not None for one in doubtful), "what is in doubt keeps its payload"

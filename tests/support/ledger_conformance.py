"""What every ledger must do, and what every outcome table besides; each memory's test file runs what is its own.

A memory is handed over as a :class:`Memory`, which says the little that is done in each its own way.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

import airflow_provider_contacts
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql import tables
from airflow_provider_contacts.ledgers.sql.batch_numbers import number_of
from airflow_provider_contacts.ledgers.sql.database import prepare
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.lookups import CHUNK
from airflow_provider_contacts.ledgers.sql.open_table import Opening, open_ledger
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.transactions import Patience
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult, History
from airflow_provider_contacts.records.record_state import Holder, RecordState

HOST, OBJECT = "api.dex.test", "list-1"

COLUMNS = [
    *("sync_id", "record_identifier", "destination", "destination_host", "destination_object", "status"),
    *("destination_record_id", "error_code", "error_field", "status_message", "errors", "http_status", "attempts"),
    *("payload_hash", "record_payload", "row_index", "batch_id", "sync_run_id", "dag_id", "run_id", "task_id"),
    *("map_index", "try_number", "batch_started_at", "batch_completed_at", "settled_by", "settled_at"),
]
RUN_COLUMNS = [
    *("run_no", "sync_id", "sync_no", "sync_run_id", "try_number", "token"),
    *("dag_id", "run_id", "task_id", "map_index", "region", "status", "status_message"),
    *tables.COUNTERS,
    *("num_total", "started_at", "updated_at", "completed_at"),
]
KEYS = [
    *("a", "A", "a ", " a", "a\t", "\u00e4", "a\u0308", "\u00df", "ss", "1", "1.0", "01", "\U0001f600"),
    *("e\u200bx", "ex", "O'Hara", '["a","b"]', "%s", ":name", "\\", "null", "x" * 255, "\U0001f600" * 255),
]

HOSTILE = [
    *("NUL \x00 inside", "\ud800 lone surrogates \udfff", "\x1b[31mred\x07\x7f\x9f", "\U0001f600" * 5000, ""),
    *("x" * 1_000_000, "'; DROP TABLE contact_outcomes; --", "%s %(x)s :x {x} \\u0000 \\"),
]

PACKAGE_FOLDER = Path(str(airflow_provider_contacts.__file__)).parent.parent

KILLED = """
import os, signal, sys
from tests_of_ledgers import Database, batch_of, put
ledger = Database(sys.argv[1]).open("crash")
assert put(ledger, batch_of(ledger, "one", "two")) == {"one", "two"}
os.kill(os.getpid(), signal.SIGKILL)
"""


class Memory(Protocol):
    """Where ledgers keep what they know: empty at first, looked at from outside."""

    keeps_texts: bool  # whether payloads and a vendor's texts are kept

    def open(self, run_id: str = "run", try_number: int = 1, **changes: Any) -> Ledger:
        """Return the ledger of a new execution; ``changes`` are ``sync_id``, ``token`` and the destination."""

    def look(self) -> Ledger:
        """Return a ledger of the run that reads afresh, without becoming the newest execution."""

    def count(self) -> int:
        """Return how many records have a row."""

    def destroy(self) -> None:
        """Make every later call fail, with an error that quotes what was to be written."""


def opening(run_id: str = "run", try_number: int = 1, **changes: Any) -> Opening:
    """Return what a task says of its table."""
    run = RunIdentity(dag_id="dag", run_id=run_id, task_id="task", map_index=-1, try_number=try_number)
    place: dict[str, Any] = {
        "sync_id": "sync",
        "destination": "dex",
        "destination_host": HOST,
        "destination_object": OBJECT,
    }
    place |= {name: changes.pop(name) or None for name in place if name in changes}
    return Opening(**{"run": run, "binding": Binding(**place), "patience": Patience(0.0), "hook": None, **changes})


@dataclass
class Database:
    """One empty database."""

    url: str
    engines: list[sqlalchemy.Engine] = field(default_factory=list)
    keeps_texts: bool = True

    def refuse(self, column: str) -> None:
        """Make the database refuse every write whose value of a column is ``boom``."""
        if not self.url.startswith("sqlite"):
            return self.run(f"ALTER TABLE contact_outcomes_records ADD CHECK ({column} <> 'boom')")
        when = f"ON contact_outcomes_records WHEN NEW.{column} = 'boom' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        return self.run(*(f"CREATE TRIGGER refuse_{one} BEFORE {one} {when}" for one in ("insert", "update")))

    def backdate(self, seconds: int) -> None:
        """Move every mark by so many seconds."""
        begun = "batch_started_at"
        before = {
            "s": f"strftime('%Y-%m-%d %H:%M:%f', {begun}, '{-seconds} seconds')",
            "p": f"{begun} - interval '{seconds} seconds'",
            "m": f"{begun} - INTERVAL {seconds} SECOND",
        }
        self.run(f"UPDATE contact_outcomes_batches SET {begun} = {before[self.url[0]]}")

    @cached_property
    def outside(self) -> sqlalchemy.Engine:
        """What looks and changes past the ledger."""
        return self.engine()

    def engine(self) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(self.url, hide_parameters=True)
        prepare(engine)
        self.engines.append(engine)
        return engine

    def run(self, *statements: str) -> None:
        with self.outside.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def rows(self, table: str = "contact_outcomes") -> list[dict[str, Any]]:
        with self.outside.connect() as connection:
            found = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2")
            return [dict(row) for row in found.mappings()]

    def row(self, identifier: str) -> dict[str, Any]:
        (row,) = [row for row in self.rows() if row["record_identifier"] == identifier]
        return row

    def open(self, run_id: str = "run", try_number: int = 1, **changes: Any) -> SqlLedger:
        return open_ledger(opening(run_id, try_number, **changes), self.engine())

    def look(self) -> Ledger:
        return self.open("another run")

    def count(self) -> int:
        return len(self.rows())

    def destroy(self) -> None:
        self.run("DROP VIEW contact_outcomes", "DROP TABLE contact_outcomes_records")

    def close(self) -> None:
        for engine in self.engines:
            engine.dispose()


def execution(database: Database, dag_id: str, run_id: str = "r", try_number: int = 1, **changes: Any) -> SqlLedger:
    """Open the table as a task of a DAG does."""
    region = changes.pop("region", None)
    run = RunIdentity(dag_id=dag_id, run_id=run_id, task_id="t", map_index=-1, try_number=try_number, region=region)
    return database.open(run=run, **changes)


NUMBERS = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One record that is about to be sent; those of one ``batch_id`` go together."""

    record_identifier: str
    batch_id: str
    state: RecordState | None
    payload: Mapping[str, Any] = field(default_factory=lambda: {"email": "ada@example.com"})
    row_index: int = 7
    payload_hash: str | None = "v1:abc"


def mark(ledger: Ledger, identifier: str, state: RecordState | None = None, **changes: Any) -> Claim:
    """Return a claim in a batch of its own."""
    values: dict[str, Any] = {"batch_id": f"{ledger.token}.{next(NUMBERS)}", "state": state}
    return Claim(record_identifier=identifier, **{**values, **changes})


def marks(ledger: Ledger, *identifiers: str, **changes: Any) -> list[Claim]:
    known = ledger.states(identifiers)
    return [mark(ledger, one, known.get(one), **changes) for one in identifiers]


def batch_of(ledger: Ledger, *identifiers: str, batch_id: str | None = None) -> list[Claim]:
    """Return the claims of records that go into one request."""
    return marks(ledger, *identifiers, batch_id=batch_id or f"{ledger.token}.{next(NUMBERS)}")


def in_batches(claims: Sequence[Claim]) -> dict[str, Batch]:
    """Return claims as the batches that they make."""
    found: dict[str, list[Claim]] = {}
    for one in claims:
        found.setdefault(one.batch_id, []).append(one)
    return {
        name: Batch(
            identifiers=[one.record_identifier for one in some],
            row_indexes=[one.row_index for one in some],
            payloads=[dict(one.payload) for one in some],
            bodies=[json.dumps(one.payload).encode() for one in some],
            payload_hashes=[one.payload_hash for one in some],  # type: ignore[misc]  # one test has none
            histories={place: History(state=one.state) for place, one in enumerate(some) if one.state},
        )
        for name, some in found.items()
    }


def put(ledger: Ledger, claims: Sequence[Claim], answers: Sequence[BatchResult] = ()) -> set[str]:
    """Write claims, and answers with them; return the identifiers of those that were won."""
    batches = in_batches(claims)
    lost = ledger.record_and_claim(answers, batches)
    return {
        identifier
        for name, batch in batches.items()
        for place, identifier in enumerate(batch.identifiers)
        if place not in lost.get(name, ())
    }


def send(ledger: Ledger, *identifiers: str, batch_id: str | None = None) -> list[Claim]:
    """Claim records for one request, all of which must be won; return their claims."""
    claims = batch_of(ledger, *identifiers, batch_id=batch_id)
    assert put(ledger, claims) == set(identifiers)
    return claims


def claim(ledger: Ledger, *identifiers: str, **changes: Any) -> set[str]:
    return put(ledger, marks(ledger, *identifiers, **changes))


def outcome(identifier: str, status: Status, batch_id: str | None = None, **changes: Any) -> Outcome:
    values: dict[str, Any] = {"record_identifier": identifier, "row_index": 7, "attempts": 1, "payload_hash": "v1:abc"}
    return Outcome(status=status, batch_id=batch_id, **{**values, **changes})


def results(claims: Sequence[Claim], status: Status, **changes: Any) -> list[BatchResult]:
    """Return answers that say the same of every record of some claims."""
    http_status, record_id = changes.get("http_status"), changes.get("destination_record_id")
    found = []
    for name, batch in in_batches(claims).items():
        said = [outcome(one, status, name, **changes) for one in batch.identifiers]
        exceptions = {} if status is Status.SUCCEEDED else dict(enumerate(said))
        ids = [record_id] * len(batch)
        found.append(BatchResult(batch=batch, batch_id=name, http_status=http_status, ids=ids, exceptions=exceptions))
    return found


def answer(ledger: Ledger, claims: Sequence[Claim], status: Status, **changes: Any) -> set[str]:
    """Write one answer for all records of some claims; return those that have it now."""
    ledger.record_results(results(claims, status, **changes))
    found = ledger.states([one.record_identifier for one in claims])
    return {
        one.record_identifier
        for one in claims
        if (row := found.get(one.record_identifier)) and (row.batch_id, row.status) == (one.batch_id, status)
    }


def conclude(ledger: Ledger, outcomes: Sequence[Outcome]) -> set[str]:
    """Write outcomes; return the records that have theirs now."""
    ledger.record_outcomes(outcomes)
    found = ledger.states([one.record_identifier for one in outcomes])
    return {
        one.record_identifier
        for one in outcomes
        if (row := found.get(one.record_identifier)) and (row.batch_id, row.status) == (one.batch_id, one.status)
    }


def settle(ledger: Ledger, identifier: str, status: Status, **changes: Any) -> set[str]:
    """Answer a record by the batch that its row carries now."""
    state = ledger.states([identifier])[identifier]
    return answer(ledger, [mark(ledger, identifier, state, batch_id=state.batch_id)], status, **changes)


def make(ledger: Ledger, identifier: str, status: Status) -> None:
    """Bring a record to a status on the way that leads there."""
    if status is Status.INVALID:
        ledger.record_unsent([outcome(identifier, status, attempts=0)])
        return
    claim(ledger, identifier)
    if status is not Status.SENDING:
        settle(ledger, identifier, status)


def all_outside(memory: Memory, identifiers: Collection[str]) -> dict[str, tuple[Any, ...]]:
    """Return what is durable of records: status, batch, attempts, digest, code."""
    found = memory.look().states(identifiers).items()
    return {name: (row.status, row.batch_id, row.attempts, row.payload_hash, row.error_code) for name, row in found}


def standing_outside(memory: Memory, identifier: str) -> tuple[Any, ...]:
    return all_outside(memory, [identifier])[identifier]


def shown(batch_id: str | None) -> str:
    """Return a batch as the view names it."""
    return f"{number_of(batch_id):016x}"


def decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def recipe(word: str, url: str) -> list[str]:
    """Return the statements that the documents tell a person to run, filled in for the record ``key``."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "outcomes.md").read_text("utf-8")
    found = re.findall(r"^UPDATE contact_outcomes_[^;]*;", page, re.MULTILINE)
    *opening, delivered, absent = found[:5]
    if url.startswith("mysql"):
        opening = []
    statements = [*opening, delivered if word == "succeeded" else absent]
    in_words = {
        r"sync_id = '[^']*'": "sync_id = 'sync'",
        r"identifier = '[^']*'": "identifier = 'key'",
        r"json_extract\([^)]*\)": "b.body::json -> r.place" if url.startswith("postgresql") else r"\g<0>",
    }
    for pattern, words in in_words.items():
        statements = [re.sub(pattern, words, one) for one in statements]
    return statements


STANDING = [Status.SUCCEEDED, Status.REJECTED, Status.INVALID, Status.FAILED, Status.UNKNOWN, Status.SENDING]


class EveryLedger:
    """What every memory must do. Needs a ``memory`` fixture: an empty :class:`Memory`."""

    # Marks

    def test_a_mark_and_its_answer_stand_for_every_reader(self, memory: Memory) -> None:
        ledger = memory.open()
        assert isinstance(ledger.token, str)
        assert ledger.durable
        (sent,) = send(ledger, "one")
        mine: dict[str, Any] = {"record_identifier": "one", "batch_id": sent.batch_id, "payload_hash": "v1:abc"}
        mine["sync_run_id"] = "dag/run/task/-1"
        reader = memory.open(try_number=2)
        for one in (ledger, reader):
            standing = one.states(["one"])["one"]
            assert 0 <= standing.age < 30
            assert standing.oldest is None or standing.age <= standing.oldest < 30
            ages: dict[str, Any] = {"age": standing.age, "oldest": standing.oldest}
            assert standing == RecordState(status=Status.SENDING, attempts=1, **ages, **mine)
        said: dict[str, Any] = {"error_code": "taken", "error_field": "email", "http_status": 422, "attempts": 3}
        said["destination_record_id"] = "id-1"
        assert answer(ledger, [sent], Status.REJECTED, status_message="is taken", **said) == {"one"}
        mine |= {**said, "status_message": "is taken" if memory.keeps_texts else None}
        for one in (ledger, memory.open(try_number=3)):
            standing = one.states(["one"])["one"]
            assert standing.ended is not None
            assert 0 <= standing.ended < 30
            ages = {"age": standing.age, "oldest": standing.oldest, "ended": standing.ended}
            assert standing == RecordState(status=Status.REJECTED, **ages, **mine)

    def test_a_new_mark_renews_what_stood(self, memory: Memory) -> None:
        first = memory.open()
        claim(first, "one")
        settle(first, "one", Status.FAILED, error_code="x", error_field="y", http_status=503)
        second = memory.open(try_number=2)
        (again,) = marks(second, "one", payload_hash="v1:def")
        assert put(second, [again]) == {"one"}
        standing = memory.open(try_number=3).states(["one"])["one"]
        assert (standing.status, standing.attempts, standing.batch_id) == (Status.SENDING, 2, again.batch_id)
        assert (standing.payload_hash, standing.error_code, standing.error_field) == ("v1:def", None, None)
        assert (standing.http_status, standing.destination_record_id) == (None, None)

    def test_nothing_to_do_is_nothing_done(self, memory: Memory) -> None:
        ledger = memory.open()
        ledger.record_unsent([])
        assert (put(ledger, []), conclude(ledger, []), ledger.states([])) == (set(), set(), {})
        assert memory.count() == 0

    def test_a_record_twice_in_one_claim_is_a_mistake(self, memory: Memory) -> None:
        ledger = memory.open()
        with pytest.raises(ValueError, match="twice"):
            put(ledger, [mark(ledger, "one"), mark(ledger, "one")])

    def test_sync_ids_do_not_meet(self, memory: Memory) -> None:
        make(memory.open(sync_id="one"), "same", Status.SUCCEEDED)
        other = memory.open(sync_id="other", try_number=2)
        assert other.states(["same"]) == {}
        assert claim(other, "same") == {"same"}

    def test_what_was_read_is_claimed_once_and_an_older_version_never(self, memory: Memory) -> None:
        ledger = memory.open()
        early = marks(ledger, *STANDING)
        for status in STANDING:
            make(ledger, status, status)
        before = all_outside(memory, STANDING)
        assert put(ledger, early) == set()
        assert all_outside(memory, STANDING) == before
        heir = memory.open(try_number=2)
        wanted = STANDING[1:]  # nobody claims what was delivered
        ours, late = marks(heir, *wanted), marks(heir, *wanted)
        assert put(heir, ours) == set(wanted)
        assert put(heir, late) == set()
        after = all_outside(memory, wanted)
        assert {name: row[:2] for name, row in after.items()} == {
            one.record_identifier: (Status.SENDING, one.batch_id) for one in ours
        }

    def test_a_claim_lost_in_part(self, memory: Memory) -> None:
        ledger = memory.open()
        make(ledger, "failed", Status.FAILED)
        ours = marks(ledger, "new", "failed", "taken", "fine")
        claim(ledger, "taken")
        assert put(ledger, ours) == {"new", "failed", "fine"}

    def test_thousands_at_once(self, memory: Memory) -> None:
        ledger = memory.open()
        keys = [f"key-{number}" for number in range(2 * CHUNK + 1)]
        fresh = marks(ledger, *keys)
        assert put(ledger, fresh) == set(keys)
        standing = ledger.states(keys)
        assert {one: standing[one].batch_id for one in keys} == {one.record_identifier: one.batch_id for one in fresh}
        answers = [outcome(one.record_identifier, Status.FAILED, one.batch_id) for one in fresh]
        assert conclude(ledger, answers) == set(keys)
        ledger.record_unsent([outcome(one, Status.INVALID) for one in keys])
        assert {one.status for one in ledger.states(keys).values()} == {Status.INVALID}

    # Answers

    def test_an_answer_to_an_earlier_batch_is_late(self, memory: Memory) -> None:
        ledger = memory.open()
        (old,) = marks(ledger, "key")
        put(ledger, [old])
        settle(ledger, "key", Status.FAILED)
        claim(ledger, "key")
        assert conclude(ledger, [outcome("key", Status.SUCCEEDED, old.batch_id)]) == set()
        assert conclude(ledger, [outcome("key", Status.SUCCEEDED, None)]) == set()
        assert conclude(ledger, [outcome("other key", Status.SUCCEEDED, old.batch_id)]) == set()
        assert standing_outside(memory, "key")[0] is Status.SENDING

    @pytest.mark.parametrize("concluded", [Status.UNKNOWN, Status.FAILED, Status.REJECTED])
    def test_a_late_confirmation_stands_over_a_conclusion(self, memory: Memory, concluded: Status) -> None:
        ledger = memory.open()
        sent = marks(ledger, "key", "other")
        put(ledger, sent)
        settle(ledger, "other", Status.SUCCEEDED)
        concludes = [outcome(one.record_identifier, concluded, one.batch_id) for one in sent]
        assert conclude(ledger, concludes) == {"key"}
        assert standing_outside(memory, "key")[0] is concluded
        confirms = [outcome("key", Status.SUCCEEDED, sent[0].batch_id, destination_record_id="id")]
        # Said twice, it is one answer; and nothing that is said later stands over it.
        assert conclude(ledger, confirms) == conclude(ledger, confirms) == {"key"}
        for later in (Status.UNKNOWN, Status.FAILED):
            assert conclude(ledger, [outcome("key", later, sent[0].batch_id)]) == set()
        assert standing_outside(memory, "key")[0] is Status.SUCCEEDED

    @pytest.mark.parametrize("found", [Status.UNKNOWN, Status.SUCCEEDED, Status.FAILED])
    def test_what_a_dead_execution_left_is_settled_by_the_next(self, memory: Memory, found: Status) -> None:
        claim(memory.open(), "key")
        heir = memory.open(try_number=2)
        left = heir.states(["key"])["key"]
        assert conclude(heir, [outcome("key", found, left.batch_id, error_code="interrupted")]) == {"key"}
        standing = memory.open(try_number=3).states(["key"])["key"]
        assert (standing.status, standing.batch_id, standing.error_code) == (found, left.batch_id, "interrupted")
        assert standing.payload_hash == "v1:abc"

    # What helps to look for a record at the vendor

    def test_who_holds_a_contact(self, memory: Memory) -> None:
        for sync_id, key in (("other", "x"), ("sync", "a")):
            ledger = memory.open(sync_id=sync_id)
            claim(ledger, key)
            settle(ledger, key, Status.SUCCEEDED, destination_record_id=f"id-{key}")
        claim(ledger, "b")
        settle(ledger, "b", Status.UNKNOWN, destination_record_id="id-none")
        elsewhere = memory.open(sync_id="elsewhere", destination_object="list-2")
        claim(elsewhere, "y")
        settle(elsewhere, "y", Status.SUCCEEDED, destination_record_id="id-y")
        ledger = memory.open(try_number=2)
        ledger.states(["a"])
        found = ledger.holders(["id-a", "id-x", "id-y", "id-none"])
        assert set(found) == {Holder("id-a", "a"), Holder("id-x", None)}
        assert set(ledger.holders([])) == set()

    def test_what_was_sent_last_is_told_where_it_is_kept(self, memory: Memory) -> None:
        ledger = memory.open()
        claim(ledger, "one", payload={"email": "old@example.com"})
        settle(ledger, "one", Status.FAILED)
        claim(ledger, "one", payload={"email": "ada@example.com"})
        found = memory.open(try_number=2).payloads(["one", "two"])
        assert found == ({"one": {"email": "ada@example.com"}} if memory.keeps_texts else {})

    # Notes

    @pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
    @pytest.mark.parametrize("absent", [True, False])
    def test_a_doubt_that_a_reading_ended_is_remembered(self, memory: Memory, status: Status, absent: bool) -> None:
        ledger = memory.open()
        claim(ledger, "a", "b")
        reasons = (RecordError("busy", "name", 'a text with "absent" in it'), *((RecordError("absent"),) * absent))
        settle(ledger, "a", status, error_code="busy", errors=reasons)
        settle(ledger, "b", Status.FAILED, error_code="absent", errors=(RecordError("absent"),))
        again = memory.open(try_number=2)
        found = again.states(["a", "b"])
        assert (found["a"].was_in_doubt, found["a"].error_code) == (absent, "busy")
        assert found["b"].was_in_doubt
        put(again, [mark(again, "b", found["b"])])
        settle(again, "b", Status.FAILED, error_code="busy", errors=(RecordError("busy"), RecordError("absent")))
        assert memory.open(try_number=3).states(["b"])["b"].was_in_doubt

    def test_a_note_never_replaces_a_stronger_word(self, memory: Memory) -> None:
        notes = {f"{word} {note}": (word, note) for word in STANDING for note in (Status.INVALID, Status.FAILED)}
        first = memory.open()
        for key, (word, _) in notes.items():
            make(first, key, word)
        before = all_outside(memory, notes)
        said: dict[str, Any] = {"error_code": "why", "attempts": 0, "payload_hash": "v1:new", "row_index": 3}
        memory.open(try_number=2).record_unsent([outcome(key, note, **said) for key, (_, note) in notes.items()])
        after = all_outside(memory, notes)
        strong = {Status.SUCCEEDED, Status.UNKNOWN, Status.SENDING}
        kept = {key for key, (word, _) in notes.items() if word in strong}
        assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
        for key in set(notes) - kept:
            assert after[key] == (notes[key][1], after[key][1], before[key][2], "v1:new", "why"), key

    def test_a_note_on_a_new_record_stands(self, memory: Memory) -> None:
        ledger = memory.open()
        ledger.record_unsent([outcome("key", Status.FAILED, f"{ledger.token}.i1", attempts=2, payload={"a": object()})])
        status, batch_id, *rest = standing_outside(memory, "key")
        assert (status, *rest) == (Status.FAILED, 2, "v1:abc", None)
        assert str(batch_id).startswith(f"{ledger.token}.")
        heir = memory.open(try_number=2)
        assert claim(heir, "key") == {"key"}

    # Both at once

    def test_answers_and_marks_are_written_together(self, memory: Memory) -> None:
        ledger = memory.open()
        claim(ledger, "one", "two")
        make(ledger, "late", Status.FAILED)
        one, two = marks(ledger, "one", "two")
        answers = [
            *results([replace(one, batch_id=str(one.state and one.state.batch_id))], Status.SUCCEEDED),
            *results([replace(two, batch_id=f"{ledger.token}.0")], Status.UNKNOWN),
        ]
        due = marks(ledger, "new", "late", "taken")
        claim(ledger, "taken")
        assert put(ledger, due, answers) == {"new", "late"}
        found = {name: row.status for name, row in memory.look().states(["one", "two", "new", "late"]).items()}
        assert found == {"one": Status.SUCCEEDED, "two": Status.SENDING, "new": Status.SENDING, "late": Status.SENDING}

    # Fencing

    @pytest.mark.parametrize("try_number", [1, 2, 3])
    def test_the_newest_execution_alone_marks(self, memory: Memory, try_number: int) -> None:
        older = memory.open(try_number=2)
        (sent,) = send(older, "sent")
        newer = memory.open(try_number=try_number)
        said = results([sent], Status.SUCCEEDED)
        calls: Sequence[Callable[[], object]] = [
            lambda: claim(older, "next"),
            lambda: put(older, [mark(older, "next but one")], said),
            lambda: older.record_unsent([outcome("noted", Status.FAILED)]),
        ]
        for call in calls:
            with pytest.raises(SupersededError):
                call()
        assert memory.count() == 1
        # An answer is knowledge all the same, and can be written by itself.
        assert answer(older, [sent], Status.SUCCEEDED) == {"sent"}
        assert claim(newer, "next") == {"next"}

    # Keys and texts

    def test_no_two_keys_are_one(self, memory: Memory) -> None:
        ledger = memory.open()
        for key in KEYS:
            assert ledger.states([key]) == {}
            assert claim(ledger, key) == {key}
        heir = memory.open(try_number=2)
        standing = heir.states(KEYS)
        assert set(standing) == set(KEYS)
        assert all(one == row.record_identifier for one, row in standing.items())
        assert set(settle(heir, "a ", Status.SUCCEEDED)) == {"a "}
        assert heir.states(["a"])["a"].status is Status.SENDING

    def test_no_text_of_a_vendor_costs_an_outcome(self, memory: Memory) -> None:
        ledger = memory.open()
        texts = ("destination_record_id", "error_code", "error_field", "status_message")
        for number, text in enumerate(HOSTILE):
            claim(ledger, f"key {number}")
            said: dict[str, Any] = {**dict.fromkeys(texts, text), "errors": (RecordError(text, text, text),)}
            assert set(settle(ledger, f"key {number}", Status.REJECTED, **said)) == {f"key {number}"}
            ledger.record_unsent([outcome(f"noted {number}", Status.INVALID, **said)])
        numbers = range(len(HOSTILE))
        found = all_outside(memory, [f"{name} {number}" for name in ("key", "noted") for number in numbers])
        assert [row[0] for row in found.values()].count(Status.REJECTED) == len(HOSTILE)
        assert [row[0] for row in found.values()].count(Status.INVALID) == len(HOSTILE)

    # Destinations

    def test_a_sync_id_belongs_to_one_destination(self, memory: Memory) -> None:
        ledger = memory.open()
        claim(ledger, "one")
        places: list[dict[str, Any]] = [
            {"destination_host": "sandbox.test"},
            {"destination_object": "list-2"},
            {"destination_object": None},
            {"destination": "nedzo"},
        ]
        for place in places:
            with pytest.raises(ConfigError, match="another sync_id"):
                memory.open(**place)
        assert claim(ledger, "two") == {"two"}, "a mistaken execution has not taken over"
        memory.open(sync_id="other", **places[0])

    def test_a_vendor_without_objects(self, memory: Memory) -> None:
        claim(memory.open(destination_object=None), "one")
        assert claim(memory.open(destination_object=""), "two") == {"two"}

    def test_names_that_cannot_be_kept_are_refused_at_once(self, memory: Memory) -> None:
        wrong: list[dict[str, Any]] = [
            {"sync_id": ""},
            {"sync_id": "x" * 513},
            {"destination_host": "x" * 256},
            {"destination_object": "NUL \x00"},
        ]
        for one in wrong:
            with pytest.raises(ConfigError):
                memory.open(**one)

    # Failures

    def test_errors_name_no_record(self, memory: Memory) -> None:
        ledger = memory.open()
        make(ledger, "secret@example.com", Status.UNKNOWN)
        batch = ledger.states(["secret@example.com"])["secret@example.com"].batch_id
        ours = marks(ledger, "secret@example.com", "other-secret")
        memory.destroy()
        calls: Sequence[Callable[[], object]] = [
            lambda: put(ledger, ours),
            lambda: ledger.record_outcomes([outcome("secret@example.com", Status.SUCCEEDED, batch)]),
            lambda: ledger.record_unsent([outcome("secret too", Status.FAILED)]),
        ]
        for call in calls:
            with pytest.raises(LedgerError) as caught:
                call()
            assert "secret" not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None


class LedgerConformance(EveryLedger):
    """What every outcome table must do besides. Needs a ``database`` fixture: an empty :class:`Database`."""

    @pytest.fixture
    def memory(self, database: Database) -> Memory:
        return database

    # What a mark and an answer write

    def test_the_columns_are_the_contract(self, database: Database) -> None:
        make(database.open(), "one", Status.SENDING)
        assert list(database.row("one")) == COLUMNS
        assert list(database.rows("contact_outcomes_runs")[0]) == RUN_COLUMNS

    def test_a_row_through_its_life(self, database: Database) -> None:
        ledger = database.open()
        (one,) = marks(ledger, "one")
        put(ledger, [one])
        row = database.row("one")
        assert row.pop("batch_started_at") is not None
        assert decoded(row.pop("record_payload")) == {"email": "ada@example.com"}
        place = {"destination": "dex", "destination_host": HOST, "destination_object": OBJECT}
        record = {"record_identifier": "one", "status": "sending", "attempts": 1, "payload_hash": "v1:abc"}
        task = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1, "try_number": 1}
        run = {"sync_id": "sync", "sync_run_id": "dag/run/task/-1", **task}
        batch = {"row_index": 7, "batch_id": shown(one.batch_id)}
        assert {name: value for name, value in row.items() if value is not None} == place | record | run | batch
        # Answered
        said: dict[str, Any] = {"error_code": "taken", "error_field": "email", "http_status": 422, "attempts": 3}
        said |= {"status_message": "is taken", "destination_record_id": "id-1"}
        errors = (RecordError("taken", "email", "is taken"), RecordError("short", None, None))
        assert settle(ledger, "one", Status.REJECTED, errors=errors, **said) == {"one"}
        row = database.row("one")
        assert {name: row[name] for name in ("status", *said)} == {"status": "rejected", **said}
        assert row["batch_completed_at"] >= row["batch_started_at"]
        assert decoded(row["errors"]) == [asdict(error) for error in errors]
        # Marked again
        database.backdate(1000)
        second = database.open("second")
        (again,) = marks(second, "one", payload_hash="v1:def", payload={"new": 1}, row_index=9)
        assert put(second, [again]) == {"one"}
        row = database.row("one")
        assert (row["status"], row["attempts"], row["batch_id"]) == ("sending", 4, shown(again.batch_id))
        assert (row["run_id"], row["payload_hash"], row["row_index"]) == ("second", "v1:def", 9)
        assert decoded(row["record_payload"]) == {"new": 1}
        emptied = ("error_code", "error_field", "status_message", "errors", "http_status", "batch_completed_at")
        assert all(row[name] is None for name in emptied)
        assert second.states(["one"])["one"].age < 100

    # Claims

    @pytest.mark.parametrize(
        "change", ["UPDATE contact_outcomes_records SET status = 'succeeded'", "DELETE FROM contact_outcomes_records"]
    )
    def test_a_row_changed_by_hand_is_not_claimed(self, database: Database, change: str) -> None:
        ledger = database.open()
        make(ledger, "key", Status.UNKNOWN)
        ours = marks(ledger, "key")
        database.run(change)
        assert put(ledger, ours) == set()

    def test_claims_race(self, database: Database) -> None:
        keys = [f"key-{number}" for number in range(60)]
        before = database.open("before")
        for key in keys[:30]:
            make(before, key, Status.FAILED)
        runners = [database.open(f"run-{number}") for number in range(4)]
        start = threading.Barrier(len(runners))

        def race(position: int) -> set[str]:
            ledger = runners[position]
            ours = marks(ledger, *(keys if position % 2 else reversed(keys)))
            start.wait(timeout=30)
            parts = [ours[first : first + 7] for first in range(0, len(ours), 7)]
            return {one for part in parts for one in put(ledger, part)}

        with ThreadPoolExecutor(len(runners)) as threads:
            won = list(threads.map(race, range(len(runners))))
        assert sorted(one for each in won for one in each) == sorted(keys)
        for ledger, mine in zip(runners, won, strict=True):
            standing = ledger.states(keys)
            assert {one for one in keys if str(standing[one].batch_id).startswith(ledger.token)} == mine

    def test_rows_go_in_bulk(self, database: Database) -> None:
        ledger = database.open()
        claim(ledger, "the first")
        fresh = marks(ledger, *(f"key-{number}" for number in range(200)))
        answers = [outcome(one.record_identifier, Status.FAILED, one.batch_id) for one in fresh]
        statements = []
        sqlalchemy.event.listen(ledger._engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        put(ledger, fresh)
        ledger.record_outcomes(answers)
        ledger.record_unsent([outcome(one.record_identifier, Status.FAILED) for one in fresh])
        assert len([one for one in statements if not one.strip().startswith(("BEGIN", "SELECT set_config"))]) <= 12

    # Notes

    def test_a_note_takes_any_payload(self, database: Database) -> None:
        payloads: list[dict[Any, Any]] = [
            {"when": object()},
            {"deep": [float("nan"), {1: b"x"}]},
            {"\ud800": "\x00"},
            {"x": {1, "a"}},
        ]
        database.open().record_unsent(
            [outcome(f"key {number}", Status.INVALID, payload=one) for number, one in enumerate([*payloads, None])]
        )
        *stored, none = [decoded(row["record_payload"]) for row in database.rows()]
        assert all(isinstance(one, dict) for one in stored)
        assert (len(stored), none) == (len(payloads), None)

    # The table of runs

    def test_a_run_through_its_life(self, database: Database) -> None:
        runs = "contact_outcomes_runs"
        first = database.open()
        (row,) = database.rows(runs)
        assert (row["status"], row["completed_at"], row["sync_id"]) == ("running", None, "sync")
        assert (row["sync_no"], database.rows("contact_outcomes_syncs")) == (None, [])
        claim(first, "one")
        summary = {"num_planned": 3, "num_succeeded": 2, "sync_id": "ignored", "error_codes": {}}
        assert first.finish(summary, "partial", "NUL \x00 and " + "x" * 5000)
        (ended,) = database.rows(runs)
        (sync,) = database.rows("contact_outcomes_syncs")
        assert (sync["sync_id"], ended["sync_no"]) == ("sync", sync["sync_no"])
        assert (ended["num_planned"], ended["num_succeeded"], ended["num_failed"]) == (3, 2, None)
        assert (ended["status"], ended["sync_run_id"], ended["try_number"]) == ("partial", "dag/run/task/-1", 1)
        assert len(ended["status_message"]) == 2000
        assert ended["completed_at"] >= ended["started_at"]
        # A reschedule begins the row anew and keeps its start; the execution before it ends nothing any more.
        second = database.open()
        (row,) = database.rows(runs)
        assert (row["num_planned"], row["status"], row["status_message"]) == (None, "running", None)
        assert row["started_at"] == ended["started_at"]
        assert not first.finish({"num_planned": 9}, "failed")
        assert second.finish({"num_planned": 4}, "succeeded")
        database.open(try_number=2)
        found = [(row["num_planned"], row["status"], row["sync_no"]) for row in database.rows(runs)]
        assert found == [(4, "succeeded", sync["sync_no"]), (None, "running", sync["sync_no"])]

    def test_iterations_of_a_loop_are_runs_of_their_own(self, database: Database) -> None:
        run = opening().run
        first, second = (database.open(run=replace(run, region=f"region/{index}")) for index in (0, 1))
        assert claim(first, "a") | claim(second, "b") == {"a", "b"}
        found = [(row["sync_run_id"], row["region"]) for row in database.rows("contact_outcomes_runs")]
        assert found == [(f"dag/run/task/-1/region/{index}", f"region/{index}") for index in (0, 1)]

    # Keys, texts, payloads

    def test_texts_go_as_they_are(self, database: Database) -> None:
        ledger = database.open()
        odd: list[list[str | None]] = [["\x1e", "\x1f"], ["", None], [""], ["a\x1fb", "", None], [None], ["a", None]]
        for number, texts in enumerate(odd):
            keys = [f"{number} {place} {text}" for place, text in enumerate(texts)]
            fresh = [mark(ledger, key, payload_hash=text) for key, text in zip(keys, texts, strict=True)]
            assert put(ledger, fresh) == set(keys)
            found = ledger.states(keys)
            assert [found[key].payload_hash for key in keys] == texts

    def test_no_text_of_a_vendor_prevents_an_outcome(self, database: Database) -> None:
        ledger = database.open()
        cut = ("destination_record_id", "error_code", "error_field")
        for number, text in enumerate(HOSTILE):
            key, noted = f"key {number}", f"noted {number}"
            claim(ledger, key, payload={"echo": text, text: [text]})
            said = dict.fromkeys((*cut, "status_message"), text)
            errors = tuple(RecordError(text, text, text) for _ in range(200))
            assert settle(ledger, key, Status.REJECTED, errors=errors, **said) == {key}
            note = outcome(noted, Status.INVALID, status_message=text, error_field=text, payload={text: text})
            ledger.record_unsent([note])
        rows = {row["record_identifier"]: row for row in database.rows()}
        for number, text in enumerate(HOSTILE):
            row = rows[f"key {number}"]
            assert (row["status"], rows[f"noted {number}"]["status"]) == ("rejected", "invalid")
            assert len(row["status_message"]) == min(len(text), 2000)
            assert all(len(row[name]) == min(len(text), 255) for name in cut)
            kept = decoded(row["errors"])
            assert (len(kept), kept[0]["message"]) == (50, row["status_message"])
            stored = json.dumps(row, default=str, ensure_ascii=False)
            assert not re.search("[\x00-\x08\ud800-\udfff]", stored)

    @pytest.mark.parametrize("column", ["status_message", "error_field", "destination_record_id", "error_code"])
    def test_what_the_database_refuses_costs_the_text_only(self, database: Database, column: str) -> None:
        ledger = database.open()
        fresh = marks(ledger, "a", "b", "c")
        put(ledger, fresh)
        database.refuse(column)
        answers = [
            outcome("a", Status.REJECTED, fresh[0].batch_id, status_message="fine", destination_record_id="id-a"),
            outcome("b", Status.REJECTED, fresh[1].batch_id, **{"destination_record_id": "id-b", column: "boom"}),
            outcome("c", Status.SUCCEEDED, fresh[2].batch_id, destination_record_id="id-c"),
        ]
        assert conclude(ledger, answers) == {"a", "b", "c"}
        assert [row["status"] for row in database.rows()] == ["rejected", "rejected", "succeeded"]
        assert [row["status_message"] for row in database.rows()] == ["fine", None, None]
        kept = column in {"status_message", "error_field"}
        assert [row["destination_record_id"] for row in database.rows()] == ["id-a", "id-b" if kept else None, "id-c"]
        ledger.record_unsent([outcome("d", Status.INVALID, **{column: "boom"}), outcome("e", Status.FAILED)])
        assert [ledger.states(["d", "e"])[one].status for one in "de"] == [Status.INVALID, Status.FAILED]

    def test_what_the_database_refuses_costs_no_mark_beside_it(self, database: Database) -> None:
        ledger = database.open()
        fresh = marks(ledger, "a", "b")
        put(ledger, fresh)
        database.refuse("status_message")
        answers = [
            *results(fresh[:1], Status.REJECTED, status_message="fine"),
            *results(fresh[1:], Status.REJECTED, status_message="boom"),
        ]
        assert put(ledger, marks(ledger, "c"), answers) == {"c"}
        assert [row["status"] for row in database.rows()] == ["rejected", "rejected", "sending"]
        assert [row["status_message"] for row in database.rows()] == ["fine", None, None]

    @pytest.mark.parametrize(
        ("policy", "succeeded", "rejected"),
        [("undelivered", False, True), ("all", True, True), ("never", False, False)],
    )
    def test_payload_policies(self, database: Database, policy: str, succeeded: bool, rejected: bool) -> None:
        claim(database.open("before"), "earlier")
        ledger = database.open(store_payload=policy)
        claim(ledger, "good", "bad")
        assert {row["record_payload"] is not None for row in database.rows() if row["run_id"] == "run"} == {rejected}
        said: dict[str, Any] = {"status_message": "leak", "errors": (RecordError("code", "email", "leak"),)}
        said["error_code"] = "code"
        settle(ledger, "good", Status.SUCCEEDED)
        settle(ledger, "bad", Status.REJECTED, error_field="email", **said)
        # What was kept under another policy is treated by this one.
        settle(ledger, "earlier", Status.UNKNOWN)
        ledger.record_unsent([outcome("noted", Status.INVALID, payload={"email": "leak"}, **said)])
        kept = {row["record_identifier"]: row["record_payload"] is not None for row in database.rows()}
        assert kept == {"good": succeeded, "bad": rejected, "noted": rejected, "earlier": rejected}
        if policy == "never":
            assert "leak" not in repr(database.rows())
            assert decoded(database.row("bad")["errors"]) == [{"code": "code", "field": "email"}]

    # Times

    def test_ages_are_the_databases(self, database: Database) -> None:
        ledger = database.open()
        claim(ledger, "key")
        assert 0 <= ledger.states(["key"])["key"].age < 30
        database.backdate(3600)
        assert 3600 <= ledger.states(["key"])["key"].age < 3630
        database.backdate(-9999)
        assert ledger.states(["key"])["key"].age == 0
        ledger.record_unsent([outcome("noted", Status.FAILED)])
        assert ledger.states(["noted"])["noted"].age == 0

    # By hand

    @pytest.mark.parametrize("left", [Status.SENDING, Status.UNKNOWN])
    @pytest.mark.parametrize("word", [Status.SUCCEEDED, Status.FAILED])
    def test_the_printed_sql_settles_by_hand(self, database: Database, word: Status, left: Status) -> None:
        ledger = database.open()
        sent = send(ledger, "key", "other")
        elsewhere = database.open("elsewhere", sync_id="elsewhere")
        make(elsewhere, "key", Status.UNKNOWN)
        if left is Status.UNKNOWN:
            said: dict[str, Any] = {"error_code": "timeout", "error_field": "x", "errors": (RecordError("timeout"),)}
            answer(ledger, sent, Status.UNKNOWN, **said)
        database.run(*recipe(word, database.url))
        assert {one: row.status for one, row in ledger.states(["key", "other"]).items()} == {"key": word, "other": left}
        assert elsewhere.states(["key"])["key"].status is Status.UNKNOWN
        assert decoded(database.row("other")["record_payload"]) == {"email": "ada@example.com"}
        assert {row["body"] for row in database.rows("contact_outcomes_batches")} == {None}
        (row,) = [row for row in database.rows() if (row["sync_id"], row["record_identifier"]) == ("sync", "key")]
        assert row["settled_by"] == "ada"
        assert row["settled_at"] == row["batch_completed_at"] is not None
        if word is Status.SUCCEEDED:
            cleared = ("error_code", "error_field", "status_message", "errors", "record_payload")
            assert {name: row[name] for name in cleared} == dict.fromkeys(cleared)
        # What is not in doubt any more is left alone.
        database.run(*recipe("failed" if word is Status.SUCCEEDED else "succeeded", database.url))
        assert ledger.states(["key"])["key"].status is word
        # And the late answer to the request counts still.
        assert answer(ledger, sent, Status.SUCCEEDED, destination_record_id="id") == {"key", "other"}

    @pytest.mark.parametrize("then", ["mark", "answer", "note"])
    def test_a_persons_verdict_stands_until_something_else_is_written(self, database: Database, then: str) -> None:
        ledger = database.open("first")
        claim(ledger, "key")
        now = "(SELECT batch_started_at FROM contact_outcomes_batches)"
        database.run(f"UPDATE contact_outcomes_records SET status = 'failed', settled_by = 'ada', settled_at = {now}")
        if then == "answer":
            settle(ledger, "key", Status.SUCCEEDED)
        elif then == "mark":
            assert put(database.open("second"), marks(ledger, "key"))
        else:
            ledger.record_unsent([outcome("key", Status.INVALID)])
        row = database.row("key")
        status = {"mark": "sending", "answer": "succeeded", "note": "invalid"}[then]
        assert (row["status"], row["settled_by"], row["settled_at"]) == (status, None, None)

    # Destinations

    def test_a_name_that_no_table_can_have_is_refused_at_once(self, database: Database) -> None:
        for table in ("a.b.c", "contact outcomes", 'x"; DROP TABLE y; --', "1st", "x" * 53, "", ".x"):
            with pytest.raises(ConfigError):
                database.open(table=table)

    def test_the_longest_names(self, database: Database) -> None:
        run = RunIdentity(dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250, map_index=2**31 - 1, try_number=1)
        table = "T" + "x" * 51
        ledger = database.open(table=table, run=run, sync_id="s" * 512, destination_object="o" * 255)
        assert claim(ledger, "x" * 255) == {"x" * 255}

    # Tables

    def test_missing_tables_are_told_with_their_ddl(self, database: Database) -> None:
        with pytest.raises(ConfigError) as caught:
            database.open(create_tables=False)
        printed = re.findall(r"CREATE .*?;", str(caught.value), re.DOTALL)
        assert sum("CREATE TABLE" in one for one in printed) == 4
        assert sum(" VIEW " in one for one in printed) == 1
        database.run(*printed)
        assert claim(database.open(create_tables=False), "one") == {"one"}
        assert database.row("one")["status"] == "sending"

    @pytest.mark.parametrize("gone", ["syncs", "batches", "records"])
    def test_a_table_that_is_gone_is_not_begun_anew(self, database: Database, gone: str) -> None:
        assert claim(database.open(), "one") == {"one"}
        database.run("DROP VIEW contact_outcomes", f"DROP TABLE contact_outcomes_{gone}")
        with pytest.raises(ConfigError, match="is gone"):
            database.open(try_number=2)
        left = {"syncs", "runs", "batches", "records"} - {gone}
        database.run(*(f"DROP TABLE contact_outcomes_{name}" for name in left))
        assert claim(database.open(), "one") == {"one"}

    def test_a_view_that_is_gone_is_made_again(self, database: Database) -> None:
        assert claim(database.open(), "one") == {"one"}
        database.run("DROP VIEW contact_outcomes")
        with pytest.raises(ConfigError, match=r"CREATE .*VIEW contact_outcomes"):
            database.open(create_tables=False)
        assert claim(database.open(), "two") == {"two"}
        assert len(database.rows()) == 2

    def test_a_view_of_fewer_columns_is_a_warning(self, database: Database) -> None:
        claim(database.open(), "one")
        short = "SELECT sync_no AS sync_id, record_identifier FROM contact_outcomes_records"
        database.run("DROP VIEW contact_outcomes", f"CREATE VIEW contact_outcomes AS {short}")
        (warning,) = database.open(create_tables=False).warnings
        assert re.search(r"lacks destination, .*settled_at; replace it:\n\nCREATE .*VIEW", warning)

    def test_a_push_never_reads_the_view(self, database: Database) -> None:
        ledger = database.open()
        database.run("DROP VIEW contact_outcomes")
        assert claim(ledger, "one", "two") == {"one", "two"}
        settle(ledger, "one", Status.SUCCEEDED, destination_record_id="id")
        ledger.record_unsent([outcome("three", Status.INVALID)])
        assert set(ledger.states(["one", "two", "three"])) == {"one", "two", "three"}
        assert set(ledger.payloads(["one", "two"])) == {"two"}
        assert set(ledger.holders(["id"])) == {Holder("id", "one")}
        assert ledger.finish({"num_planned": 3}, "succeeded")

    def test_further_columns_are_no_harm(self, database: Database) -> None:
        database.open()
        database.run("ALTER TABLE contact_outcomes_records ADD COLUMN note TEXT")
        assert claim(database.open(create_tables=False), "one") == {"one"}

    @pytest.mark.parametrize("name", ["contact_outcomes", "contact_outcomes_records", "contact_outcomes_runs"])
    def test_somebody_elses_table_is_left_alone(self, database: Database, name: str) -> None:
        database.run(f"CREATE TABLE {name} (id INTEGER, email VARCHAR(20))", f"INSERT INTO {name} VALUES (1, 'x')")
        message = "knows earlier runs" if name.endswith("runs") else "no outcome table of this package"
        with pytest.raises(ConfigError, match=message):
            database.open()
        with database.engine().connect() as connection:
            found = sqlalchemy.inspect(connection)
            assert [column["name"] for column in found.get_columns(name)] == ["id", "email"]
            assert found.get_table_names() == [name]

    def test_a_table_in_the_views_place_is_refused(self, database: Database) -> None:
        assert claim(database.open(), "one") == {"one"}
        database.run("DROP VIEW contact_outcomes")
        database.run("CREATE TABLE contact_outcomes (sync_id VARCHAR(20), record_identifier VARCHAR(20))")
        with pytest.raises(ConfigError, match="contact_outcomes is no outcome table of this package: it is a table"):
            database.open(try_number=2)

    def test_tables_are_created_once_by_tasks_that_start_together(self, database: Database) -> None:
        start = threading.Barrier(4)

        def begin(number: int) -> set[str]:
            start.wait(timeout=30)
            return claim(database.open(f"run-{number}", patience=Patience()), f"key-{number}")

        with ThreadPoolExecutor(4) as threads:
            assert len(list(threads.map(begin, range(4)))) == 4
        assert len(database.rows()) == 4

    # Failures

    def test_what_a_database_says_of_a_refused_row_is_not_told(self, database: Database) -> None:
        ledger = database.open()
        database.refuse("record_identifier")
        for call in (lambda: claim(ledger, "boom"), lambda: ledger.record_unsent([outcome("boom", Status.INVALID)])):
            with pytest.raises(DataRefusedError) as caught:
                call()
            assert "boom" not in str(caught.value)

    def test_an_error_of_a_look_up_names_no_record(self, database: Database) -> None:
        ledger = database.open()
        claim(ledger, "one")
        database.destroy()
        for key in ("secret@example.com", "secret \ud800"):
            with pytest.raises(LedgerError) as caught:
                ledger.states([key])
            assert "secret" not in str(caught.value)
            assert caught.value.__context__ is None

    def test_marks_outlive_a_killed_worker(self, database: Database, tmp_path: Path) -> None:
        script = tmp_path / "killed.py"
        script.write_text(KILLED)
        (tmp_path / "tests_of_ledgers.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": f"{PACKAGE_FOLDER}{os.pathsep}{tmp_path}"}
        ended = subprocess.run(
            [sys.executable, str(script), database.url], env=environment, check=False, capture_output=True, timeout=60
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        with closing(database.open("crash", try_number=2)) as ledger:
            standing = ledger.states(["one", "two"])
            payloads = ledger.payloads(["one", "two"])
            assert payloads == {name: {"email": "ada@example.com"} for name in ("one", "two")}
            doubts = [outcome(name, Status.UNKNOWN, row.batch_id) for name, row in standing.items()]
            assert conclude(ledger, doubts) == {"one", "two"}
            assert ledger.payloads(["one", "two"]) == payloads
        assert [row["body"] for row in database.rows("contact_outcomes_batches")] == [None]
        assert {row.status for row in standing.values()} == {Status.SENDING}
        assert {row.sync_run_id for row in standing.values()} == {"dag/crash/task/-1"}

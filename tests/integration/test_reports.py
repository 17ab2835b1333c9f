from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_contacts.errors import ConfigError, LedgerError, TooSlowError
from airflow_provider_contacts.ledgers.reports.connection import ask
from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.ledgers.reports.shapes import RecordRow, RowFilter, RunFilter, Scope
from airflow_provider_contacts.outcome import RecordError, Status, digest_of
from airflow_provider_contacts.records.keys import identifier_of
from airflow_provider_contacts.task.export import export_run, folder_at
from airflow_provider_contacts.task.export_formats import Form
from tests.support.exports import read
from tests.support.fresh_databases import fresh_database
from tests.support.ledger_conformance import (
    Database,
    answer,
    batch_of,
    claim,
    conclude,
    decoded,
    execution,
    make,
    outcome,
    put,
    results,
)
from tests.support.pushing import World, push
from tests.support.table_pushing import UrlHook

if TYPE_CHECKING:
    from pathlib import Path

ALL, A, B, NONE = Scope(None), Scope(frozenset({"a"})), Scope(frozenset({"b"})), Scope(frozenset())
BOTH = Scope(frozenset({"a", "b", "absent"}))
TODAY = datetime.now(UTC).date()
REASONS = (RecordError("taken", "email", "is taken"), RecordError("short", None, None))


def reports_of(database: Database, **settings: Any) -> OutcomeReports:
    return OutcomeReports.open(UrlHook(database.url), **settings)


@dataclass
class Filled:
    """A table in which two DAGs push under one ``sync_id``, and a third by itself."""

    database: Database
    reports: OutcomeReports


@pytest.fixture
def filled(database_of_any_kind: Database) -> Iterator[Filled]:
    database = database_of_any_kind
    first = execution(database, "a", sync_id="shared")
    good = batch_of(first, "g1", "g2", "g3", "g4")
    claimed = batch_of(first, "rejected", "unknown", "failed")
    put(first, [*good, *claimed])
    first.record_results(results(good, Status.SUCCEEDED, http_status=201, destination_record_id="id"))
    said = {"error_code": "taken", "error_field": "email", "status_message": "is taken", "errors": REASONS}
    answer(first, claimed[:1], Status.REJECTED, http_status=422, **said)
    answer(first, claimed[1:2], Status.UNKNOWN, error_code="timeout")
    answer(first, claimed[2:], Status.FAILED, error_code="rate_limited")
    make(first, "invalid", Status.INVALID)
    put(first, batch_of(first, "s1", "s2"))
    counts = dict.fromkeys(("num_planned", "num_delivered", "num_succeeded"), 0)
    counts |= {"num_planned": 13, "num_succeeded": 4, "num_delivered": 4, "num_rejected": 1, "num_failed": 1}
    counts |= {"num_invalid": 1, "num_unknown": 3, "num_held": 0, "num_skipped": 2, "num_duplicate": 1}
    assert first.finish(counts, "failed", "why")
    second = execution(database, "b", sync_id="shared")
    claim(second, "failed", "theirs")
    assert second.finish({"num_planned": 2}, "running")
    third = execution(database, "c", sync_id="own", destination="nedzo", destination_object=None)
    make(third, "g1", Status.UNKNOWN)
    with closing(reports_of(database)) as reports:
        yield Filled(database, reports)


def keys(rows: Any) -> list[str]:
    return [row.record_identifier for row in rows]


def test_rows_are_those_of_the_view(filled: Filled) -> None:
    wanted = {(row["sync_id"], row["record_identifier"]): row for row in filled.database.rows()}
    runs = filled.reports.runs(ALL).items
    found = [row for run in runs for row in filled.reports.rows(ALL, run.sync_run_id).items]
    assert len(found) == len(wanted) == 12
    assert found == [row for run in runs for row in filled.reports.each_row(ALL, run.sync_run_id)]
    for row in found:
        expected = wanted[row.sync_id, row.record_identifier]
        assert as_view(row) == {name: told(name, value) for name, value in expected.items()}
        assert row.digest == digest_of(row.record_identifier)
        assert repr(row) == f"RecordRow({row.digest})"
        again = filled.reports.record(ALL, row.digest.upper())
        assert row in again
        assert filled.reports.record(ALL, row.record_identifier) == again


def test_an_export_is_the_view(filled: Filled, tmp_path: Path) -> None:
    folder, form = folder_at(str(tmp_path)), Form(payloads=True)
    paths = [export_run(filled.reports, run, folder, form).path for run in filled.reports.runs(ALL).items]
    found = {(row["sync_id"], row["record_identifier"]): row for path in paths for row in read(path)}
    wanted = {(row["sync_id"], row["record_identifier"]): row for row in filled.database.rows()}
    assert len(paths) == 3
    assert all(row.pop("exported_at") for row in found.values())
    for rows in (found, wanted):
        rows.update({key: {name: told(name, one) for name, one in row.items()} for key, row in rows.items()})
    assert found == wanted


def as_view(row: RecordRow) -> dict[str, Any]:
    values = asdict(row)
    for name in ("digest", "run_no"):
        del values[name]
    errors = [asdict(one) for one in row.errors] or None
    return values | {"errors": errors, "record_payload": decoded(row.record_payload)}


def told(name: str, value: Any) -> Any:
    if name in {"errors", "record_payload"}:
        return decoded(value)
    if name.endswith("_at") and value is not None:
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return value


def test_pages_of_rows_hold_each_once_in_order(filled: Filled) -> None:
    every = list(filled.reports.each_row(ALL, "a/r/t/-1"))
    found, after = list[RecordRow](), None
    while True:
        page = filled.reports.rows(ALL, "a/r/t/-1", after=after, limit=2)
        found += page.items
        if (after := page.after) is None:
            break
        assert set(after) <= set("0123456789-")
    assert found == every
    assert sorted(keys(found)) == ["g1", "g2", "g3", "g4", "invalid", "rejected", "s1", "s2", "unknown"]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (RowFilter(status="sending"), ["s1", "s2"]),
        (RowFilter(status="succeeded"), ["g1", "g2", "g3", "g4"]),
        (RowFilter(error_code="taken"), ["rejected"]),
        (RowFilter(status="unknown", error_code="timeout"), ["unknown"]),
        (RowFilter(status="rejected", error_code="timeout"), []),
    ],
)
def test_rows_by_status_and_code(filled: Filled, which: RowFilter, expected: list[str]) -> None:
    assert sorted(keys(filled.reports.rows(A, "a/r/t/-1", which).items)) == expected
    assert sorted(keys(filled.reports.each_row(A, "a/r/t/-1", which))) == expected


def test_facts_of_a_run(filled: Filled) -> None:
    (run,) = filled.reports.tries(A, "a/r/t/-1")
    facts = filled.reports.rows_of_run(A, run)
    counted = {(one.status, one.error_code, one.error_field): one.count for one in facts.codes}
    assert counted == {
        ("succeeded", None, None): 4,
        ("sending", None, None): 2,
        ("rejected", "taken", "email"): 1,
        ("unknown", "timeout", None): 1,
        ("invalid", None, None): 1,
    }
    assert (facts.codes[0].count, facts.num_rows) == (4, 9)
    # Of the ten that it counts with a row, the other DAG has taken one.
    assert (facts.num_taken_over, facts.num_without_row) == (1, 3)
    (other,) = filled.reports.tries(B, "b/r/t/-1")
    assert filled.reports.rows_of_run(B, other).num_taken_over == 0
    assert filled.reports.rows_of_run(B, run).num_rows == 0


def test_scope_holds_in_every_answer(filled: Filled) -> None:
    reports, run = filled.reports, "a/r/t/-1"
    (row,) = reports.tries(A, run)
    for scope in (B, NONE):
        assert reports.run(scope, row.run_no) is None
        assert reports.tries(scope, run) == []
        assert reports.run_of_task(scope, "a", "r", "t") is None
        assert reports.rows(scope, run).items == ()
        assert list(reports.each_row(scope, run)) == []
        assert reports.record(scope, "rejected") == reports.record(scope, digest_of("rejected")) == []
        assert reports.rows_of_run(scope, row).codes == ()
    assert {one.dag_id for one in reports.runs(B).items} == {"b"}
    assert reports.choices(B) == {"dag_id": ["b"], "destination": ["dex"]}
    assert sorted(keys(reports.rows_in_doubt(B, "shared").items)) == ["failed", "theirs"]
    assert sorted(keys(reports.rows_in_doubt(A, "shared").items)) == ["s1", "s2", "unknown"]
    assert [(one.sync_id, one.dag_ids, one.num_sending) for one in reports.doubts(B)] == [("shared", ("b",), 2)]
    assert sum(sum(day.counts.values()) for day in reports.days(B)) == 0
    # Cursors name places, and give no right to what is there.
    for after in ("0", "1-0", "0-0", "0-0-0", "9" * 19, "-1", "x", "' OR 1=1", "1-2-3-4", "\u0661"):
        assert {one.dag_id for one in reports.runs(B, after=after).items} <= {"b"}
        assert reports.rows(B, run, after=after).items == ()
        assert {one.dag_id for one in reports.rows_in_doubt(B, "shared", after=after).items} <= {"b"}
    nothing = (reports.runs(NONE).items, reports.doubts(NONE), reports.rows_in_doubt(NONE, "shared").items)
    assert nothing == ((), [], ())
    assert reports.choices(NONE) == {"dag_id": [], "destination": []}
    assert {one.dag_id for one in reports.runs(BOTH).items} == {"a", "b"}
    assert keys(reports.record(BOTH, "g1")) == ["g1"]


def test_doubts_by_sync_and_age(filled: Filled) -> None:
    shared, own = filled.reports.doubts(ALL)
    assert (shared.sync_id, shared.dag_ids, shared.num_unknown, shared.num_sending) == ("shared", ("a", "b"), 1, 4)
    assert (own.sync_id, own.destination, own.destination_object, own.num_unknown) == ("own", "nedzo", None, 1)
    assert shared.by_age == {"hour": 5, "day": 0, "week": 0, "older": 0}
    assert shared.oldest is not None
    assert shared.newest is not None
    assert datetime.now(UTC) - timedelta(minutes=5) < shared.oldest <= shared.newest
    filled.database.backdate(2 * 86_400)
    assert filled.reports.doubts(ALL)[0].by_age == {"hour": 0, "day": 0, "week": 5, "older": 0}
    found, after = list[RecordRow](), None
    while (page := filled.reports.rows_in_doubt(ALL, "shared", after, limit=1)).items:
        found += page.items
        if (after := page.after) is None:
            break
    assert keys(found[:1]) == ["unknown"]
    assert sorted(keys(found)) == ["failed", "s1", "s2", "theirs", "unknown"]


def test_what_was_settled_hides_no_doubt(filled: Filled) -> None:
    ledger = execution(filled.database, "a", "stale", sync_id="shared")
    for number in range(5):
        put(ledger, batch_of(ledger, f"gone {number}", f"gone too {number}"))
    settled = (
        "UPDATE contact_outcomes_records SET status = 'succeeded' WHERE record_identifier BETWEEN 'gone' AND 'gonf'"
    )
    filled.database.run(settled)  # as a verdict is written: the batch stays as it is
    put(ledger, batch_of(ledger, "last"))
    found, after = list[str](), "0-0-0"
    while after:
        page = filled.reports.rows_in_doubt(A, "shared", after, 1)
        found, after = [*found, *keys(page.items)], page.after or ""
    assert found[-1] == "last"


def test_runs_and_their_filters(filled: Filled) -> None:
    reports = filled.reports
    page = reports.runs(ALL, limit=2)
    assert [one.dag_id for one in page.items] == ["c", "b"]
    rest = reports.runs(ALL, after=page.after, limit=2)
    assert ([one.dag_id for one in rest.items], rest.after) == (["a"], None)
    assert [one.dag_id for one in reports.newest_runs(ALL)] == ["c", "b"], "b has pushed under the sync_id of a since"
    (run,) = rest.items
    assert (run.sync_id, run.destination, run.status, run.status_message) == ("shared", "dex", "failed", "why")
    assert (run.counters["num_planned"], run.is_running) == (13, False)
    assert run.duration_seconds is not None
    assert 0 <= run.duration_seconds < 60
    assert reports.run(A, run.run_no) == run
    for which, expected in [
        (RunFilter(dag_id="a"), "a"), (RunFilter(dag_id="x"), ""), (RunFilter(destination="nedzo"), "c"),
        (RunFilter(status="failed"), "a"), (RunFilter(since=TODAY - timedelta(1), until=date.max), "cba"),
        (RunFilter(since=TODAY + timedelta(2)), ""), (RunFilter(until=TODAY - timedelta(2)), ""),
    ]:  # fmt: skip
        assert "".join(one.dag_id for one in reports.runs(ALL, which).items) == expected, which
    assert reports.choices(ALL) == {"dag_id": ["a", "b", "c"], "destination": ["dex", "nedzo"]}


def test_days_count_a_run_once(filled: Filled) -> None:
    again = execution(filled.database, "a", try_number=2, sync_id="shared")
    counts = {"num_planned": 13, "num_succeeded": 1, "num_delivered": 5, "num_rejected": 2, "num_held": 1}
    counts |= {"num_unknown": 1, "num_skipped": 8, "num_invalid": 1, "num_failed": 0, "num_duplicate": 0}
    assert again.finish(counts, "partial")
    days = filled.reports.days(A, days=3)
    assert [day.day for day in days] == [TODAY - timedelta(2), TODAY - timedelta(1), TODAY]
    expected = {"succeeded": 5, "rejected": 2, "invalid": 1, "failed": 0, "unknown": 0, "skipped": 4, "duplicate": 0}
    assert days[-1].counts == expected
    assert set(days[0].counts.values()) == {0}
    assert sum(filled.reports.days(A, RunFilter(status="failed"))[-1].counts.values()) == 0
    assert len(filled.reports.days(A, RunFilter(since=TODAY, until=TODAY))) == 1
    assert len(filled.reports.days(A, RunFilter(since=TODAY + timedelta(9)))) == 1  # a clock was set back
    assert [one.try_number for one in filled.reports.tries(A, "a/r/t/-1")] == [2, 1]


def test_a_task_instance_finds_its_newest_try(filled: Filled) -> None:
    execution(filled.database, "a", try_number=2, sync_id="shared")
    for region in ("loop/0", "loop/1"):
        execution(filled.database, "d", region=region)
    found = filled.reports.run_of_task(A, "a", "r", "t")
    assert found is not None
    assert (found.try_number, found.is_running, found.counters) == (2, True, {})
    regions = [filled.reports.run_of_task(ALL, "d", "r", "t", region=one) for one in ("loop/0", None, "loop/2")]
    assert [one and one.region for one in regions] == ["loop/0", "loop/1", None]
    assert filled.reports.run_of_task(ALL, "a", "r", "t", 0) is None


def test_a_verdict_and_a_hostile_text_are_read_as_the_view_shows_them(filled: Filled) -> None:
    ledger = execution(filled.database, "a", "hostile", sync_id="shared")
    texts = {"status_message": "<script>\u202e'; --", "errors": (RecordError("c", "f", "%s {x}"),), "error_code": "c"}
    sent = batch_of(ledger, "O'Hara %s")
    put(ledger, sent)
    conclude(ledger, [outcome("O'Hara %s", Status.REJECTED, sent[0].batch_id, **texts)])
    (row,) = filled.reports.record(A, "O'Hara %s")
    assert (row.status_message, row.errors) == (texts["status_message"], texts["errors"])
    assert json.loads(row.record_payload or "") == {"email": "ada@example.com"}


def test_what_is_not_delivered_comes_before_what_was_delivered_later(filled: Filled) -> None:
    later = execution(filled.database, "a", "later", sync_id="later")
    sent = batch_of(later, "g1")
    put(later, sent)
    conclude(later, [outcome("g1", Status.SUCCEEDED, sent[0].batch_id, destination_record_id="id")])
    found = [(row.sync_id, row.status) for row in filled.reports.record(ALL, "g1")]
    assert found == [("own", "unknown"), ("later", "succeeded"), ("shared", "succeeded")]


def test_nothing_can_be_written(filled: Filled) -> None:
    def write(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE contact_outcomes_records SET attempts = 7")

    with pytest.raises(LedgerError):
        ask(filled.reports._engine, write)


def test_a_question_that_takes_too_long_is_given_up(filled: Filled) -> None:
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e9) SELECT max(i) FROM n",
        "postgresql": "SELECT pg_sleep(30)",
        "mysql": "SELECT max(a.seq + b.seq) FROM seq_1_to_1000000 a, seq_1_to_1000000 b",
    }
    with closing(reports_of(filled.database, statement_seconds=2)) as reports:
        name = reports._engine.dialect.name
        with pytest.raises(TooSlowError, match=r"connection 'outcomes_db'.*did not answer within 2 s") as caught:
            ask(reports._engine, lambda connection: connection.exec_driver_sql(slow[name]).all())
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        # The next one has its own time.
        assert reports.runs(A).items


def test_a_reader_that_stops_holds_no_transaction_for_good(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with closing(fresh_database("postgresql", request, tmp_path)) as database:
        database.open()
        with closing(reports_of(database)) as reports:
            shown = "SHOW idle_in_transaction_session_timeout"
            assert ask(reports._engine, lambda one: one.exec_driver_sql(shown).scalar_one()) == "1min"


def test_a_key_that_is_too_long_is_found_as_it_is_stored(filled: Filled) -> None:
    make(
        execution(filled.database, "a", "long", sync_id="shared"),
        key := identifier_of({"k": "k" * 256}, "k"),
        Status.INVALID,
    )
    assert keys(filled.reports.record(ALL, "k" * 256)) == [key]


def test_who_reads_all_rows_keeps_nobody_from_writing_where_wal_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        names = [f"key {number}" for number in range(2500)]
        ledger = execution(database, "a")
        put(ledger, batch_of(ledger, *names))
    with closing(sqlite3.connect(file, timeout=0.5)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        with OutcomeReports.open(UrlHook(f"sqlite:///{file}")) as reports:
            rows = reports.each_row(A, "a/r/t/-1")
            found = [next(rows).record_identifier]
            writer.execute("UPDATE contact_outcomes_records SET attempts = 2")
            writer.commit()
            assert sorted([*found, *keys(rows)]) == sorted(names)


def test_a_file_whose_pushes_would_be_locked_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "out comes.db"
    with closing(Database(f"sqlite:///{made}")) as database:
        make(database.open(), "key", Status.INVALID)
        monkeypatch.setattr("os.geteuid", lambda: made.stat().st_uid + 1)
        made.chmod(0o644)
        with pytest.raises(ConfigError, match="belongs to another user"):
            reports_of(database)
        made.chmod(0o664)
        reports_of(database).close()


def test_a_table_that_is_not_there_is_told(database_of_any_kind: Database) -> None:
    database_of_any_kind.run("CREATE TABLE other (one INTEGER)")
    with pytest.raises(ConfigError, match="contact_outcomes_syncs"):
        reports_of(database_of_any_kind)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="outcomes_db"):
        OutcomeReports.open(UrlHook(f"sqlite:///{tmp_path}/absent.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = UrlHook(f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/any")
        begun = time.monotonic()
        with pytest.raises(LedgerError, match=r"outcomes_db.*cannot be used"):
            OutcomeReports.open(hook, connect_seconds=1)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("driver", ["psycopg2", "mysqlconnector", "pymysql", "psycopg"])
def test_a_stream_that_is_left_ends_its_query(driver: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    kind = "postgresql" if driver.startswith("psycopg") else "mariadb"
    with closing(fresh_database(kind, request, tmp_path, driver)) as database:
        ledger = execution(database, "a")
        for batch in range(25):  # each row of one that is sending is cut out of its body
            put(ledger, batch_of(ledger, *(f"key {batch} {number}" for number in range(100))))
        with closing(reports_of(database)) as reports:
            for _ in range(2):
                stream = reports.each_row(A, "a/r/t/-1")
                assert next(stream).status == "sending"
                stream.close()
                assert len(keys(reports.each_row(A, "a/r/t/-1"))) == 2500
            assert reports.rows_of_run(A, reports.runs(A).items[0]).num_rows == 2500


def test_the_counts_of_real_pushes_add_up(world: World) -> None:
    ada, ben, cleo = ({"key": key, "first_name": key} for key in ("ada", "ben", "cleo"))
    wrong: dict[str, Any] = {"key": "wrong", "first_name": 7}
    records = [ada, ada, {**ada, "first_name": "Another"}, ben, wrong, {**cleo, "key": None}]
    settings: dict[str, Any] = {"sync_id": "shared", "max_rejected": 5}
    world.done(push(records, "a", **settings))
    with OutcomeReports.open(UrlHook(f"sqlite:///{world.folder}/outcomes.db")) as reports:
        (run,) = reports.runs(ALL).items
        facts = reports.rows_of_run(ALL, run)
        # The second of the key, and the one of another payload.
        assert (facts.num_rows, facts.num_taken_over, facts.num_without_row) == (4, 0, 2)
        world.done(push([ada, {**wrong, "first_name": "Right"}], "b", **settings))
        facts = reports.rows_of_run(ALL, run)
        # The two kinds cannot be told apart any more.
        assert (facts.num_rows, facts.num_taken_over, facts.num_without_row) == (3, 2, 1)
        assert sum(one.count for one in facts.codes) == facts.num_rows
        newest = reports.runs(B).items[0]
        later = reports.rows_of_run(ALL, newest)
        assert (later.num_rows, later.num_taken_over, later.num_without_row) == (1, 0, 1)

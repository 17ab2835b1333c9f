"""Selecting rows and writing verdicts, on every kind of database that can hold the table."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.ledgers.sql.open_table import open_ledger
from airflow_provider_contacts.ledgers.sql.schema import existing
from airflow_provider_contacts.ledgers.sql.selection import PAGE, SelectedRows
from airflow_provider_contacts.ledgers.sql.settlement import Finding, Verdict, settle
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.stored_payloads import Selection
from tests.support.by_hand import insert
from tests.support.ledger_conformance import Database, opening
from tests.support.table_pushing import UrlHook

RUN = RunIdentity(dag_id="d", run_id="r", task_id="again", map_index=-1, try_number=1)
MOMENT = datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)


class Store:
    """One empty outcome table."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = database.engine()
        place: dict[str, Any] = {"destination_host": "host", "destination_object": None}
        self.opening = opening(hook=UrlHook(database.url), run=RUN, sync_id="s", **place)

    def add(self, status: str, *names: str, run: str = "old", sync_id: str = "s", **more: Any) -> None:
        """Insert rows, marked and answered now."""
        now = self.moment(datetime.now(UTC))
        place = {"destination": "dex", "destination_host": "host"}
        values = {"sync_id": sync_id, "status": status, "sync_run_id": run, **place}
        values |= {"batch_started_at": now, "batch_completed_at": now, **more}
        with self.engine.begin() as connection:
            for name in names:
                insert(connection, {**values, "record_identifier": name})

    def moment(self, value: datetime) -> Any:
        match self.engine.dialect.name:
            case "sqlite":
                return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03}"
            case "postgresql":
                return value
            case _:
                return value.replace(tzinfo=None)

    def selected(self, *statuses: str, **more: Any) -> list[str]:
        """Return the identifiers of the selected rows, page by page, the same as by name."""
        selection = Selection(statuses=frozenset(map(Status, statuses)), **more)
        with closing(SelectedRows.open(self.opening, selection)) as rows:
            found = [stored.state.record_identifier for page in rows.pages() for stored in page]
            assert sorted(rows.among(["nobody", *found])) == sorted(found)
        return found

    def settle(self, status: Status, records: dict[str, str | None]) -> dict[str, str]:
        tables = existing(self.engine, "contact_outcomes")
        verdict = Verdict(sync_id="s", status=status, records=records, settled_by="ada", store_payload="undelivered")
        return {name: finding.value for name, finding in settle(self.engine, tables, verdict)[0].items()}


@pytest.fixture
def store(database_of_any_kind: Database) -> Store:
    found = Store(database_of_any_kind)
    open_ledger(found.opening).close()
    return found


def test_statuses_codes_attempts_and_the_runs_own(store: Store) -> None:
    for name in ("failed", "rejected", "invalid", "unknown", "succeeded"):
        store.add(name, name, error_code=f"c_{name}", attempts=len(name))
    store.add("succeeded", "own", run=RUN.sync_run_id, attempts=99)
    store.add("failed", "elsewhere", sync_id="t")
    assert store.selected("failed", "rejected") == ["failed", "own", "rejected"]
    assert store.selected("failed", "rejected", error_codes=("c_rejected", "other")) == ["own", "rejected"]
    assert store.selected("failed", "rejected", max_attempts=7) == ["failed", "own"]
    assert store.selected("unknown") == ["own", "unknown"]


def test_what_was_left_sending(store: Store) -> None:
    for name, minutes in (("young", 59), ("old", 61)):
        marked = store.moment(datetime.now(UTC) - timedelta(minutes=minutes))
        store.add("sending", name, batch_started_at=marked, batch_completed_at=None)
    store.add("sending", "unmarked", batch_started_at=None, batch_completed_at=None)
    store.add("unknown", "lost", error_code="timeout")
    assert store.selected("unknown") == ["lost", "old"]
    assert store.selected("unknown", error_codes=("interrupted",)) == ["old"]
    assert store.selected("failed") == []


@pytest.mark.parametrize("zone", [0, 5])
def test_since(store: Store, zone: int) -> None:
    for name, milliseconds in (("a", -1), ("b", 0), ("c", 1)):
        store.add("failed", name, batch_completed_at=store.moment(MOMENT + timedelta(milliseconds=milliseconds)))
    store.add("failed", "d", batch_completed_at=store.moment(MOMENT.replace(microsecond=0)))
    local = timezone(timedelta(hours=zone))
    assert store.selected("failed", since=MOMENT.astimezone(local)) == ["b", "c"]
    assert store.selected("failed", since=MOMENT.replace(microsecond=0).astimezone(local)) == ["a", "b", "c", "d"]


def test_pages_in_order_of_the_bytes_each_row_once_while_they_change(store: Store) -> None:
    names = sorted(
        [f"{n:05}" for n in range(2 * PAGE + 3)] + ["a", "A", "a ", "\u00e4", "\U0001f600", "%", "_"], key=str.encode
    )
    store.add("failed", *names, record_payload='{"first_name": "\u00e4"}')
    seen: list[str] = []
    with closing(SelectedRows.open(store.opening, Selection(statuses=frozenset({Status.FAILED})))) as rows:
        for page in rows.pages():
            assert all(stored.payload == {"first_name": "\u00e4"} for stored in page)
            seen += [stored.state.record_identifier for stored in page]
            # Its own, so still selected: they must not come again.
            own = f"sync_run_id = '{RUN.sync_run_id}', try_number = 2"
            store.database.run(f"UPDATE contact_outcomes_runs SET {own} WHERE sync_run_id = 'old'")
            store.database.run("UPDATE contact_outcomes_records SET attempts = 9")
    assert seen == names


def test_a_page_is_read_in_the_order_of_the_key_before_the_table_is_analysed(store: Store) -> None:
    if store.engine.dialect.name != "postgresql":
        pytest.skip("the others walk the key")
    store.add("failed", "a")
    store.database.run("ALTER TABLE contact_outcomes_records SET (autovacuum_enabled = off)")
    store.database.run(
        "INSERT INTO contact_outcomes_records (sync_no, record_identifier, batch_no, place, status, attempts) "
        "SELECT sync_no, n, batch_no, 0, 'failed', 1 FROM contact_outcomes_records, generate_series(1, 300000) AS n"
    )
    plans: list[str] = []

    def explained(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "LIMIT" in statement:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append(str(cursor.fetchall()))

    selection = Selection(statuses=frozenset({Status.FAILED}))
    with closing(SelectedRows.open(store.opening, selection)) as rows:
        sqlalchemy.event.listen(rows._engine, "before_cursor_execute", explained)
        assert len(next(rows.pages())) == PAGE
    assert [("Sort" in plan, "records_pkey" in plan) for plan in plans] == [(False, True)]


def test_a_table_that_is_not_there_and_a_sync_id_without_rows(database_of_any_kind: Database) -> None:
    store = Store(database_of_any_kind)
    assert store.selected("failed") == []
    with closing(SelectedRows.open(store.opening, Selection(statuses=frozenset()))) as rows:
        assert rows.known is False


def test_verdicts(store: Store) -> None:
    long_ago = store.moment(datetime.now(UTC) - timedelta(hours=2))
    said = {"record_payload": "{}", "errors": "[]", "error_code": "timeout", "destination_record_id": "seen"}
    store.add("unknown", "a", "A", "b", "left", "c", **said)
    store.add("succeeded", "other", sync_id="t", destination_record_id="taken")
    store.add("succeeded", "there", sync_id="u", destination_record_id="free", destination_host="sandbox")
    store.database.run(
        "UPDATE contact_outcomes_records SET status = 'sending' WHERE record_identifier IN ('left', 'c')"
    )
    left = "SELECT batch_no FROM contact_outcomes_records WHERE record_identifier = 'left'"
    store.database.run(
        f"UPDATE contact_outcomes_batches SET batch_started_at = '{long_ago}' WHERE batch_no IN ({left})"
    )
    given: dict[str, str | None] = {"a": "free", "b": "taken", "left": "seen", "c": "c-1", "nobody": "n"}
    settled = dict.fromkeys(("a", "left"), Finding.SETTLED)
    others = {"b": Finding.ID_TAKEN, "c": Finding.STILL_SENDING, "nobody": Finding.ABSENT}
    assert store.settle(Status.SUCCEEDED, given) == settled | others
    row = store.database.row("left")
    assert (row["status"], row["destination_record_id"], row["settled_by"]) == ("succeeded", "seen", "ada")
    assert {row[name] for name in ("error_code", "errors", "record_payload", "status_message")} == {None}
    assert row["settled_at"] is not None
    again: dict[str, str | None] = {"a": "free", "left": "other"}
    assert store.settle(Status.SUCCEEDED, again) == {"a": Finding.ALREADY_SETTLED, "left": Finding.NOT_IN_DOUBT}
    nobody: dict[str, str | None] = {"A": None, "a": None}
    assert store.settle(Status.FAILED, nobody) == {"A": Finding.SETTLED, "a": Finding.NOT_IN_DOUBT}
    row = store.database.row("A")
    assert (row["status"], row["error_code"], row["destination_record_id"]) == ("failed", "settled_by_hand", None)
    assert row["record_payload"] is not None


def test_many_verdicts(store: Store) -> None:
    names = [f"n{n}" for n in range(1200)]
    store.add("unknown", *names)
    given: dict[str, str | None] = {name: f"id-{name}" for name in names}
    assert set(store.settle(Status.SUCCEEDED, given).values()) == {Finding.SETTLED}
    assert set(store.settle(Status.SUCCEEDED, given).values()) == {Finding.ALREADY_SETTLED}

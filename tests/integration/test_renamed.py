"""A DAG, task or connection that was renamed: its default ``sync_id`` is new, and its records are not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.sync_ids import Known
from tests.support.ledger_conformance import STANDING, Database, claim, make, settle
from tests.support.pushing import World, callees, counts, people, push

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OLD = "d/push@dex_default"


def error_of(world: World, op: Any) -> str:
    """Run a task that is refused, and return why; nothing was sent, and no row was written."""
    sent, rows = world.sent(), world.query("SELECT * FROM contact_outcomes")
    why = world.refused(op)
    assert world.sent() == sent
    assert world.query("SELECT * FROM contact_outcomes") == rows
    return why


@pytest.mark.parametrize(
    ("renamed", "new", "plan_only"),
    [
        ({"dag_id": "e"}, "e/push@dex_default", False),
        ({"task_id": "send"}, "d/send@dex_default", True),
        ({"contacts_conn_id": "dex_2"}, "d/push@dex_2", False),
    ],
    ids=["dag", "task, and a plan", "connection"],
)
def test_a_renamed_task_is_told_both_ways_on(world: World, renamed: Any, new: str, plan_only: bool) -> None:
    world.connect("dex_2", **world.api.connections["dex_default"])
    assert world.run(push(people(20))).error is None
    text = error_of(world, push(people(20), **renamed, plan_only=plan_only))
    assert "20 of the first 20 records were delivered with the same payload to dex at 127.0.0.1" in text
    assert f'sync_id="{OLD}" goes on' in text
    assert f'sync_id="{new}", written out, sends every record again' in text
    if not plan_only:
        (row,) = world.query(f"SELECT * FROM contact_outcomes_runs WHERE sync_id <> '{OLD}'")
        assert (row["status"], OLD in row["status_message"]) == ("aborted", True)


def test_both_ways_on_go_on(world: World) -> None:
    world.run(push(people(20)))
    again = world.done(push(people(21), dag_id="e", sync_id=OLD))
    assert counts(again, "skipped", "succeeded") == (20, 1)
    written_out = push(people(20), dag_id="e", sync_id="e/push@dex_default")
    assert world.done(written_out, run_id="next")["num_succeeded"] == 20
    # It has rows now, so that the default is that one, and no longer asked about.
    assert world.done(push(people(20), dag_id="e"), run_id="last")["num_skipped"] == 20


def test_records_without_a_key_are_known_by_their_digest(world: World) -> None:
    records = [{name: value for name, value in one.items() if name != "key"} for one in people(8)]
    assert world.run(push(records, sync_key=None)).error is None
    assert "8 of the first 8" in error_of(world, push(records, dag_id="e", sync_key=None))


def test_half_of_the_records_with_the_same_payload_are_enough(world: World) -> None:
    world.run(push(people(10)))
    assert "10 of the first 20" in error_of(world, push(people(20), dag_id="e"))
    changed = {**people(1)[0], "first_name": "Other"}
    assert world.done(push([changed, *people(19, start=1)], dag_id="e"))["num_succeeded"] == 20


def test_another_place_is_another_place(world: World) -> None:
    calls: dict[str, Any] = {"contacts_conn_id": "talkdesk_default"}
    assert world.run(push(callees(5), **calls, destination={"record_list_id": "demo-list"})).error is None
    world.connect("elsewhere", **{**world.api.connections["talkdesk_default"], "host": "http://localhost"})
    op = push(callees(5), dag_id="e", **calls, destination={"record_list_id": "other"})
    world.run(op)
    assert "is new, and" not in str(world.run(op, 2).error)


# What the table finds.


@pytest.fixture
def database(database_of_any_kind: Database) -> Database:
    return database_of_any_kind


def fill(ledger: SqlLedger, keys: list[str], status: Status = Status.SUCCEEDED) -> None:
    for key in keys:
        make(ledger, key, status)


@contextmanager
def listening(ledger: SqlLedger) -> Iterator[list[tuple[str, Any]]]:
    """Collect statements and their parameters."""
    asked: list[tuple[str, Any]] = []

    def listen(*given: Any) -> None:
        asked.append((given[2], given[3]))

    sqlalchemy.event.listen(ledger._engine, "before_cursor_execute", listen)
    yield asked
    sqlalchemy.event.remove(ledger._engine, "before_cursor_execute", listen)


def hashes(*keys: str, digest: str = "v1:abc") -> Mapping[str, str]:
    return dict.fromkeys(keys, digest)


def test_the_table_finds_what_another_sync_id_delivered(database: Database) -> None:
    fill(database.open("run b", sync_id="b"), ["1", "2", "3"])
    fill(database.open("run a", sync_id="a", destination_host="elsewhere.test"), ["1", "2", "3", "4"])
    fill(database.open("run c", sync_id="c", destination_object="list-2"), ["1", "2", "3", "4"])
    fill(database.open("run d", sync_id="d", destination_object=None), ["1", "2", "3", "4"])
    fill(database.open("run e", sync_id="e"), ["1", "2"])
    new = database.open(sync_id="new")
    place = "dex at api.dex.test, object list-1"
    assert new.known_elsewhere(hashes("1", "2", "3", "4")) == Known("b", 3, 4, place)
    assert new.known_elsewhere(hashes("3", "4", "5", "6", "7", "8")) is None
    assert new.known_elsewhere(hashes("1", "5")) is not None
    assert new.known_elsewhere(hashes("1", "5", "6")) is None
    assert new.known_elsewhere(hashes("1", "2", digest="v1:other")) is None
    assert (new.is_new(), database.open("once more", sync_id="b").is_new()) == (True, False)
    claim(new, "9")
    assert not new.is_new()


def test_what_was_not_delivered_is_not_found(database: Database) -> None:
    for status in STANDING[1:]:
        fill(database.open(status, sync_id=status), ["1", "2"], status)
    assert database.open(sync_id="new").known_elsewhere(hashes("1", "2")) is None


def test_more_records_than_one_look_takes(database: Database) -> None:
    old, keys = database.open(sync_id="old"), [f"key-{number}" for number in range(2000)]
    claim(old, *keys[:1500])
    for key in keys[1490:1500]:
        settle(old, key, Status.SUCCEEDED)
    database.run("UPDATE contact_outcomes_records SET status = 'succeeded'")
    found = database.open(sync_id="new").known_elsewhere(hashes(*keys))
    assert found is not None
    assert (found.sync_id, found.num_delivered, found.looked_at) == ("old", 1500, 2000)


def test_who_knows_none_of_them_is_not_asked_for_all(database: Database) -> None:
    for number in range(3):
        fill(database.open(f"run {number}", sync_id=f"other-{number}"), ["0"])
    new = database.open(sync_id="new")
    with listening(new) as asked:
        assert new.known_elsewhere(hashes(*(f"key-{number}" for number in range(5000)))) is None
    assert sum("payload_hash" in text for text, _ in asked) == 3, "one look each, at a few of the records"


def test_the_records_are_not_read_as_a_whole(database: Database) -> None:
    claim(database.open(sync_id="old"), *(f"key-{number}" for number in range(3000)))
    database.run("UPDATE contact_outcomes_records SET status = 'succeeded'")
    new = database.open(sync_id="new")
    with listening(new) as statements:
        assert new.known_elsewhere(hashes("key-1", "key-2")) is not None
    asked = [one for one in statements if "SELECT" in one[0] and "contact_outcomes_records" in one[0]]
    assert len(asked) == 2, "a look at a sample, and one at all of them"
    word = "EXPLAIN QUERY PLAN" if database.url.startswith("sqlite") else "EXPLAIN"
    with new._engine.connect() as connection:
        for statement, parameters in asked:
            plan = "\n".join(map(str, connection.exec_driver_sql(f"{word} {statement}", parameters)))
            assert not any(scan in plan for scan in ("SCAN contact_outcomes", "Seq Scan", "'ALL'", "SORT")), plan

"""Records sent again from the outcome table, in a task as a worker runs it, against a real socket."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested
from airflow.sdk import DAG

from airflow_provider_contacts.operators import ReplayContactsOperator
from airflow_provider_contacts.task.replay_parameters import REPLAY_PARSERS
from tests.support.by_hand import change
from tests.support.pushing import CALLS, World, callees, counts, people, postgres_connection, refusal, sql_push
from tests.support.pushing import push as push_task

if TYPE_CHECKING:
    from tests.support.servers import Postgres

SYNC = "the-sync"
# A vendor that refuses for now is not asked ever more slowly.
FAST: dict[str, Any] = {"request_attempts": 1, "requests_per_second": 1000.0}
REPLAY: dict[str, Any] = {
    "task_id": "again", "contacts_conn_id": "talkdesk_default", "outcomes_conn_id": "outcomes", "sync_id": SYNC,
    "retries": 3, **FAST,
}  # fmt: skip
TO_DEX: dict[str, Any] = {"contacts_conn_id": "dex_default"}
BAD: dict[str, Any] = {"key": "bad", "first_name": "A", "last_name": "B"}


def push(records: Any, **parameters: Any) -> Any:
    return push_task(records, **{**CALLS, **FAST, "sync_id": SYNC, "max_rejected": 1000, **parameters})


def replay(**parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return ReplayContactsOperator(**{**REPLAY, **parameters})


def rows_of(world: World) -> dict[str, dict[str, Any]]:
    return {row["record_identifier"]: row for row in world.query("SELECT * FROM contact_outcomes")}


def refused(world: World, records: Any, first_names: str, **parameters: Any) -> None:
    """Push, and let the vendor refuse those of these first names; afterwards it refuses nobody."""
    world.simulator.set("talkdesk.reject", f"first_name~{first_names}")
    world.done(push(records, **parameters))
    world.simulator.set("talkdesk.reject", "")


def failed(world: World, records: Any, vendor: str = "dex", **parameters: Any) -> None:
    """Push to a vendor that refuses everybody for now, and afterwards nobody."""
    world.simulator.set(f"{vendor}.http_429", "always")
    assert world.run(push(records, contacts_conn_id=f"{vendor}_default", **parameters)).state == "up_for_retry"
    world.simulator.set(f"{vendor}.http_429", "never")


# What is sent.


def test_what_was_refused_is_sent_again_and_keeps_its_row(world: World) -> None:
    refused(world, [*callees(4), BAD], "First[12]$")
    before = rows_of(world)
    summary = world.done(replay(max_rejected=1))
    assert counts(summary, "planned", "succeeded", "invalid") == (3, 2, 1)
    assert (summary["sync_id"], summary["sync_run_id"], summary["num_requests"]) == (SYNC, "d/run/again/-1", 1)
    after = rows_of(world)
    assert {key: row["status"] for key, row in after.items()} == {
        **dict.fromkeys(("c0", "c1", "c2", "c3"), "succeeded"),
        "bad": "invalid",
    }
    for key in ("c1", "c2"):
        assert after[key]["payload_hash"] == before[key]["payload_hash"]
        assert after[key]["attempts"] == before[key]["attempts"] + 1
        assert (after[key]["task_id"], after[key]["record_payload"]) == ("again", None)
    assert after["bad"] == before["bad"], "still refused: its row stays"
    sent = [one["first_name"] for one in world.stored("talkdesk")]
    assert sorted(sent) == ["First0", "First1", "First2", "First3"]
    # To the regular push they are delivered.
    assert counts(world.done(push(callees(4)), run_id="second"), "skipped", "changed") == (4, 0)


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({}, {"c0", "c1", "c2", "bad"}),
        ({"statuses": "{{ ['failed', 'invalid'] | tojson }}"}, {"c2", "bad"}),
        ({"error_codes": ["PHONE", "later"]}, {"c1", "c2"}),
        ({"max_attempts": "{{ 1 }}"}, {"bad"}),
        ({"since": "{{ '2026-03-01 12:00:00.001000+00:00' }}"}, {"bad"}),
        ({"statuses": ("rejected", "failed"), "error_codes": ["PHONE"], "max_attempts": 2}, set()),
    ],
)
def test_a_filter_names_what_is_sent(world: World, filters: dict[str, Any], keys: set[str]) -> None:
    refused(world, [*callees(3), BAD], "First[01]$")
    long_ago, payload = "'2026-01-01 00:00:00.000'", rows_of(world)["c0"]["record_payload"]
    change(world, "c0", error_code="'NAME'", settled_at=long_ago)
    change(world, "c1", error_code="'PHONE'", attempts="3", settled_at=long_ago)
    changes = {"status": "'failed'", "error_code": "'later'", "settled_at": "'2026-03-01 12:00:00.000'"}
    change(world, "c2", **changes, record_payload=f"'{payload}'", payload_hash="'v1:edited'")
    assert world.run(replay(**filters, plan_only=True, xcom_outcomes="all")).error is None
    outcomes = world.done(replay(**filters, xcom_outcomes="all", max_rejected=5))["outcomes"]
    assert {one["record_identifier"] for one in outcomes} == keys
    assert sorted(one["row_index"] for one in outcomes) == list(range(len(keys)))


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "given", "parsed"),
    [
        ("statuses", "failed", ("failed",)),
        ("statuses", ["rejected", "failed"], ("rejected", "failed")),
        ("error_codes", "null", None),
        ("error_codes", '["PHONE"]', ("PHONE",)),
        ("max_attempts", 3, 3),
        ("since", NOON, NOON),
        ("since", "2026-03-01T13:00:00+01:00", NOON),
        ("since", " ", None),
    ],
)
def test_a_filter_is_a_value_or_its_text(name: str, given: Any, parsed: Any) -> None:
    assert REPLAY_PARSERS[name](given, name) == parsed


# Unknown.


def lose(world: World, count: int = 2) -> None:
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    world.run(push(callees(count), max_unknown=count))
    assert set(world.statuses().values()) == {"unknown"}


def test_unknown_ones_are_resent_where_both_parameters_say_so_and_can_be(world: World) -> None:
    lose(world, 4)
    assert world.done(replay())["num_planned"] == 0
    assert world.sent("talkdesk") == 1
    world.simulator.reset(knobs=False)
    change(world, batch_started_at="datetime('now', '-2 hours')")
    change(world, "c1", record_payload="NULL")
    change(world, "c2", status="'sending'")
    change(world, "c3", status="'sending'", batch_started_at="datetime('now', '-50 minutes')")
    summary = world.done(replay(statuses=["unknown"], on_unknown="resend"))
    assert world.statuses() == {"c0": "succeeded", "c1": "unknown", "c2": "succeeded", "c3": "sending"}
    assert counts(summary, "planned", "succeeded", "unknown", "held") == (3, 2, 1, 1)
    assert summary["error_codes"] == {"payload_not_stored": 1}
    assert len(world.stored("talkdesk")) == 2


def test_a_doubt_born_in_a_replay_is_held_by_its_next_try(world: World) -> None:
    refused(world, callees(1), "First0")
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    op = replay()
    assert world.run(op).state == "failed"
    assert world.run(op, 2).state == "failed"
    summary = world.summary(op)
    assert counts(summary, "unknown", "held", "planned") == (1, 0, 1)
    assert len(world.stored("talkdesk")) == 1


# The next try of the same replay.


def test_the_next_try_counts_again_what_the_first_one_settled(world: World) -> None:
    refused(world, [*callees(6), BAD], "First[0-5]$")
    world.simulator.set("talkdesk.reject", "first_name~First0")
    world.simulator.set("talkdesk.http_429", "next:1")
    op = replay(batch_size=3, max_in_flight=1, max_rejected=2)
    assert world.run(op).state == "up_for_retry"
    names = ("planned", "succeeded", "skipped", "rejected", "invalid", "failed")
    assert counts(world.summary(op), *names) == (7, 3, 0, 0, 1, 3)
    assert counts(world.done(op, 2), *names, "delivered") == (7, 2, 3, 1, 1, 0, 5)
    # Refused by this run: once more, and nothing is sent.
    sent = world.sent("talkdesk")
    assert counts(world.done(op, 3), *names) == (7, 0, 5, 1, 1, 0)
    assert world.sent("talkdesk") == sent
    assert len(world.stored("talkdesk")) == 5


def test_the_limit_of_attempts_holds_over_the_tries_of_a_replay(world: World) -> None:
    refused(world, callees(2), "First")
    world.simulator.set("talkdesk.http_429", "always")
    op = replay(max_attempts=2)
    assert world.run(op).state == "up_for_retry"
    sent = world.sent("talkdesk")
    world.refused(op, 2)
    assert world.sent("talkdesk") == sent
    summary = world.summary(op)
    assert (*counts(summary, "planned", "failed"), summary["error_codes"]) == (2, 2, {"rate_limited": 2})


def test_a_long_wait_reschedules_a_replay_too(world: World) -> None:
    refused(world, callees(4), "First")
    world.simulator.set("talkdesk.http_429", "next:1")
    world.simulator.set("talkdesk.retry_after", "300")
    op = replay(batch_size=2, max_in_flight=1)
    assert world.run(op).state == "up_for_reschedule"
    assert counts(world.done(op), "planned", "delivered") == (4, 4)


# What cannot be sent.


def test_a_payload_that_is_not_stored_is_told_and_its_row_stays(world: World) -> None:
    refused(world, [*callees(2), BAD], "First", store_payload="never")
    before = rows_of(world)
    op = replay(xcom_outcomes="all")
    why = world.refused(op)
    assert "payload_not_stored" in why
    assert "give the record by sql" in why
    summary = world.summary(op)
    assert counts(summary, "failed", "planned") == (3, 3)
    assert summary["error_codes"] == {"payload_not_stored": 3}
    assert {one["record_identifier"] for one in summary["outcomes"]} == {"c0", "c1", "bad"}
    assert rows_of(world) == before


def test_failed_beside_hopeless_ones_is_tried_again(world: World) -> None:
    refused(world, callees(2), "First")
    change(world, "c0", record_payload="NULL")
    world.simulator.set("talkdesk.http_429", "always")
    assert world.run(replay()).state == "up_for_retry"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"key": None}, "invalid", "missing_key"),
        # Text that the table had to change.
        ({"extra_data.note": "a\x00b"}, "failed", "payload_not_stored"),
    ],
)
def test_a_payload_that_is_not_the_records_own_is_not_sent(
    world: World, changed: dict[str, Any], status: str, code: str
) -> None:
    refused(world, [{**callees(1)[0], **changed}], "First0")
    sent, op = world.sent("talkdesk"), replay()
    world.refused(op)
    assert (world.summary(op)["error_codes"], world.summary(op)[f"num_{status}"]) == ({code: 1}, 1)
    assert world.sent("talkdesk") == sent


def test_a_corrected_payload_is_sent_as_corrected(world: World) -> None:
    refused(world, callees(1), "First0")
    change(world, record_payload="json_set(record_payload, '$.first_name', 'Corrected')")
    before = rows_of(world)["c0"]["payload_hash"]
    world.done(replay())
    assert world.stored("talkdesk")[0]["first_name"] == "Corrected"
    assert rows_of(world)["c0"]["payload_hash"] != before


def test_a_sync_id_without_rows_is_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert world.done(replay(sync_id="typo"))["num_planned"] == 0
    assert any("sync_id typo has no rows in contact_outcomes" in text for text in caplog.messages)


# Destinations and what we add to a payload.


def test_an_address_book_and_a_made_external_id_are_as_before(world: World) -> None:
    record = {"name": "Ada", "email": "ada@example.com"}
    parameters: dict[str, Any] = {"destination": {"address_book": "Demo"}, "sync_key": None}
    failed(world, [record], "apptoto", **parameters)
    (before,) = rows_of(world).values()
    made = json.loads(before["record_payload"])["external_id"]
    world.done(replay(contacts_conn_id="apptoto_default", sync_key=None, destination={"address_book_id": 1}))
    (after,) = rows_of(world).values()
    assert (after["record_identifier"], after["payload_hash"]) == (before["record_identifier"], before["payload_hash"])
    assert [(one["external_id"], one["address_book_id"]) for one in world.stored("apptoto")] == [(made, 1)]


# By key, from a query.


def by_query(**parameters: Any) -> Any:
    given: dict[str, Any] = {"sql": "SELECT * FROM people", "sql_conn_id": "warehouse", "sync_key": "key"}
    return replay(**given | parameters)


def test_a_query_that_gives_two_people_of_one_key_sends_the_first(world: World) -> None:
    refused(world, callees(3), "First[012]$", store_payload="never")
    other = {**callees(2)[1], "first_name": "Other"}
    world.fill([*callees(3), other, callees(3)[2]])
    op = by_query(statuses=["rejected"])
    assert "key_not_unique (1)" in str(world.run(op).error)
    summary = world.summary(op)
    assert counts(summary, "succeeded", "invalid", "duplicate") == (3, 1, 1)
    assert "Other" not in {one["first_name"] for one in world.stored("talkdesk")}


def test_a_query_gives_the_payloads_of_the_selected_alone(world: World) -> None:
    refused(world, [*callees(6), BAD], "First[1234]$", store_payload="never")
    corrected = {**callees(6)[2], "first_name": "Corrected"}
    rows = [*callees(2), corrected, *callees(2, start=3), callees(2)[1], callees(1, start=8)[0]]
    world.fill([*rows, {**BAD, "phone_number": "+15550199"}])
    op = by_query(
        statuses=["rejected", "invalid"], sql="SELECT * FROM people WHERE key <> :key", parameters={"key": "c4"}
    )
    why = world.refused(op)
    assert "not_in_query" in why
    summary = world.summary(op)
    assert counts(summary, "succeeded", "duplicate", "failed") == (4, 1, 1)
    assert (summary["num_planned"], summary["error_codes"]) == (6, {"not_in_query": 1})
    assert world.statuses() == {**dict.fromkeys(("c0", "c1", "c2", "c3", "c5", "bad"), "succeeded"), "c4": "rejected"}
    sent = sorted(one["first_name"] for one in world.stored("talkdesk"))
    assert sent == ["A", "Corrected", "First0", "First1", "First3", "First5"]
    # The next try finds the same.
    op.parameters = {"key": "none"}
    world.run(op, 2)
    summary = world.summary(op)
    assert counts(summary, "planned", "skipped", "succeeded") == (6, 5, 1), "c4 is there now"
    assert len(world.stored("talkdesk")) == 7


def test_a_query_without_a_key_finds_records_by_their_digest(world: World) -> None:
    keyless = [{name: value for name, value in one.items() if name != "key"} for one in callees(3)]
    refused(world, keyless, "First[01]$", sync_key=None, store_payload="never")
    world.fill([keyless[0], {**keyless[1], "last_name": "Changed"}])
    op = by_query(sync_key=None)
    assert world.run(op).state == "failed"
    summary = world.summary(op)
    assert (summary["num_succeeded"], summary["error_codes"]) == (1, {"not_in_query": 1})


def test_an_invalid_record_of_the_query_does_not_hide_a_doubt(world: World) -> None:
    lose(world, 1)
    world.fill([{**BAD, "key": "c0"}])
    op = by_query(statuses=["unknown"], on_unknown="resend")
    world.run(op)
    assert (world.statuses(), world.summary(op)["num_unknown"]) == ({"c0": "unknown"}, 1)


def test_what_a_query_gave_before_it_failed_has_its_outcome(world: World) -> None:
    failed(world, people(705))
    world.fill(people(705))
    broken = (
        "SELECT key, CASE WHEN key = 'p700' THEN abs(-9223372036854775808) ELSE email END AS email, first_name "
        "FROM people"
    )
    op = by_query(sql=broken, chunk_size=10, **TO_DEX)
    assert world.run(op).state == "up_for_retry"
    assert world.summary(op)["num_planned"] == 699, "what was read before"


def test_source_and_outcomes_may_be_one_file(world: World) -> None:
    refused(world, callees(3), "First")
    world.fill(callees(3), file="outcomes.db")
    world.connect("warehouse", host=str(world.folder / "outcomes.db"))
    world.done(by_query())
    assert set(world.statuses().values()) == {"succeeded"}


# Changes meanwhile.


def test_a_row_that_changed_since_it_was_read_is_not_sent_with_its_old_payload(world: World) -> None:
    failed(world, people(130))
    # While the first records are sent, another run takes one that was read, and is still not taken in.
    taken = "UPDATE contact_outcomes_records SET batch_no = 1 WHERE record_identifier = 'p99'"
    op = replay(**TO_DEX, max_in_flight=1)
    world.query(
        "CREATE TRIGGER other AFTER UPDATE OF batch_no ON contact_outcomes_records "
        f"WHEN NEW.record_identifier = 'p0' BEGIN {taken}; END"
    )
    assert world.run(op).state == "up_for_retry"
    assert world.summary(op)["error_codes"] == {"claimed_elsewhere": 1}
    assert len(world.stored()) == 129
    assert world.statuses()["p99"] == "failed"


def test_a_replay_in_trouble_shows_nobody(world: World, said: Callable[[], list[str]]) -> None:
    person = "personcanary"
    records = [{**one, "key": f"{person}{n}", "last_name": person} for n, one in enumerate(callees(4))]
    refused(world, records, "First")
    change(world, f"{person}0", record_payload="NULL")
    change(world, f"{person}1", record_payload=f'\'{{"{person}": "{person}"}}\'')
    world.fill(records[:2])
    world.simulator.set("talkdesk.reject", "first_name~First")
    texts = []
    for op in (replay(), by_query(task_id="query")):
        result = world.run(op)
        assert result.state in {"failed", "up_for_retry"}
        texts += [str(result.error), json.dumps(world.summary(op)), json.dumps(list(world.api.rendered.values()))]
    assert [text for text in [*texts, *said()] if person in text] == []


# Plans and parameters.


def test_a_plan_counts_what_a_replay_then_does(world: World) -> None:
    refused(world, [*callees(5), BAD], "First[0-3]$")
    change(world, "c0", record_payload="NULL")
    before = world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent("talkdesk")
    plan = replay(plan_only=True, plan_rows=1, plan_identifiers="clear")
    assert world.run(plan, run_id="plan").error is None
    assert (world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent("talkdesk")) == before
    summary = world.summary(plan, run_id="plan")
    assert counts(summary, "planned", "to_send", "new", "invalid", "failed") == (5, 3, 0, 1, 1)
    assert summary["plan"] == {"again": ["c1"], "invalid": ["bad"], "failed": ["c0"]}


def test_a_plan_without_a_table_finds_nothing(world: World) -> None:
    summary = world.done(replay(plan_only=True))
    assert (summary["num_planned"], world.query("SELECT name FROM sqlite_master")) == (0, [])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "sending": ({"statuses": ["sending"]}, "'unknown'], not 'sending'"),
    "empty": ({"statuses": "{{ '' }}"}, "statuses names some of"),
    "codes": ({"error_codes": "[broken"}, "error_codes is text that is no JSON"),
    "naive": ({"since": "2026-01-01"}, "since is a moment with its UTC offset"),
    "attempts text": ({"max_attempts": "many"}, "max_attempts is a whole number"),
    "the other half": ({"sql_conn_id": "warehouse"}, "sql and sql_conn_id belong together"),
    "a key": ({"sync_key": "key"}, "a stored payload has none"),
    "a map": ({"field_map": {"a": "first_name"}}, "a stored payload has none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_parameter_fails_for_good_before_anything_is_opened(world: World, case: str) -> None:
    changed, text = WRONG[case]
    assert text in refusal(world, lambda: replay(**changed))
    assert not (world.folder / "outcomes.db").exists()


# PostgreSQL.


def test_paging_and_since_on_postgresql(world: World, postgres: Postgres) -> None:
    for name in ("warehouse", "outcomes"):
        world.connect(name, **postgres_connection(postgres))
    there: dict[str, Any] = {"outcomes_table": "public.replayed", **TO_DEX}
    numbers = "SELECT 'k' || n AS key, 'N' || n AS first_name FROM generate_series(1, 1200) n"
    world.simulator.set("dex.http_429", "always")
    assert world.run(sql_push(numbers, **FAST, sync_id=SYNC, **there)).state == "up_for_retry"
    world.simulator.set("dex.http_429", "next:1")
    engine = sqlalchemy.create_engine(postgres.url())
    with engine.connect() as connection:
        query = "SELECT record_identifier, payload_hash, status FROM replayed"
        before = {name: digest for name, digest, _ in connection.exec_driver_sql(query)}
        for key, set_to in {"k5": "settled_at = '2026-01-01 00:00+00'", "k9": "record_payload = NULL"}.items():
            connection.exec_driver_sql(f"UPDATE replayed_records SET {set_to} WHERE record_identifier = '{key}'")
        connection.commit()
        op = replay(**there, since=datetime.now(UTC) - timedelta(days=1))
        assert world.run(op).state == "up_for_retry"
        assert world.run(op, 2).state == "failed", "what is left has no payload"
        assert counts(world.summary(op), "planned", "delivered") == (1199, 1198)
        assert world.summary(op)["error_codes"] == {"payload_not_stored": 1}
        assert world.done(by_query(**there, sql=numbers, task_id="rest"))["num_succeeded"] == 2
        found = connection.exec_driver_sql(query).all()
    engine.dispose()
    assert {name: digest for name, digest, _ in found} == before
    assert {status for _, _, status in found} == {"succeeded"}
    assert Counter(one["first_name"] for one in world.stored()) == Counter(f"N{n}" for n in range(1, 1201))


def test_a_replay_is_mapped_over_sync_ids_and_leaves_others_alone(world: World) -> None:
    for name in ("one", "two"):
        refused(world, callees(2), "First", sync_id=name)
    with DAG("d", schedule=None):
        given = {name: value for name, value in REPLAY.items() if name != "sync_id"}
        mapped = ReplayContactsOperator.partial(**given).expand(sync_id=["one", "two"])
    for index, left in ((0, 2), (1, 0)):
        assert world.done(mapped, map_index=index)["num_succeeded"] == 2
        assert world.one("SELECT count(*) FROM contact_outcomes WHERE status = 'rejected'") == left


# Reading the vendor back.


@pytest.mark.parametrize(("knob", "sent"), [("store_then_drop", 0), ("close_before_store", 1)])
def test_unknown_ones_are_read_back_and_sent_only_if_they_are_not_there(world: World, knob: str, sent: int) -> None:
    world.connect("dex_default", extra={"reconcile_delay": 0.2})
    world.simulator.set(f"dex.{knob}", "next:1")
    world.run(push(people(2), **TO_DEX, max_unknown=2))
    assert set(world.statuses().values()) == {"unknown"}
    op = replay(**TO_DEX, statuses=["unknown"], on_unknown="reconcile", request_timeout=1)
    result = world.run(op)
    assert result.error is None, world.summary(op)
    assert set(world.statuses().values()) == {"succeeded"}
    assert (world.summary(op)["num_succeeded"], world.summary(op)["num_requests"]) == (2, sent)
    assert sorted(one["first_name"] for one in world.stored()) == ["First0", "First1"]

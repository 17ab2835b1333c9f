"""A person's verdict on records in doubt, written by a task."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested
from airflow.sdk import DAG, task

from airflow_provider_contacts.ledgers.sql import tables
from airflow_provider_contacts.ledgers.sql.database import prepare
from airflow_provider_contacts.ledgers.sql.settlement import Finding, Verdict
from airflow_provider_contacts.ledgers.sql.settlement import settle as write
from airflow_provider_contacts.operators import SettleContactsOperator
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.task.settle import WHY
from tests.airflow_harness import scope_of
from tests.support.by_hand import change, move_to_sync
from tests.support.forget_histories import ALIKE
from tests.support.pushing import CALLS, World, callees, postgres_connection, refusal
from tests.support.pushing import push as push_task

SYNC = "the-sync"
SETTLE: dict[str, Any] = {
    "task_id": "settle", "sync_id": SYNC, "settled_by": "ada", "outcomes_conn_id": "outcomes", "retries": 3,
}  # fmt: skip


def settle(records: Any, verdict: str = "succeeded", **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return SettleContactsOperator(records=records, **{**SETTLE, "verdict": verdict, **parameters})


def push(**parameters: Any) -> Any:
    return push_task(callees(3), **{**CALLS, "sync_id": SYNC, "max_unknown": 1000, **parameters})


@pytest.fixture
def doubts(world: World) -> World:
    """Return a world with c0, c1 and c2 in doubt."""
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    assert world.run(push(), run_id="first").error is None
    assert set(world.statuses().values()) == {"unknown"}
    return world


def row(world: World, key: str) -> dict[str, Any]:
    (found,) = world.query(
        "SELECT * FROM contact_outcomes WHERE sync_id = ? AND record_identifier = ?", parameters=[SYNC, key]
    )
    return found


def settled(world: World, *given: Any, **parameters: Any) -> Any:
    """Settle what can be settled; return the summary."""
    return world.done(settle(*given, **parameters))


def refused(world: World, *given: Any, **parameters: Any) -> tuple[dict[str, Any], str]:
    """Settle where something cannot be settled; return the summary, and why."""
    op = settle(*given, **parameters)
    why = world.refused(op)
    return world.summary(op), why


def test_what_exists_is_succeeded_as_if_the_vendor_had_said_so(doubts: World) -> None:
    before = row(doubts, "c0")
    summary = settled(doubts, {"c0": "tk-17"})
    after = row(doubts, "c0")
    assert (after["status"], after["destination_record_id"], after["settled_by"]) == ("succeeded", "tk-17", "ada")
    for name in ("error_code", "error_field", "status_message", "errors", "record_payload"):
        assert after[name] is None, name
    for name in ("sync_run_id", "batch_id", "attempts", "payload_hash", "run_id", "batch_started_at"):
        assert after[name] == before[name], name
    at = datetime.fromisoformat(after["settled_at"]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert {row(doubts, key)["status"] for key in ("c1", "c2")} == {"unknown"}
    assert (summary["num_named"], summary["num_settled"], summary["verdict"]) == (1, 1, "succeeded")
    assert (summary["sync_id"], summary["settled_by"], summary["digests"]) == (SYNC, "ada", {})
    # The next run skips it, and knows its id.
    found = doubts.done(push(xcom_outcomes="all"), run_id="second")["outcomes"]
    skipped = [one for one in found if one["status"] == "skipped"]
    assert [(one["record_identifier"], one["destination_record_id"]) for one in skipped] == [("c0", "tk-17")]


def test_what_does_not_exist_is_failed_and_sent_by_the_next_run(doubts: World) -> None:
    doubts.simulator.reset(knobs=False)
    settled(doubts, ["c0", "c2"], "failed")
    found = row(doubts, "c0")
    assert (found["status"], found["error_code"], found["settled_by"]) == ("failed", "settled_by_hand", "ada")
    assert found["record_payload"] is not None
    doubts.done(push(), run_id="second")
    assert doubts.statuses() == {"c0": "succeeded", "c1": "unknown", "c2": "succeeded"}
    assert (row(doubts, "c0")["settled_by"], row(doubts, "c0")["settled_at"]) == (None, None), "it was sent since"
    assert sorted(one["first_name"] for one in doubts.stored("talkdesk")) == ["First0", "First2"]


def test_what_cannot_be_settled_is_told_and_the_rest_is_settled(doubts: World) -> None:
    change(doubts, "c1", status="'rejected'")
    change(doubts, "c2", status="'sending'", batch_started_at="datetime('now', '-59 minutes')")
    before = [row(doubts, key) for key in ("c1", "c2")]
    summary, why = refused(doubts, {"c0": 17, "c1": "tk-1", "c2": "tk-2", "nobody": "tk-3"})
    counts = ("num_settled", "num_not_in_doubt", "num_still_sending", "num_absent", "num_id_taken")
    assert [summary[name] for name in counts] == [1, 1, 1, 1, 0]
    names = {"not_in_doubt": "c1", "still_sending": "c2", "absent": "nobody"}
    assert summary["digests"] == {kind: [digest_of(name)] for kind, name in names.items()}
    assert summary["places"] == {"not_in_doubt": [2], "still_sending": [3], "absent": [4]}
    assert [row(doubts, key) for key in ("c1", "c2")] == before
    assert row(doubts, "c0")["destination_record_id"] == "17"
    assert f"of 4 named records 1 were settled under {SYNC} in contact_outcomes" in why
    for place, (kind, name) in enumerate(names.items(), 2):
        assert f"1 {WHY[kind]} (place {place}, digest {digest_of(name)})" in why
    assert "nobody" not in why + json.dumps(summary)


def test_of_many_that_cannot_be_settled_the_first_are_named(doubts: World) -> None:
    summary, why = refused(doubts, [f"nobody {number}" for number in range(25)], "failed")
    assert (summary["num_absent"], summary["places"]["absent"]) == (25, list(range(1, 21)))
    assert why.endswith(", 5 more)")


UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.mark.parametrize(
    ("claimed", "same", "other"), [("tk-1", "tk-1", "TK-1"), (UUID, UUID.upper(), "-"), (UUID.upper(), UUID, "-")]
)
def test_two_records_must_not_claim_one_contact(doubts: World, claimed: str, same: str, other: str) -> None:
    settled(doubts, {"c0": claimed})
    summary, _ = refused(doubts, {"c1": same, "c2": "tk-2"})
    assert (summary["num_id_taken"], summary["num_settled"]) == (1, 1)
    assert doubts.statuses() == {"c0": "succeeded", "c1": "unknown", "c2": "succeeded"}
    # Another sync_id's claim counts, too.
    move_to_sync(doubts, "c0", sync_id="another")
    assert refused(doubts, {"c1": same})[0]["num_id_taken"] == 1
    # Except for UUIDs, case may tell ids apart.
    if other != "-":
        settled(doubts, {"c1": other})


def test_an_id_of_another_place_or_of_a_doubt_is_no_claim(doubts: World) -> None:
    settled(doubts, {"c0": "tk-1"})
    move_to_sync(doubts, "c0", sync_id="elsewhere", destination_object="other")
    change(doubts, "c1", destination_record_id="'tk-1'")
    assert settled(doubts, {"c1": "tk-1"})["num_settled"] == 1
    assert doubts.statuses() == {"c0": "succeeded", "c1": "succeeded", "c2": "unknown"}


# How records are given.


def test_every_documented_field_is_a_template_and_no_vendor_connection_is_needed(doubts: World) -> None:
    doubts.api.connections = {"outcomes": doubts.api.connections["outcomes"]}
    settled(
        doubts,
        "{{ {'c0': 'tk-' ~ 8} | tojson }}",
        "{{ 'succeeded' }}",
        sync_id="the-{{ 'sync' }}",
        settled_by="{{ 'gr' ~ 'ace' }}",
        outcomes_conn_id="out{{ 'comes' }}",
        outcomes_table="{{ 'contact_outcomes' }}",
        store_payload="all",
    )
    assert row(doubts, "c0")["record_payload"] is not None
    assert (row(doubts, "c0")["destination_record_id"], row(doubts, "c0")["settled_by"]) == ("tk-8", "grace")


@pytest.mark.parametrize(
    ("records", "verdict"),
    [({"c0": "tk-{{ 1 + 1 }}"}, "succeeded"), (["c{{ 0 }}"], "failed"), ('["c0"]', "failed"), (("c0",), "failed")],
)
def test_records_come_as_a_container_too(doubts: World, records: Any, verdict: str) -> None:
    settled(doubts, records, verdict)
    assert row(doubts, "c0")["status"] == verdict
    assert row(doubts, "c0")["destination_record_id"] == ("tk-2" if verdict == "succeeded" else None)


def test_an_upstreams_output_names_the_records(doubts: World) -> None:
    with DAG("d", schedule=None):
        op = SettleContactsOperator(**SETTLE, records=task(task_id="up")(lambda: 1)(), verdict="succeeded")
    assert op.upstream_task_ids == {"up"}
    doubts.api.xcoms[("d", "run", "up", -1), "return_value"] = {"c1": "tk-9"}
    assert doubts.run(op).error is None
    assert row(doubts, "c1")["status"] == "succeeded"


@pytest.mark.parametrize("verdict", ["succeeded", "failed"])
@pytest.mark.parametrize("nothing", [{}, (), None, " ", "null", "{{ [] | tojson }}"])
def test_nothing_given_is_no_error(world: World, nothing: Any, verdict: str) -> None:
    # There is no table yet, either.
    summary = settled(world, nothing, verdict)
    assert {value for name, value in summary.items() if name.startswith("num_")} == {0}
    assert (summary["verdict"], summary["places"], summary["digests"]) == (verdict, {}, {})


CANARY = "canary@example.com"


def test_a_record_that_cannot_be_settled_is_shown_nowhere(doubts: World, said: Callable[[], list[str]]) -> None:
    op = settle({CANARY: "id-canary@example.com"})
    texts = [doubts.refused(op), json.dumps(doubts.api.rendered[scope_of(op)]), json.dumps(doubts.summary(op))]
    assert [text for text in [*texts, *said()] if CANARY in text] == []


# What is wrong.

NO_IDS: list[Any] = [
    *("", " ", "\t", "\u00a0", "\u2003 ", "\u200b", " 7", "7\n\n", "a\x00b", "a\x1b[31m", "a\tb", "\ud800", "x" * 256),
    *(None, True, 1.5, ["7"], {}, "null", "None", "NaN", "undefined", "***", "-", "\u2800"),
]
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no ids": (["c0"], {}, "records is a mapping"),
    **{
        f"id {number}": ({"c1": "ok", "c0": one}, {}, "the vendor's id at place 2 is none")
        for number, one in enumerate(NO_IDS)
    },
    "one id twice": ({"c0": "1", "c1": 1}, {}, "gives one of the vendor's ids twice"),
    "one id in two writings": ({"c0": UUID, "c1": UUID.upper()}, {}, "gives one of the vendor's ids twice"),
    "places of ids": ({"c2": 0, "c0": "1", "c1": 1}, {}, "(at places 2 and 3)"),
    "one name twice": ({"1": "a", 1: "b"}, {}, "names one record twice (at places 1 and 2)"),
    "ids of nothing": ({"c0": "1"}, {"verdict": "failed"}, "records is a list of record identifiers"),
    "no JSON": ("c0", {"verdict": "failed"}, "records is text that is no JSON"),
    "a truth value": ([True], {"verdict": "failed"}, "at place 1 is none"),
    "a long name": (["x" * 256], {"verdict": "failed"}, "of 1 to 255 characters"),
    "a long one": ({"c0": "1"}, {"settled_by": "x" * 256}, "settled_by is a text of at most 255"),
    "no connection": ({"c0": "1"}, {"outcomes_conn_id": "none"}, "there is no connection 'none'"),
    "no table": ({"c0": "1"}, {}, ") does not exist: correct outcomes_table"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_parameter_fails_for_good(world: World, case: str) -> None:
    records, changed, text = WRONG[case]
    assert text in refusal(world, lambda: settle(records, **changed))


@pytest.mark.parametrize(
    ("records", "changed", "text"),
    [
        ({"c0": "a", digest_of("c0"): "b"}, {}, "names one record twice, once by"),
        ({"c0": "1"}, {"sync_id": "The_sink"}, "no sync_id 'The_sink': nothing is settled; did you mean 'the-sync'?"),
        (["c0"], {"sync_id": "x", "verdict": "failed"}, "'x': nothing is settled; airflow contacts runs -o yaml shows"),
    ],
)
def test_what_the_table_shows_to_be_wrong_fails_for_good(
    doubts: World, records: Any, changed: dict[str, Any], text: str
) -> None:
    assert text in doubts.refused(settle(records, **changed))
    assert set(doubts.statuses().values()) == {"unknown"}


# Digests in place of identifiers.


def test_a_digest_names_its_record(doubts: World) -> None:
    settled(doubts, {digest_of("c0"): "tk-1", "c1": "tk-2"})
    settled(doubts, [digest_of("c2").upper()], "failed")
    assert doubts.statuses() == {"c0": "succeeded", "c1": "succeeded", "c2": "failed"}
    assert row(doubts, "c0")["destination_record_id"] == "tk-1"
    summary, _ = refused(doubts, [digest_of("c2"), "c2", digest_of("c0"), digest_of("nobody")], "failed")
    assert (summary["num_named"], summary["num_already_settled"]) == (4, 2)
    assert summary["places"] == {"not_in_doubt": [3], "absent": [4]}
    assert summary["digests"]["not_in_doubt"] == [digest_of("c0")], "as it was given"


def test_a_digest_of_two_records_settles_none(doubts: World) -> None:
    one, other = ALIKE
    assert digest_of(one) == digest_of(other)
    for key, name in (("c0", one), ("c1", other)):
        change(doubts, key, record_identifier=f"'{name}'")
    _, why = refused(doubts, {digest_of(one): "tk-1", "c2": "tk-2"})
    assert f"1 a digest that several records have: name it by its identifier (place 1, digest {digest_of(one)})" in why
    assert doubts.statuses() == {one: "unknown", other: "unknown", "c2": "succeeded"}
    settled(doubts, {one: "tk-1"})


def test_an_identifier_that_looks_like_a_digest_means_itself(doubts: World) -> None:
    phone = "155512345678"
    change(doubts, "c0", record_identifier=f"'{phone}'")
    settled(doubts, {phone: "tk-1"})
    assert row(doubts, phone)["status"] == "succeeded"
    summary, why = refused(doubts, ["155500000000"], "failed")
    assert "155500000000" not in why + json.dumps(summary)


# The table.


def test_a_view_that_is_gone_is_made_again(doubts: World) -> None:
    doubts.query("DROP VIEW contact_outcomes")
    assert "CREATE VIEW contact_outcomes" in doubts.refused(settle({"c0": "1"}, create_tables=False))
    settled(doubts, {"c0": "1"})


def test_on_postgresql_a_row_that_changes_meanwhile_is_not_written_over(doubts: World, postgres: Any) -> None:
    doubts.connect("outcomes", **postgres_connection(postgres))
    table: dict[str, Any] = {"outcomes_table": "public.settled"}
    doubts.simulator.set("talkdesk.store_then_drop", "next:1")
    doubts.done(push(**table), run_id="pg")
    settled(doubts, ["c2"], "failed", **table)
    verdict = Verdict(
        sync_id=SYNC, status=Status.SUCCEEDED, records={"c0": "1", "c1": "2"}, settled_by="ada", store_payload="all"
    )
    engine = sqlalchemy.create_engine(postgres.url())
    prepare(engine)
    with engine.connect() as other, ThreadPoolExecutor() as pool:
        answered = "status = 'succeeded', destination_record_id = '9'"
        other.exec_driver_sql(f"UPDATE settled_records SET {answered} WHERE record_identifier = 'c0'")
        found = pool.submit(write, engine, tables.build("public.settled", "postgresql"), verdict)
        with pytest.raises(TimeoutError):
            found.result(timeout=0.5)
        other.commit()
        assert found.result(timeout=30)[0] == {"c0": Finding.NOT_IN_DOUBT, "c1": Finding.SETTLED}
        query = "SELECT record_identifier, status, destination_record_id, settled_by FROM settled ORDER BY 1"
        rows = other.exec_driver_sql(query).all()
    engine.dispose()
    assert rows == [("c0", "succeeded", "9", None), ("c1", "succeeded", "2", "ada"), ("c2", "failed", None, "ada")]

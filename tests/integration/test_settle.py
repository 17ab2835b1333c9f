"""A person's verdict on records in doubt, written by a task."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_contacts.operators import PushContactsOperator, SettleContactsOperator
from airflow_provider_contacts.outcome import digest_of
from tests.airflow_harness import scope_of
from tests.support.by_hand import change, move_to_sync
from tests.support.pushing import World, callees, refusal

SYNC = "the-sync"


def settle(records: Any, verdict: str = "succeeded", **parameters: Any) -> Any:
    given: dict[str, Any] = {
        "task_id": "settle",
        "sync_id": SYNC,
        "verdict": verdict,
        "settled_by": "ada",
        "outcomes_conn_id": "outcomes",
        "retries": 3,
    }
    with DAG("d", schedule=None):
        return SettleContactsOperator(records=records, **given | parameters)


def push(count: int = 3, **parameters: Any) -> Any:
    given: dict[str, Any] = {
        "task_id": "push",
        "contacts_conn_id": "talkdesk_default",
        "outcomes_conn_id": "outcomes",
        "sync_key": "key",
        "sync_id": SYNC,
        "max_unknown": 1000,
        "retries": 3,
    }
    with DAG("d", schedule=None):
        return PushContactsOperator(records=callees(count), **given | parameters)


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


def results(world: World, op: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.api.xcoms[scope_of(op), "return_value"]
    return found


def test_what_exists_is_succeeded_as_if_the_vendor_had_said_so(doubts: World) -> None:
    before = row(doubts, "c0")
    op = settle({"c0": "tk-17"})
    assert doubts.run(op).error is None
    after = row(doubts, "c0")
    assert (after["status"], after["destination_record_id"], after["settled_by"]) == ("succeeded", "tk-17", "ada")
    for name in ("error_code", "error_field", "status_message", "errors", "record_payload"):
        assert after[name] is None, name
    for name in ("sync_run_id", "batch_id", "attempts", "payload_hash", "run_id", "batch_started_at"):
        assert after[name] == before[name], name
    at = datetime.fromisoformat(after["settled_at"]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert {row(doubts, key)["status"] for key in ("c1", "c2")} == {"unknown"}
    summary = results(doubts, op)
    assert (summary["num_named"], summary["num_settled"], summary["verdict"]) == (1, 1, "succeeded")
    assert (summary["sync_id"], summary["settled_by"], summary["digests"]) == (SYNC, "ada", {})
    # The next run skips it, and knows its id.
    again = push(xcom_outcomes="all")
    doubts.run(again, run_id="second")
    skipped = [one for one in doubts.summary(again, run_id="second")["outcomes"] if one["status"] == "skipped"]
    assert [(one["record_identifier"], one["destination_record_id"]) for one in skipped] == [("c0", "tk-17")]


def test_what_does_not_exist_is_failed_and_sent_by_the_next_run(doubts: World) -> None:
    doubts.simulator.reset(knobs=False)
    op = settle(["c0", "c2"], "failed")
    assert doubts.run(op).error is None
    found = row(doubts, "c0")
    assert (found["status"], found["error_code"], found["settled_by"]) == ("failed", "settled_by_hand", "ada")
    assert found["record_payload"] is not None
    assert doubts.run(push(), run_id="second").error is None
    assert doubts.statuses() == {"c0": "succeeded", "c1": "unknown", "c2": "succeeded"}
    assert (row(doubts, "c0")["settled_by"], row(doubts, "c0")["settled_at"]) == (None, None), "it was sent since"
    assert sorted(one["first_name"] for one in doubts.stored("talkdesk")) == ["First0", "First2"]


def test_a_payload_is_kept_where_all_are(doubts: World) -> None:
    assert doubts.run(settle({"c0": "tk-1"}, store_payload="all")).error is None
    assert row(doubts, "c0")["record_payload"] is not None


def test_what_cannot_be_settled_is_told_and_the_rest_is_settled(doubts: World) -> None:
    change(doubts, "c1", status="'rejected'")
    change(doubts, "c2", status="'sending'", batch_started_at="datetime('now', '-59 minutes')")
    before = [row(doubts, key) for key in ("c1", "c2")]
    op = settle({"c0": 17, "c1": "tk-1", "c2": "tk-2", "nobody": "tk-3"})
    result = doubts.run(op)
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert "of 4 named records 1 were settled" in str(result.error)
    summary = results(doubts, op)
    counts = ("num_settled", "num_not_in_doubt", "num_still_sending", "num_absent", "num_id_taken")
    assert [summary[name] for name in counts] == [1, 1, 1, 1, 0]
    assert summary["digests"] == {
        "not_in_doubt": [digest_of("c1")],
        "still_sending": [digest_of("c2")],
        "absent": [digest_of("nobody")],
    }
    assert [row(doubts, key) for key in ("c1", "c2")] == before
    assert row(doubts, "c0")["destination_record_id"] == "17"
    assert summary["places"] == {"not_in_doubt": [2], "still_sending": [3], "absent": [4]}
    text = str(result.error)
    for place, key, why in [(2, "c1", "not in doubt"), (3, "c2", "sending"), (4, "nobody", "not in the table")]:
        assert re.search(rf"1 {why}[^;]*place {place}, digest {digest_of(key)}", text), text
    assert SYNC in text
    assert "contact_outcomes" in text
    assert "nobody" not in text + json.dumps(summary)


def test_what_was_left_sending_is_settled_after_an_hour(doubts: World) -> None:
    change(doubts, status="'sending'", batch_started_at="datetime('now', '-61 minutes')")
    assert doubts.run(settle({"c0": "tk-1"})).error is None
    assert doubts.statuses() == {"c0": "succeeded", "c1": "sending", "c2": "sending"}


def test_the_same_verdict_again_changes_nothing(doubts: World) -> None:
    for records, verdict in (({"c0": "tk-1"}, "succeeded"), (["c1"], "failed")):
        op = settle(records, verdict)
        assert doubts.run(op).error is None
        before = row(doubts, "c0"), row(doubts, "c1")
        assert doubts.run(op, 2).error is None
        assert (results(doubts, op)["num_settled"], results(doubts, op)["num_already_settled"]) == (0, 1)
        assert (row(doubts, "c0"), row(doubts, "c1")) == before
    # Another verdict on what is not in doubt any more is refused.
    assert doubts.run(settle({"c0": "tk-2"})).state == "failed"
    assert doubts.run(settle(["c0"], "failed")).state == "failed"
    assert row(doubts, "c0")["destination_record_id"] == "tk-1"


def test_two_records_must_not_claim_one_contact(doubts: World) -> None:
    doubts.run(settle({"c0": "tk-1"}))
    op = settle({"c1": "tk-1", "c2": "tk-2"})
    assert doubts.run(op).state == "failed"
    assert (results(doubts, op)["num_id_taken"], results(doubts, op)["num_settled"]) == (1, 1)
    assert doubts.statuses() == {"c0": "succeeded", "c1": "unknown", "c2": "succeeded"}
    # An id that another place gave, or that only an answer in doubt has shown, is no claim.
    move_to_sync(doubts, "c0", sync_id="elsewhere", destination_object="other")
    change(doubts, "c1", destination_record_id="'tk-1'")
    assert doubts.run(settle({"c1": "tk-1"})).error is None


@pytest.mark.parametrize("write", [str.upper, str.lower])
def test_a_uuid_in_another_writing_is_the_same_contact(doubts: World, write: Callable[[str], str]) -> None:
    assert doubts.run(settle({"c0": write(UUID)})).error is None
    op = settle({"c1": write(UUID).swapcase(), "c2": "Tk-1"})
    assert doubts.run(op).state == "failed"
    assert (results(doubts, op)["num_id_taken"], results(doubts, op)["num_settled"]) == (1, 1)
    # The case of other ids may tell them apart.
    assert doubts.run(settle({"c1": "tK-1"})).error is None


def test_another_sync_ids_claim_counts_too(doubts: World) -> None:
    doubts.run(settle({"c0": "tk-1"}))
    move_to_sync(doubts, "c0", sync_id="another")
    op = settle({"c1": "tk-1"})
    assert doubts.run(op).state == "failed"
    assert results(doubts, op)["num_id_taken"] == 1


def test_a_late_confirmation_stands_over_a_persons_verdict(doubts: World) -> None:
    from airflow_provider_contacts.ledgers.run_identity import RunIdentity
    from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
    from airflow_provider_contacts.outcome import Outcome, Status

    doubts.run(settle(["c0"], "failed"))
    with closing(ledger_of(doubts, SqlLedger, RunIdentity)) as ledger:
        batch_id = ledger.standing(["c0"])["c0"].batch_id
        late = Outcome(record_identifier="c0", row_index=0, status=Status.SUCCEEDED, batch_id=batch_id)
        assert set(ledger.settle([late])) == {"c0"}
    assert (row(doubts, "c0")["status"], row(doubts, "c0")["settled_by"]) == ("succeeded", None)


def ledger_of(world: World, kind: Any, identity: Any) -> Any:
    import sqlalchemy

    return kind.open(
        sqlalchemy.create_engine(f"sqlite:///{world.folder / 'outcomes.db'}"),
        run=identity.of(dag_id="d", run_id="first", task_id="push", map_index=-1, try_number=9),
        sync_id=SYNC,
        destination="talkdesk",
        destination_host="127.0.0.1",
        destination_object="demo-list",
    )


def test_no_vendor_connection_is_needed(doubts: World) -> None:
    doubts.api.connections = {"outcomes": doubts.api.connections["outcomes"]}
    assert doubts.run(settle({"c0": "tk-1"})).error is None


# Templates.


def test_every_documented_field_is_a_template(doubts: World) -> None:
    op = settle(
        "{{ {'c0': 'tk-' ~ 8} | tojson }}",
        "{{ 'succeeded' }}",
        sync_id="the-{{ 'sync' }}",
        settled_by="{{ 'gr' ~ 'ace' }}",
        outcomes_conn_id="out{{ 'comes' }}",
        outcomes_table="{{ 'contact_outcomes' }}",
    )
    assert doubts.run(op).error is None
    assert (row(doubts, "c0")["destination_record_id"], row(doubts, "c0")["settled_by"]) == ("tk-8", "grace")


@pytest.mark.parametrize(
    ("records", "verdict"),
    [({"c0": "tk-{{ 1 + 1 }}"}, "succeeded"), (["c{{ 0 }}"], "failed"), ('["c0"]', "failed"), (("c0",), "failed")],
)
def test_records_come_as_a_container_too(doubts: World, records: Any, verdict: str) -> None:
    assert doubts.run(settle(records, verdict)).error is None
    assert row(doubts, "c0")["status"] == verdict
    assert row(doubts, "c0")["destination_record_id"] == ("tk-2" if verdict == "succeeded" else None)


def test_an_upstreams_output_names_the_records(doubts: World) -> None:
    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda: 1)()
        op = SettleContactsOperator(
            task_id="settle",
            sync_id=SYNC,
            records=upstream,
            verdict="succeeded",
            settled_by="ada",
            outcomes_conn_id="outcomes",
        )
    assert op.upstream_task_ids == {"up"}
    doubts.api.xcoms[("d", "run", "up", -1), "return_value"] = {"c1": "tk-9"}
    assert doubts.run(op).error is None
    assert row(doubts, "c1")["status"] == "succeeded"


CANARY = "canary@example.com"


@pytest.mark.parametrize(
    "records",
    [
        {CANARY: "id-canary@example.com"},
        {CANARY: "{{ 'id' }}"},
        '{"canary@example.com": "7"}',
        "{{ {'can' ~ 'ary@example.com': '7'} | tojson }}",
    ],
)
def test_the_named_records_are_shown_nowhere(
    doubts: World, records: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("", "airflow_provider_contacts", "airflow"):
        caplog.set_level(logging.DEBUG, name)
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    op = settle(records)
    result = doubts.run(op)
    assert result.state == "failed"
    shown = [json.dumps(doubts.api.rendered[scope_of(op)]), json.dumps(results(doubts, op)), str(result.error)]
    assert [text for text in [*shown, *caplog.messages, *capfd.readouterr()] if CANARY in text] == []
    assert doubts.api.rendered[scope_of(op)]["records"] == "(records)"


# What is wrong.

NO_IDS: list[Any] = [
    *("", " ", "\t", "\u00a0", "\u2003 ", "\u200b", " 7", "7\n\n", "a\x00b", "a\x1b[31m", "a\tb", "\ud800", "x" * 256),
    *(None, True, 1.5, ["7"], {}, "null", "None", "NaN", "undefined", "***", "-", "\u2800"),
]
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a verdict": ({"c0": "1"}, {"verdict": "deleted"}, "verdict is one of ['succeeded', 'failed']"),
    "no verdict": ({"c0": "1"}, {"verdict": ""}, "verdict must not be empty"),
    "no ids": (["c0"], {}, "records is a mapping"),
    **{
        f"id {number}": ({"c1": "ok", "c0": one}, {}, "the vendor's id at place 2 is none")
        for number, one in enumerate(NO_IDS)
    },
    "one id twice": ({"c0": "1", "c1": 1}, {}, "gives one of the vendor's ids twice"),
    "one id in two writings": ({"c0": UUID, "c1": UUID.upper()}, {}, "gives one of the vendor's ids twice"),
    "places of ids": ({"c2": 0, "c0": "1", "c1": 1}, {}, "(at places 2 and 3)"),
    "one name twice": ({"1": "a", 1: "b"}, {}, "names one record twice (at places 1 and 2)"),
    "one record by name and digest": ({"c0": "a", digest_of("c0"): "b"}, {}, "names one record twice, once by"),
    "ids of nothing": ({"c0": "1"}, {"verdict": "failed"}, "records is a list of record identifiers"),
    "no JSON": ("c0", {"verdict": "failed"}, "records is text that is no JSON"),
    "a truth value": ([True], {"verdict": "failed"}, "at place 1 is none"),
    "a long name": (["x" * 256], {"verdict": "failed"}, "of 1 to 255 characters"),
    "no one": ({"c0": "1"}, {"settled_by": " "}, "settled_by must not be empty"),
    "a long one": ({"c0": "1"}, {"settled_by": "x" * 256}, "settled_by is a text of at most 255"),
    "no sync_id": ({"c0": "1"}, {"sync_id": ""}, "sync_id must not be empty"),
    "no connection": ({"c0": "1"}, {"outcomes_conn_id": "none"}, "there is no connection 'none'"),
    "no table": (
        {"c0": "1"},
        {"outcomes_table": "typo"},
        ") does not exist: correct outcomes_table",
    ),
    "payload": ({"c0": "1"}, {"store_payload": "some"}, "store_payload is one of"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_parameter_fails_for_good(doubts: World, case: str) -> None:
    records, changed, text = WRONG[case]
    assert text in refusal(doubts, lambda: settle(records, **changed))
    assert set(doubts.statuses().values()) == {"unknown"}


@pytest.mark.parametrize("verdict", ["succeeded", "failed"])
@pytest.mark.parametrize("nothing", [{}, [], (), None, "", " ", "null", "{}", "[]", "{{ {} | tojson }}"])
def test_nothing_given_is_no_error(world: World, nothing: Any, verdict: str) -> None:
    # There is no table yet, either.
    op = settle(nothing, verdict)
    assert world.run(op).error is None
    summary = results(world, op)
    assert {value for name, value in summary.items() if name.startswith("num_")} == {0}
    assert (summary["verdict"], summary["places"], summary["digests"]) == (verdict, {}, {})


# Digests in place of identifiers.


def test_a_digest_names_its_record(doubts: World) -> None:
    assert doubts.run(settle({digest_of("c0"): "tk-1", "c1": "tk-2"})).error is None
    assert doubts.run(settle([digest_of("c2").upper()], "failed")).error is None
    assert doubts.statuses() == {"c0": "succeeded", "c1": "succeeded", "c2": "failed"}
    assert row(doubts, "c0")["destination_record_id"] == "tk-1"
    op = settle([digest_of("c2"), "c2", digest_of("c0"), digest_of("nobody")], "failed")
    assert doubts.run(op).state == "failed"
    summary = results(doubts, op)
    assert (summary["num_named"], summary["num_already_settled"]) == (4, 2)
    assert summary["places"] == {"not_in_doubt": [3], "absent": [4]}
    assert summary["digests"]["not_in_doubt"] == [digest_of("c0")], "as it was given"


ALIKE = ("key-2ea38d69af64", "key-86b9943e9ec2")


def test_a_digest_of_two_records_settles_none(doubts: World) -> None:
    # Two texts whose first twelve digits are the same.
    one, other = ALIKE
    assert digest_of(one) == digest_of(other)
    for key, name in (("c0", one), ("c1", other)):
        change(doubts, key, record_identifier=f"'{name}'")
    op = settle({digest_of(one): "tk-1", "c2": "tk-2"})
    result = doubts.run(op)
    assert "1 a digest that several records have" in str(result.error)
    assert f"place 1, digest {digest_of(one)}" in str(result.error)
    assert doubts.statuses() == {one: "unknown", other: "unknown", "c2": "succeeded"}
    assert doubts.run(settle({one: "tk-1"})).error is None


def test_an_identifier_that_looks_like_a_digest_means_itself(doubts: World) -> None:
    phone = "155512345678"
    change(doubts, "c0", record_identifier=f"'{phone}'")
    assert doubts.run(settle({phone: "tk-1"})).error is None
    assert row(doubts, phone)["status"] == "succeeded"
    op = settle(["155500000000"], "failed")
    assert "155500000000" not in str(doubts.run(op).error) + json.dumps(results(doubts, op))


def test_a_view_that_is_gone_is_made_again(doubts: World) -> None:
    doubts.query("DROP VIEW contact_outcomes")
    result = doubts.run(settle({"c0": "1"}, create_tables=False))
    assert "CREATE VIEW contact_outcomes" in str(result.error)
    assert doubts.run(settle({"c0": "1"})).error is None


def test_on_postgresql(doubts: World, postgres: Any) -> None:
    import psycopg

    url = {"conn_type": "postgres", "host": str(postgres.folder), "login": "postgres", "schema": "postgres"}
    doubts.connect("outcomes", **url)
    table: dict[str, Any] = {"outcomes_table": "public.settled"}
    doubts.simulator.set("talkdesk.store_then_drop", "next:1")
    assert doubts.run(push(**table), run_id="pg").error is None
    with closing(psycopg.connect(host=str(postgres.folder), user="postgres", dbname="postgres")) as connection:
        connection.execute("UPDATE settled_records SET batch_no = 1 WHERE record_identifier = 'c1'")
        connection.commit()
        op = settle({"c0": "tk-1", "c1": "tk-2", "none": "tk-3"}, **table)
        assert doubts.run(op).state == "failed"
        assert (results(doubts, op)["num_settled"], results(doubts, op)["num_absent"]) == (2, 1)
        assert doubts.run(settle({"c2": "tk-1"}, **table)).state == "failed", "the id is taken"
        assert doubts.run(settle(["c2"], "failed", **table)).error is None
        found = connection.execute(
            "SELECT record_identifier, status, settled_by, settled_at > now() - interval '1 minute', record_payload "
            "IS NULL FROM settled ORDER BY 1"
        ).fetchall()
    assert found == [
        ("c0", "succeeded", "ada", True, True),
        ("c1", "succeeded", "ada", True, True),
        ("c2", "failed", "ada", True, False),
    ]


def test_a_row_that_changes_meanwhile_is_not_written_over(postgres: Any) -> None:
    import psycopg
    import sqlalchemy

    from airflow_provider_contacts.ledgers.sql import ddl, tables
    from airflow_provider_contacts.ledgers.sql.database import prepare
    from airflow_provider_contacts.ledgers.sql.settlement import Finding, Verdict
    from airflow_provider_contacts.ledgers.sql.settlement import settle as write
    from airflow_provider_contacts.outcome import Status

    built = tables.build("public.raced", "postgresql")
    engine = sqlalchemy.create_engine(postgres.url())
    prepare(engine)
    verdict = Verdict(
        sync_id="s", status=Status.SUCCEEDED, records={"a": "1", "b": "2"}, settled_by="ada", store_payload="all"
    )
    with (
        closing(psycopg.connect(host=str(postgres.folder), user="postgres", dbname="postgres")) as other,
        ThreadPoolExecutor() as pool,
    ):
        other.execute(ddl.ddl(built))
        other.execute("INSERT INTO raced_syncs (sync_id, destination, destination_host) VALUES ('s', 'dex', 'host')")
        for key in "ab":
            other.execute(
                "INSERT INTO raced_records (sync_no, record_identifier, batch_no, status, attempts) "
                "VALUES (1, %s, 1, 'unknown', 1)",
                [key],
            )
        other.commit()
        other.execute(
            "UPDATE raced_records SET status = 'succeeded', destination_record_id = '9' WHERE record_identifier = 'a'"
        )
        found = pool.submit(write, engine, built, verdict)
        with pytest.raises(TimeoutError):
            found.result(timeout=0.5)
        other.commit()
        assert found.result(timeout=30)[0] == {"a": Finding.NOT_IN_DOUBT, "b": Finding.SETTLED}
        rows = other.execute("SELECT record_identifier, destination_record_id FROM raced ORDER BY 1").fetchall()
    engine.dispose()
    assert rows == [("a", "9"), ("b", "2")]

"""What every parameter of the two operators does, in a task as a worker runs it, against a real socket."""

from __future__ import annotations

import gc
import json
import logging
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator, SqlToContactsOperator
from airflow_provider_contacts.outcome import digest_of
from airflow_provider_contacts.simulator.nedzo import DEMO_LIST
from tests.airflow_harness import scope_of
from tests.support.by_hand import change
from tests.support.pushing import World, callees, people, refusal

SUMMARY = {
    *("sync_id", "sync_run_id", "destination", "destination_object", "status"),
    *("num_planned", "num_succeeded", "num_rejected", "num_invalid", "num_failed", "num_unknown", "num_skipped"),
    *("num_duplicate", "num_changed", "num_held", "num_undelivered", "num_delivered", "num_requests"),
    *("error_codes", "outcomes_table", "outcomes_complete", "started_at", "completed_at", "duration_seconds"),
}
DEX: dict[str, Any] = {"task_id": "push", "contacts_conn_id": "dex_default", "sync_key": "key"}
TABLED: dict[str, Any] = {**DEX, "outcomes_conn_id": "outcomes"}
CALLS: dict[str, Any] = {
    "task_id": "push",
    "contacts_conn_id": "talkdesk_default",
    "sync_key": "key",
    "outcomes_conn_id": "outcomes",
}
PEOPLE = "SELECT * FROM people"


def push(records: Any, dag_id: str = "d", retries: int = 3, **parameters: Any) -> Any:
    with DAG(dag_id, schedule=None):
        return PushContactsOperator(records=records, retries=retries, **parameters)


def sql(query: str = PEOPLE, **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return SqlToContactsOperator(sql=query, sql_conn_id="warehouse", retries=3, **parameters)


def builtin(value: Any) -> bool:
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and builtin(item) for key, item in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(builtin, value))
    return value is None or type(value) in {str, int, float, bool}


# The summary.


def test_the_summary_has_its_keys_and_builtin_types_alone(world: World) -> None:
    op = push(
        [*people(3), people(1)[0], {"key": "bad", "email": "none"}], **TABLED, max_rejected=1, xcom_outcomes="all"
    )
    assert world.run(op).state == "success"
    summary = world.summary(op)
    assert set(summary) == SUMMARY | {"outcomes"}
    assert builtin(summary)
    assert (summary["sync_id"], summary["sync_run_id"]) == ("d/push@dex_default", "d/run/push/-1")
    assert (summary["destination"], summary["destination_object"], summary["status"]) == ("dex", None, "partial")
    assert (summary["num_planned"], summary["num_succeeded"], summary["num_delivered"]) == (5, 3, 3)
    assert (summary["num_duplicate"], summary["num_invalid"], summary["num_requests"]) == (1, 1, 1)
    assert summary["error_codes"] == {"invalid_email": 1}
    assert (summary["outcomes_table"], summary["outcomes_complete"]) == ("contact_outcomes", True)
    assert summary["started_at"].endswith("+00:00")
    assert summary["started_at"] <= summary["completed_at"]
    assert all(
        set(entry) == {
            *("record_identifier", "row_index", "status", "destination_record_id"),
            *("error_code", "error_field", "status_message"),
        }
        for entry in summary["outcomes"]
    )  # fmt: skip
    ids = {entry["record_identifier"]: entry["destination_record_id"] for entry in summary["outcomes"]}
    assert {ids[f"p{n}"] for n in range(3)} == {one.id for one in world.simulator.dex.stored}


def test_a_push_does_not_walk_what_airflow_has_loaded(world: World) -> None:
    frozen: list[int] = []

    class Watched(dict[str, Any]):
        def __iter__(self) -> Any:
            frozen.append(gc.get_freeze_count())
            return super().__iter__()

    op = push([Watched(one) for one in people(3)], **TABLED)
    world.run(op)
    assert world.summary(op)["num_succeeded"] == 3
    assert max(frozen) > 10_000
    assert gc.get_freeze_count() == 0


def test_the_runs_table_says_the_same(world: World) -> None:
    op = push(people(3), **TABLED)
    world.run(op)
    summary = world.summary(op)
    (row,) = world.query("SELECT * FROM contact_outcomes_runs")
    assert (row["sync_run_id"], row["try_number"], row["status"]) == ("d/run/push/-1", 1, "succeeded")
    assert row["completed_at"] is not None
    counters = [name for name in row if name.startswith("num_") and name != "num_total"]
    assert len(counters) > 10
    assert {name: row[name] for name in counters} == {name: summary[name] for name in counters}


def test_the_sync_id_names_the_destinations_object(world: World) -> None:
    op = push(callees(1), **CALLS)
    world.run(op)
    summary = world.summary(op)
    assert (summary["sync_id"], summary["destination_object"]) == ("d/push@talkdesk_default:demo-list", "demo-list")
    row = world.query("SELECT sync_id, destination, destination_host, destination_object FROM contact_outcomes")
    assert row == [
        {
            "sync_id": "d/push@talkdesk_default:demo-list",
            "destination": "talkdesk",
            "destination_host": "127.0.0.1",
            "destination_object": "demo-list",
        }
    ]


def test_an_address_book_counts_by_its_resolved_id(world: World) -> None:
    record = {"key": "a", "name": "Ada", "email": "ada@example.com"}
    parameters: dict[str, Any] = {**TABLED, "contacts_conn_id": "apptoto_default"}
    op = push([record], **parameters, destination={"address_book": "Demo"})
    assert world.run(op).error is None
    assert world.summary(op)["sync_id"] == "d/push@apptoto_default:1"
    again = push([record], **parameters, destination={"address_book_id": 1})
    world.run(again, run_id="second")
    assert world.summary(again, run_id="second")["num_skipped"] == 1


@pytest.mark.parametrize(
    ("wanted", "statuses"),
    [
        ("auto", None),
        ("none", None),
        ("undelivered", {"bad": "invalid"}),
        ("all", {"p0": "skipped", "p1": "succeeded", "bad": "invalid"}),
    ],
)
def test_xcom_lists_the_outcomes_that_are_asked_for(world: World, wanted: str, statuses: Any) -> None:
    world.run(push(people(1), **TABLED), run_id="before")
    op = push([*people(2), {"key": "bad", "email": "none"}], **TABLED, max_rejected=1, xcom_outcomes=wanted)
    world.run(op)
    summary = world.summary(op)
    found = summary.get("outcomes")
    assert (found and {one["record_identifier"]: one["status"] for one in found}) == statuses
    if wanted == "all":
        skipped = next(one for one in found or [] if one["status"] == "skipped")
        assert skipped["destination_record_id"] == world.simulator.dex.stored[0].id


def test_without_a_table_the_list_is_in_xcom_and_the_log_warns(world: World, caplog: pytest.LogCaptureFixture) -> None:
    op = push(people(2), **DEX)
    world.run(op)
    summary = world.summary(op)
    assert [one["status"] for one in summary["outcomes"]] == ["succeeded", "succeeded"]
    assert summary["outcomes_table"] is None
    assert any("the memory ends with the dag run" in text for text in caplog.messages)
    world.run(op, run_id="second")
    assert world.summary(op, run_id="second")["num_succeeded"] == 2


def test_do_xcom_push_off_leaves_nothing_even_after_a_failure(world: World) -> None:
    op = push([{"key": "bad", "email": "none"}], **TABLED, do_xcom_push=False)
    assert world.run(op).state == "failed"
    assert world.api.xcoms == {}


# Where records come from.


def frame(rows: list[dict[str, Any]]) -> Any:
    import pandas as pd  # here, since it is slow

    return pd.DataFrame(rows)


def test_a_data_frames_holes_are_left_out(world: World) -> None:
    rows: list[dict[str, Any]] = [
        {"key": 1, "email": "a@example.com", "company": None},
        {"key": None, "email": "b@example.com"},
    ]
    op = push(frame(rows), **TABLED, max_rejected=1, xcom_outcomes="all")
    world.run(op)
    # pandas has made 1.0 of the key, since the other one is missing
    entries = world.summary(op)["outcomes"]
    assert {one["record_identifier"]: one["error_code"] for one in entries if one["row_index"] == 0} == {"1": None}
    assert [one["error_code"] for one in entries if one["row_index"] == 1] == ["missing_key"]
    assert [set(one) for one in world.stored()] == [{"contact_emails"}]


def test_no_records_are_a_success(world: World) -> None:
    op = push([], **TABLED)
    assert world.run(op).state == "success"
    assert (world.summary(op)["status"], world.summary(op)["num_planned"], world.sent()) == ("succeeded", 0, 0)


def test_an_upstream_that_had_nothing_is_a_success(world: World) -> None:
    from airflow.sdk import task

    literal = push(None, **TABLED)
    assert world.run(literal).state == "success"
    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda: None)()
        op = PushContactsOperator(**TABLED, records=upstream)
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = None
    assert world.run(op, run_id="second").state == "success"
    assert world.sent() == 0
    assert world.summary(literal)["num_planned"] == 0


def test_one_mapping_says_wrap_it_in_a_list(world: World) -> None:
    result = world.run(push(people(1)[0], **TABLED))
    assert (result.state, world.sent()) == ("failed", 0)
    assert "wrap it in a list" in str(result.error)


@pytest.mark.parametrize("value", ["(records)", "{{ [] }}", 5])
def test_what_is_no_list_is_refused(world: World, value: Any) -> None:
    result = world.run(push(value, **TABLED))
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert "records must be a list" in str(result.error)


def test_an_upstreams_output_is_read_when_the_task_runs(world: World) -> None:
    from airflow.sdk import task

    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda: 1)()
        op = PushContactsOperator(**TABLED, records=upstream)
    assert op.upstream_task_ids == {"up"}
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = [
        {"key": "a", "first_name": "{{ 1 + 1 }}", "email": "a@example.com"}
    ]
    assert world.run(op).error is None
    assert world.stored()[0]["first_name"] == "{{ 1 + 1 }}"
    assert world.api.rendered[scope_of(op)]["records"] == "(records)"


def test_lists_of_a_mapped_upstream_are_flattened_once(world: World) -> None:
    from airflow.sdk import task

    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda n: n).expand(n=[1, 2])
        op = PushContactsOperator(**TABLED, records=upstream)
    world.api.xcoms[("d", "run", "up", 0), "return_value"] = people(2)
    world.api.xcoms[("d", "run", "up", 1), "return_value"] = people(2, start=2)
    assert world.run(op).error is None
    assert world.summary(op)["num_succeeded"] == 4


def test_a_list_of_upstream_outputs_is_refused_when_the_dag_is_parsed() -> None:
    from airflow.sdk import task

    with DAG("d", schedule=None), pytest.raises(ValueError, match="give one output"):
        PushContactsOperator(**TABLED, records=[task(task_id="up")(lambda: 1)()])


CANARY = "canary@example.com"


def test_literal_records_are_not_rendered_and_not_kept(world: World) -> None:
    records = [{"key": "a", "first_name": "{{ 1 + 1 }}", "email": CANARY}]
    op = push(records, **TABLED)
    world.run(op)
    assert world.stored()[0]["first_name"] == "{{ 1 + 1 }}"
    assert CANARY not in json.dumps(world.api.rendered[scope_of(op)])
    assert CANARY not in serialized(op.dag)


def test_fixed_records_of_a_mapped_task_are_not_kept(world: World) -> None:
    records = [
        {"key": "a", "first_name": "{{ 1 + 1 }}", "last_name": "L", "phone_number": "+15550100", "email": CANARY}
    ]
    with DAG("d", schedule=None) as dag:
        mapped = PushContactsOperator.partial(**{**CALLS, "unmapped": "ignore"}, records=records).expand(
            destination=[{"record_list_id": "demo-list"}, {"record_list_id": "other"}]
        )
    assert CANARY not in serialized(dag)
    assert world.run(mapped, map_index=0).error is None
    assert CANARY not in json.dumps(list(world.api.rendered.values()))
    assert world.stored("talkdesk")[0]["first_name"] == "{{ 1 + 1 }}"
    summary = world.summary(mapped, map_index=0)
    assert (summary["sync_run_id"], summary["destination_object"]) == ("d/run/push/0", "demo-list")


def test_a_task_is_mapped_over_an_upstreams_lists(world: World) -> None:
    from airflow.sdk import task

    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda: 1)()
        mapped = PushContactsOperator.partial(**TABLED).expand(records=upstream)
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = [people(1), people(2, start=1)]
    for index in (0, 1):
        assert world.run(mapped, map_index=index).error is None
    assert world.summary(mapped, map_index=1)["num_succeeded"] == 2
    assert sorted(run for run, _, _ in world.runs()) == ["d/run/push/0", "d/run/push/1"]
    assert [row["sync_id"] for row in world.query("SELECT DISTINCT sync_id FROM contact_outcomes")] == [
        "d/push@dex_default"
    ]


def serialized(dag: Any) -> str:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    return json.dumps(LazyDeserializedDAG.from_dag(dag).data)


# SQL.


def test_a_query_is_streamed_from_the_file_that_holds_the_outcomes(world: World) -> None:
    world.fill(people(250), file="outcomes.db")
    world.connect("warehouse", host=str(world.folder / "outcomes.db"))
    op = sql(**TABLED, chunk_size=7, batch_size=20, max_in_flight=3)
    assert world.run(op).error is None
    assert world.summary(op)["num_succeeded"] == 250
    assert set(world.statuses().values()) == {"succeeded"}
    assert world.sent() == 13


def test_sql_and_parameters_are_rendered_and_bound(world: World) -> None:
    world.fill(people(5))
    op = sql(
        "SELECT * FROM people WHERE key >= :low AND '{{ ds }}' = :day",
        **TABLED,
        parameters={"low": "p{{ 1 + 2 }}", "day": "2026-01-02"},
    )
    assert world.run(op).error is None
    assert sorted(one["first_name"] for one in world.stored()) == ["First3", "First4"]


def test_a_sql_file_is_read_and_rendered(world: World) -> None:
    world.fill(people(5))
    (world.folder / "people.sql").write_text("SELECT * FROM people WHERE key = 'p{{ 1 + 2 }}'")
    with DAG("d", schedule=None, template_searchpath=str(world.folder)) as dag:
        op = SqlToContactsOperator(sql="people.sql", sql_conn_id="warehouse", **TABLED)
    dag.resolve_template_files()  # type: ignore[no-untyped-call]  # Airflow's own
    assert world.run(op).error is None
    assert [one["first_name"] for one in world.stored()] == ["First3"]


def test_sync_key_must_be_given_with_sql_and_may_be_none(world: World) -> None:
    without: Any = {name: value for name, value in TABLED.items() if name != "sync_key"}
    with pytest.raises(TypeError, match="sync_key"), DAG("d", schedule=None):
        SqlToContactsOperator(sql=PEOPLE, sql_conn_id="warehouse", **without)
    world.fill([{"email": "a@example.com"}, {"email": "a@example.com"}, {"email": "b@example.com"}])
    op = sql(**without, sync_key=None)
    assert world.run(op).error is None
    assert (world.summary(op)["num_succeeded"], world.summary(op)["num_duplicate"]) == (2, 1)
    assert all(key.startswith("sha256:") for key in world.statuses())


def test_a_key_of_several_columns_is_a_compact_array(world: World) -> None:
    op = push([{"a": 1, "b": "x", "email": "a@example.com"}], **{**TABLED, "sync_key": ["a", "b"]})
    assert world.run(op).error is None
    assert list(world.statuses()) == ['["1","x"]']


# Limits.


def test_batches_and_attempts_are_the_tasks(world: World) -> None:
    world.simulator.set("dex.http_429", "next:2")
    world.simulator.set("dex.retry_after", "0")
    op = push(people(5), **TABLED, batch_size=2, max_in_flight=1, requests_per_second=1000, request_attempts=3)
    assert world.run(op).error is None
    assert (world.summary(op)["num_requests"], world.sent()) == (5, 5)


def test_a_request_that_takes_too_long_is_unknown(world: World) -> None:
    world.simulator.set("dex.store_then_hang", "always")
    result = world.run(push(people(1), **TABLED, request_timeout=0.2))
    assert (result.state, world.statuses()) == ("failed", {"p0": "unknown"})


def test_the_connections_timeout_counts_where_the_task_gives_none(world: World) -> None:
    world.simulator.set("dex.store_then_hang", "always")
    world.connect("dex_default", extra={"request_timeout": "0.2"})
    op = push(people(1), **TABLED, max_unknown=1)
    assert world.run(op).state == "success"
    assert world.summary(op)["error_codes"] == {"timeout": 1}


def test_two_fields_and_what_is_unmapped(world: World) -> None:
    row = {"key": "a", "mail": "a@example.com", "shoe_size": 41}
    parameters: dict[str, Any] = {**TABLED, "field_map": {"mail": "email"}}
    refused = push([row], **parameters)
    assert world.run(refused).state == "failed"
    assert world.summary(refused)["error_codes"] == {"unknown_field": 1}
    taken = push([row], **parameters, unmapped="ignore")
    assert world.run(taken, run_id="second").error is None
    assert [set(one) for one in world.stored()] == [{"contact_emails"}]


@pytest.mark.parametrize(
    ("policy", "payloads", "texts"),
    [
        ("undelivered", {"c0": False, "c1": True, "bad": True}, True),
        ("all", {"c0": True, "c1": True, "bad": True}, True),
        ("never", {"c0": False, "c1": False, "bad": False}, False),
    ],
)
def test_payloads_are_kept_as_asked(world: World, policy: str, payloads: dict[str, bool], texts: bool) -> None:
    world.simulator.set("talkdesk.reject", "first_name~^First1$")
    records = [*callees(2), {"key": "bad", "first_name": "x", "last_name": "y"}]
    op = push(records, **CALLS, max_rejected=2, store_payload=policy)
    assert world.run(op).error is None
    rows = world.query("SELECT record_identifier AS id, record_payload AS kept, status_message FROM contact_outcomes")
    assert {row["id"]: row["kept"] is not None for row in rows} == payloads
    assert any(row["status_message"] for row in rows) == texts


def test_tables_have_the_name_that_is_asked_for(world: World) -> None:
    op = push(people(1), **TABLED, outcomes_table="{{ 'ledger' }}")
    assert world.run(op).error is None
    assert world.statuses("ledger") == {"p0": "succeeded"}
    assert world.summary(op)["outcomes_table"] == "ledger"


def test_without_the_right_to_create_the_error_prints_the_ddl(world: World) -> None:
    result = world.run(push(people(1), **TABLED, create_tables=False))
    assert (result.state, world.sent()) == ("failed", 0)
    assert "CREATE TABLE contact_outcomes_records" in str(result.error)


# Templates.


def test_every_documented_field_is_a_template(world: World) -> None:
    world.fill(people(4))
    world.connect("dex_templated", **world.api.connections["dex_default"])
    with DAG("d", schedule=None):
        op = SqlToContactsOperator(
            task_id="push",
            sql=PEOPLE,
            sql_conn_id="{{ 'warehouse' }}",
            contacts_conn_id="dex_{{ 'templated' }}",
            sync_key="key",
            destination="{{ {} | tojson }}",
            outcomes_conn_id="{{ 'outcomes' }}",
            outcomes_table="{{ 'contact_outcomes' }}",
            sync_id="contacts-{{ ds }}",
            max_rejected="{{ 0.05 }}",
            max_unknown="{{ 1 }}",
            plan_only="{{ False }}",
        )
    assert world.run(op).error is None
    assert world.summary(op)["sync_id"] == "contacts-2026-01-02"
    assert world.summary(op)["num_succeeded"] == 4


def test_a_destination_is_rendered_inside(world: World) -> None:
    op = push(callees(1), **CALLS, destination={"record_list_id": "{{ 'demo' }}-list"})
    assert world.run(op).error is None
    assert world.summary(op)["destination_object"] == "demo-list"


@pytest.mark.parametrize(("text", "sent"), [("False", 1), ("true", 0), (" TRUE ", 0), (True, 0)])
def test_plan_only_is_read_strictly(world: World, text: Any, sent: int) -> None:
    assert world.run(push(people(1), **TABLED, plan_only=text)).error is None
    assert world.sent() == sent


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "truth": ({"plan_only": "maybe"}, "plan_only is true or false"),
    "tolerance": ({"max_rejected": "many"}, "max_rejected is a count or a fraction below 1"),
    "negative": ({"max_rejected": -1}, "max_rejected is a count"),
    "above one": ({"max_rejected": 1.5}, "max_rejected is a count"),
    "unknown fraction": ({"max_unknown": 0.5}, "max_unknown is a count"),
    "policy": ({"on_unknown": "ask"}, "on_unknown is one of"),
    "unmapped": ({"unmapped": "drop"}, "unmapped is one of"),
    "payload": ({"store_payload": "some"}, "store_payload is one of"),
    "list": ({"xcom_outcomes": "some"}, "xcom_outcomes is one of"),
    "batch": ({"batch_size": 101}, "batch_size is at most 100 for Dex"),
    "no batch": ({"batch_size": 0}, "batch_size is a whole number"),
    "flight": ({"max_in_flight": 1.5}, "max_in_flight is a whole number"),
    "rate": ({"requests_per_second": 0}, "requests_per_second is a number above 0"),
    "attempts": ({"request_attempts": None}, "request_attempts is a whole number"),
    "timeout": ({"request_timeout": 601}, "request_timeout is a number of seconds above 0, 600 at most"),
    "wait": ({"max_wait": "long"}, "max_wait is a number of seconds"),
    "map": ({"field_map": ["a"]}, "field_map is a mapping"),
    "field": ({"field_map": {"mail": "e_mail"}}, "field_map names no field of Dex"),
    "key": ({"sync_key": []}, "sync_key is a column name"),
    "destination": ({"destination": {"list": 1}}, "unknown keys ['list'] in destination"),
    "destination text": ({"destination": "list"}, "destination is a mapping"),
    "no connection": ({"contacts_conn_id": "nobody"}, "there is no connection 'nobody'"),
    "empty connection": ({"contacts_conn_id": ""}, "contacts_conn_id must not be empty"),
    "foreign": ({"contacts_conn_id": "warehouse"}, "has the type 'sqlite'; contacts go to one of"),
    "no table": ({"outcomes_conn_id": "nobody"}, "outcomes_conn_id: there is no connection 'nobody'"),
    "no SQL": ({"outcomes_conn_id": "dex_default"}, "outcomes_conn_id: connection 'dex_default' is no SQL connection"),
    # An installed package for it would not help.
    "a type that holds no table": (
        {"outcomes_conn_id": "odd"},
        "has the type 'no_such_type'; the outcome table needs one of ['sqlite', 'postgres', 'mysql']",
    ),
    "table": ({"outcomes_table": "a b; drop"}, "outcomes_table"),
    "long sync_id": ({"sync_id": "s" * 513}, "sync_id must have 1 to 512 characters"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("plan_only", [False, True])
def test_a_wrong_parameter_fails_for_good_before_anything_is_sent(world: World, case: str, plan_only: bool) -> None:
    changed, text = WRONG[case]
    world.connect("odd", conn_type="no_such_type")
    world.connect("dex_default", extra={})
    assert text in refusal(world, lambda: push(people(1), **{**TABLED, "plan_only": plan_only, **changed}))
    assert world.sent() == 0


@pytest.mark.parametrize("name", ["max_rejected", "max_unknown", "plan_only", "destination", "contacts_conn_id"])
def test_a_template_that_makes_no_sense_fails_the_task_for_good(world: World, name: str) -> None:
    result = world.run(push(people(1), **{**TABLED, name: "{{ '' if params.get('none') else ' ? ' }}"}))
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert name in str(result.error)
    assert world.sent() == 0


def test_a_mapped_value_that_makes_no_sense_fails_the_task_for_good(world: World) -> None:
    with DAG("d", schedule=None):
        mapped = PushContactsOperator.partial(**TABLED, records=people(1), retries=3).expand(
            on_unknown=["hold", "retry"]
        )
    assert world.run(mapped, map_index=0).error is None
    result = world.run(mapped, map_index=1)
    assert result.state == "failed"
    assert "on_unknown is one of" in str(result.error)


BAD_SQL: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown column": ("SELECT key, email, 1 AS shoe FROM people", {}, "columns ['shoe'] are no fields of Dex"),
    "no key": ("SELECT email FROM people", {}, "sync_key names columns ['key'] that the source does not have"),
    "no mapped": (PEOPLE, {"field_map": {"mail": "email"}}, "field_map names columns ['mail']"),
    "twice": (PEOPLE, {"field_map": {"first_name": "email"}}, "more than one column becomes the field"),
    "two columns": ("SELECT key, key FROM people", {}, "more than one column named 'key'"),
    "a write": ("DELETE FROM people", {}, "begins with DELETE"),
    "two": ("SELECT 1; SELECT 2", {}, "holds 2 statements"),
}


@pytest.mark.parametrize("case", BAD_SQL)
def test_a_wrong_query_fails_for_good_before_anything_is_sent(world: World, case: str) -> None:
    world.fill(people(3))
    query, changed, text = BAD_SQL[case]
    result = world.run(sql(query, **{**TABLED, **changed}))
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert text in str(result.error)
    assert world.sent() == 0
    # The run's row says so too: one without an end would look like a dead worker.
    ((_, _, status),) = world.runs()
    assert status == "aborted"


def test_a_wrong_source_connection_is_named(world: World) -> None:
    with DAG("d", schedule=None):
        op = SqlToContactsOperator(sql=PEOPLE, sql_conn_id="nobody", **TABLED)
    result = world.run(op)
    assert "sql_conn_id: there is no connection 'nobody'" in str(result.error)


BAD_CONNECTIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "extra": ("dex", {"extra": {"tokn_url": 1}}, {}, "unknown keys ['tokn_url'] in the extra"),
    "no JSON": ("dex", {"extra": "{"}, {}, "is no JSON object"),
    "no object": ("dex", {"extra": "[1]"}, {}, "is no JSON object"),
    "plain http": ("dex", {"host": "http://vendor.example"}, {}, "plain http to 'vendor.example'"),
    "no key": ("dex", {"password": ""}, {}, "password"),
    "key with a line break": ("dex", {"password": "dex_a\n"}, {}, "password holds a line break"),
    "key with a blank": ("dex", {"password": "dex_a b"}, {}, "no header can carry"),
    "CA bundle": ("dex", {"extra": {"verify": "/no/such/file"}}, {}, "verify is true, false, or the path"),
    "proxy": ("dex", {"extra": {"proxy": "proxy:3128"}}, {}, "proxy is no URL"),
    "two books": ("apptoto", {}, {"address_book_id": 1, "address_book": "Demo"}, "exactly one of"),
    "no book": ("apptoto", {"extra": {}}, {}, "exactly one of"),
    "an unknown book": ("apptoto", {}, {"address_book": "Typo"}, "address book"),
    "no list": ("talkdesk", {"extra": {"token_url": "http://localhost/t"}}, {}, "needs the destination"),
    "no organization": ("intermezzo", {"extra": {"token_url": "http://localhost/t"}}, {}, "needs the destination"),
    "a list that is no UUID": ("nedzo", {}, {"contact_list_id": "12"}, "must be the UUID"),
    "a list that is a path": ("talkdesk", {}, {"record_list_id": ".."}, "must be the id of a Talkdesk record list"),
}


@pytest.mark.parametrize("case", BAD_CONNECTIONS)
def test_a_wrong_connection_fails_for_good_before_anything_is_sent(world: World, case: str) -> None:
    vendor, changed, destination, text = BAD_CONNECTIONS[case]
    world.connect(f"{vendor}_default", **changed)
    parameters: dict[str, Any] = {**TABLED, "contacts_conn_id": f"{vendor}_default", "destination": destination}
    result = world.run(push([{"key": "a", "email": "a@example.com"}], **parameters))
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert text in str(result.error)
    assert world.sent(vendor) == 0
    assert not (world.folder / "outcomes.db").exists(), "it was found out before anything was opened"


def test_many_records_without_a_table_are_refused(world: World) -> None:
    records = [{"email": "x"}] * 20_001
    result = world.run(push(records, **{**DEX, "sync_key": None}))
    assert result.state == "failed"
    assert "set outcomes_conn_id" in str(result.error)
    assert world.sent() == 0


# A record's own list at Nedzo.

OTHER = "99999999-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("chosen", "given", "code"),
    [
        (DEMO_LIST, DEMO_LIST.upper(), None),
        (DEMO_LIST, None, None),
        (DEMO_LIST, OTHER, "conflict"),
        (None, OTHER, "not_allowed"),
        (None, None, None),
    ],
)
def test_a_record_cannot_choose_another_list(world: World, chosen: Any, given: Any, code: str | None) -> None:
    world.connect("nedzo_default", extra={"contact_list_id": chosen})
    row = {"key": "a", "email": "a@example.com", "contact_list_id": given}
    op = push([row], **{**TABLED, "contacts_conn_id": "nedzo_default"}, max_rejected=1)
    assert world.run(op).error is None
    assert list(world.summary(op)["error_codes"]) == ([code] if code else [])
    assert [one.get("contact_list_id") for one in world.stored("nedzo")] == ([] if code else [chosen])


# Plans.


def test_a_plan_counts_what_a_push_then_does(world: World) -> None:
    world.run(push([*people(3), {"key": "lost", "email": "l@example.com"}], **TABLED), run_id="first")
    change(world, "lost", status="'unknown'")
    changed = {**people(1)[0], "first_name": "New"}
    bad = {"key": "bad", "email": "none"}
    records = [changed, *people(40, start=1), *people(2), {"key": "lost", "email": "l@example.com"}, bad, bad]
    # In chunks of 100, so that copies meet in different ones too.
    records = [*records, *people(100, start=41), bad, *people(1, start=41)]
    parameters: dict[str, Any] = {**TABLED, "batch_size": 10, "max_in_flight": 1, "max_rejected": 5}
    before = world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent()
    plan = push(records, **parameters, plan_only=True)
    assert world.run(plan, run_id="second").error is None
    assert (world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent()) == before
    planned = world.summary(plan, run_id="second")
    real = push(records, **parameters)
    assert world.run(real, run_id="second").error is None
    done = world.summary(real, run_id="second")
    same = ("num_planned", "num_requests", "num_skipped", "num_duplicate", "num_invalid", "num_changed", "num_held")
    assert {name: planned[name] for name in same} == {name: done[name] for name in same}
    assert planned["num_to_send"] == done["num_succeeded"] == 138
    assert (done["num_duplicate"], done["num_changed"], done["num_held"]) == (3, 1, 1)
    assert set(planned) == SUMMARY | {"num_to_send", "num_new", "estimated_minutes"}


@pytest.mark.parametrize("how", ["digest", "clear"])
def test_a_plan_lists_the_first_keys_of_each_kind(world: World, how: str) -> None:
    world.simulator.set("dex.http_429", "next:1")
    world.run(push(people(1, start=8), **TABLED, request_attempts=1), run_id="first")
    world.run(push(people(1), **TABLED), run_id="second")
    records = [*people(9), {"key": "bad", "email": "none"}]
    op = push(
        records, **TABLED, plan_only=True, plan_rows=3, plan_identifiers=how, batch_size=2, requests_per_second=0.1
    )
    assert world.run(op, run_id="third").error is None
    summary = world.summary(op, run_id="third")
    show = digest_of if how == "digest" else str
    assert summary["plan"] == {
        "new": [show(f"p{n}") for n in (1, 2, 3)],
        "again": [show("p8")],
        "skipped": [show("p0")],
        "invalid": [show("bad")],
    }
    assert (summary["num_to_send"], summary["num_new"], summary["num_requests"]) == (8, 7, 4)
    # 4 requests, one in ten seconds.
    assert summary["estimated_minutes"] == 0.67
    assert builtin(summary)


def test_a_plan_lists_nothing_unless_asked(world: World) -> None:
    op = push(people(1), **TABLED, plan_only=True)
    assert world.run(op).error is None
    assert "plan" not in world.summary(op)


def test_a_plan_without_a_table_there_creates_none(world: World) -> None:
    op = push(people(3), **TABLED, plan_only=True)
    assert world.run(op).error is None
    assert world.summary(op)["num_to_send"] == 3
    assert world.query("SELECT name FROM sqlite_master") == []


def test_a_plan_without_outcomes_conn_id_counts_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    op = push([*people(3), *people(1)], **DEX, plan_only=True, batch_size=2)
    assert world.run(op).error is None
    summary = world.summary(op)
    assert (summary["num_planned"], summary["num_to_send"], summary["num_requests"]) == (4, 3, 2)
    assert (summary["num_duplicate"], "outcomes" in summary) == (1, False)
    assert not any("the memory ends with the dag run" in text for text in caplog.messages)


def test_a_plan_refuses_what_a_push_would_refuse(world: World) -> None:
    world.run(push(callees(1), **CALLS, sync_id="s"))
    other = push(callees(1), **CALLS, sync_id="s", destination={"record_list_id": "other"}, plan_only=True)
    assert "remembers records of" in str(world.run(other, run_id="second").error)
    missing = push(people(1), **TABLED, outcomes_table="missing", create_tables=False, plan_only=True)
    assert "CREATE TABLE missing" in str(world.run(missing, run_id="third").error)


# One sync_id, one place.


def test_a_sync_id_that_belongs_to_another_list_is_refused(world: World) -> None:
    world.run(push(callees(1), **CALLS, sync_id="s"))
    sent = world.sent("talkdesk")
    result = world.run(push(callees(1), **CALLS, sync_id="s", destination={"record_list_id": "other"}), run_id="second")
    assert (result.state, type(result.error).__name__) == ("failed", "AirflowFailException")
    assert "sync_id s remembers records of talkdesk" in str(result.error)
    assert world.sent("talkdesk") == sent


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = "airflow_provider_contacts"
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith(ours)]

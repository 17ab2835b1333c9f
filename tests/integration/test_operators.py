"""What every parameter of the two pushing operators does, in a task as a worker runs it, against a real socket."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_contacts.decorators import contacts_task
from airflow_provider_contacts.operators import PushContactsOperator, SqlToContactsOperator
from tests.airflow_harness import AIRFLOW, scope_of
from tests.support.pushing import CALLS, TABLED, World, callees, counts, file_push, people, push, sql_push

SUMMARY = {
    *("sync_id", "sync_run_id", "destination", "destination_object", "status"),
    *("num_planned", "num_succeeded", "num_rejected", "num_invalid", "num_failed", "num_unknown", "num_skipped"),
    *("num_duplicate", "num_changed", "num_held", "num_undelivered", "num_delivered", "num_requests"),
    *("error_codes", "outcomes_table", "outcomes_complete", "started_at", "completed_at", "duration_seconds"),
}
ENTRY = {
    *("record_identifier", "row_index", "status", "destination_record_id"),
    *("error_code", "error_field", "status_message"),
}
BAD = {"key": "bad", "email": "none"}


def builtin(value: Any) -> bool:
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and builtin(item) for key, item in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(builtin, value))
    return value is None or type(value) in {str, int, float, bool}


# The summary.


def test_summary_and_runs_table_say_the_same_in_builtin_types_alone(world: World) -> None:
    world.run(push(people(1, start=3)), run_id="before")
    summary = world.done(push([*people(4), people(1)[0], BAD], max_rejected=1, xcom_outcomes="all"))
    assert set(summary) == SUMMARY | {"outcomes"}
    assert builtin(summary)
    same = ("sync_id", "sync_run_id", "destination", "destination_object", "status", "error_codes")
    assert [summary[name] for name in same] == [
        *("d/push@dex_default", "d/run/push/-1", "dex", None, "partial", {"invalid_email": 1})
    ]
    names = ("planned", "succeeded", "delivered", "duplicate", "skipped", "invalid", "requests")
    assert counts(summary, *names) == (6, 3, 3, 1, 1, 1, 1)
    assert (summary["outcomes_table"], summary["outcomes_complete"]) == ("contact_outcomes", True)
    assert summary["started_at"].endswith("+00:00")
    assert summary["started_at"] <= summary["completed_at"]
    assert all(set(entry) == ENTRY for entry in summary["outcomes"])
    # The skipped one has the id of the earlier run; the duplicate and the invalid one have none.
    ids = [one["destination_record_id"] for one in summary["outcomes"]]
    assert {one for one in ids if one} == {one.id for one in world.simulator.dex.stored}
    assert ids.count(None) == 2
    (row,) = world.query("SELECT * FROM contact_outcomes_runs WHERE run_id = 'run'")
    assert (row["sync_run_id"], row["try_number"], row["status"]) == ("d/run/push/-1", 1, "partial")
    assert (row["completed_at"] is not None, row["num_total"]) == (True, summary["num_planned"])
    counters = [name for name in row if name.startswith("num_") and name != "num_total"]
    assert len(counters) > 10
    assert {name: row[name] for name in counters} == {name: summary[name] for name in counters}


def test_a_push_does_not_walk_what_airflow_has_loaded(world: World) -> None:
    frozen: list[int] = []

    class Watched(dict[str, Any]):
        def __iter__(self) -> Any:
            frozen.append(gc.get_freeze_count())
            return super().__iter__()

    # The first rows are looked at before the push begins.
    assert world.done(push([*people(2500), Watched(people(1, start=2500)[0])]))["num_succeeded"] == 2501
    assert max(frozen) > 10_000
    assert gc.get_freeze_count() == 0


def test_the_sync_id_names_the_destinations_object(world: World) -> None:
    summary = world.done(push(callees(1), **CALLS, destination={"record_list_id": "{{ 'demo' }}-list"}))
    assert (summary["sync_id"], summary["destination_object"]) == ("d/push@talkdesk_default:demo-list", "demo-list")
    (row,) = world.query("SELECT sync_id, destination, destination_host, destination_object FROM contact_outcomes")
    assert tuple(row.values()) == ("d/push@talkdesk_default:demo-list", "talkdesk", "127.0.0.1", "demo-list")


def test_an_address_book_counts_by_its_resolved_id(world: World) -> None:
    records = [{"key": "a", "name": "Ada", "email": "ada@example.com"}]
    book: dict[str, Any] = {"contacts_conn_id": "apptoto_default"}
    assert world.done(push(records, **book, destination={"address_book": "Demo"}))["sync_id"].endswith("_default:1")
    again = world.done(push(records, **book, destination={"address_book_id": 1}), run_id="second")
    assert again["num_skipped"] == 1


def test_without_a_table_the_list_is_in_xcom_and_the_log_warns(world: World, caplog: pytest.LogCaptureFixture) -> None:
    op = push(people(2), outcomes_conn_id=None)
    summary = world.done(op)
    assert [one["status"] for one in summary["outcomes"]] == ["succeeded", "succeeded"]
    assert summary["outcomes_table"] is None
    lasts = "the memory ends with the dag run" if AIRFLOW >= (3, 3) else "Nothing is remembered when this try ends"
    assert any(lasts in text for text in caplog.messages)
    assert world.done(op, run_id="second")["num_succeeded"] == 2


def test_do_xcom_push_off_leaves_nothing_even_after_a_failure(world: World) -> None:
    world.refused(push([BAD], do_xcom_push=False))
    # Airflow's own, addresses.
    assert [key for _, key in world.api.xcoms] == ["_link_OutcomesLink", "_link_VendorDocumentationLink"]


# Where records come from.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (people(1)[0], "wrap it in a list"),
        ("(records)", "records must be a list"),
        ("{{ [] }}", "records must be a list"),
        (5, "records must be a list"),
        ([("p1", "Ada")], "rows without column names"),
        ([{"kex": "p1", "first_name": "Ada"}], "sync_key names columns ['key'] that none of the first 1 records has"),
    ],
)
def test_what_is_no_list_of_records_is_refused(world: World, value: Any, text: str) -> None:
    assert text in world.refused(push(value))
    assert world.sent() == 0


@pytest.mark.parametrize("given", [None, [{"key": "a", "first_name": "{{ 1 + 1 }}", "email": "a@example.com"}]])
def test_an_upstreams_output_is_read_when_the_task_runs(world: World, given: Any) -> None:
    with DAG("d", schedule=None):
        op = PushContactsOperator(**TABLED, records=task(task_id="up")(lambda: 1)())
    assert op.upstream_task_ids == {"up"}
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = given
    world.done(op)
    assert [one["first_name"] for one in world.stored()] == ["{{ 1 + 1 }}"] * bool(given)
    assert world.api.rendered[scope_of(op)]["records"] == "(records)"


def test_lists_of_a_mapped_upstream_are_flattened_once_in_the_order_of_the_map_index(world: World) -> None:
    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda n: n).expand(n=[1, 2])
        op = PushContactsOperator(**TABLED, records=upstream, xcom_outcomes="all")
    for index in (10, 0, 2):
        world.api.xcoms[("d", "run", "up", index), "return_value"] = people(2, start=10 * index)
    entries = sorted(world.done(op)["outcomes"], key=lambda one: one["row_index"])
    assert [one["record_identifier"] for one in entries] == ["p0", "p1", "p20", "p21", "p100", "p101"]


def test_a_task_is_mapped_over_an_upstreams_lists(world: World) -> None:
    with DAG("d", schedule=None):
        mapped = PushContactsOperator.partial(**TABLED).expand(records=task(task_id="up")(lambda: 1)())
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = [people(1), people(2, start=1)]
    assert [world.done(mapped, map_index=index)["num_succeeded"] for index in (0, 1)] == [1, 2]
    assert sorted(run for run, _, _ in world.runs()) == ["d/run/push/0", "d/run/push/1"]
    assert world.one("SELECT DISTINCT sync_id FROM contact_outcomes") == "d/push@dex_default"


def test_a_query_is_streamed_from_the_file_that_holds_the_outcomes(world: World) -> None:
    world.fill(people(250), file="outcomes.db")
    world.connect("warehouse", host=str(world.folder / "outcomes.db"))
    assert world.done(sql_push(chunk_size=7, batch_size=20, max_in_flight=3))["num_succeeded"] == 250
    assert set(world.statuses().values()) == {"succeeded"}
    assert world.sent() == 13


def test_a_sql_file_and_its_parameters_are_rendered_and_bound(world: World) -> None:
    world.fill(people(5))
    (world.folder / "people.sql").write_text("SELECT * FROM people WHERE key >= :low AND '{{ ds }}' = :day")
    given: dict[str, Any] = {"low": "p{{ 1 + 2 }}", "day": "2026-01-02"}
    with DAG("d", schedule=None, template_searchpath=str(world.folder)) as dag:
        op = SqlToContactsOperator(sql="people.sql", sql_conn_id="warehouse", parameters=given, **TABLED)
    dag.resolve_template_files()  # type: ignore[no-untyped-call]  # Airflow's own
    world.done(op)
    assert sorted(one["first_name"] for one in world.stored()) == ["First3", "First4"]


# The key.


def unkeyed(world: World, function: str, **parameters: Any) -> Any:
    """Return a task that pushes a person without a sync_key."""
    person: dict[str, Any] = {"email": "a@example.com"}
    given = {**TABLED, "sync_key": None, **parameters}
    if function == "push":
        return push([person], **given)
    if function == "query":
        return sql_push("SELECT 'a@example.com' AS email", **given)
    if function == "file":
        file = world.folder / "people.csv"
        file.write_text("email\na@example.com\n", "utf-8")
        return file_push(file, **given)
    with DAG("d", schedule=None):
        return contacts_task(**given)(lambda: [person])().operator


@pytest.mark.parametrize(
    ("function", "parameters", "times"),
    [
        ("push", {}, 1),
        ("push", {"plan_only": True}, 1),
        ("@task.contacts", {}, 1),
        ("push", {"outcomes_conn_id": None}, 0),
        ("push", {"sync_key": "email"}, 0),
        ("query", {}, 0),
        ("file", {}, 0),
    ],
)
def test_a_table_without_a_key_warns_once_that_changed_records_are_new_ones(
    world: World, caplog: pytest.LogCaptureFixture, function: str, parameters: dict[str, Any], times: int
) -> None:
    world.done(unkeyed(world, function, **parameters))
    assert sum(text.startswith("No sync_key: a record is known by the digest") for text in caplog.messages) == times


# Limits.


def test_batches_and_attempts_are_the_tasks(world: World) -> None:
    world.set(http_429="next:2", retry_after="0")
    summary = world.done(push(people(5), batch_size=2, max_in_flight=1, requests_per_second=1000, request_attempts=3))
    assert (summary["num_requests"], world.sent()) == (5, 5)


@pytest.mark.parametrize(
    ("connection", "of_task"),
    [({"request_timeout": 30}, {"request_timeout": 0.2}), ({"request_timeout": "0.2"}, {})],
)
def test_the_tasks_timeout_counts_else_the_connections(world: World, connection: Any, of_task: Any) -> None:
    world.set(store_then_hang="always")
    world.connect("dex_default", extra=connection)
    summary = world.done(push(people(1), max_unknown=1, **of_task))
    assert summary["error_codes"] == {"timeout": 1}
    assert summary["duration_seconds"] < 20
    assert world.statuses() == {"p0": "unknown"}


# The table.


@pytest.mark.parametrize(("policy", "kept"), [("undelivered", {"c1", "bad"}), ("never", set[str]())])
def test_payloads_and_texts_are_kept_as_asked(world: World, policy: str, kept: set[str]) -> None:
    world.simulator.set("talkdesk.reject", "first_name~^First1$")
    records = [*callees(2), {"key": "bad", "first_name": "x", "last_name": "y"}]
    world.done(push(records, **CALLS, max_rejected=2, store_payload=policy))
    rows = world.query("SELECT * FROM contact_outcomes")
    assert {row["record_identifier"] for row in rows if row["record_payload"]} == kept
    assert any(row["status_message"] for row in rows) == bool(kept)


def test_without_the_right_to_create_the_error_prints_the_ddl(world: World) -> None:
    assert "CREATE TABLE contact_outcomes_records" in world.refused(push(people(1), create_tables=False))
    assert world.sent() == 0


@pytest.mark.parametrize("plan_only", [False, True])
def test_a_sync_id_that_belongs_to_another_list_is_refused(world: World, plan_only: bool) -> None:
    world.done(push(callees(1), **CALLS, sync_id="s"))
    other = push(callees(1), **CALLS, sync_id="s", destination={"record_list_id": "other"}, plan_only=plan_only)
    assert "sync_id s remembers records of talkdesk" in world.refused(other, run_id="second")
    assert world.sent("talkdesk") == 1


# Templates.


def test_every_documented_field_is_a_template(world: World) -> None:
    world.fill(people(4))
    world.connect("dex_templated", **world.api.connections["dex_default"])
    summary = world.done(
        sql_push(
            sql_conn_id="{{ 'warehouse' }}",
            contacts_conn_id="dex_{{ 'templated' }}",
            destination="{{ {} | tojson }}",
            outcomes_conn_id="{{ 'outcomes' }}",
            outcomes_table="{{ 'ledger' }}",
            sync_id="contacts-{{ ds }}",
            max_rejected="{{ 0.05 }}",
            max_unknown="{{ 1 }}",
            plan_only="{{ False }}",
        )
    )
    assert (summary["sync_id"], summary["num_succeeded"]) == ("contacts-2026-01-02", 4)
    assert (summary["outcomes_table"], len(world.statuses("ledger"))) == ("ledger", 4)

"""The exporting task behind a push: what it writes, returns and refuses, however the push ended."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias

from airflow_provider_contacts.operators import PushContactsOperator
from airflow_provider_contacts.outcome import digest_of
from tests.airflow_harness import scope_of
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.exports import HISTORY, LATEST, behind, documented, export, read, three_runs
from tests.support.pushing import TABLED, World, people, push

SYNC = "d/push@dex_default"


@pytest.mark.parametrize("fails", [False, True])
def test_a_push_is_exported_however_it_ends(world: World, fails: bool) -> None:
    world.set(reject="first_name~First1")
    op = push(people(3), max_rejected=0 if fails else 1)
    assert world.run(op).state == ("failed" if fails else "success")
    found = world.done(task := behind(world, op))
    path = world.folder / "out" / "d%2Fpush%40dex_default" / "d%2Frun%2Fpush%2F-1.ndjson"
    status = "failed" if fails else "partial"
    ids = {"sync_id": SYNC, "sync_run_id": "d/run/push/-1"}
    assert found == {"path": str(path), **ids, "num_rows": 3, "num_taken_over": 0, "status": status}
    rows = {row["record_identifier"]: row["status"] for row in read(found["path"])}
    assert rows == {"p0": "succeeded", "p1": "rejected", "p2": "succeeded"}
    (event,) = world.api.states[-1]["outlet_events"]
    numbers = {"num_objects": 1, "num_rows": 3, "num_taken_over": 0}
    assert (event["dest_asset_key"]["uri"], event["extra"]) == ((world.folder / "out").as_uri(), numbers)
    assert task.outlets == [AssetAlias("contacts/d/export")]


def test_ids_name_a_run_as_well_as_its_summary(world: World) -> None:
    summary = world.done(push(people(2)))
    by_ids = export(world, sync_id=SYNC, sync_run_id="{{ 'd/' ~ run_id ~ '/push/-1' }}")
    assert world.done(by_ids) == world.done(export(world, summary=summary))
    as_text = export(world, summary="{{ params.summary | tojson }}", params={"summary": summary})
    assert world.done(as_text) == world.summary(by_ids)


def test_an_object_has_the_rows_of_its_own_sync_id_alone(world: World) -> None:
    world.set(http_429="nth:1")
    assert world.run(push(people(3), sync_id="old", request_attempts=1)).state == "up_for_retry"
    summary = world.done(push(people(2), sync_id="new"), 2)
    found = world.done(export(world, summary=summary))
    assert {(row["sync_id"], row["record_identifier"]) for row in read(found["path"])} == {("new", "p0"), ("new", "p1")}


def mapped(**given: Any) -> Any:
    with DAG("d", schedule=None):
        return PushContactsOperator.partial(**TABLED, **given).expand(records=[people(2), people(3, 5)])


def test_each_run_of_a_mapped_push_has_its_object(world: World) -> None:
    op = mapped()
    for index in (0, 1):
        world.done(op, map_index=index)
    found = world.done(behind(world, op))
    assert [(one["sync_run_id"], one["num_rows"]) for one in found] == [("d/run/push/0", 2), ("d/run/push/1", 3)]
    assert len({one["path"] for one in found}) == 2
    (event,) = world.api.states[-1]["outlet_events"]
    assert (event["extra"]["num_objects"], event["extra"]["num_rows"]) == (2, 5)


def test_what_is_there_is_exported_where_one_of_a_mapped_push_left_no_summary(world: World) -> None:
    op = mapped()
    for index in (0, 1):
        world.done(op, map_index=index)
    del world.api.xcoms[scope_of(op, map_index=0), "return_value"]
    task = behind(world, op)
    assert world.refused(task).startswith("summary: 1 pushes are exported, but 1 left no summary (skipped, killed")
    assert [one["sync_run_id"] for one in world.summary(task)] == ["d/run/push/1"]


@pytest.mark.parametrize("summary", [None, [None, None]], ids=["one", "list"])
def test_a_push_without_a_summary_names_the_way_out(world: World, summary: Any) -> None:
    op = push([])
    world.api.xcoms[scope_of(op), "return_value"] = summary
    told = world.refused(behind(world, op))
    assert f"summary: 0 pushes are exported, but {2 if summary else 1} left no summary" in told
    assert "or misnamed)" in told
    assert "by sync_id and sync_run_id" in told


def test_a_plan_leaves_nothing_to_export(world: World) -> None:
    op = push(people(2), plan_only=True)
    world.done(op)
    assert world.run(behind(world, op)).state == "skipped"
    assert world.run(export(world, summary=[world.summary(op)])).state == "skipped"
    assert not (world.folder / "out").exists()


def test_a_summary_is_nowhere_shown(world: World) -> None:
    op = push([{"key": "canary@example.com", "email": "canary@example.com"}], xcom_outcomes="all")
    summary = world.done(op)
    assert "canary" in json.dumps(summary)
    for task in (behind(world, op), export(world, summary=summary)):
        world.done(task)
        assert world.api.rendered[scope_of(task)]["summary"] == "(summary)"
        assert "canary" not in json.dumps([world.api.rendered[scope_of(task)], world.summary(task)])
        assert "canary" not in repr(task)
    told = world.refused(export(world, summary=[{"canary": "canary@example.com"}]))
    assert told == "summary: what is at place 1 is no summary of a push, but a dict"


def test_a_push_without_a_table_leaves_nothing_to_export(world: World) -> None:
    summary = world.done(push(people(1), outcomes_conn_id=None))
    told = world.refused(export(world, summary=[summary]))
    assert told == "summary: the push at place 1 has no outcomes_conn_id, and so no rows to export"


def test_rows_that_a_later_run_took_over_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.set(reject="first_name~First[01]")
    first = world.done(push(people(3), max_rejected=2), run_id="one")
    assert world.done(export(world, summary=first))["num_taken_over"] == 0
    world.set(reject="")
    second = world.done(push(people(3)), run_id="two")
    again = world.done(export(world, summary=[first, second]))
    assert [(one["num_rows"], one["num_taken_over"]) for one in again] == [(1, 2), (2, 0)]
    assert "About 2 rows of run d/one/push/-1 are not among them" in caplog.text


def test_a_retry_replaces_its_own_object_alone(world: World) -> None:
    summary = world.done(push(people(2)), run_id="one")
    other = world.done(push(people(3)), run_id="two")
    task = export(world, summary=[summary, other])
    before = [Path(one["path"]) for one in world.done(task)]
    texts = [path.read_text("utf-8") for path in before]
    world.done(export(world, summary=summary, identifiers="digest", payloads=True))
    assert before[1].read_text("utf-8") == texts[1]
    row = json.loads(before[0].read_text("utf-8").splitlines()[0])
    assert row["record_identifier"] == digest_of("p0")
    assert row["exported_at"] > json.loads(texts[0].splitlines()[0])["exported_at"]
    assert "record_payload" in row
    assert len([one for one in (world.folder / "out").rglob("*") if one.is_file()]) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sync_run_id": "d/run/other/-1"}, "outcomes_table: contact_outcomes of connection 'outcomes' has no run "),
        ({"sync_id": "other"}, "has no run 'd/run/push/-1' of sync_id 'other': name both ids"),
        ({"sync_id": "{{ '' }}"}, "give either summary, the output of a push, or both sync_id and sync_run_id"),
        ({"outcomes_table": "nowhere"}, "has no nowhere"),
        ({"outcomes_conn_id": "nobody"}, "outcomes_conn_id: there is no connection 'nobody'"),
        ({"path": "nope://a/b"}, "path: no storage serves 'nope://a/b'"),
        ({"path_conn_id": "nobody"}, "path_conn_id: there is no connection 'nobody'"),
        ({"path": "{{ '' }}"}, "path must not be empty"),
    ],
)
def test_what_cannot_be_exported_fails_for_good(world: World, given: dict[str, Any], told: str) -> None:
    world.done(push(people(1)))
    assert told in world.refused(export(world, **{"sync_id": SYNC, "sync_run_id": "d/run/push/-1", **given}))


def test_a_storage_that_takes_nothing_is_tried_again(world: World) -> None:
    summary = world.done(push(people(1)))
    result = world.run(export(world, summary=summary, path="/proc/nowhere"))
    assert result.state == "up_for_retry"
    assert str(result.error).startswith("path: '/proc/nowhere' takes no object (No such file or directory): look at")


# Airflow's API counts task instances so.
@pytest.mark.filterwarnings("ignore:The Result.tuples:DeprecationWarning")
def test_airflow_runs_it_behind_a_push_that_failed_and_keeps_its_event(
    world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    set_connections(world.api.connections)
    world.set(reject="first_name~First1")
    own = Asset("mine")
    with DAG("export_behind", schedule=None) as dag:
        whole = PushContactsOperator(**{**TABLED, "retries": 0}, records=people(2))
        parts = PushContactsOperator.partial(**{**TABLED, "task_id": "parts", "retries": 0}).expand(
            records=[people(1, 5), people(2, 6)]
        )
        export(world, dag, summary=whole.output, retries=0)
        export(world, dag, task_id="static", summary=parts.output, outlets=[own], retries=0)
    run = run_dag(dag)
    states = {ti.task_id: ti.state for ti in run.get_task_instances() if ti.map_index != 1}
    assert states == {"push": "failed", "parts": "success", "export": "success", "static": "success"}
    assert len(list((world.folder / "out").rglob("*.ndjson"))) == 3
    with create_session() as session:
        found = session.scalars(select(AssetEvent).where(AssetEvent.source_dag_id == "export_behind"))
        events = {one.source_task_id: (one.asset.uri, one.extra) for one in found}
    folder = (world.folder / "out").as_uri()
    assert events == {
        "export": (folder, {"num_objects": 1, "num_rows": 2, "num_taken_over": 0}),
        "static": ("mine", {}),
    }


@pytest.mark.parametrize("kind", ["STRING", "VARCHAR"])
def test_the_documented_query_shows_history_and_latest_state(world: World, kind: str) -> None:
    done = three_runs(world)
    with closing(sqlite3.connect(":memory:")) as warehouse:
        warehouse.execute(documented("sql", f"sync_id {kind}"))
        columns = [one[1] for one in warehouse.execute("PRAGMA table_info(contact_outcomes_history)")]
        # The first is loaded twice.
        for row in [row for one in [*done, done[0]] for row in read(one["path"])]:
            assert list(row) == columns
            marks = ", ".join("?" * len(columns))
            warehouse.execute(f"INSERT INTO contact_outcomes_history VALUES ({marks})", list(row.values()))
        warehouse.row_factory = sqlite3.Row
        found = warehouse.execute(documented("sql", "PARTITION BY")).fetchall()
    assert [(one["record_identifier"], one["run_id"], one["status"]) for one in found] == HISTORY
    assert {one["record_identifier"]: one["run_id"] for one in found if one["from_newest"] == 1} == LATEST

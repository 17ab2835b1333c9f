"""Iterations of one task in a loop of Airflow 3.4: each is a run of its own, as the next dag run would be."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk import DAG, task, task_group

from airflow_provider_contacts.operators import PushContactsOperator, ReplayContactsOperator
from tests.airflow_harness import needs_loops
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.pushing import CALLS, DEX, World, callees, counts, people, push

pytestmark = needs_loops
REGION = UUID("01a22ec7-1afa-7f34-bffd-1184d7f78fdb")


def iteration(index: int) -> dict[str, Any]:
    return {"region_id": REGION, "region_index": index}


def test_each_iteration_of_a_loop_is_a_run_of_its_own(world: World) -> None:
    # One more record each time; the first one is refused, and taken the third time.
    world.simulator.set("talkdesk.reject", "first_name~First0")
    seen = []
    for index in range(3):
        if index == 2:
            world.simulator.set("talkdesk.reject", "")
        op = push(callees(2 + index), **CALLS, max_rejected=1)
        summary = world.done(op, **iteration(index))
        seen.append(counts(summary, "rejected", "skipped", "succeeded", "delivered"))
        assert summary["sync_run_id"] == f"d/run/push/-1/{REGION}/{index}"
    assert seen == [(1, 0, 1, 1), (1, 1, 1, 1), (0, 2, 2, 2)]
    assert len(world.stored("talkdesk")) == 4
    rows = world.query("SELECT region, map_index, try_number, status, num_planned FROM contact_outcomes_runs")
    assert [tuple(row.values()) for row in rows] == [
        (f"{REGION}/0", -1, 1, "partial", 2),
        (f"{REGION}/1", -1, 1, "partial", 3),
        (f"{REGION}/2", -1, 1, "succeeded", 4),
    ]


def test_a_retry_belongs_to_its_iteration(world: World) -> None:
    world.set(reject="first_name~First0")
    op = push(people(2))
    assert world.run(op, **iteration(0)).state == "failed"
    sent = world.sent()
    # What an iteration has settled stays settled in its own tries, and in no other's.
    assert world.run(op, 2, **iteration(0)).state == "failed"
    assert (world.sent(), counts(world.summary(op, **iteration(0)), "rejected", "skipped")) == (sent, (1, 1))
    world.set(reject="")
    assert counts(world.done(op, **iteration(1)), "succeeded", "skipped") == (1, 1)


def test_a_doubt_of_an_earlier_iteration_is_held(world: World) -> None:
    world.set(store_then_drop="next:1")
    op = push(people(1), max_unknown=0)
    assert world.run(op, **iteration(0)).state == "failed"
    summary = world.done(op, **iteration(1))
    assert (counts(summary, "unknown", "held"), len(world.stored())) == ((1, 1), 1)


def test_a_replay_in_a_loop_counts_again_what_its_iteration_has_settled(world: World) -> None:
    world.set(reject="first_name~First0")
    assert world.run(push(people(2))).state == "failed"
    (sync_id,) = {row["sync_id"] for row in world.query("SELECT sync_id FROM contact_outcomes")}
    given = {name: DEX[name] for name in ("contacts_conn_id", "retries")}
    with DAG("d", schedule=None):
        op = ReplayContactsOperator(task_id="again", sync_id=sync_id, outcomes_conn_id="outcomes", **given)
    for try_number in (1, 2):
        assert world.run(op, try_number, **iteration(0)).state == "failed"
        assert counts(world.summary(op, **iteration(0)), "rejected", "planned") == (1, 1)
    world.set(reject="")
    assert counts(world.done(op, **iteration(1)), "succeeded", "planned") == (1, 1)


def test_without_a_table_each_iteration_begins_anew(world: World) -> None:
    op = push(people(2), outcomes_conn_id=None)
    for index in range(2):
        assert counts(world.done(op, **iteration(index)), "succeeded", "skipped") == (2, 0)
        assert counts(world.done(op, 2, **iteration(index)), "succeeded", "skipped") == (0, 2)


# By Airflow itself.


@pytest.mark.filterwarnings("ignore:The Result.tuples")  # Airflow 3.4 with SQLAlchemy 2.1
def test_airflow_runs_a_loop(world: World, run_dag: RunDag, set_connections: SetConnections) -> None:
    world.simulator.set("talkdesk.reject", "first_name~First0")
    set_connections(world.api.connections)
    mapped: dict[str, Any] = {**CALLS, "task_id": "mapped", "sync_id": "mapped"}
    untabled: dict[str, Any] = {**CALLS, "outcomes_conn_id": None, "task_id": "untabled"}
    with DAG("looped", schedule=None) as dag:

        def records(*, loop: Any) -> list[dict[str, Any]]:
            return callees(2 + loop.index)

        def end() -> None:
            pass

        def rounds() -> None:
            records_of_it: Any = task(records)
            given, last = records_of_it(), task(end)()
            PushContactsOperator(**CALLS, max_rejected=1, records=given) >> last
            PushContactsOperator(**untabled, max_rejected=1, records=given) >> last
            PushContactsOperator.partial(**mapped).expand(records=[callees(1, 20), callees(1, 30)]) >> last

        group: Any = task_group(rounds)
        group.loop(max_iterations=3)
        outside = PushContactsOperator.partial(**{**mapped, "task_id": "outside"})
        outside.expand(records=[callees(1, 40), callees(1, 50)])
    assert run_dag(dag).state == "success"
    counted = (
        "SELECT map_index, num_rejected, num_skipped, num_succeeded FROM contact_outcomes_runs "
        "WHERE task_id = '%s' ORDER BY map_index, run_no"
    )
    looped, split = (
        [tuple(row.values()) for row in world.query(counted % f"rounds.{name}")] for name in ("push", "mapped")
    )
    assert looped == [(-1, 1, 0, 1), (-1, 1, 1, 1), (-1, 1, 2, 1)]
    assert split == [(index, 0, skipped, 1 - skipped) for index in (0, 1) for skipped in (0, 1, 1)]
    regions = world.query(
        "SELECT task_id, count(DISTINCT region) AS n, sum(sync_run_id LIKE '%/' || map_index || '/' || region) AS ends "
        "FROM contact_outcomes_runs GROUP BY task_id ORDER BY task_id"
    )
    # A mapped task outside of a loop has a region in Airflow, and the id that it has always had here.
    assert [tuple(row.values()) for row in regions] == [
        ("outside", 0, None), ("rounds.mapped", 6, 6), ("rounds.push", 3, 3),
    ]  # fmt: skip
    # c1 by the task with a table and by each iteration without one, c2 from the second iteration on, the others once.
    assert Counter(one["first_name"] for one in world.stored("talkdesk")) == {
        "First1": 4, "First2": 3, "First3": 2, **{f"First{n}": 1 for n in (20, 30, 40, 50)},
    }  # fmt: skip

"""``push`` of a hook with an outcome table behind it: what is remembered, in a task and outside of one."""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_contacts.errors import ConfigError, SupersededError
from airflow_provider_contacts.hooks import DexHook, TalkdeskHook
from airflow_provider_contacts.operators import ContactsOperator
from tests.airflow_harness import airflow_connections
from tests.support.pushing import World, callees, counts, people, push

TABLE: dict[str, Any] = {"sync_key": "key", "outcomes_conn_id": "outcomes", "sync_id": "signups"}


@pytest.fixture
def outside(world: World) -> Iterator[World]:
    """Connections are known, and no task runs."""
    world.connect("dex_default", extra={"reconcile_delay": 0.2})
    with airflow_connections(world.api.connections):
        yield world


def counted(outcomes: Any) -> dict[str, int]:
    return dict(Counter(one.status.value for one in outcomes))


def in_a_task(function: Any) -> Any:
    with DAG("d", schedule=None) as dag:
        task(task_id="push", retries=3)(function)()
    return dag.get_task("push")


def test_a_second_call_skips_what_the_first_one_delivered(outside: World) -> None:
    assert counted(DexHook().push(people(3), **TABLE)) == {"succeeded": 3}
    assert counted(DexHook().push(people(4), **TABLE)) == {"skipped": 3, "succeeded": 1}
    assert outside.statuses() == dict.fromkeys(("p0", "p1", "p2", "p3"), "succeeded")
    runs = outside.query("SELECT * FROM contact_outcomes_runs ORDER BY started_at, sync_run_id")
    assert {(row["num_planned"], row["num_succeeded"], row["num_skipped"]) for row in runs} == {(3, 3, 0), (4, 1, 3)}
    assert {row["status"] for row in runs} == {"succeeded"}
    assert len({row["sync_run_id"] for row in runs}) == 2, "outside of a task each call is a run of its own"
    assert {row["dag_id"] for row in outside.query("SELECT dag_id FROM contact_outcomes")} == {"(none)"}


def test_without_a_key_a_record_that_changes_is_a_new_one_and_the_log_says_so(
    outside: World, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Ada", "Ida"):
        pushed = DexHook().push([{"email": "a@example.com", "first_name": name}], **TABLE | {"sync_key": None})
        assert counted(pushed) == {"succeeded": 1}
    assert outside.sent() == 2
    warned = [text for text in caplog.messages if text.startswith("No sync_key: ")]
    assert len(warned) == 2
    assert "one whose data changes is sent as a new one; name in sync_key the column that identifies" in warned[0]


def test_rows_belong_to_the_task_that_calls_and_are_the_operators_too(world: World) -> None:
    op = in_a_task(lambda: counted(DexHook().push(people(2), **TABLE)))
    assert world.run(op, 2).error is None
    assert world.api.xcoms[("d", "run", "push", -1), "return_value"] == {"succeeded": 2}
    (row,) = world.query(
        "SELECT DISTINCT sync_run_id, dag_id, run_id, task_id, map_index, try_number FROM contact_outcomes"
    )
    assert tuple(row.values()) == ("d/run/push/-1", "d", "run", "push", -1, 2)
    assert world.runs() == [("d/run/push/-1", 2, "succeeded")]
    assert counts(world.done(push(people(3), task_id="next", **TABLE)), "skipped", "succeeded") == (2, 1)


def test_a_retry_knows_what_the_try_before_it_has_sent(world: World) -> None:
    def pushed() -> dict[str, int]:
        found = counted(DexHook().push(people(4), batch_size=1, max_in_flight=1, **TABLE))
        if "unknown" in found:
            raise RuntimeError("try again")
        return found

    op = in_a_task(pushed)
    world.simulator.set("dex.store_then_drop", "nth:2")
    assert world.run(op).state == "up_for_retry"
    world.simulator.set("dex.store_then_drop", "never")
    before = world.sent()
    assert world.run(op, 2).state == "up_for_retry", "a doubt is held"
    assert (world.sent(), len(world.stored())) == (before, 4)
    assert sorted(Counter(world.statuses().values()).items()) == [("succeeded", 3), ("unknown", 1)]


def test_a_task_may_push_to_several_places_one_after_the_other(world: World) -> None:
    def pushed() -> list[dict[str, int]]:
        first = counted(DexHook().push(people(2), **TABLE))
        return [first, counted(TalkdeskHook().push(callees(2), **{**TABLE, "sync_id": "calls"}))]

    op = in_a_task(pushed)
    for try_number, status in ((1, "succeeded"), (2, "skipped")):
        assert world.run(op, try_number).error is None
        assert world.api.xcoms[("d", "run", "push", -1), "return_value"] == [{status: 2}] * 2
    assert len(world.statuses()) == 4


def test_the_newest_push_of_a_task_takes_over(world: World) -> None:
    def pushed() -> None:
        one = DexHook().push(people(50), batch_size=1, max_in_flight=1, **TABLE)
        next(one)
        assert counted(TalkdeskHook().push(callees(2), **{**TABLE, "sync_id": "calls"})) == {"succeeded": 2}
        with pytest.raises(SupersededError, match="d/run/push/-1"):
            list(one)

    assert world.run(in_a_task(pushed)).error is None
    assert world.sent() < 50


def test_the_other_parameters_of_the_table_count_too(outside: World) -> None:
    outside.set(reject="first_name~^First1$", store_then_drop="next:1")
    given: dict[str, Any] = {**TABLE, "outcomes_table": "ledger", "store_payload": "all", "unmapped": "ignore"}
    odd = {"key": "odd", "email": "o@example.com", "shoe": 41}
    assert counted(DexHook().push([odd], **given)) == {"unknown": 1}
    assert counted(DexHook().push([*people(2), odd], **given, on_unknown="reconcile"))["succeeded"] == 2
    assert len(outside.stored()) == 2
    assert all(row["record_payload"] for row in outside.query("SELECT record_payload FROM ledger"))
    with pytest.raises(ConfigError, match="CREATE TABLE missing"):
        list(DexHook().push([odd], **{**given, "outcomes_table": "missing", "create_tables": False}))


@pytest.mark.parametrize("how", ["close", "with", "forget"])
def test_reading_that_ends_early_lets_go_of_everything(outside: World, how: str) -> None:
    outcomes = DexHook().push(people(100), batch_size=1, max_in_flight=1, **TABLE)
    if how == "with":
        with outcomes:
            assert next(outcomes).status == "succeeded"
    else:
        assert next(outcomes).status == "succeeded"
    if how == "close":
        outcomes.close()
    del outcomes
    assert [thread.name for thread in threading.enumerate() if thread.name == "contacts-client"] == []
    assert 0 < outside.sent() < 100
    (row,) = outside.query("SELECT status, num_succeeded, status_message FROM contact_outcomes_runs")
    assert row["status"] == "aborted"
    assert row["status_message"] == "its outcomes were read no further, which stops a push"
    # Nobody is left in doubt by it, and the next call sends the rest.
    assert counted(DexHook().push(people(100), **TABLE)) == {
        "skipped": row["num_succeeded"], "succeeded": 100 - row["num_succeeded"],
    }  # fmt: skip
    assert len(outside.stored()) == 100


def test_a_closed_one_gives_nothing_more(outside: World) -> None:
    outcomes = DexHook().push(people(5), **TABLE)
    outcomes.close()
    assert list(outcomes) == []
    assert outside.sent() == 0


def test_its_parameters_are_the_operators() -> None:
    own = inspect.signature(DexHook.push).parameters
    operators = inspect.signature(ContactsOperator.__init__).parameters
    shared = [name for name in own if name not in {"self", "records"}]
    assert len(shared) == 16
    assert {name: own[name].default for name in shared} == {name: operators[name].default for name in shared}
    assert {name: own[name].kind for name in shared} == dict.fromkeys(shared, inspect.Parameter.KEYWORD_ONLY)

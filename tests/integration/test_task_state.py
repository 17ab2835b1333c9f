"""Without an outcome table: what a next try of the same run knows from Airflow's task state store."""

from __future__ import annotations

import json
import subprocess
import time
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator
from airflow_provider_contacts.outcome import digest_of
from tests.airflow_harness import Call, Execution, needs_state_store, scope_of, states_of
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.processes import child
from tests.support.pushing import DEX, World, callees, counts, people
from tests.support.pushing import push as push_records

pytestmark = needs_state_store
CALLS: dict[str, Any] = {"contacts_conn_id": "talkdesk_default"}
push = partial(push_records, outcomes_conn_id=None)


def is_write(call: Call) -> bool:
    return call.method == "PUT" and call.path[0] == "store"


def entries(world: World, op: Any) -> dict[str, str]:
    """Return the last status of every record, by the digest that a log shows."""
    kept = world.api.store[scope_of(op)]
    steps = sorted((key for key in kept if key.count(".") == 2), key=lambda key: [*map(int, key.split(".")[1:])])
    return {entry[0][:12]: entry[1] for step in steps for entry in kept[step]}


# The next try.


def test_a_retry_sends_only_what_was_not_delivered(world: World) -> None:
    world.simulator.set("dex.http_429", "nth:2")
    op = push(people(6), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).state == "up_for_retry"
    assert (world.summary(op)["num_delivered"], world.summary(op)["status"]) == (4, "failed")
    summary = world.done(op, 2)
    assert counts(summary, "skipped", "succeeded", "delivered", "requests") == (4, 2, 6, 1)
    assert len(world.stored()) == 6
    ids = {entry["destination_record_id"] for entry in summary["outcomes"]}
    assert ids == {one.id for one in world.simulator.dex.stored}


def test_a_lost_answer_is_held_and_not_sent_again(world: World) -> None:
    world.simulator.set("dex.store_then_drop", "next:1")
    world.simulator.set("dex.http_429", "nth:2")
    op = push(people(6), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).state == "up_for_retry"
    assert world.run(op, 2).state == "failed"
    assert counts(world.summary(op), "unknown", "held", "delivered") == (2, 0, 4)
    assert (len(world.stored()), len({one["first_name"] for one in world.stored()})) == (6, 6)
    assert list(entries(world, op).values()).count("unknown") == 2


def test_a_doubt_of_an_earlier_try_is_looked_for_at_the_vendor(world: World) -> None:
    world.simulator.set("talkdesk.store_then_drop", "next:1")
    world.connect(
        "talkdesk_default", extra={**world.api.connections["talkdesk_default"]["extra"], "reconcile_delay": 0.1}
    )
    assert world.run(push(callees(2), **CALLS)).state == "failed"
    op = push(callees(2), **CALLS, on_unknown="reconcile")
    assert counts(world.done(op, 2), "succeeded", "delivered") == (2, 2)
    assert len(world.stored("talkdesk")) == 2
    assert set(entries(world, op).values()) == {"succeeded"}


def test_a_long_wait_frees_the_worker_until_that_moment(world: World) -> None:
    world.simulator.set("dex.http_429", "nth:2")
    world.simulator.set("dex.retry_after", "300")
    op = push(people(6), batch_size=2, max_in_flight=1)
    assert world.run(op).state == "up_for_reschedule"
    assert counts(world.done(op), "skipped", "succeeded", "delivered") == (2, 4, 6)
    assert (len(world.stored()), states_of(world.api)) == (6, ["up_for_reschedule", "success"])


# Where the memory ends.


def test_a_map_index_remembers_what_is_its_own(world: World) -> None:
    with DAG("d", schedule=None):
        op = PushContactsOperator.partial(**DEX).expand(records=[people(1), people(1)])
    for map_index in (0, 1):
        assert world.done(op, map_index=map_index)["num_succeeded"] == 1
    assert (world.done(op, 2, map_index=1)["num_skipped"], world.sent()) == (1, 2)


def test_nothing_that_is_kept_tells_who_a_record_is(world: World) -> None:
    world.simulator.set("talkdesk.reject", "first_name~First0")
    records = [{**one, "key": f"{one['first_name']}@example.com"} for one in callees(3)]
    op = push(records, **CALLS, max_rejected=1)
    world.done(op)
    stored = json.dumps(list(world.api.store.values()))
    assert not any(word in stored for word in ("First", "Last", "example.com", "+1555"))
    assert entries(world, op)[digest_of("First0@example.com")] == "rejected"


# A store that fails.


def test_without_a_store_a_first_try_pushes_and_says_that_it_forgets(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.refuse = lambda call: 403 if call.path[0] == "store" else None
    world.simulator.set("dex.http_429", "nth:2")
    op = push(people(4), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).state == "up_for_retry"
    assert world.summary(op)["num_succeeded"] == 2
    assert len([text for text in caplog.messages if "sends the same records again" in text]) == 1
    # Nobody knows what the first try has sent: the next one sends nothing rather than all of it.
    sent = world.sent()
    result = world.run(op, 2)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "StoreRefusedError")
    assert world.sent() == sent


def test_without_a_store_a_long_wait_is_a_plain_failure(world: World) -> None:
    world.api.refuse = lambda call: 403 if call.path[0] == "store" else None
    world.simulator.set("dex.http_429", "always")
    world.simulator.set("dex.retry_after", "300")
    op = push(people(1), outcomes_conn_id=" ")
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "RetryLaterError")
    assert states_of(world.api) == ["up_for_retry"]
    assert world.summary(op)["num_failed"] == 1


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_store_that_is_away_sends_nothing_and_is_tried_again(world: World, method: str) -> None:
    world.api.refuse = lambda call: 500 if call.path[0] == "store" and call.method == method else None
    op = push(people(1))
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "LedgerError")
    assert world.sent() == 0


@pytest.mark.parametrize("written", [False, True])
def test_a_mark_whose_fate_is_not_known_sends_nothing(world: World, written: bool) -> None:
    def lose(call: Call) -> int | None:
        if is_write(call) and call.path[-1] == "contacts.1.2" and (failures := failures_left.pop(0)):
            if written:
                world.api._store(call)
            return int(failures)
        return None

    failures_left = [500, *[0] * 9]
    world.api.refuse = lose
    op = push(people(6), batch_size=2, max_in_flight=1)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "LedgerError")
    assert (world.sent(), world.summary(op)["num_failed"]) == (1, 4)
    assert set(entries(world, op).values()) == {"succeeded", "failed"}
    assert (world.done(op, 2)["num_delivered"], len(world.stored())) == (6, 6)


def test_a_newer_try_ends_the_older_one(world: World) -> None:
    op = push(people(6), batch_size=2, max_in_flight=1)

    def clear(call: Call) -> None:
        if is_write(call) and call.path[-1] == "contacts.1.2":
            # Airflow gives every try a new id, and from then on knows the old one no more.
            world.api.begin(Execution(uuid4(), scope_of(op), max_tries=3, should_retry=True))

    world.api.refuse = clear
    result = world.run(op)
    assert type(result.error).__name__ == "SupersededError"
    assert world.sent() == 1
    world.api.refuse = lambda call: None  # noqa: ARG005
    # The answer that Airflow no longer took from the older try is a doubt.
    world.run(op, 3)
    assert (*counts(world.summary(op), "unknown", "succeeded"), len(world.stored())) == (2, 4, 6)


# A memory with a hole.


def test_a_memory_that_was_cleared_is_noticed_and_can_be_done_without(world: World) -> None:
    op = push(people(2))
    world.done(op)
    # What [state_store] clear_on_success does.
    world.api.store.clear()
    assert "clear_on_success" in world.refused(op, 2)
    assert world.sent() == 1
    world.done(push(people(2), on_unknown="resend"), 3)
    assert world.sent() == 2


@pytest.mark.parametrize("trouble", ["connection", "lookup", "parameter"])
def test_a_first_try_that_came_to_nothing_does_not_end_the_next(world: World, trouble: str) -> None:
    connections = world.api.connections
    books: dict[str, Any] = {"contacts_conn_id": "apptoto_default", "sync_key": None}
    if trouble == "connection":
        world.api.connections = {}
    wrong: dict[str, Any] = {
        "lookup": {"destination": {"address_book": "typo"}},
        "parameter": {"max_rejected": "{{ 'x' }}"},
    }
    op = push([], **books, **wrong.get(trouble, {}))
    assert world.run(op).error is not None
    world.api.connections = connections
    assert world.run(push([], **books), 2).error is None


# A worker that is killed: a real process.

CHILD = """
import json, sys
import tests.support.airflow_fixtures
from pathlib import Path
from airflow.sdk import DAG
from airflow_provider_contacts.operators import PushContactsOperator
from tests.airflow_harness import MemAPI, run_op
from tests.support.pushing import people
class Written(MemAPI):
    def __call__(self, request):
        answer = super().__call__(request)
        Path("store.json").write_text(json.dumps([value for value in self.store.values()]))
        return answer
with DAG("d", schedule=None):
    op = PushContactsOperator(task_id="push", contacts_conn_id="dex_default", sync_key="key", retries=3,
                              records=people(8), batch_size=2, max_in_flight=2)
run_op(op, Written(connections=json.loads(sys.argv[1])))
"""


def test_what_a_killed_worker_had_sent_is_known_to_the_next_try(world: World) -> None:
    world.simulator.set("dex.store_then_hang", "nth:3")
    process = child(CHILD, json.dumps(world.api.connections), folder=world.folder, stdout=subprocess.DEVNULL)
    op = push(people(8))
    deadline = time.monotonic() + 60
    # Three batches are through, the fourth was sent and is not answered.
    while world.simulator.dex.counts["stored"] < 8 or kept(world).count('"succeeded"') < 6:
        assert time.monotonic() < deadline, "the task does not get there"
        time.sleep(0.02)
    process.kill()
    process.wait(timeout=30)
    (world.api.store[scope_of(op)],) = json.loads(kept(world))
    assert sorted(entries(world, op).values()) == ["sending"] * 2 + ["succeeded"] * 6
    world.simulator.set("dex.store_then_hang", "never")
    assert world.run(op, 2).state == "failed"
    summary = world.summary(op)
    assert counts(summary, "skipped", "unknown", "requests") == (6, 2, 0)
    assert summary["error_codes"] == {"interrupted": 2}
    assert len(world.stored()) == 8
    assert sorted(entries(world, op).values()) == ["succeeded"] * 6 + ["unknown"] * 2


def kept(world: World) -> str:
    file = world.folder / "store.json"
    return file.read_text() if file.exists() else ""


# Airflow's own API and database.


def test_a_retry_within_airflow_itself(world: World, run_dag: RunDag, set_connections: SetConnections) -> None:
    set_connections(world.api.connections)
    world.simulator.set("dex.http_429", "nth:2")
    with DAG("remembered", schedule=None) as dag:
        PushContactsOperator(
            **{**DEX, "retries": 1, "retry_delay": 0}, records=people(6), batch_size=2, max_in_flight=1,
            request_attempts=1,
        )  # fmt: skip
    run = run_dag(dag)
    assert run.state == "success"
    assert len(world.stored()) == len({one["first_name"] for one in world.stored()}) == 6

"""How a task ends, and what the next try and the next run make of it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.errors import MOST_RESCHEDULES
from airflow_provider_contacts.operators import PushContactsOperator
from tests.support.processes import ROOT, child
from tests.support.pushing import CALLS, TABLED, World, callees, counts, people, postgres_connection, push, sql_push

BAD: dict[str, Any] = {"key": "bad", "email": "none"}
BAD_CALL: dict[str, Any] = {"key": "bad", "first_name": "A", "last_name": "B"}


def statuses(world: World, op: Any) -> tuple[str, str]:
    """Return what the table of runs and XCom say; the documents' query finds what ended badly, or not at all."""
    (row,) = world.query("SELECT status, completed_at FROM contact_outcomes_runs")
    assert (row["completed_at"] is None) == (row["status"] == "running")
    text = (ROOT / "docs" / "outcomes.md").read_text("utf-8")
    query = re.search(r"Runs that ended badly, or not at all:\n\n```sql\n(.*?)```", text, re.DOTALL)
    assert query is not None
    assert len(world.query(query[1])) == (row["status"] in {"failed", "aborted", "running"})
    return row["status"], world.summary(op)["status"]


# The end.


REFUSED_FOR_NOW = {"http_429": "always", "retry_after": "0"}
HALF_LOST = {"store_then_drop": "next:1"}
ENDS: dict[str, tuple[list[dict[str, Any]], dict[str, str], dict[str, Any], str, str]] = {
    "everything delivered": (people(4), {}, {}, "success", "succeeded"),
    "nothing given": ([], {}, {}, "success", "succeeded"),
    "losses as tolerated": ([*people(2), BAD], {}, {"max_rejected": 1}, "success", "partial"),
    "nothing but tolerated losses": ([BAD], {}, {"max_rejected": 1}, "success", "partial"),
    "a loss too many": ([*people(2), BAD], {}, {}, "failed", "failed"),
    "half of them, as tolerated": ([*people(1), BAD], {}, {"max_rejected": "0.5"}, "success", "partial"),
    "nothing but losses": ([BAD], {}, {}, "failed", "failed"),
    "failed": (people(4), REFUSED_FOR_NOW, {}, "up_for_retry", "failed"),
    "failed beside invalid": ([*people(4), BAD], REFUSED_FOR_NOW, {}, "up_for_retry", "failed"),
    "unknown as tolerated": (people(4), HALF_LOST, {"max_unknown": "2"}, "success", "partial"),
    "an unknown too many": (people(4), HALF_LOST, {"max_unknown": 1}, "failed", "failed"),
    "refused in the middle": (people(4), {"http_403": "nth:2"}, {}, "failed", "aborted"),
    **{
        f"refused, {status}": ([*people(250), BAD], {f"http_{status}": "always"}, {}, "failed", "aborted")
        for status in (401, 403, 404)
    },
}


@pytest.mark.parametrize("case", ENDS)
def test_how_a_push_ends(world: World, case: str) -> None:
    records, fault, parameters, state, word = ENDS[case]
    world.set(**fault)
    op = push(records, **parameters, batch_size=2, max_in_flight=1, request_attempts=1)
    result = world.run(op)
    assert result.state == state
    assert (type(result.error).__name__ == "AirflowFailException") == (state == "failed")
    assert statuses(world, op) == (word, word)
    assert world.summary(op)["num_planned"] == len(records), "an outcome for each, also of what was never sent"


def test_failed_records_are_a_plain_failure_with_the_summary_in_xcom(world: World) -> None:
    world.set(http_429="always")
    op = push(people(2), request_attempts=1)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "UndeliveredError")
    assert str(result.error) == (
        "of 2 records 2 failed; first codes: rate_limited (2); last cause: Dex at "
        f"{world.served.url.removeprefix('http://')} (connection 'dex_default') answered HTTP 429; "
        "the link Outcomes of this task, or rows (connection 'outcomes'): SELECT record_identifier, "
        "status, error_code, error_field, status_message FROM contact_outcomes WHERE sync_run_id = 'd/run/push/-1' "
        "AND status IN ('failed')"
    )
    (query,) = str(result.error).split("): ")[1:]
    assert [row["error_code"] for row in world.query(query)] == ["rate_limited"] * 2
    assert counts(world.summary(op), "failed") == (2,)


def test_a_missing_answer_to_the_look_up_may_be_tried_again(world: World) -> None:
    world.simulator.set("apptoto.read.http_500", "always")
    op = push([{"name": "A", "email": "a@example.com"}], sync_key=None, contacts_conn_id="apptoto_default",
              destination={"address_book": "Demo"})  # fmt: skip
    assert world.run(op).state == "up_for_retry"
    world.simulator.set("apptoto.read.http_500", "never")
    world.simulator.set("apptoto.read.http_401", "always")
    assert world.run(op, 2).state == "failed"


def test_a_source_that_fails_in_its_middle_is_a_plain_failure(world: World) -> None:
    world.fill(people(400))
    query = "SELECT key, CASE WHEN key = 'p300' THEN abs(-9223372036854775808) ELSE email END AS email FROM people"
    op = sql_push(query, chunk_size=10)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "SourceError")
    assert "row 300 (row_index 299) of the query of connection 'warehouse', or one behind it" in str(result.error)
    assert counts(world.summary(op), "planned") == (299,), "all that was read before it"
    assert statuses(world, op) == ("aborted", "aborted")
    assert "row 300" in world.one("SELECT status_message FROM contact_outcomes_runs")


def test_the_end_is_written_before_the_source_is_closed(world: World) -> None:
    # Closing may take long, and Airflow kills a stopped task after five seconds.
    seen: list[Any] = []

    class Watched(PushContactsOperator):
        @contextmanager
        def rows(self) -> Any:
            with super().rows() as source:
                try:
                    yield source
                finally:
                    seen.append((world.runs()[0][2], next(iter(world.api.xcoms.values()))["status"]))

    with DAG("d", schedule=None):
        op = Watched(**TABLED, records=[BAD])
    world.refused(op)
    assert seen == [("failed", "failed")]


def test_a_broken_xcom_does_not_hide_why_the_task_fails(world: World) -> None:
    world.api.refuse = lambda call: 500 if call.method == "POST" and call.path[0] == "xcoms" else None
    assert "1 rejected or invalid" in world.refused(push([BAD]))


# Why.


@pytest.mark.parametrize(
    ("knob", "count", "cause"),
    [
        ("dex.store_then_drop", 2, "connection 'dex_default': the server closed the connection before it answered"),
        ("dex.http_500", 60, "Dex at 127.0.0.1:* (connection 'dex_default') answered HTTP 500"),
        ("dex.garbage", 2, "Dex at 127.0.0.1:* (connection 'dex_default') answered HTTP 200, which does not show"),
    ],
)
def test_a_failed_task_says_why_its_requests_got_no_usable_answer(
    world: World, caplog: pytest.LogCaptureFixture, knob: str, count: int, cause: str
) -> None:
    world.simulator.set(knob, "always")
    error = world.run(push(people(count), batch_size=1, request_attempts=1)).error
    port = world.served.url.rpartition(":")[2]
    told = cause.replace("*", port)
    assert f"; last cause: {told}" in str(error)
    away = [text for text in caplog.messages if "requests in a row" in text]
    # Said once, with the cause, whatever comes back behind it.
    assert [told in text for text in away] == [True] * (count > 20)


def test_a_task_that_succeeds_with_losses_says_where_they_are(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert world.run(push([*people(1), BAD], max_rejected=1)).state == "success"
    (text,) = [one for one in caplog.messages if one.startswith("Outcome of each record")]
    (query,) = text.split("): ")[1:]
    assert [row["record_identifier"] for row in world.query(query)] == ["bad"]
    caplog.clear()
    assert world.run(push(people(2, start=10), task_id="all")).state == "success"
    assert not [one for one in caplog.messages if one.startswith("Outcome of each record")]
    assert "last cause" not in world.refused(push([*people(1), BAD], task_id="no"))
    caplog.clear()
    assert "leadid" in world.refused(push(people(1), task_id="none", sync_key="leadid"))
    assert not [one for one in caplog.messages if one.startswith("Outcome of each record")]


# A long Retry-After.


def test_a_long_wait_frees_the_worker_until_that_moment(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.set(http_429="nth:2", retry_after="300")
    op = push(people(6), batch_size=2, max_in_flight=1)
    before = datetime.now(UTC)
    assert world.run(op).state == "up_for_reschedule"
    until = datetime.fromisoformat(world.api.states[0]["reschedule_date"])
    assert timedelta(seconds=290) < until - before < timedelta(seconds=310)
    (reason,) = [text for text in caplog.messages if "comes back at" in text]
    assert reason.startswith(
        f"Dex at {world.served.url.removeprefix('http://')} (connection 'dex_default') asked to wait 300 s "
        "(Retry-After), longer than max_wait=60: the task frees its worker"
    )
    assert f"{until:%Y-%m-%dT%H:%M}" in reason
    assert statuses(world, op) == ("running", "running")
    # The same try comes back, at no cost of one.
    assert counts(world.done(op), "skipped", "succeeded", "delivered") == (2, 4, 6)
    assert world.runs() == [("d/run/push/-1", 1, "succeeded")]
    assert len(world.stored()) == 6


def test_a_vendor_that_never_lets_anything_in_is_an_error(world: World) -> None:
    world.set(http_429="always", retry_after="300")
    op = push(people(1))
    assert world.run(op).state == "up_for_reschedule"
    (ti_id,) = world.api.reschedules
    world.api.reschedules[ti_id] = MOST_RESCHEDULES
    assert world.run(op).state == "up_for_retry"
    assert statuses(world, op) == ("aborted", "aborted"), "a wait that is not waited for any more"


# The next try.


def test_a_retry_sends_only_what_was_not_delivered(world: World) -> None:
    world.set(http_429="nth:2")
    op = push(people(6), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).state == "up_for_retry"
    assert (world.summary(op)["num_delivered"], world.summary(op)["status"]) == (4, "failed")
    assert counts(world.done(op, 2), "skipped", "succeeded", "delivered", "requests") == (4, 2, 6, 1)
    assert len(world.stored()) == 6
    assert [(number, status) for _, number, status in world.runs()] == [(1, "failed"), (2, "succeeded")]
    # Clearing the task is a next try.
    sent = world.sent()
    assert counts(world.done(op, 3), "skipped", "delivered") == (6, 6)
    assert world.sent() == sent


# By a record's first end: the fault, and what the next try of the run and the next run make of it ("sent" as well).
AGAIN: dict[str, tuple[dict[str, str], str, str]] = {
    "succeeded": ({}, "skipped", "skipped"),
    "rejected": ({"reject": "first_name~First0"}, "rejected", "succeeded, sent"),
    "invalid": ({}, "invalid", "invalid"),
    "failed": ({"http_429": "always"}, "succeeded, sent", "skipped"),
    "unknown": ({"store_then_drop": "always"}, "unknown", "unknown"),
}


@pytest.mark.parametrize("first", AGAIN)
def test_what_the_next_try_and_the_next_run_make_of_a_record(world: World, first: str) -> None:
    fault, in_next_try, in_next_run = AGAIN[first]
    world.simulator.update({f"talkdesk.{name}": value for name, value in fault.items()})
    op = push([BAD_CALL] if first == "invalid" else callees(1), **CALLS, request_attempts=1)
    world.run(op)
    assert counts(world.summary(op), first) == (1,)
    world.simulator.update({f"talkdesk.{name}": "" if name == "reject" else "never" for name in fault})
    for expected, try_number, run_id in ((in_next_try, 2, "run"), (in_next_run, 1, "second")):
        before, status = world.sent("talkdesk"), expected.removesuffix(", sent")
        state = world.run(op, try_number, run_id=run_id).state
        summary = world.summary(op, run_id=run_id)
        assert counts(summary, status, "planned") == (1, 1)
        assert world.sent("talkdesk") - before == expected.endswith("sent")
        # A doubt of an earlier run is held, and does not fail this one.
        is_held = status == "unknown" and run_id == "second"
        assert summary["num_held"] == is_held
        assert (state == "success") == (is_held or status in {"succeeded", "skipped"})


# Signals and time-outs: a real process, since Airflow's handler and the kill after it belong to one.

CHILD = """
import json, sys
import tests.support.airflow_fixtures
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_contacts.operators import PushContactsOperator
from tests.airflow_harness import MemAPI, run_op, scope_of
from tests.support.pushing import people
connections, limit = json.loads(sys.argv[1]), float(sys.argv[2])
with DAG("d", schedule=None):
    op = PushContactsOperator(
        task_id="push", contacts_conn_id="dex_default", outcomes_conn_id="outcomes", sync_key="key", retries=3,
        records=people(20), batch_size=1, max_in_flight=2,
        execution_timeout=timedelta(seconds=limit) if limit else None,
    )
api = MemAPI(connections=connections)
result = run_op(op, api)
print(json.dumps([str(result.state), type(result.error).__name__, api.xcoms[scope_of(op), "return_value"]]))
"""


def wait_for_requests(world: World, count: int) -> None:
    deadline = time.monotonic() + 30
    while world.sent() < count:
        assert time.monotonic() < deadline, "the task sends nothing"
        time.sleep(0.02)


def said(process: subprocess.Popen[str]) -> Any:
    out, _ = process.communicate(timeout=30)
    return json.loads(out.strip().splitlines()[-1])


@pytest.mark.parametrize("limit", [0.0, 4.0], ids=["SIGTERM", "execution_timeout"])
def test_a_stopped_task_records_what_is_answered_in_time(world: World, limit: float) -> None:
    # One of two requests is answered within the three seconds that are left, the other never.
    world.simulator.set("dex.reply_delay", "1500ms" if not limit else "100ms")
    world.simulator.set("dex.store_then_hang", "nth:2")
    process = child(CHILD, json.dumps(world.api.connections), str(limit), folder=world.folder)
    wait_for_requests(world, 2)
    if not limit:
        process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    state, error, summary = said(process)
    # Three seconds for the last words; the rest is for a machine that is busy with other tests.
    assert time.monotonic() - stopped < limit + 8
    assert state in {"up_for_retry", "TaskInstanceState.UP_FOR_RETRY"}
    assert error == ("AirflowTaskTimeout" if limit else "InterruptedPushError")
    found = world.statuses()
    assert sorted([found["p0"], found["p1"]]) == ["succeeded", "unknown"]
    assert list(found.values()).count("unknown") == 1
    assert set(found.values()) <= {"succeeded", "unknown", "failed"}
    assert world.runs() == [("d/run/push/-1", 1, "aborted")]
    assert (summary["status"], summary["num_unknown"]) == ("aborted", 1)
    assert summary["num_succeeded"] == sum(status == "succeeded" for status in found.values())
    # The next try sends the rest, and holds the one in doubt.
    world.simulator.reset(knobs=False)
    world.simulator.set("dex.store_then_hang", "never")
    world.simulator.set("dex.reply_delay", "0ms")
    op = push(people(20))
    world.run(op, 2)
    assert world.summary(op)["num_unknown"] == 1
    assert len(world.stored()) == 20 - 1 - summary["num_succeeded"]


# PostgreSQL.


def test_source_and_outcomes_in_postgresql(world: World, postgres: Any) -> None:
    for name in ("warehouse", "outcomes"):
        world.connect(name, **postgres_connection(postgres))
    op = sql_push(
        "SELECT 'k' || n AS key, CASE n WHEN 7 THEN 'none' ELSE 'p' || n || '@example.com' END AS email "
        "FROM generate_series(1, %(count)s) n",
        parameters={"count": 300}, chunk_size=50, outcomes_table="public.task_ends", request_attempts=1,
        max_rejected="0.004",
    )  # fmt: skip
    world.set(http_429="nth:2")
    assert world.run(op).state == "up_for_retry"
    assert counts(world.done(op, 2), "delivered", "invalid", "planned") == (299, 1, 300)
    assert len(world.stored()) == 299
    op.max_rejected = 1
    assert world.done(op, run_id="second")["num_skipped"] == 299

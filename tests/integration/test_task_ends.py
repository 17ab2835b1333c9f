"""How a task ends, and what the next try and the next run make of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import airflow_provider_contacts
from airflow_provider_contacts.operators import PushContactsOperator
from airflow_provider_contacts.task.execution import MOST_RESCHEDULES
from tests.support.by_hand import change
from tests.support.pushing import CALLS, TABLED, World, callees, people, postgres_connection, push, sql_push

ROOT = Path(__file__).resolve().parents[2]
assert airflow_provider_contacts.__file__ is not None
PACKAGE = Path(airflow_provider_contacts.__file__).resolve().parent
BAD: dict[str, Any] = {"key": "bad", "email": "none"}
BAD_CALL: dict[str, Any] = {"key": "bad", "first_name": "A", "last_name": "B"}


def counts(summary: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(summary[f"num_{name}"] for name in names)


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


@pytest.mark.parametrize(
    ("records", "parameters", "status"),
    [
        (people(2), {}, "succeeded"),
        ([], {}, "succeeded"),
        ([*people(2), BAD], {"max_rejected": 1}, "partial"),
        ([BAD], {"max_rejected": 1}, "partial"),
        ([*people(2), BAD], {}, "failed"),
        ([BAD], {}, "failed"),
    ],
)
def test_the_word_for_a_push_that_comes_to_its_end(world: World, records: Any, parameters: Any, status: str) -> None:
    op = push(records, **parameters)
    assert (world.run(op).error is None) == (status != "failed")
    assert statuses(world, op) == (status, status)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"http_429": "always", "retry_after": "0"}, "failed"),
        ({"store_then_drop": "always"}, "failed"),
        ({"http_403": "nth:2"}, "aborted"),
    ],
)
def test_the_word_for_a_vendor_that_refuses(world: World, fault: dict[str, str], status: str) -> None:
    world.set(**fault)
    op = push(people(4), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).error is not None
    assert statuses(world, op) == (status, status)


def test_failed_records_are_a_plain_failure_with_the_summary_in_xcom(world: World) -> None:
    world.set(http_429="always")
    op = push(people(2), request_attempts=1)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "UndeliveredError")
    assert str(result.error) == (
        "of 2 records 2 failed; first codes: rate_limited (2); last cause: Dex at "
        f"{world.served.url.removeprefix('http://')} (connection 'dex_default') answered HTTP 429; "
        "rows (connection 'outcomes'): SELECT record_identifier, "
        "status, error_code, error_field, status_message FROM contact_outcomes WHERE sync_run_id = 'd/run/push/-1' "
        "AND status IN ('failed')"
    )
    (query,) = str(result.error).split("): ")[1:]
    assert [row["error_code"] for row in world.query(query)] == ["rate_limited"] * 2
    assert counts(world.summary(op), "failed") == (2,)
    # Beside rejected ones, too.
    assert world.run(push([*people(1), BAD], request_attempts=1), run_id="second").state == "up_for_retry"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_everything_fails_for_good(world: World, status: int) -> None:
    world.set(**{f"http_{status}": "always"})
    op = push([*people(250), BAD])
    assert f"http_{status}" in world.refused(op)
    assert counts(world.summary(op), "planned", "failed", "invalid") == (251, 250, 1)
    assert statuses(world, op) == ("aborted", "aborted")


@pytest.mark.parametrize(
    ("tolerated", "state"),
    [(0, "failed"), (1, "failed"), (2, "success"), ("2", "success"), ("0.5", "success"), (0.49, "failed")],
)
def test_rejected_and_invalid_are_tolerated_as_asked(world: World, tolerated: Any, state: str) -> None:
    world.run(push(people(4)), run_id="before")
    # Of eight records three are skipped and one is a duplicate: the fraction is of the other four.
    records = [*people(6)[1:], people(6)[5], BAD, {**BAD, "key": "worse"}]
    op = push(records, max_rejected=tolerated)
    assert world.run(op).state == state
    assert counts(world.summary(op), "planned", "skipped", "duplicate") == (8, 3, 1)


@pytest.mark.parametrize(("tolerated", "state"), [(1, "failed"), ("2", "success")])
def test_unknown_are_tolerated_as_asked(world: World, tolerated: Any, state: str) -> None:
    world.set(store_then_drop="next:1")
    op = push(people(4), batch_size=2, max_unknown=tolerated)
    assert world.run(op).state == state
    word = "failed" if state == "failed" else "partial"
    assert (world.summary(op)["num_unknown"], world.summary(op)["status"]) == (2, word)


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
    ("knob", "cause"),
    [
        ("dex.store_then_drop", "connection 'dex_default': the server closed the connection before it answered"),
        ("dex.http_500", "Dex at 127.0.0.1:* (connection 'dex_default') answered HTTP 500"),
        ("dex.garbage", "Dex at 127.0.0.1:* (connection 'dex_default') answered HTTP 200, which does not show"),
    ],
)
@pytest.mark.parametrize("count", [2, 60])
def test_a_failed_task_says_why_its_requests_got_no_usable_answer(
    world: World, caplog: pytest.LogCaptureFixture, knob: str, cause: str, count: int
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


def test_what_is_settled_is_counted_again_and_not_sent(world: World) -> None:
    world.simulator.set("talkdesk.reject", "first_name~First0")
    op = push([*callees(1), BAD_CALL], **CALLS)
    world.run(op)
    sent = world.sent("talkdesk")
    world.refused(op, 2)
    assert counts(world.summary(op), "rejected", "invalid") == (1, 1)
    assert world.sent("talkdesk") == sent
    # A payload that has changed is sent again, in the same run too.
    changed = push([{**callees(1)[0], "first_name": "New"}, BAD_CALL], **CALLS, max_rejected=1)
    assert world.done(changed, 3)["num_succeeded"] == 1


def test_an_unknown_is_held_in_the_same_run_and_in_the_next_which_it_does_not_fail(world: World) -> None:
    world.set(store_then_drop="next:1")
    op = push(people(1))
    world.run(op)
    world.refused(op, 2)
    assert counts(world.summary(op), "unknown", "held") == (1, 0)
    assert world.sent() == 1
    summary = world.done(push(people(2)), run_id="second")
    assert counts(summary, "unknown", "held", "succeeded") == (1, 1, 1)
    assert (summary["status"], len(world.stored())) == ("partial", 2)


# The next run.


def test_the_next_run_sends_again_what_was_refused_and_skips_what_is_there(world: World) -> None:
    world.simulator.set("talkdesk.reject", "first_name~First0")
    world.done(push([*callees(3), BAD_CALL], **CALLS, max_rejected=2))
    world.simulator.set("talkdesk.reject", "")
    changed = {**callees(3)[2], "first_name": "New"}
    mended = {**BAD_CALL, "phone_number": "+15550199"}
    summary = world.done(push([*callees(2), changed, mended], **CALLS), run_id="second")
    assert counts(summary, "succeeded", "skipped", "changed", "delivered") == (2, 2, 1, 2)
    assert len(world.stored("talkdesk")) == 4


def test_an_unknown_is_sent_again_where_that_is_asked_for(world: World) -> None:
    world.set(close_before_store="next:1")
    world.run(push(people(1)))
    change(world, batch_started_at="datetime('now', '-1 hour')")
    world.done(push(people(1), on_unknown="resend"), run_id="second")
    assert world.statuses() == {"p0": "succeeded"}


def test_another_runs_sending_is_left_alone(world: World) -> None:
    world.run(push(people(2)))
    change(world, "p0", status="'sending'")
    op = push(people(2))
    assert world.run(op, run_id="second").state == "up_for_retry"
    assert world.summary(op, run_id="second")["error_codes"] == {"claimed_elsewhere": 1}
    assert world.sent() == 1


# Signals and time-outs: a real process, since Airflow's handler and the kill after it belong to one.

CHILD = """
import json, sys
import tests.support.airflow_fixtures
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_contacts.operators import PushContactsOperator
from tests.airflow_harness import MemAPI, run_op, scope_of
from tests.support.by_hand import change
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


def child(world: World, limit: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", CHILD, json.dumps(world.api.connections), str(limit)]
    # The package that is tested comes first: it may be the installed one.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(ROOT)])}
    environment.pop("AIRFLOW_HOME", None)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=world.folder)


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
    process = child(world, limit)
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

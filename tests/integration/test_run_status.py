"""The word for how a try ended, in the table of runs and in XCom alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator, SqlToContactsOperator
from airflow_provider_contacts.task.execution import MOST_RESCHEDULES
from tests.support.pushing import World, people

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = {"key": "bad", "email": "none"}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "outcomes.md"


def push(records: Any, **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return PushContactsOperator(
            task_id="push",
            records=records,
            **{"contacts_conn_id": "dex_default", "outcomes_conn_id": "outcomes", "sync_key": "key", **parameters},
        )


def statuses(world: World, op: Any) -> tuple[str, str]:
    """Return what table and XCom say."""
    (row,) = world.query("SELECT status, completed_at FROM contact_outcomes_runs")
    assert (row["completed_at"] is None) == (row["status"] == "running")
    return row["status"], world.summary(op)["status"]


def found_by_the_documents_query(world: World) -> int:
    """Return how many runs the document's query for those that ended badly finds."""
    text = DOCUMENT.read_text("utf-8")
    query = re.search(r"Runs that ended badly, or not at all:\n\n```sql\n(.*?)```", text, re.DOTALL)
    assert query is not None
    return len(world.query(query[1]))


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
def test_a_push_that_comes_to_its_end(world: World, records: Any, parameters: Any, status: str) -> None:
    op = push(records, **parameters)
    assert (world.run(op).error is None) == (status != "failed")
    assert statuses(world, op) == (status, status)
    assert found_by_the_documents_query(world) == (status == "failed")


def faults(*settings: tuple[str, str]) -> Callable[[World], None]:
    def apply(world: World) -> None:
        for knob, value in settings:
            world.simulator.set(knob, value)

    return apply


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (faults(("dex.http_429", "always"), ("dex.retry_after", "0")), "failed"),
        (faults(("dex.store_then_drop", "always")), "failed"),
        (faults(("dex.http_401", "always")), "aborted"),
        (faults(("dex.http_403", "nth:2")), "aborted"),
        (faults(("dex.http_404", "always")), "aborted"),
    ],
    ids=["429", "lost answers", "401", "403", "404"],
)
def test_a_vendor_that_refuses(world: World, fault: Callable[[World], None], status: str) -> None:
    fault(world)
    op = push(people(4), batch_size=2, max_in_flight=1, request_attempts=1)
    assert world.run(op).error is not None
    assert statuses(world, op) == (status, status)
    assert found_by_the_documents_query(world) == 1


def test_a_source_that_breaks(world: World) -> None:
    world.fill([{"key": "a", "first_name": "A"}])
    with DAG("d", schedule=None):
        op = SqlToContactsOperator(
            task_id="push",
            sql="SELECT key, first_name, abs(-9223372036854775808) AS last_name FROM people",
            sql_conn_id="warehouse",
            sync_key="key",
            contacts_conn_id="dex_default",
            outcomes_conn_id="outcomes",
        )
    assert world.run(op).error is not None
    (row,) = world.query("SELECT status, status_message FROM contact_outcomes_runs")
    assert row["status"] == "aborted"
    assert row["status_message"] != "OperationalError"
    assert found_by_the_documents_query(world) == 1


def test_a_wait_without_a_worker_is_still_running(world: World) -> None:
    world.simulator.set("dex.http_429", "always")
    world.simulator.set("dex.retry_after", "300")
    op = push(people(1))
    assert world.run(op).state == "up_for_reschedule"
    assert statuses(world, op) == ("running", "running")
    assert found_by_the_documents_query(world) == 1
    (ti_id,) = world.api.reschedules
    world.api.reschedules[ti_id] = MOST_RESCHEDULES
    assert world.run(op).error is not None
    assert statuses(world, op) == ("aborted", "aborted"), "a wait that is not waited for any more"

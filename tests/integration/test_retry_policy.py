"""What a failure says of the next try, and what Airflow then does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_contacts import errors
from airflow_provider_contacts.hooks import DexHook
from airflow_provider_contacts.retry_policy import ContactsRetryPolicy
from tests.airflow_harness import AIRFLOW, MemAPI, airflow_connections, run_op
from tests.support.pushing import World, people

if AIRFLOW < (3, 3):
    pytest.skip("Airflow has retry policies from 3.3 on: see test_versions.py", allow_module_level=True)

from airflow.sdk import RetryAction  # not below 3.3

MINUTE = timedelta(minutes=1)
POLICY = ContactsRetryPolicy(delay=MINUTE, longest=timedelta(minutes=5), longest_wait=timedelta(hours=1))


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class Failing(BaseOperator):
    def __init__(self, *, error: BaseException, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def execute(self, context: Any) -> None:  # noqa: ARG002  # Airflow's signature
        raise self.error


def ended(error: BaseException, try_number: int = 1, policy: ContactsRetryPolicy = POLICY) -> dict[str, Any]:
    """Return what the worker reports after a task that failed so."""
    with DAG("d", schedule=None):
        op = Failing(task_id="task", error=error, retries=3, retry_delay=timedelta(minutes=30), retry_policy=policy)
    api = MemAPI()
    run_op(op, api, try_number)
    return api.states[-1]


HOPELESS = [
    errors.ConfigError("wrong"),
    errors.RefusedError("http_403"),
    errors.UndeliveredError("only rejected", retryable=False),
]
HOPEFUL = [
    errors.UndeliveredError("one failed", retryable=True),
    errors.LedgerError("away"),
    errors.LookupFailedError("no answer"),
    errors.InterruptedPushError("stopped"),
    errors.ContactsError("other"),
]
ABOUT_WHICH_AIRFLOW_DECIDES = [RuntimeError("source"), errors.SupersededError("newer")]


@pytest.mark.parametrize(
    ("error", "state", "delays"),
    [
        *((error, "failed", [None] * 3) for error in HOPELESS),
        # Longer each time.
        *((error, "up_for_retry", [60.0, 120.0, 240.0]) for error in HOPEFUL),
        *((error, "up_for_retry", [None] * 3) for error in ABOUT_WHICH_AIRFLOW_DECIDES),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_an_error_says_of_the_next_try(error: Exception, state: str, delays: list[float | None]) -> None:
    reports = [ended(error, number) for number in (1, 2, 3)]
    assert [report["state"] for report in reports] == [state] * 3
    assert [report.get("retry_delay_seconds") for report in reports] == delays
    assert ended(error, 4)["state"] == "failed", "no more than Airflow allows"


def test_the_wait_has_an_end() -> None:
    for number in (4, 50, 10_000):
        decision = POLICY.evaluate(errors.LedgerError("away"), number, 20_000)
        assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(minutes=5))


@pytest.mark.parametrize(("seconds", "least", "most"), [(300, 299, 300), (-5, 0, 0), (1e6, 3600, 3600)])
def test_the_vendors_moment_is_waited_for(seconds: float, least: float, most: float) -> None:
    report = ended(errors.RetryLaterError("later", soon(seconds)))
    assert report["state"] == "up_for_retry"
    assert least <= report["retry_delay_seconds"] <= most
    assert "the wait ends then" in report["retry_reason"]


class Pushing(BaseOperator):
    """What a task of one's own does with the hook."""

    def execute(self, context: Any) -> int:  # noqa: ARG002  # Airflow's signature
        return len(list(DexHook("dex_default").push(people(2), sync_key="key")))


@pytest.mark.parametrize(
    ("knobs", "state", "least"),
    [
        ({"dex.http_401": "always"}, "failed", None),
        ({"dex.http_429": "always", "dex.retry_after": "600"}, "up_for_retry", 590),
    ],
)
def test_a_task_of_ones_own_is_told_too(world: World, knobs: dict[str, str], state: str, least: Any) -> None:
    for name, value in knobs.items():
        world.simulator.set(name, value)
    with DAG("d", schedule=None):
        op = Pushing(task_id="own", retries=3, retry_policy=POLICY)
    with airflow_connections(world.api.connections):
        world.run(op)
    report = world.api.states[-1]
    assert report["state"] == state
    assert least is None or least <= report["retry_delay_seconds"] <= 600


def test_it_serializes_and_so_does_a_dag_with_it() -> None:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    data = json.loads(json.dumps(POLICY.serialize()))
    again = ContactsRetryPolicy.deserialize(data)
    assert (again.delay, again.longest, again.longest_wait) == (MINUTE, timedelta(minutes=5), timedelta(hours=1))
    assert data["__type"] == "airflow_provider_contacts.retry_policy.ContactsRetryPolicy"

    def stored() -> str:
        with DAG("d", schedule=None, default_args={"retry_policy": ContactsRetryPolicy()}) as dag:
            Failing(task_id="task", error=ValueError())
            Failing.partial(task_id="mapped", retry_policy=ContactsRetryPolicy()).expand(error=[1])
        return json.dumps(LazyDeserializedDAG.from_dag(dag).data, sort_keys=True)

    assert "has_retry_policy" in stored()
    assert stored() == stored(), "no address in memory, which would be a new version at every parse"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"delay": timedelta(0)}, "delay is a timedelta above zero"),
        ({"delay": 5}, "delay is a timedelta above zero, not 5"),
        ({"delay": timedelta(hours=2)}, "longest is not shorter than delay, which is 2:00:00, not 1:00:00"),
        ({"longest_wait": timedelta(0)}, "longest_wait is a timedelta above zero"),
        ({"longest": -MINUTE}, "longest is a timedelta above zero"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ContactsRetryPolicy(**wrong)


class Remembered(BaseOperator):
    """The same with an outcome table."""

    def execute(self, context: Any) -> list[str]:  # noqa: ARG002  # Airflow's signature
        given: dict[str, Any] = {"outcomes_conn_id": "outcomes", "sync_id": "own", "batch_size": 2, "max_in_flight": 1}
        return [one.status.value for one in DexHook("dex_default").push(people(6), sync_key="key", **given)]


def test_a_long_wait_of_what_a_table_remembers_costs_no_try(world: World) -> None:
    is_free = hasattr(RetryAction, "RESCHEDULE")  # from Airflow 3.4 on
    world.set(http_429="nth:2", retry_after="600")
    with DAG("d", schedule=None):
        op = Remembered(task_id="own", retries=3, retry_policy=POLICY)
    with airflow_connections(world.api.connections):
        before = datetime.now(UTC)
        assert world.run(op).state == ("up_for_reschedule" if is_free else "up_for_retry")
        if is_free:
            until = datetime.fromisoformat(world.api.states[-1]["reschedule_date"])
            assert timedelta(seconds=590) < until - before < timedelta(seconds=660)
            # A vendor that never lets anything in costs a try at last.
            world.api.reschedules = dict.fromkeys(world.api.reschedules, errors.MOST_RESCHEDULES)
            world.set(http_429="always")
            assert world.run(op).state == "up_for_retry"
        world.set(http_429="never")
        assert world.run(op, 2).error is None
    (seen,) = world.api.xcoms.values()
    assert seen == ["skipped"] * 2 + ["succeeded"] * 4
    assert len(world.stored()) == 6

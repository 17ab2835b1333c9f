from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx  # noqa: TID253  # a test of its errors
import pytest
from airflow.sdk import DAG, BaseHook, BaseOperator, Variable, XComArg, task
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRescheduleException,
    AirflowRuntimeError,
)

from tests.airflow_harness import (
    AIRFLOW,
    Call,
    MemAPI,
    airflow_connections,
    needs_loops,
    needs_state_store,
    run_op,
    scope_of,
    states_of,
)
from tests.support.airflow_fixtures import RunDag, SetConnections

LATER = datetime(2030, 1, 1, tzinfo=UTC)


class ProbeOperator(BaseOperator):
    """Does what ``plan`` says, a word an execution, and keeps what it saw in its result."""

    template_fields: Sequence[str] = ("text",)

    def __init__(self, *, plan: str = "return", text: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.plan, self.text = plan, text

    def execute(self, context: Any) -> Any:
        number, reschedules = context["ti"].try_number, context["task_reschedule_count"]
        if store := context.get("task_state_store"):
            store.set("seen", [*store.get("seen", default=[]), number])
        words = self.plan.split()
        match words[min(number + reschedules, len(words)) - 1]:
            case "fail":
                raise RuntimeError("no luck")
            case "stop":
                raise AirflowFailException("hopeless")
            case "later":
                raise AirflowRescheduleException(LATER)  # type: ignore[no-untyped-call]  # Airflow leaves it bare
            case _:
                pass
        return {"text": self.text, "try_number": number, "reschedules": reschedules}


def probe(dag_id: str = "probe", **arguments: Any) -> ProbeOperator:
    with DAG(dag_id, schedule=None):
        return ProbeOperator(task_id="task", **arguments)


def test_success_pushes_the_return_value_and_renders_templates() -> None:
    api, op = MemAPI(), probe(text="{{ run_id }} {{ ti.task_id }} {{ ds }}")
    api.xcoms[scope_of(op), "progress"] = 1  # of an earlier try, which a new one deletes
    result = run_op(op, api)
    assert (result.state, result.error) == ("success", None)
    assert states_of(api) == ["success"]
    text = "run task 2026-01-02"
    assert api.xcoms == {(scope_of(op), "return_value"): {"text": text, "try_number": 1, "reschedules": 0}}
    assert api.rendered[scope_of(op)] == {"text": text}


@pytest.mark.parametrize(
    ("plan", "retries", "states", "error"),
    [
        ("fail", 0, ["failed"], RuntimeError),
        ("stop", 3, ["failed"], AirflowFailException),
        ("fail", 2, ["up_for_retry", "up_for_retry", "failed"], RuntimeError),
        ("later later return", 0, ["up_for_reschedule", "up_for_reschedule", "success"], None),
    ],
)
def test_tries_end_as_in_a_worker_and_share_the_state_store(
    plan: str, retries: int, states: list[str], error: type[Exception] | None
) -> None:
    api, op = MemAPI(), probe(plan=plan, retries=retries)
    # A reschedule costs no try.
    numbers = [1 if "later" in plan else number for number in range(1, len(states) + 1)]
    results = [run_op(op, api, number) for number in numbers]
    assert [result.state for result in results] == states == states_of(api)
    assert error is None or isinstance(results[-1].error, error)
    assert api.store == ({} if AIRFLOW < (3, 3) else {scope_of(op): {"seen": numbers}})
    if error is None:
        assert datetime.fromisoformat(api.states[0]["reschedule_date"]) == LATER
        assert api.xcoms[scope_of(op), "return_value"]["reschedules"] == 2


def in_a_task(function: Callable[[Any], Any]) -> Any:
    """Return a task that calls a function with its context."""

    def called(**context: Any) -> Any:
        return function(context)

    with DAG("d", schedule=None) as dag:
        task(task_id="task")(called)()
    return dag.get_task("task")


@needs_state_store
def test_the_state_store_puts_gets_deletes_and_clears() -> None:
    def use(context: Any) -> Any:
        store, answers = context["task_state_store"], []
        for key in ("a/b c?", "rows:0", "rows:1"):
            answers.append(store.get(key))
            store.set(key, {"n": [1, 2.5, None, True, key]})
            answers.append(store.get(key))
        store.delete("rows:0")
        answers.append(store.get("rows:0", default="gone"))
        store.clear()
        store.set("last", 1)
        return answers

    api, op = MemAPI(), in_a_task(use)
    assert run_op(op, api).state == "success"
    answers = api.xcoms[scope_of(op), "return_value"]
    assert answers[:2] == [None, {"n": [1, 2.5, None, True, "a/b c?"]}]
    assert answers[-1] == "gone"
    assert api.store[scope_of(op)] == {"last": 1}


def test_connections_variables_and_xcoms_are_served() -> None:
    def look(context: Any) -> Any:
        connection = BaseHook.get_connection("vendor")
        with pytest.raises(AirflowNotFoundException):
            BaseHook.get_connection("absent")
        instance = context["ti"]
        instance.xcom_push(key="mine", value=[1])
        return [
            [connection.conn_type, connection.host, connection.port, connection.extra_dejson],
            [Variable.get("known"), Variable.get("absent", default="none")],
            [instance.xcom_pull(task_ids="task", key="mine")],
            [instance.xcom_pull(task_ids="upstream"), instance.xcom_pull(task_ids="nobody")],
        ]

    op = in_a_task(look)
    vendor = {"conn_type": "http", "host": "localhost", "port": 8080, "extra": {"verify": False}}
    api = MemAPI(connections={"vendor": vendor}, variables={"known": "yes"})
    api.xcoms[("d", "run", "upstream", -1), "return_value"] = {"rows": 3}
    assert run_op(op, api).error is None
    assert api.xcoms[scope_of(op), "return_value"] == [
        ["http", "localhost", 8080, {"verify": False}],
        ["yes", "none"],
        [[1]],
        [{"rows": 3}, None],
    ]
    assert api.xcoms[scope_of(op), "mine"] == [1]
    assert any(call.path == ("connections", "vendor") for call in api.calls)


class RowsOperator(BaseOperator):
    template_fields: Sequence[str] = ("rows",)

    def __init__(self, *, rows: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.rows = rows

    def execute(self, context: Any) -> Any:  # noqa: ARG002  # Airflow's signature
        return {"kind": type(self.rows).__name__, "rows": list(self.rows), "some": list(self.rows[1:])}


def test_a_mapped_upstream_is_a_lazy_sequence_in_the_order_of_the_map_index() -> None:
    with DAG("mapped", schedule=None):
        upstream = ProbeOperator.partial(task_id="upstream").expand(text=["a", "b"])
        op = RowsOperator(task_id="task", rows=upstream.output)
    api = MemAPI()
    for map_index in (10, 0, 2):
        api.xcoms[("mapped", "run", "upstream", map_index), "return_value"] = [{"id": map_index}]
    assert run_op(op, api).error is None
    assert api.xcoms[scope_of(op), "return_value"] == {
        "kind": "LazyXComSequence",
        "rows": [[{"id": 0}], [{"id": 2}], [{"id": 10}]],
        "some": [[{"id": 2}], [{"id": 10}]],
    }


@needs_state_store
def test_an_overtaken_try_cannot_write_its_state() -> None:
    api = MemAPI()

    def write(context: Any) -> None:
        context["task_state_store"].set("by", "first")
        api.newest.update(dict.fromkeys(api.newest, "another"))
        context["task_state_store"].set("by", "late")

    op = in_a_task(write)
    result = run_op(op, api)
    assert (result.state, type(result.error)) == ("failed", AirflowRuntimeError)
    assert api.store[scope_of(op)] == {"by": "first"}


@needs_loops
def test_the_iterations_of_a_loop_share_neither_xcoms_nor_the_state_store() -> None:
    loop, api = uuid4(), MemAPI()

    def write(context: Any) -> Any:
        instance, store = context["ti"], context["task_state_store"]
        instance.xcom_push(key="mine", value=context["loop"].index)
        found = [store.get("by"), instance.xcom_pull(task_ids="task", key="mine")]
        store.set("by", instance.region_index)
        return [*found, str(instance.region_id), instance.map_index, instance.xcom_pull(task_ids="before")]

    op = in_a_task(write)
    api.xcoms[("d", "run", "before", -1), "return_value"] = "outside"
    for index in range(2):
        assert run_op(op, api, region_id=loop, region_index=index).error is None
        scope = scope_of(op, region_id=loop, region_index=index)
        assert api.xcoms[scope, "return_value"] == [None, index, str(loop), -1, "outside"]
        assert (api.xcoms[scope, "mine"], api.store[scope]) == (index, {"by": index})


@pytest.mark.skipif(AIRFLOW >= (3, 4), reason="this Airflow has loops")
def test_a_loop_below_its_airflow_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="needs_loops"):
        run_op(probe(), MemAPI(), region_id=uuid4(), region_index=0)


def test_an_error_of_httpx_reaches_the_task_as_airflows_own() -> None:
    def refuse(call: Call) -> None:
        if call.path[0] == "xcoms":
            raise httpx.ConnectError("no way")

    result = run_op(in_a_task(lambda context: context["ti"].xcom_push("x", 1)), MemAPI(refuse=refuse))
    assert isinstance(result.error, AirflowRuntimeError)
    assert "no way" in str(result.error)


def test_what_the_harness_does_not_know_fails_loudly() -> None:
    op = in_a_task(lambda context: context["ti"].get_task_states(dag_id="x"))
    with pytest.raises(AssertionError, match="does not serve"):
        run_op(op, MemAPI())


@pytest.mark.parametrize("before", [None, '{"conn_type": "old"}'])
def test_connections_stand_in_the_environment_for_the_block_only(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SOME_VENDOR", raising=False)
    if before:
        monkeypatch.setenv("AIRFLOW_CONN_SOME_VENDOR", before)
    with airflow_connections({"some_vendor": {"conn_type": "http", "extra": {"a": 1}}}):
        assert BaseHook.get_connection("some_vendor").extra_dejson == {"a": 1}
    assert os.environ.get("AIRFLOW_CONN_SOME_VENDOR") == before


def test_a_dag_runs_with_retries_mapping_and_xcom(run_dag: RunDag, set_connections: SetConnections) -> None:
    set_connections({"vendor": {"conn_type": "http", "host": "localhost"}})

    class HostOperator(ProbeOperator):
        def execute(self, context: Any) -> Any:
            super().execute(context)
            return BaseHook.get_connection("vendor").host

    with DAG("whole", schedule=None) as dag:
        first = ProbeOperator.partial(
            task_id="first", plan="fail return", retries=1, retry_delay=timedelta(seconds=0)
        ).expand(text=["a", "b"])
        RowsOperator(task_id="second", rows=XComArg(first)) >> HostOperator(task_id="third")
    before = signal.getsignal(signal.SIGTERM)
    run = run_dag(dag)
    assert signal.getsignal(signal.SIGTERM) is before
    assert run.state == "success"
    tries = {(ti.task_id, ti.map_index): (ti.state, ti.try_number) for ti in run.get_task_instances()}
    assert tries == {
        ("first", 0): ("success", 2),
        ("first", 1): ("success", 2),
        ("second", -1): ("success", 1),
        ("third", -1): ("success", 1),
    }

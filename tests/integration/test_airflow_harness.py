from __future__ import annotations

import os
from typing import Any

import httpx  # noqa: TID253  # a test of its errors
import pytest
from airflow.sdk import DAG, BaseHook, Variable, task
from airflow.sdk.exceptions import AirflowRuntimeError

from tests.airflow_harness import Call, MemAPI, airflow_connections, needs_state_store, run_op, scope_of


def in_a_task(function: Any) -> Any:
    with DAG("d", schedule=None) as dag:
        task(task_id="task")(function)()
    return dag.get_task("task")


def test_what_the_harness_does_not_know_fails_loudly() -> None:
    def ask(**context: Any) -> None:
        context["ti"].get_task_states(dag_id="x")

    with pytest.raises(AssertionError, match="does not serve"):
        run_op(in_a_task(ask), MemAPI())


def test_a_new_try_deletes_what_the_one_before_has_pushed() -> None:
    api, op = MemAPI(), in_a_task(lambda: 1)
    api.xcoms[scope_of(op), "progress"] = 1
    assert run_op(op, api).state == "success"
    assert api.xcoms == {(scope_of(op), "return_value"): 1}


def test_variables_are_served_and_every_request_is_kept() -> None:
    api = MemAPI(variables={"known": "yes"})
    op = in_a_task(lambda: [Variable.get("known"), Variable.get("absent", default="none")])
    assert run_op(op, api).error is None
    assert api.xcoms[scope_of(op), "return_value"] == ["yes", "none"]
    assert [call.path[1] for call in api.calls if call.path[0] == "variables"] == ["known", "absent"]


def test_a_mapped_upstream_may_be_sliced() -> None:
    with DAG("d", schedule=None) as dag:
        upstream = task(task_id="up")(lambda n: n).expand(n=[1, 2, 3])
        task(task_id="task")(lambda rows: list(rows[1:]))(upstream)
    api, op = MemAPI(), dag.get_task("task")
    for index in (10, 0, 2):
        api.xcoms[("d", "run", "up", index), "return_value"] = index
    assert run_op(op, api).error is None
    assert api.xcoms[scope_of(op), "return_value"] == [2, 10]


@needs_state_store
def test_the_state_store_deletes_and_clears() -> None:
    def use(**context: Any) -> Any:
        store = context["task_state_store"]
        for key in ("a", "b"):
            store.set(key, 1)
        store.delete("a")
        left = [store.get("a"), store.get("b")]
        store.clear()
        store.set("last", 1)
        return left

    api, op = MemAPI(), in_a_task(use)
    assert run_op(op, api).error is None
    assert api.xcoms[scope_of(op), "return_value"] == [None, 1]
    assert api.store[scope_of(op)] == {"last": 1}


def test_an_error_of_httpx_reaches_the_task_as_airflows_own() -> None:
    def refuse(call: Call) -> None:
        if call.path[0] == "xcoms":
            raise httpx.ConnectError("no way")

    result = run_op(in_a_task(lambda: 1), MemAPI(refuse=refuse))
    assert isinstance(result.error, AirflowRuntimeError)
    assert "no way" in str(result.error)


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

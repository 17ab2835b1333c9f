from __future__ import annotations

import os
from typing import Any

import pytest
from airflow.sdk import DAG, BaseHook, task

from tests.airflow_harness import MemAPI, airflow_connections, run_op, scope_of


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

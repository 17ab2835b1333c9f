"""``@task.contacts``: what a function gives is pushed as an operator pushes it, and nobody sees its arguments."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, AssetAlias, setup, task, task_group, teardown
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_contacts import plugin
from airflow_provider_contacts.decorators import contacts_task
from airflow_provider_contacts.errors import ConfigError, SourceError
from tests.airflow_harness import scope_of
from tests.integration.test_stored_dags import CANARY, stored
from tests.support.airflow_fixtures import RunDag, SetConnections
from tests.support.processes import child
from tests.support.pushing import TABLED, World, callees, counts, people

Function = Callable[..., Any]


def decorated(function: Function, **given: Any) -> Any:
    """Return a decorated function, a task named ``push`` once it is called in a Dag."""
    return contacts_task(**{**TABLED, **given})(function)


def called(function: Function, *args: Any, **given: Any) -> Any:
    """Return the task of a decorated function that is called with some arguments."""
    with DAG("d", schedule=None):
        return decorated(function, **given)(*args).operator


def one(key: Any) -> Iterator[dict[str, Any]]:
    """Yield one record with a key."""
    yield {"key": key, "email": CANARY}


# The function.


@pytest.mark.parametrize("function", [people, lambda count: (row for row in people(count))], ids=["list", "generator"])
def test_what_a_function_gives_is_pushed_as_an_operator_pushes_it(world: World, function: Function) -> None:
    op = called(function, 4)
    summary = world.done(op)
    assert (summary["sync_id"], summary["num_succeeded"]) == ("d/push@dex_default", 4)
    assert set(world.statuses()) == {"p0", "p1", "p2", "p3"}
    assert op.operator_name == "@task.contacts" in plugin.OPERATORS, "its task has a tab"
    assert op.outlets == [AssetAlias("contacts/d/push")]
    assert counts(world.done(op, run_id="second"), "skipped", "succeeded") == (4, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"contacts_conn_id": "nobody"},
        {"destination": {"list": 1}},
        {"outcomes_conn_id": "dex_default"},
        {"field_map": {"mail": "e_mail"}},
        {"sync_id": "{{ ' s' }}"},
    ],
)
def test_a_function_is_not_called_where_nothing_could_be_sent(world: World, wrong: dict[str, Any]) -> None:
    calls: list[int] = []
    world.refused(called(lambda: calls.append(1), **wrong))
    assert calls == []


def test_a_function_is_called_once_a_try(world: World) -> None:
    calls: list[int] = []

    def function() -> list[dict[str, Any]]:
        calls.append(1)
        return people(4)

    world.set(http_429="nth:2", retry_after="300")
    op = called(function, batch_size=2, max_in_flight=1)
    assert (world.run(op).state, len(calls)) == ("up_for_reschedule", 1)
    assert counts(world.done(op), "skipped", "succeeded", "delivered") == (2, 2, 4)
    assert (len(calls), len(world.stored())) == (2, 4)


def test_a_generator_is_read_as_the_vendor_takes_its_records(world: World) -> None:
    ahead: list[int] = []

    def function() -> Iterator[dict[str, Any]]:
        for n in range(6000):
            ahead.append(n - len(world.stored()))
            yield people(1, start=n)[0]

    assert world.done(called(function, batch_size=100, max_in_flight=2))["num_succeeded"] == 6000
    assert max(ahead) < 3000


def test_a_generator_that_fails_in_the_middle_has_sent_what_it_gave_and_the_next_try_sends_the_rest(
    world: World, said: Callable[[], list[str]]
) -> None:
    fails = [True]

    def function() -> Iterator[dict[str, Any]]:
        yield from people(150)
        if fails.pop():
            raise ValueError(CANARY)
        yield from people(50, start=150)

    op = called(function)
    result = world.run(op)
    assert (result.state, type(result.error)) == ("up_for_retry", SourceError)
    assert "row 151 (row_index 150) of the records" in str(result.error)
    assert f"ValueError at {__file__}" in str(result.error)
    assert (len(world.stored()), world.summary(op)["status"]) == (150, "aborted")
    assert [text for text in said() if CANARY in text] == []
    fails.append(False)
    assert counts(world.done(op, 2), "skipped", "succeeded") == (150, 50)
    assert len(world.stored()) == 200


def generator_that_raises(error: Exception) -> Iterator[Any]:
    raise error
    yield


def function_that_raises(error: Exception) -> Any:
    raise error


@pytest.mark.parametrize("function", [generator_that_raises, function_that_raises])
@pytest.mark.parametrize(
    ("error", "state"), [(AirflowSkipException("nothing today"), "skipped"), (KeyError("day"), "up_for_retry")]
)
def test_what_a_function_raises_before_its_first_record_is_the_tasks_own(
    world: World, function: Function, error: Exception, state: str
) -> None:
    op = called(lambda: function(error))
    assert world.run(op).state == state
    assert (world.sent(), world.summary(op)["status"]) == (0, "aborted")


KILLED = """
import json, sys
import tests.support.airflow_fixtures
from tests.airflow_harness import MemAPI, run_op
from tests.integration.test_decorator import called, killing
run_op(called(killing, **json.loads(sys.argv[2])), MemAPI(connections=json.loads(sys.argv[1])))
"""


def killing() -> Iterator[dict[str, Any]]:
    yield from people(3000)
    time.sleep(0.5)  # what was sent arrives
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_while_a_generator_is_read_sends_nothing_twice(world: World) -> None:
    limits = {"max_in_flight": 3, "max_unknown": 3000}
    process = child(KILLED, json.dumps(world.api.connections), json.dumps(limits), folder=world.folder)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert world.stored()
    rows = people(3100)
    summary = world.done(called(lambda: iter(rows), **limits), 2)
    assert counts(summary, "planned", "duplicate", "failed") == (3100, 0, 0)
    assert summary["num_delivered"] + summary["num_unknown"] == 3100
    names = Counter(one["first_name"] for one in world.stored())
    assert set(names.values()) == {1}


# Its arguments.


def test_arguments_are_those_of_any_task(world: World) -> None:
    seen: dict[str, Any] = {}

    def function(rows: Any, day: str, *, ds: str, ti: Any, more: Any = None, **context: Any) -> Any:
        seen.update(day=day, ds=ds, task_id=ti.task_id, more=more, run_id=context["run_id"])
        return [*rows, *more[0]]

    with DAG("d", schedule=None):
        one, other = (task(task_id=name)(lambda: 1)() for name in ("one", "other"))
        op = decorated(function)(one, "{{ ds_nodash }}", more=[other, Path("{{ ds }}")]).operator
    assert op.upstream_task_ids == {"one", "other"}
    # What an upstream gives is no template.
    world.api.xcoms[("d", "run", "one", -1), "return_value"] = [{**people(1)[0], "first_name": "{{ 1 + 1 }}"}]
    world.api.xcoms[("d", "run", "other", -1), "return_value"] = people(1, start=1)
    world.done(op)
    assert {one["first_name"] for one in world.stored()} == {"{{ 1 + 1 }}", "First1"}
    assert (seen["day"], seen["ds"], seen["task_id"], seen["run_id"]) == ("20260102", "2026-01-02", "push", "run")
    # Another run in this process sees its own.
    world.api.xcoms[("d", "again", "one", -1), "return_value"] = []
    world.api.xcoms[("d", "again", "other", -1), "return_value"] = people(1, start=2)
    assert world.done(op, run_id="again")["num_planned"] == 1


def of_a_call(function: Any) -> Any:
    return function(CANARY).operator


def of_a_keyword(function: Any) -> Any:
    return function(key="{{ '" + CANARY + "' }}").operator


def of_an_output(function: Any) -> Any:
    return function(task(task_id="up")(lambda: 1)()).operator


def of_partial(function: Any) -> Any:
    return function.partial(key=CANARY).expand(number=[1, 2]).operator


def of_expand(function: Any) -> Any:
    return function.expand(key=[CANARY, CANARY]).operator


def of_expanded_pairs(function: Any) -> Any:
    return function.expand(key={CANARY: CANARY}).operator


def of_expand_kwargs(function: Any) -> Any:
    return function.expand_kwargs([{"key": CANARY}, {"key": "{{ '" + CANARY + "' }}"}]).operator


def of_an_expanded_output(function: Any) -> Any:
    return function.expand(key=task(task_id="up")(lambda: 1)()).operator


def of_a_group(function: Any) -> Any:
    @task_group
    def each(key: Any) -> None:
        function(key)

    group: Any = each.expand(key=task(task_id="up")(lambda: 1)())
    return group.children["each.push"]


PLAIN = [of_a_call, of_a_keyword, of_an_output]
MAPPED = [of_partial, of_expand, of_expanded_pairs, of_expand_kwargs, of_an_expanded_output, of_a_group]


@pytest.mark.parametrize("form", [*PLAIN, *MAPPED])
def test_arguments_are_neither_stored_nor_shown(world: World, form: Function, said: Callable[[], list[str]]) -> None:
    def function(key: Any, number: int = 0) -> Iterator[dict[str, Any]]:
        yield from one(key[number] if isinstance(key, tuple) else key)

    with DAG("d", schedule=None) as dag:
        op = form(decorated(function))
    text = stored(dag)
    assert "canary" not in text + repr(op)
    index = -1 if form in PLAIN else 0
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = CANARY if form is of_an_output else [CANARY]
    assert world.run(op, map_index=index).error is None
    assert len(world.stored()) == 1
    shown = world.api.rendered[scope_of(op, map_index=index)]
    assert (shown["op_args"], shown["op_kwargs"]) == ("(op_args)", "(op_kwargs)")
    summary = world.api.xcoms[scope_of(op, map_index=index), "return_value"]
    assert [text for text in [json.dumps(shown), json.dumps(summary), *said()] if "canary" in text] == []


def test_a_mapped_task_has_the_parameters_of_the_decorator_and_announces_nothing(world: World) -> None:
    with DAG("d", schedule=None):
        op = decorated(people, batch_size=1).partial(start=1).expand(count=[1, 3]).operator
    assert [counts(world.done(op, map_index=index), "succeeded", "requests") for index in (0, 1)] == [(1, 1), (2, 2)]
    assert sorted(run for run, _, _ in world.runs()) == ["d/run/push/0", "d/run/push/1"]
    assert world.one("SELECT DISTINCT sync_id FROM contact_outcomes") == "d/push@dex_default"
    assert op.partial_kwargs.get("outlets", []) == op.unmap({"op_kwargs": {"count": 1}}).outlets == []


def test_a_mapped_task_depends_on_what_airflows_own_does() -> None:
    def dependencies(make: Function) -> list[tuple[str, set[str], set[str]]]:
        @task_group
        def group() -> None:
            begin: Any = setup(task(task_id="begin")(lambda: None))()
            end: Any = teardown(task(task_id="end")(lambda: None))()
            with end.as_teardown(setups=begin):
                make(people).expand(count=task(task_id="up")(lambda: 1)())

        with DAG("d", schedule=None) as dag:
            group()
        return [(one.task_id, one.upstream_task_ids, one.downstream_task_ids) for one in dag.tasks]

    assert dependencies(decorated) == dependencies(task(task_id="push"))


def test_what_airflow_could_not_see_any_more_is_refused() -> None:
    with DAG("d", schedule=None):
        nested = [task(task_id="up")(lambda: 1)()]
        with pytest.raises(ValueError, match="key of a mapped task holds upstream outputs: give one output"):
            decorated(one).partial(key=nested)


# Its parameters.


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    ("function", "given", "kind", "text"),
    [
        (people, {"on_unknown": "retry"}, ConfigError, "task 'push': on_unknown is one of"),
        (people, {"on_unknwon": "hold"}, TypeError, r"task 'push': @task.contacts has no parameter \['on_unknwon'\]"),
        (people, {"records": []}, TypeError, r"@task.contacts has no parameter \['records'\]"),
        (people, {"default_args": {"batch_size": 0}}, ConfigError, "batch_size is a whole number"),
    ],
)
def test_a_wrong_parameter_is_an_error_when_the_dag_is_parsed(
    function: Function, given: dict[str, Any], kind: type[Exception], text: str, *, mapped: bool
) -> None:
    with DAG("d", schedule=None), pytest.raises(kind, match=text):
        decorated(function, **given).expand(count=[1]) if mapped else decorated(function, **given)(1)


async def asynchronous(count: int) -> Any:
    return people(count)


async def streaming(count: int) -> Any:
    yield people(count)


@pytest.mark.parametrize("function", [asynchronous, streaming])
@pytest.mark.parametrize("mapped", [False, True])
def test_an_asynchronous_function_is_refused_when_the_dag_is_parsed(function: Function, *, mapped: bool) -> None:
    with DAG("d", schedule=None), pytest.raises(ConfigError, match=r"task 'push': .* is asynchronous"):
        decorated(function).expand(count=[1]) if mapped else decorated(function)(1)


def test_without_parentheses_the_connection_comes_from_default_args_or_is_missed() -> None:
    bare: Any = contacts_task(people)
    with DAG("d", schedule=None, default_args={"contacts_conn_id": "dex_default"}):
        assert bare(1).operator.contacts_conn_id == "dex_default"
    for call in (bare, lambda count: bare.expand(count=[count])):
        with DAG("d", schedule=None), pytest.raises(TypeError, match="missing keyword argument 'contacts_conn_id'"):
            call(1)
    with pytest.raises(TypeError, match="No positional arguments"):
        contacts_task("dex_default")  # type: ignore[call-overload]  # as somebody might


def test_override_and_multiple_outputs(world: World) -> None:
    with DAG("d", schedule=None):
        function = decorated(callees, contacts_conn_id="talkdesk_default", multiple_outputs=True)
        op = function.override(task_id="other", destination={"record_list_id": "demo-list"})(2).operator
    assert world.done(op)["sync_id"] == "d/other@talkdesk_default:demo-list"
    assert world.api.xcoms[scope_of(op), "num_succeeded"] == 2


# Airflow's own.


def test_airflow_knows_the_decorator(world: World, run_dag: RunDag, set_connections: SetConnections) -> None:
    airflows: Any = task
    if not hasattr(airflows, "contacts"):
        pytest.skip("the package is not installed, so that Airflow cannot find it")
    set_connections(world.api.connections)
    with DAG("decorated", schedule=None) as dag:
        signups = airflows.contacts(**TABLED)(lambda day: [{**one, "last_name": day} for one in people(2)])
        signups("{{ run_id }}")
    first = run_dag(dag)
    assert first.state == "success"
    assert [one["last_name"] for one in world.stored()] == [first.run_id] * 2
    assert world.one("SELECT DISTINCT sync_id FROM contact_outcomes") == "decorated/push@dex_default"

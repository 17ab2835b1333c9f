"""One task run as a worker runs it, against an Execution API that is a dictionary: no metadata database, milliseconds.

Everything that leans on Airflow's inner parts is in this file and in ``airflow_fixtures.py``, so that a new Airflow
breaks two files. Airflow is imported inside functions only: its home must be set first, see ``airflow_fixtures.py``.
It speaks to 3.2, 3.3 and 3.4 alike.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest.mock import patch
from urllib.parse import parse_qsl, unquote
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest

if TYPE_CHECKING:
    from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor, TaskRunResult

AIRFLOW = tuple(map(int, version("apache-airflow-core").split(".")[:2]))
needs_state_store = pytest.mark.skipif(AIRFLOW < (3, 3), reason="Airflow has a task state store from 3.3 on")
needs_loops = pytest.mark.skipif(AIRFLOW < (3, 4), reason="Airflow has task loops from 3.4 on")

Request: TypeAlias = Any  # both of :func:`http`'s library
Response: TypeAlias = Any

RUN = "run"
MOMENT = "2026-01-02T03:04:05Z"
CONNECTION_KEYS = ("conn_type", "host", "schema", "login", "password", "port")

Scope = tuple[str, str, str, int] | tuple[str, str, str, int, str]
"""Dag, run, task and map index, in a loop its region and iteration: what an XCom and a state store belong to."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the worker."""

    method: str
    path: tuple[str, ...]  # its segments, decoded
    query: Mapping[str, str]
    body: Any  # parsed JSON, or None


@dataclass(slots=True)
class Execution:
    """One execution of a task instance, as the server knows it."""

    ti_id: UUID
    scope: Scope
    max_tries: int
    should_retry: bool
    iteration: int | None = None  # of a loop


@dataclass(slots=True)
class MemAPI:
    """The Execution API in memory; give it to :func:`run_op`, then look at what was kept."""

    # by id; keys as in AIRFLOW_CONN_* JSON, extra a mapping or text
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    xcoms: dict[tuple[Scope, str], Any] = field(default_factory=dict)  # value by scope and key, as JSON
    # the task state store, by scope: kept over the tries, whatever becomes of them
    store: dict[Scope, dict[str, Any]] = field(default_factory=dict)
    # body of every state report, e.g. {"state": "up_for_retry", "retry_delay_seconds": 3.0, ...}
    states: list[dict[str, Any]] = field(default_factory=list)
    # what the UI would show of the template fields, by scope
    rendered: dict[Scope, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)  # every request in order
    # requests this server does not know; run_op fails on any
    unserved: list[Call] = field(default_factory=list)
    # asked before each call; a status that it returns is the answer. It may raise httpx errors
    refuse: Callable[[Call], int | None] = lambda call: None  # noqa: ARG005  # nothing is refused
    executions: dict[str, Execution] = field(default_factory=dict)
    running: Execution | None = None  # the one that asks
    newest: dict[Scope, str] = field(default_factory=dict)
    reschedules: dict[str, int] = field(default_factory=dict)

    def begin(self, execution: Execution) -> None:
        """Make this execution the one whose writes count: those of earlier tries are refused from now on."""
        self.executions[str(execution.ti_id)] = self.running = execution
        self.newest[execution.scope] = str(execution.ti_id)

    def __call__(self, request: Request) -> Response:
        path = request.url.raw_path.decode().partition("?")[0].strip("/")
        call = Call(
            request.method,
            tuple(map(unquote, path.split("/"))),
            dict(parse_qsl(request.url.query.decode())),
            json.loads(request.content) if request.content else None,
        )
        self.calls.append(call)
        if (status := self._refused(call)) is not None:
            return answer(status, {"detail": {"reason": "refused", "message": "refused by the test"}})
        served = {
            "task-instances": self._task_instance,
            "task-reschedules": self._task_reschedule,
            "connections": self._connection,
            "variables": self._variable,
            "xcoms": self._xcom,
            "store": self._store,
        }.get(call.path[0], self._unknown)(call)
        return served or self._unknown(call)

    def _refused(self, call: Call) -> int | None:
        from httpx import HTTPError

        try:
            return self.refuse(call)
        except HTTPError as error:
            raise getattr(http(), type(error).__name__)(str(error)) from error

    def _unknown(self, call: Call) -> Response:
        self.unserved.append(call)
        return not_found("no such route")

    def _task_instance(self, call: Call) -> Response | None:  # noqa: PLR0911  # one a route
        match (call.method, *call.path[1:]):
            case ("PATCH", ti_id, "run"):
                return answer(200, self._run_context(self.executions[ti_id]))
            case ("PATCH", ti_id, "state"):
                self.states.append(call.body)
                if call.body["state"] == "up_for_reschedule":
                    self.reschedules[ti_id] = self.reschedules.get(ti_id, 0) + 1
                return answer(204)
            case ("PUT", ti_id, "rtif"):
                self.rendered[self.executions[ti_id].scope] = call.body
                return answer(201, {"message": "Rendered task instance fields successfully set"})
            case ("PUT", _, "heartbeat") | ("PATCH", _, "rendered-map-index" | "skip-downstream"):
                return answer(204)
            case ("GET", "count"):
                task_ids = call.query["task_ids"]  # one in all that asks here
                return answer(200, len({one.scope for one in self.executions.values() if one.scope[2] == task_ids}))
            case ("GET", _, "validate-inlets-and-outlets"):
                return answer(200, {"inactive_assets": []})
            case ("GET", _, "previous-successful-dagrun"):
                return answer(200, {})
            case _:
                return None

    def _run_context(self, execution: Execution) -> dict[str, Any]:
        dag_id, run_id, task_id, *_ = execution.scope
        gate = {"max_iterations": 100, "terminal_task_id": task_id, "terminal_is_mapped": False}
        loop = {"node_id": "loop", "index": execution.iteration, **gate}
        return {
            **({} if execution.iteration is None else {"loop": loop}),
            "dag_run": {
                "dag_id": dag_id,
                "run_id": run_id,
                "logical_date": MOMENT,
                "data_interval_start": MOMENT,
                "data_interval_end": MOMENT,
                "run_after": MOMENT,
                "start_date": MOMENT,
                "end_date": None,
                "run_type": "manual",
                "state": "running",
                "consumed_asset_events": [],
                "partition_key": None,
            },
            "task_reschedule_count": self.reschedules.get(str(execution.ti_id), 0),
            "max_tries": execution.max_tries,
            "should_retry": execution.should_retry,
            # a try begins by asking to delete what the one before has pushed
            "xcom_keys_to_clear": [key for scope, key in self.xcoms if scope == execution.scope],
        }

    def _task_reschedule(self, call: Call) -> Response | None:
        return answer(200, MOMENT) if call.path[2:] == ("start_date",) else None

    def _connection(self, call: Call) -> Response | None:
        conn_id = call.path[1]
        if (known := self.connections.get(conn_id)) is None:
            return not_found(f"Connection with ID {conn_id} not found")
        extra = known.get("extra")
        text = extra if extra is None or isinstance(extra, str) else json.dumps(extra)
        return answer(200, {"conn_id": conn_id, **{key: known.get(key) for key in CONNECTION_KEYS}, "extra": text})

    def _variable(self, call: Call) -> Response | None:
        key = "/".join(call.path[1:])
        match call.method:
            case "PUT":
                self.variables[key] = call.body["val"]
                return answer(201)
            case "DELETE":
                self.variables.pop(key, None)
                return answer(204)
            case _ if key in self.variables:
                return answer(200, {"key": key, "value": self.variables[key]})
            case _:
                return not_found(f"Variable with key {key} not found")

    def _xcom(self, call: Call) -> Response | None:  # noqa: PLR0911  # one a route
        dag_id, run_id, task_id, key, *rest = call.path[1:]
        scope: Scope = (dag_id, run_id, task_id, int(call.query.get("map_index", -1)))
        region: Any = self.running.scope[4:] if self.running else ()
        # a task of the same loop means that of the same iteration
        one = ((*scope, *region) if (*scope, *region) in self.newest else scope, key)
        # what a mapped task pushed, in the order of the map index
        pushed = [(kept, value) for (kept, name), value in sorted(self.xcoms.items(), key=lambda item: item[0][0][3])
                  if (kept[:3], name) == (scope[:3], key)]  # fmt: skip
        of_all = [value for kept, value in pushed if kept[4:] == region] or [value for _, value in pushed]
        match (call.method, *rest):
            case ("HEAD",):
                return answer(200, headers={"Content-Range": f"map_indexes {len(of_all)}"})
            case ("GET", "item", offset) if -len(of_all) <= int(offset) < len(of_all):
                return answer(200, of_all[int(offset)])
            case ("GET", "slice"):
                bounds = [int(call.query[name]) if name in call.query else None for name in ("start", "stop", "step")]
                return answer(200, of_all[slice(*bounds)])
            case ("GET",) if one in self.xcoms:
                return answer(200, {"key": key, "value": self.xcoms[one]})
            case ("GET", *_):
                return not_found("no such XCom")
            case ("POST",):
                self.xcoms[one] = call.body
                return answer(201, {"message": "XCom successfully set"})
            case ("DELETE",):
                self.xcoms.pop(one, None)
                return answer(200, {"message": "XCom with matching key deleted"})
            case _:
                return None

    def _store(self, call: Call) -> Response | None:
        if call.path[1] != "ti":
            return None
        ti_id, *key_parts = call.path[2:]
        scope = self.executions[ti_id].scope
        if self.newest[scope] != ti_id:
            return not_found(f"Task instance {ti_id} not found")
        kept, key = self.store.setdefault(scope, {}), "/".join(key_parts)
        match call.method:
            case "PUT":
                kept[key] = call.body["value"]
                return answer(204)
            case "DELETE":
                for name in [key] if key else list(kept):
                    kept.pop(name, None)
                return answer(204)
            case _:
                return answer(200, {"value": kept[key]}) if key in kept else not_found("no such key")


def http() -> Any:
    """Return the library of Airflow's client, which 3.4 has changed."""
    return import_module("httpx" if AIRFLOW < (3, 4) else "httpx2")


def answer(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; 204 and HEAD answers have no body."""
    response = http().Response
    return response(status, json=body, headers=headers) if body is not None else response(status, headers=headers)


def not_found(message: str) -> Response:
    """Return the 404 of the Execution API."""
    return answer(404, {"detail": {"reason": "not_found", "message": message}})


def scope_of(
    op: Any, *, run_id: str = RUN, map_index: int = -1, region_id: UUID | None = None, region_index: int | None = None
) -> Scope:
    """Return the scope of an operator's task instance."""
    scope = (op.dag.dag_id, run_id, op.task_id, map_index)
    return scope if region_id is None else (*scope, f"{region_id}/{region_index}")


@cache
def worker_like() -> type[InProcessTestSupervisor]:
    """Return Airflow's in-process supervisor, made to fail as a worker does.

    In a worker the supervisor is another process: whatever goes wrong at the API reaches the task as one
    ``AirflowRuntimeError``, where the in-process one lets the client's own exception through.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

    class WorkerLike(InProcessTestSupervisor):
        def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
            try:
                super()._handle_request(msg, log, req_id)
            except http().HTTPError as error:
                status = error.response.status_code if isinstance(error, http().HTTPStatusError) else None
                detail = {"status_code": status, "message": str(error)}
                raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)) from None

    return WorkerLike


def run_op(
    op: Any,
    api: MemAPI,
    try_number: int = 1,
    *,
    run_id: str = RUN,
    map_index: int = -1,
    region_id: UUID | None = None,
    region_index: int | None = None,
) -> TaskRunResult:
    """Run one try of an operator, templates and XCom push included, and return its state, message and error.

    A try number given again is what follows a reschedule: the same task instance, its reschedule count one higher.

    :param op: an operator with a Dag; a mapped one too, with its ``map_index``.
    :param region_id: of the loop that the task is in, whose iterations differ in ``region_index`` alone.
    """
    from airflow.sdk.api.datamodels._generated import TaskInstance

    region: dict[str, Any] = {} if region_id is None else {"region_id": region_id, "region_index": region_index}
    if region and AIRFLOW < (3, 4):
        raise NotImplementedError("Airflow has task loops from 3.4 on: mark the test with needs_loops")
    scope = scope_of(op, run_id=run_id, map_index=map_index, **region)
    ti_id = uuid5(NAMESPACE_OID, repr((scope, try_number)))
    api.begin(Execution(ti_id, scope, op.retries, try_number <= op.retries, region_index))
    instance = TaskInstance(
        id=ti_id,
        task_id=op.task_id,
        dag_id=op.dag.dag_id,
        run_id=run_id,
        try_number=try_number,
        map_index=map_index,
        dag_version_id=uuid5(NAMESPACE_OID, "version"),
        **region,
    )
    # this kind of client does not repeat a failing request with real sleeps
    supervisor = worker_like()
    transport = http().MockTransport(api)
    with supervisor._Client(base_url=None, dry_run=True, token="", transport=transport) as client:
        # Every version asks this for its client; from 3.3 on it could be given, too.
        asked: Any = type("Asked", (supervisor,), {"_api_client": staticmethod(lambda *_: client)})
        result: TaskRunResult = asked.start(what=instance, task=op)
    if api.unserved:
        raise AssertionError("the harness does not serve", api.unserved)
    return result


def states_of(api: MemAPI) -> Sequence[str]:
    """Return the states that were reported, in order."""
    return [str(report["state"]) for report in api.states]


@contextmanager
def airflow_connections(connections: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Define connections as environment variables, where Airflow looks first, for the duration of a block.

    :param connections: by id; keys ``conn_type``, ``host``, ``schema``, ``login``, ``password``, ``port``, ``extra``.
    """
    names = {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(dict(value)) for conn_id, value in connections.items()}
    with patch.dict(os.environ, names):
        yield

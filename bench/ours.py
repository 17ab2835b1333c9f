"""A task of this provider in a process of its own, as Airflow's task runner runs it; and an empty task beside it.

Ways: ``push`` (``SqlToContactsOperator`` with an outcome table), ``no_ledger`` (the hook's ``push()`` in a plain task,
which remembers nothing), ``empty_push`` (``push`` without rows), ``empty`` (a task that does nothing).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any

from bench.clock import timed
from bench.job import CHUNK, COLUMNS, Job

NEEDED = (
    "airflow.sdk.api.datamodels._generated",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "tests.airflow_harness",
)
"""What every Airflow task has imported before its first line, and what the harness needs to run it."""

UNLIMITED = 1e6
"""Requests a second: the vendors' own pace is not what is measured."""


def connections(job: Job) -> dict[str, Mapping[str, Any]]:
    """Return Airflow's connections of a job."""
    host = {"host": job.url, "password": "token"}
    return {
        "talkdesk_default": {"conn_type": "talkdesk", **host},
        "nedzo_default": {"conn_type": "nedzo", **host},
        "source": job.source,
        "outcomes": job.outcomes,
    }


def pace(job: Job) -> dict[str, Any]:
    """Return what operator and hook are told alike."""
    vendor = {"destination": {"record_list_id": "list"}} if job.kind == "bulk" else {}
    return {
        **vendor,
        "sync_key": "key",
        "batch_size": job.batch_size,
        "max_in_flight": job.in_flight,
        "requests_per_second": UNLIMITED,
    }


def vendor_of(job: Job) -> str:
    """Return the connection of the vendor."""
    return "talkdesk_default" if job.kind == "bulk" else "nedzo_default"


def operator(job: Job) -> Any:
    """Return the pushing operator, mapped over ranges of rows where there are shards."""
    from airflow_provider_contacts.operators import SqlToContactsOperator

    same = {
        "task_id": "push",
        "sql_conn_id": "source",
        "contacts_conn_id": vendor_of(job),
        "outcomes_conn_id": "outcomes",
        **pace(job),
    }
    if job.shards == 1:
        return SqlToContactsOperator(sql=job.query, **same)
    names = (":first", ":behind") if job.source["conn_type"] == "sqlite" else ("%(first)s", "%(behind)s")
    sql = f"{job.select} WHERE number >= {names[0]} AND number < {names[1]} ORDER BY number"
    edges = [job.records * part // job.shards for part in range(job.shards + 1)]
    ranges = [{"first": first, "behind": behind} for first, behind in pairwise(edges)]
    return SqlToContactsOperator.partial(sql=sql, **same).expand(parameters=ranges)


def read(job: Job) -> Iterator[dict[str, Any]]:
    """Yield rows by an Airflow hook, as a task of one's own reads them."""
    from airflow.sdk import Connection

    with Connection.get("source").get_hook().get_conn() as database:
        cursor = database.cursor() if job.source["conn_type"] == "sqlite" else database.cursor("rows")
        cursor.execute(job.query)
        while chunk := cursor.fetchmany(CHUNK):
            for row in chunk:
                yield dict(zip(COLUMNS[job.kind], row, strict=True))


def push_by_hook(job: Job) -> dict[str, int]:
    """Push without an outcome table, and count."""
    hooks = import_module("airflow_provider_contacts.hooks")
    hook = (hooks.TalkdeskHook if job.kind == "bulk" else hooks.NedzoHook)(vendor_of(job))
    return dict(Counter(outcome.status.value for outcome in hook.push(read(job), **pace(job))))


def do_nothing(_: Job) -> None:
    """Be an empty task."""


def prepare(job: Job) -> Callable[[], str]:
    """Import what a worker has imported, and parse the Dag."""
    for name in NEEDED:
        import_module(name)
    from airflow.sdk import DAG, task

    from tests.airflow_harness import MemAPI, run_op, scope_of

    with DAG("bench", schedule=None):
        if job.way in {"push", "empty_push"}:
            op = operator(job)
        else:
            made: Any = task(task_id="push")(push_by_hook if job.way == "no_ledger" else do_nothing)(job)
            op = made.operator

    def work() -> str:
        api = MemAPI(connections=connections(job))
        index = job.shard if job.shards > 1 else -1
        result = run_op(op, api, map_index=index)
        if result.error is not None or str(getattr(result.state, "value", result.state)) != "success":
            raise RuntimeError(f"the task ended {result.state}: {result.error!r}")
        found = api.xcoms.get((scope_of(op, map_index=index), "return_value")) or {}
        return f"{found.get('num_succeeded', found.get('succeeded', 0))} succeeded"

    return work


if __name__ == "__main__":
    timed(prepare)

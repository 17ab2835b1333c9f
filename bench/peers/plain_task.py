"""The job by a plain ``@task``, as it is written without this provider.

pandas reads the query, a loop posts slices of the frame by one ``requests`` session, and ``insert_rows`` of the Airflow
hook writes what came back, all at once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.clock import timed
from bench.job import Job, payload
from bench.ours import NEEDED, connections


def push(job: Job) -> int:
    """Send every row and keep what became of it; this is the whole task."""
    import pandas as pd
    import requests
    from airflow.sdk import Connection

    frame = pd.read_sql(job.query, Connection.get("source").get_hook().get_conn())
    rows: list[tuple[Any, ...]] = []
    with requests.Session() as session:
        for number, start in enumerate(range(0, len(frame), job.batch_size)):
            batch = frame.iloc[start : start + job.batch_size].to_dict("records")
            body = {"records": [payload("bulk", {str(name): row[name] for name in row}) for row in batch]}
            answer = session.post(job.target, json=body, timeout=60)
            answer.raise_for_status()
            shown = answer.json()["_embedded"]["records"]
            rows += [
                (row["key"], "succeeded", one["id"], answer.status_code, number)
                for row, one in zip(batch, shown, strict=True)
            ]
    names = ["record_identifier", "status", "destination_record_id", "http_status", "batch"]
    Connection.get("outcomes").get_hook().insert_rows("plain_outcomes", rows, target_fields=names)
    return len(rows)


def prepare(job: Job) -> Callable[[], str]:
    """Import what a worker has imported, and parse the Dag."""
    for name in NEEDED:
        import_module(name)
    from airflow.sdk import DAG, task

    from tests.airflow_harness import MemAPI, run_op

    with DAG("plain", schedule=None):
        made: Any = task(push)(job)

    def work() -> str:
        result = run_op(made.operator, MemAPI(connections=connections(job)))
        if result.error is not None:
            raise RuntimeError("the task failed") from result.error
        return "success"

    return work


if __name__ == "__main__":
    timed(prepare)

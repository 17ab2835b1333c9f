"""The job by ``HttpOperator``, dynamically mapped over the batches: a task reads them, a mapped task posts each.

Every mapped task instance is one request. They run one after another in this process, without the scheduler and the
fresh process that each of them costs on a real Airflow; so this is a lower bound.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.clock import timed
from bench.job import Job
from bench.ours import NEEDED


def read(job: Job) -> list[str]:
    """Return every body; this is the upstream task, whose result goes through XCom."""
    return [json.dumps(body) for body in job.bodies()]


def prepare(job: Job) -> Callable[[], str]:
    """Import what a worker has imported, and parse the Dag."""
    sys.path.append(job.extra_path)  # at the end: only what is nowhere else comes from the peers' environment
    for name in NEEDED:
        import_module(name)
    from airflow.sdk import DAG, task

    from tests.airflow_harness import MemAPI, run_op

    http: Any = import_module("airflow.providers.http.operators.http")
    with DAG("mapped", schedule=None):
        batches: Any = task(read)(job)
        post = http.HttpOperator.partial(
            task_id="post",
            http_conn_id="vendor",
            method="POST",
            endpoint=job.target.removeprefix(job.url).lstrip("/"),
            headers={"Content-Type": "application/json"},
        ).expand(data=batches)
    api = MemAPI(connections={"vendor": {"conn_type": "http", "host": job.url}})

    def work() -> str:
        done = [run_op(batches.operator, api)]
        count = -(-job.records // job.batch_size)
        done += [run_op(post, api, map_index=index) for index in range(count)]
        for result in done:
            if result.error is not None:
                raise RuntimeError("a task failed") from result.error
        return f"{count} requests"

    return work


if __name__ == "__main__":
    timed(prepare)

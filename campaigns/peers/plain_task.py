"""The job by a plain ``@task``: a loop around an HTTP client, as it is written without this provider.

Run by Airflow's task runner with ``retries=3``: a try that fails begins anew. ``again`` sends each request up to three
times, as one does when tries fail too often.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

RETRIES = 3


def bodies(job: dict[str, Any]) -> Iterator[Any]:
    """Yield the body of every request."""
    with closing(sqlite3.connect(job["source"])) as database:
        records = [json.loads(body) for (body,) in database.execute("SELECT body FROM contacts ORDER BY rowid")]
    size = job["batch_size"]
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        name = job["envelope"]
        yield batch[0] if name is None else {name: batch} if name else batch


def push(job: dict[str, Any], *, again: bool) -> int:
    """Send every request; this is the whole task."""
    import httpx
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

    with httpx.Client(headers=job["headers"], timeout=30) as client:

        def send(body: Any) -> None:
            client.post(job["url"], json=body).raise_for_status()

        if again:
            send = retry(
                stop=stop_after_attempt(3), wait=wait_fixed(0.1), retry=retry_if_exception_type(httpx.HTTPError)
            )(send)
        count = 0
        for body in bodies(job):
            send(body)
            count += job["batch_size"]
    return count


def main(file: str, way: str) -> None:
    """Run the task as Airflow does, until it would not try again, and say how it ended."""
    from airflow.sdk import DAG, task

    from tests.airflow_harness import MemAPI, run_op

    job = json.loads(Path(file).read_text())
    with DAG("plain", schedule=None):
        push_contacts = task(retries=RETRIES)(push)
        op: Any = push_contacts(job, again=way == "again")
    number, state = 0, "up_for_retry"
    while state == "up_for_retry":
        number += 1
        result = run_op(op.operator, MemAPI(), number)
        state = str(getattr(result.state, "value", result.state))
    error = "" if result.error is None else f" ({type(result.error).__name__})"
    print(json.dumps({"says": f"task {state}{error} after {number} tr{'y' if number == 1 else 'ies'}; no counts"}))


if __name__ == "__main__":
    main(*sys.argv[1:])

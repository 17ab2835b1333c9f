"""The job by dlt: a custom destination (``@dlt.destination``), tuned as dlt's documentation on performance has it.

Rows are yielded in pages, not singly. The destination gets batches of a request's size and its load jobs run in
parallel, each with a session of its own; since a file is one load job, files are rotated (``file_max_items``) so that
there are as many as may be in flight, and there are as many load workers. State and schema are written as always.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from bench.clock import timed
from bench.job import CHUNK, Job, payload


def tune(job: Job) -> None:
    """Set what dlt is told by its environment."""
    os.environ.update(
        {
            "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": str(max(job.batch_size, -(-job.records // job.in_flight))),
            "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": str(CHUNK),
            "EXTRACT__DATA_WRITER__BUFFER_MAX_ITEMS": str(CHUNK),
            "LOAD__WORKERS": str(job.in_flight),
            "RUNTIME__LOG_LEVEL": "CRITICAL",
        }
    )


def prepare(job: Job) -> Callable[[], str]:
    """Import dlt."""
    import threading

    import dlt
    from dlt.sources.helpers import requests

    tune(job)
    sessions = threading.local()

    def pages() -> Iterator[list[dict[str, Any]]]:
        rows = job.rows()
        while page := list(islice(rows, CHUNK)):
            yield page

    def post(items: Any, _table: Any) -> None:
        session = getattr(sessions, "session", None) or requests.Client().session
        sessions.session = session
        records = [payload(job.kind, item) for item in items]
        session.post(job.target, json={"records": records}).raise_for_status()

    def work() -> str:
        vendor = dlt.destination(post, batch_size=job.batch_size, name="vendor", loader_parallelism_strategy="parallel")
        pipeline = dlt.pipeline("contacts", destination=vendor, pipelines_dir=f"{job.folder}/pipelines")
        info = pipeline.run(pages(), table_name="contacts")
        info.raise_on_failed_jobs()
        return f"{pipeline.last_trace.last_normalize_info.row_counts.get('contacts', 0)} rows loaded"

    return work


if __name__ == "__main__":
    timed(prepare)

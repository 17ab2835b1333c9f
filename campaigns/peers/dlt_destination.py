"""The job by dlt: a custom destination (``@dlt.destination``) that posts each batch.

It posts by dlt's own ``requests``, whose retries are left as they are (5 attempts, also after a lost connection), as
are the load's (a failing batch fails the load after 5). The run is repeated up to three times where it fails, as
Airflow would with ``retries=3``; dlt then goes on with its pending package.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources.helpers import requests

RETRIES = 3


def main(file: str, *_: str) -> None:
    """Run the pipeline, and say what it says."""
    job = json.loads(Path(file).read_text())

    def contacts() -> Iterator[dict[str, Any]]:
        with closing(sqlite3.connect(job["source"])) as database:
            for (body,) in database.execute("SELECT body FROM contacts ORDER BY rowid"):
                yield json.loads(body)

    def post(items: list[dict[str, Any]], _table: Any) -> None:
        name = job["envelope"]
        body = items[0] if name is None else {name: items} if name else items
        requests.post(job["url"], json=body, headers=job["headers"])

    pipeline = dlt.pipeline(
        "contacts",
        destination=dlt.destination(post, batch_size=job["batch_size"], name="vendor"),
        pipelines_dir=f"{job['folder']}/pipelines",
    )
    for number in range(1, RETRIES + 2):
        try:
            info = pipeline.run(contacts(), table_name="contacts")
        except PipelineStepFailed as error:
            says = f"load failed ({type(error.__cause__).__name__}) after {number} runs"
        else:
            failed = sum(len(package.jobs["failed_jobs"]) for package in info.load_packages)
            rows = pipeline.last_trace.last_normalize_info.row_counts.get("contacts", 0)
            says = f"load completed, {rows} rows, {failed} failed jobs after {number} run{'s' * (number > 1)}"
            break
    print(json.dumps({"says": says}))


if __name__ == "__main__":
    main(*sys.argv[1:])

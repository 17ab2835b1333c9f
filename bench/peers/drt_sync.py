"""The job by drt: a project with one sync to its ``rest_api`` destination, run by ``drt run`` in this process.

Ways: ``default`` (batches of 100 rows, each by an HTTP client of its own, which is what costs most) and ``tuned``
(batches of 5,000 rows, so that a client sends 50 requests). Requests carry the same records in both
(``body_mode: batch`` for bulk). The pace is set so high that it never waits; the rest is as it comes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.clock import timed
from bench.job import CHUNK, Job

DEFAULT = 100
"""Rows a batch, if nothing is said."""

PHONE = '{"phone_number": {{ row.phone_number | tojson }}, "phone_type": "MOBILE"}'
NAMES = '"first_name": {{ row.first_name | tojson }}, "last_name": {{ row.last_name | tojson }}'
BULK = (
    '{"records": [{% for row in rows %}{' + NAMES + ', "phone_numbers": [' + PHONE + ']}{{ "," if not loop.last }}'
    "{% endfor %}]}"
)
SINGLE = '{"email": {{ row.email | tojson }}, ' + NAMES + "}"
PROJECT = {"name": "contacts", "version": "0.1", "profile": "local"}


def sync_of(job: Job) -> dict[str, Any]:
    """Return the sync; YAML files are written as JSON, which YAML contains."""
    batches = {"body_mode": "batch", "batch_template": BULK, "max_records_per_request": job.batch_size}
    return {
        "name": "push",
        "model": job.query,
        "destination": {
            "type": "rest_api",
            "url": job.target,
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            **(batches if job.kind == "bulk" else {"body_template": SINGLE}),
        },
        "sync": {
            "mode": "full",
            "batch_size": CHUNK if job.way == "tuned" else DEFAULT,
            "rate_limit": {"requests_per_second": 1_000_000},
        },
    }


def write_project(job: Job) -> None:
    """Write the project's files."""
    for name, content in {
        ".drt/profiles.yml": {"local": {"type": "sqlite", "database": job.source["host"]}},
        "drt_project.yml": PROJECT,
        "syncs/push.yml": sync_of(job),
    }.items():
        file = Path(job.folder) / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))


def prepare(job: Job) -> Callable[[], str]:
    """Import drt."""
    app: Callable[[], None] = import_module("drt.cli.main").app
    write_project(job)

    def work() -> str:
        sys.argv = ["drt", "run", "--output", "json"]
        try:
            app()
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"drt ended with {ended.code}") from ended
        return "exit 0"

    return work


if __name__ == "__main__":
    timed(prepare)

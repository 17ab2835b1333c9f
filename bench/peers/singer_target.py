"""The job by a minimal target of the Singer SDK, fed through a pipe by a process that reads the rows, as a tap does.

A ``BatchSink`` of a request's size posts its batch by a ``requests`` session. Requests follow one another: a sink
drains one batch at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.clock import timed
from bench.job import COLUMNS, Job, payload

STREAM = "contacts"


def tap(job: Job) -> None:
    """Print the messages of a tap."""
    properties = {name: {"type": "string"} for name in COLUMNS[job.kind]}
    schema = {"type": "object", "properties": properties}
    print(json.dumps({"type": "SCHEMA", "stream": STREAM, "schema": schema, "key_properties": ["key"]}))
    for row in job.rows():
        print(json.dumps({"type": "RECORD", "stream": STREAM, "record": row}))


def target_class(job: Job) -> Any:
    """Return the target."""
    import requests

    sdk: Any = import_module("singer_sdk")
    session = requests.Session()

    def process_batch(_: Any, context: dict[str, Any]) -> None:
        records = [payload(job.kind, record) for record in context["records"]]
        session.post(job.target, json={"records": records}, timeout=60).raise_for_status()

    # Classes made by hand, since their bases are in another environment than the one that checks types.
    sink = type("VendorSink", (sdk.BatchSink,), {"max_size": job.batch_size, "process_batch": process_batch})
    settings = {"type": "object", "properties": {}}
    members = {"name": "target-vendor", "config_jsonschema": settings, "default_sink_class": sink}
    return type("VendorTarget", (sdk.Target,), members)


def prepare(job: Job) -> Callable[[], str]:
    """Import the SDK."""
    made = target_class(job)

    def work() -> str:
        command = [sys.executable, "-P", "-m", "bench.peers.singer_target", sys.argv[1], "tap"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as feeding:
            made(config={}).listen(feeding.stdout)
        if feeding.returncode:
            raise RuntimeError(f"the tap ended with {feeding.returncode}")
        return "drained"

    return work


if __name__ == "__main__":
    if sys.argv[2:] == ["tap"]:
        tap(Job.of_json(Path(sys.argv[1]).read_text()))
    else:
        timed(prepare)

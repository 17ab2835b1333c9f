"""The job by drt: a project with one sync from SQLite to its ``rest_api`` destination, run by ``drt run``.

Retries are left as they are (3 attempts, also after a lost connection). Its pace, 10 requests a second, is not: that
would take a quarter of an hour and changes nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = {"name": "contacts", "version": "0.1", "profile": "local"}


def sync_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the sync; YAML files are written as JSON, which YAML contains."""
    name = job["envelope"]
    rows = '{% for row in rows %}{{ row.body }}{{ "," if not loop.last }}{% endfor %}'
    batch = f'{{"{name}": [{rows}]}}' if name else f"[{rows}]"
    several = {"body_mode": "batch", "batch_template": batch, "max_records_per_request": job["batch_size"]}
    one = {"body_template": "{{ row.body }}"}
    return {
        "name": "push",
        "model": "SELECT key, body FROM contacts ORDER BY rowid",
        "destination": {
            "type": "rest_api",
            "url": job["url"],
            "method": "POST",
            "headers": {"Content-Type": "application/json", **job["headers"]},
            **(one if name is None else several),
        },
        "sync": {"mode": "full", "rate_limit": {"requests_per_second": 100_000}},
    }


def main(file: str, *_: str) -> None:
    """Write the project, run it, and say what it says."""
    job = json.loads(Path(file).read_text())
    folder = Path(job["folder"])
    for name, content in {
        ".drt/profiles.yml": {"local": {"type": "sqlite", "database": job["source"]}},
        "drt_project.yml": PROJECT,
        "syncs/push.yml": sync_of(job),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    command = [str(Path(sys.executable).with_name("drt")), "run", "--output", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    sys.stderr.write(done.stdout)
    result = json.loads(done.stdout[done.stdout.index("{") :])
    (one,) = result["syncs"]
    said = f"{one['status']}, {one['rows_synced']} synced, {one['rows_failed']} failed"
    print(json.dumps({"says": f"{said}; exit {done.returncode}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Exports behind pushes, what three runs leave of four records, and the queries that the documents show."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_contacts.operators import ExportOutcomesOperator
from tests.support.pages import blocks
from tests.support.pushing import World, people, push

HISTORY = [
    *[("p0", "r0", "rejected"), ("p0", "r1", "succeeded")],
    *[("p1", "r0", "rejected"), ("p1", "r1", "rejected"), ("p1", "r2", "succeeded")],
    *[("p2", "r0", "succeeded"), ("p3", "r2", "succeeded")],
]
"""Key, run and status of what the three runs of :func:`three_runs` did."""

LATEST = {"p0": "r1", "p1": "r2", "p2": "r0", "p3": "r2"}
"""The run with the latest state of each key."""


def export(world: World, dag: Any = None, **given: Any) -> Any:
    """Return a task that exports into a folder of the world."""
    place = {"path": str(world.folder / "out"), "outcomes_conn_id": "outcomes", "file_format": "ndjson"}
    with dag or DAG("d", schedule=None):
        return ExportOutcomesOperator(
            **{"task_id": "export", "trigger_rule": "all_done", "retries": 3, **place, **given}
        )


def behind(world: World, op: Any, **given: Any) -> Any:
    """Return an export of a push's summary."""
    return export(world, op.dag, summary=op.output, **given)


def read(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of an object, of CSV all values as texts."""
    path = Path(path)
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_table

        rows: list[dict[str, Any]] = read_table(path).to_pylist()
        return rows
    text = path.read_bytes().decode()
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")] if text else []


def three_runs(world: World, **given: Any) -> list[dict[str, Any]]:
    """Push three times what changes meanwhile, and export each run; return what the exports returned."""
    done = []
    for number, (refused, records) in enumerate([("First[01]", people(3)), ("First1", people(3)), ("", people(4))]):
        world.set(reject=f"first_name~{refused}" if refused else "")
        op = push(records, max_rejected=2)
        world.done(op, run_id=f"r{number}")
        done.append(world.done(behind(world, op, **given), run_id=f"r{number}"))
    return done


def documented(language: str, begins: str) -> str:
    """Return the one block of the documents that has a text in it."""
    (text,) = [one for one in blocks("docs/export.md", language) if begins in one]
    return text

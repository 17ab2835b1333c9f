"""An Airflow of the demo's own, in this process: its modules are loaded once."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG


def configure(folder: Path, dags: Path, connections: dict[str, str]) -> None:
    """Let this process know the demo's Airflow alone; before anything of Airflow is imported."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= connections | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(folder / "warehouse.db")}),
        "AIRFLOW_CONN_OUTCOMES": json.dumps({"conn_type": "sqlite", "host": str(folder / "outcomes.db")}),
    }


@contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Append what this process prints to a file, what libraries print included."""
    kept = [(number, os.dup(number)) for number in (1, 2)]
    with log.open("ab") as file:
        try:
            for number, _ in kept:
                os.dup2(file.fileno(), number)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)


def make_database() -> None:
    """Make the metadata database, as ``airflow db migrate`` does."""
    from airflow.utils.db import initdb

    initdb()


def close() -> None:
    """Let go of the metadata database; at the end of the process, Airflow 3.4 would print an error of its own."""
    from airflow.settings import dispose_orm

    dispose_orm()


def run(file: Path) -> dict[str, Any]:
    """Run the DAG of a file, as ``airflow dags test`` does; return its state and its push's summary."""
    run = load(file).test()
    return {"state": str(run.state), "summary": returned_by(run, "push") or {}}


def returned_by(run: DagRun, task_id: str) -> Any:
    """Return what a task of a DAG run returned; ``None`` if that is nothing."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    where: dict[str, Any] = {"dag_ids": run.dag_id, "task_ids": task_id}
    with create_session() as session:
        row: Any = session.execute(XComModel.get_many(run_id=run.run_id, key="return_value", limit=1, **where)).first()
    found = row[0].value if row is not None else None
    return json.loads(found) if isinstance(found, str) else found


def load(file: Path) -> DAG:
    """Return the DAG of a file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag: DAG = module.dag
    return dag

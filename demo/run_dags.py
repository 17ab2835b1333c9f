"""Run every example DAG once in this process, as ``airflow dags test`` does, and print their summaries as JSON.

Airflow's settings come from the environment; ``run.py`` makes it. Arguments: the file to write, then DAG files.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG


def load(file: Path) -> DAG:
    """Return the DAG of a file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag: DAG = module.dag
    return dag


def summary_of(run: Any) -> dict[str, Any]:
    """Return what the pushing task left in XCom."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(run_id=run.run_id, key="return_value", dag_ids=run.dag_id, task_ids="push", limit=1)
        row: Any = session.execute(query).first()
    found = row[0].value if row is not None else "{}"
    return dict(json.loads(found) if isinstance(found, str) else found)


def main(target: str, *files: str) -> None:
    """Run the DAGs, and write state and summary of each."""
    found = {}
    for file in map(Path, files):
        run = load(file).test()
        found[run.dag_id] = {"state": str(run.state), "summary": summary_of(run)}
    Path(target).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])

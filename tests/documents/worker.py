"""Run Python blocks, each in a fork of this process, which has imported Airflow once: JSON lines in, exit codes out.

It is a program of its own, since Airflow's home must be known before Airflow is imported.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = datetime(2026, 1, 31, tzinfo=UTC)
"""Of the runs of documented DAGs; the warehouse has leads of that day."""

WRAPPED = """\
from airflow.sdk import DAG
with DAG({dag_id!r}, schedule=None) as dag:
    exec(compile(open({file!r}, encoding="utf-8").read(), {file!r}, "exec"))
"""


def run_script(file: Path) -> None:
    sys.path[0] = str(Path.cwd())
    runpy.run_path(str(file), run_name="__main__")


def run_test(file: Path) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)])  # noqa: S606


def run_dag(file: Path) -> None:
    """Run every DAG of a file, which lies in a folder of DAGs."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(file))
    assert not bag.import_errors, "\n".join(bag.import_errors.values())
    assert bag.dags, "no DAG is made"
    dags: Iterable[Any] = bag.dags.values()
    for dag in dags:
        assert dag.tasks, f"no task is made in {dag.dag_id}"
        for task in dag.tasks:
            task.retry_delay = timedelta(0)
        run: Any = dag.test(logical_date=DAY)
        assert str(run.state) == "success", f"{dag.dag_id} ended as {run.state}"
        for task_id in dag.task_ids:
            returned = returned_by(run, task_id)
            if isinstance(returned, dict) and returned.get("num_planned") == 0:
                raise AssertionError(f"{dag.dag_id}: {task_id} has pushed nothing at all: {returned}")


def run_tasks(file: Path) -> None:
    """Run tasks that have no DAG in a DAG of their own."""
    from airflow.configuration import conf

    wrapped = Path(conf.get("core", "dags_folder")) / f"wrapped_{file.stem}.py"
    wrapped.parent.mkdir(parents=True, exist_ok=True)
    wrapped.write_text(WRAPPED.format(dag_id=file.stem, file=str(file)), "utf-8")
    try:
        run_dag(wrapped)
    finally:
        wrapped.unlink()


def returned_by(run: Any, task_id: str) -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    where: dict[str, Any] = {"dag_ids": run.dag_id, "task_ids": task_id}
    with create_session() as session:
        row: Any = session.execute(XComModel.get_many(run_id=run.run_id, key="return_value", limit=1, **where)).first()
    found = row[0].value if row is not None else None
    return json.loads(found) if isinstance(found, str) else found


def check_connection(file: Path) -> None:
    """Load a connection in JSON as Airflow does, and check it as the hook of its type does before it is used."""
    from airflow.sdk import BaseHook

    from airflow_provider_contacts.hooks import HOOKS
    from airflow_provider_contacts.task.connections import contacts_hook

    os.environ["AIRFLOW_CONN_DOCUMENTED"] = file.read_text("utf-8")
    if BaseHook.get_connection("documented").conn_type in HOOKS:
        contacts_hook("documented").target()
    else:
        BaseHook.get_hook("documented")


def check_settings(file: Path) -> None:
    """Check that Airflow, or a provider, has the options of an ``airflow.cfg``."""
    from airflow.configuration import conf

    parser = configparser.ConfigParser()
    parser.read(file)
    for section in parser.sections():
        for option in parser.options(section):
            known: Any = conf.configuration_description.get(section, {}).get("options", {})
            assert option in known, f"Airflow has no option {option} in a section [{section}]"


KINDS: Mapping[str, Callable[[Path], None]] = {
    "script": run_script,
    "test": run_test,
    "dag": run_dag,
    "tasks": run_tasks,
    "connection": check_connection,
    "settings": check_settings,
}


def forked(job: Mapping[str, Any]) -> int:
    """Do a job in a process of its own; return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.clear()
            os.environ.update(job["environment"])
            os.chdir(job["folder"])
            KINDS[job["kind"]](Path(job["file"]))
            code = 0
        except SystemExit as end:
            code = int(end.code or 0) if isinstance(end.code, int | None) else 1
        except BaseException:  # noqa: BLE001  # whatever the block raises is its output
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    until = time.monotonic() + float(job["seconds"])
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, 9)
    os.waitpid(pid, 0)
    return -9


async def prepare(app: Any) -> None:
    """Let Airflow's API build its routes, by a request for none: it takes seconds, and a fork finds it done."""
    import httpx

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid") as client:
        assert (await client.get("nothing")).status_code == 404


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    import airflow_provider_contacts.operators  # noqa: F401

    asyncio.run(prepare(in_process_api_server().app))
    for line in sys.stdin:
        answers.write(f"{forked(json.loads(line))}\n")
        answers.flush()


if __name__ == "__main__":
    main()

"""Run Python blocks and commands, each in a fork of this process, which has imported Airflow once.

A job is a message in JSON with the streams of its process, and is answered by its exit code. This is a program of its
own, since Airflow's home must be known before Airflow is imported; its argument is the socket that it listens at.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SECONDS = 120
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
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    sys.exit(subprocess.run(command, check=False).returncode)


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


def run_command(*arguments: str) -> None:
    """Run ``airflow``."""
    sys.argv = ["airflow", *arguments]
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


KINDS: Mapping[str, Callable[[Path], None]] = {
    "script": run_script,
    "test": run_test,
    "dag": run_dag,
    "tasks": run_tasks,
    "connection": check_connection,
    "settings": check_settings,
}


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what Airflow reads once, when it is imported."""
    return {name: value for name, value in environment.items() if name.startswith(("AIRFLOW_HOME", "AIRFLOW__"))}


def work(job: Mapping[str, Any], streams: list[int]) -> int:
    """Do a job in this process, which is its own; return its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(SECONDS)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # Streams of their own: those of the parent take a pipe for the file that they were made for.
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(job["environment"])
    try:
        os.chdir(job["folder"])
        if "arguments" in job:
            run_command(*job["arguments"])
        else:
            KINDS[job["kind"]](Path(job["file"]))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # whatever the block raises is its output
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


async def prepare(app: Any) -> None:
    """Let Airflow's API build its routes, by a request for none: it takes seconds, and a fork finds it done."""
    import httpx

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid") as client:
        assert (await client.get("nothing")).status_code == 404


def main() -> None:
    from airflow.cli import cli_parser  # noqa: F401
    from airflow.sdk.execution_time.supervisor import in_process_api_server

    import airflow_provider_contacts.operators  # noqa: F401

    asyncio.run(prepare(in_process_api_server().app))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    own = settings_of(os.environ)
    listener = socket.socket(fileno=int(sys.argv[1]))
    while True:
        connection, _ = listener.accept()
        with connection:
            message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
            job = json.loads(message)
            if settings_of(job["environment"]) != own:
                connection.send(b"other settings")
            elif os.fork() == 0:
                code = work(job, streams)
                connection.send(str(code).encode())
                os._exit(0)
            for stream in streams:
                os.close(stream)


if __name__ == "__main__":
    main()

"""An Airflow of several processes: API server, scheduler with workers of its own, DAG processor and triggerer.

For what ``dag.test()`` has not: tasks side by side, people who answer, assets that start a DAG.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from packaging.version import Version

from tests.support.processes import Processes
from tests.support.servers import Postgres, wait_until

PATIENCE = 90.0  # seconds for anything, on a machine that is busy with other tests; a test may take 120
SLOTS = 4


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def fetch(url: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
    """Return the JSON object behind a loopback URL, by POST where there is a body and no other method."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310  # loopback
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@dataclass(frozen=True, slots=True)
class WholeAirflow:
    """Its public REST API, and its processes."""

    port: int
    processes: Processes

    def ask(self, path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> dict[str, Any]:
        return fetch(f"http://127.0.0.1:{self.port}/api/v2/{path}", body, method)

    def wait_for(self, path: str, **wanted: Any) -> dict[str, Any]:
        """Ask until the answer is there and has a value that is wanted, and return it."""
        end, found = time.monotonic() + PATIENCE, None
        while time.monotonic() < end:
            self.processes.check()
            try:
                found = self.ask(path)
            except (HTTPError, URLError, ConnectionError, TimeoutError) as error:
                found = {"error": str(error)}
            if "error" not in found and all(found[name] in values for name, values in wanted.items()):
                return found
            time.sleep(0.3)
        raise TimeoutError("\n".join([f"{path}: {found}", *self.processes.tails()]))

    def wait_for_log(self, text: str) -> None:
        """Wait until the scheduler says something."""
        wait_until(lambda: text in self.processes.text("scheduler"), text)

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a DAG run."""
        self.ask(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})

    def state(self, dag_id: str, run_id: str) -> str:
        """Return how a DAG run has ended."""
        return str(self.wait_for(f"dags/{dag_id}/dagRuns/{run_id}", state={"success", "failed"})["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of each task; of a mapped one, of its last."""
        found = self.ask(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def returned(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return what a task has left in XCom."""
        entry = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?map_index={map_index}"
        value = self.ask(entry)["value"]
        return json.loads(value) if isinstance(value, str) else value


def settings(folder: Path, database: str, port: int, airflow: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every process; ``airflow`` is what is set besides, by section and name."""
    # Whoever is asked listens at loopback: no proxy of this machine has a part in it.
    unwanted = re.compile(r"AIRFLOW.*|.*_PROXY", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}
    common = {
        "core.load_examples": "False",
        "core.dags_are_paused_at_creation": "False",
        "core.simple_auth_manager_all_admins": "True",
        "core.fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "core.execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
        "api.host": "127.0.0.1",
        "api.port": str(port),
        "api.workers": "1",
        "api.secret_key": secrets.token_hex(32),
        "api_auth.jwt_secret": secrets.token_hex(32),
        "database.sql_alchemy_conn": database,
    }
    variables = {f"AIRFLOW__{name.replace('.', '__').upper()}": value for name, value in {**common, **airflow}.items()}
    return kept | variables | {"AIRFLOW_HOME": str(folder / "airflow"), "PYTHONUNBUFFERED": "1"}


def triggerer() -> tuple[str, ...]:
    """Return the process that waits for people's answers below Airflow 3.3."""
    from airflow import __version__

    return ("triggerer",) if Version(__version__) < Version("3.3") else ()


@contextmanager
def running_airflow(
    folder: Path, database: Postgres, dags: Iterable[Path], connections: Mapping[str, Mapping[str, Any]]
) -> Iterator[WholeAirflow]:
    """Run Airflow in a folder, on a database ``airflow`` of a server, until the block ends."""
    (folder / "dags").mkdir()
    for file in dags:
        shutil.copy(file, folder / "dags")
    port = free_port()
    airflow_settings = {
        "core.executor": "LocalExecutor",
        "core.parallelism": str(SLOTS),
        "core.dags_folder": str(folder / "dags"),
    }
    environment = settings(folder, database.url(database="airflow", driver="psycopg2"), port, airflow_settings)
    environment |= {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()}
    processes = Processes(folder, environment)
    try:
        processes.finish("migrate", "-m", "airflow", "db", "migrate")
        for name in ("api-server", "scheduler", "dag-processor", *triggerer()):
            processes.start(name, "-m", "airflow", name)
        airflow = WholeAirflow(port, processes)
        for file in dags:
            airflow.wait_for(f"dags/{file.stem}")
        yield airflow
    finally:
        processes.end()

"""An Airflow of several processes: its settings, its start, its public REST API, and everything around it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError

import psycopg
from psycopg.rows import dict_row

from tests.support import whole_airflow
from tests.support.processes import Processes
from tests.support.servers import Postgres, running_postgres
from tests.support.whole_airflow import fetch, free_port

HERE = Path(__file__).resolve().parent
DAG, TASK, RUN = "shards", "push", "killed"
DATABASES = ("airflow", "celery", "warehouse", "outcomes")
WORKERS = ("worker-1", "worker-2")
SLOTS = 4
HEARTBEAT_TIMEOUT = 20
# Kombu looks which tables there are and creates the others: two processes that start together fail each other.
BROKER = """
import os, kombu
with kombu.Connection(os.environ["AIRFLOW__CELERY__BROKER_URL"]) as connection:
    connection.SimpleQueue("default").close()
"""


def settings(folder: Path, database: Postgres, port: int) -> dict[str, str]:
    """Return the environment of every process: CeleryExecutor, nothing but PostgreSQL behind it."""
    broker = database.url(database="celery", driver="psycopg2")
    airflow = {
        "core.executor": "CeleryExecutor",
        "core.dags_folder": str(HERE / "dags"),
        "core.hostname_callable": "worker_name.worker_name",
        # Celery without a server of its own: fine for a test, not for production.
        "celery.broker_url": f"sqla+{broker}",
        "celery.result_backend": f"db+{broker}",
        "celery.worker_concurrency": str(SLOTS),
        "workers.min_heartbeat_interval": "2",
        "scheduler.task_instance_heartbeat_timeout": str(HEARTBEAT_TIMEOUT),
        "scheduler.task_instance_heartbeat_timeout_detection_interval": "2",
        # What the dead worker had fetched and not begun stays queued, until the scheduler queues it again.
        "scheduler.task_queued_timeout": "60",
        "scheduler.task_queued_timeout_check_interval": "5",
    }
    return whole_airflow.settings(folder, database.url(database="airflow", driver="psycopg2"), port, airflow) | {
        "C_FORCE_ROOT": "1",
        # The installed package, not the checkout; and the one module that names a worker.
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(HERE / "names"),
        **{
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(database.connection(database=name))
            for name in ("warehouse", "outcomes")
        },
    }


def make_tables(processes: Processes) -> None:
    processes.finish("broker", "-c", BROKER)
    processes.finish("migrate", "-m", "airflow", "db", "migrate")


def start(processes: Processes) -> None:
    """Start every part; none is ready yet."""
    for name in ("api-server", "scheduler", "dag-processor"):
        processes.start(name, "-m", "airflow", name)
    for name in WORKERS:
        options = ("--concurrency", str(SLOTS), "--celery-hostname", name, "--skip-serve-logs")
        pid = processes.folder / f"{name}.pid"
        processes.start(name, "-m", "airflow", "celery", "worker", *options, "--pid", pid, WORKER_NAME=name)


@dataclass(frozen=True, slots=True)
class Api:
    """Airflow's public REST API."""

    port: int

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return fetch(f"http://127.0.0.1:{self.port}/api/v2/{path}", body)

    def ready(self) -> bool:
        try:
            health = self.ask("monitor/health")
            self.ask(f"dags/{DAG}")
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False
        return bool(health["scheduler"]["status"] == "healthy")

    def trigger(self) -> None:
        self.ask(f"dags/{DAG}/dagRuns", {"dag_run_id": RUN, "logical_date": None})

    def dag_state(self) -> str:
        return str(self.ask(f"dags/{DAG}/dagRuns/{RUN}")["state"])

    def tasks(self) -> list[dict[str, Any]]:
        """Return the mapped tasks as they stand, those that do not exist yet left out."""
        found = self.ask(f"dags/{DAG}/dagRuns/{RUN}/taskInstances?limit=100")["task_instances"]
        return [one for one in found if one["map_index"] >= 0]

    def tries(self, shard: int) -> list[dict[str, Any]]:
        path = f"dags/{DAG}/dagRuns/{RUN}/taskInstances/{TASK}/{shard}/tries"
        return list(self.ask(path)["task_instances"])

    def summary(self, shard: int) -> dict[str, Any] | None:
        path = f"dags/{DAG}/dagRuns/{RUN}/taskInstances/{TASK}/xcomEntries/return_value?map_index={shard}"
        try:
            value = self.ask(path)["value"]
        except HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise
        return dict(json.loads(value) if isinstance(value, str) else value)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is."""

    database: Postgres
    processes: Processes
    api: Api
    vendor: str  # URL of the simulator
    started: float  # the moment, monotonic

    def rows(self, name: str, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(**self._place(name), row_factory=dict_row) as connection:
            return connection.execute(query.encode()).fetchall()

    def execute(self, name: str, statement: str) -> None:
        with psycopg.connect(**self._place(name), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _place(self, name: str) -> dict[str, Any]:
        return {"host": str(self.database.folder), "user": "postgres", "dbname": name}

    def wait(self, what: str, ready: Callable[[], bool], pause: float = 0.5) -> None:
        began = time.monotonic()
        while not ready():
            self.processes.check()
            time.sleep(pause)
        self.say(f"{what}, after {time.monotonic() - began:.0f} s")

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:5.0f} s  {text}", flush=True)


@contextmanager
def stage(limit: int, faults: Sequence[str], environment: dict[str, str]) -> Iterator[Stage]:
    """Set everything up; tell what every process said last if it goes wrong, and remove all whatever happens.

    After ``limit`` seconds the run is ended as by a signal; ``environment`` is added to that of every process.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(limit)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="contacts-distributed-"))
    try:
        with running_postgres() as database:
            port = free_port()
            processes = Processes(folder, settings(folder, database, port) | environment)
            try:
                yield Stage(database, processes, Api(port), simulator(processes, faults), started)
            finally:
                # Nothing may come in between from here on.
                signal.alarm(0)
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                processes.end()
                shutil.copyfile(database.folder / "log", folder / "postgres.log")
    except BaseException:
        print("\n".join(Processes(folder, {}).tails()), file=sys.stderr, flush=True)
        raise
    finally:
        shutil.rmtree(folder)


def stop(number: int, _: object) -> NoReturn:
    name = signal.Signals(number).name
    raise SystemExit("not done in time" if name == "SIGALRM" else f"stopped by {name}")


def simulator(processes: Processes, faults: Sequence[str]) -> str:
    """Serve the vendors on a free port, make the connection known to what starts later, and return the address."""
    arguments = [part for knob in faults for part in ("--set", knob)]
    processes.start("simulator", "-m", "airflow_provider_contacts.simulator", "--port", "0", *arguments)
    printed = re.compile(r"Simulator at (\S+).*export (AIRFLOW_CONN_TALKDESK_DEFAULT)='(.*?)'\n", re.DOTALL)
    while not (match := printed.search(processes.text("simulator"))):
        processes.check()
        time.sleep(0.1)
    processes.environment[match[2]] = match[3]
    return match[1]

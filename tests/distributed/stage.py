"""The folder, the database, the vendors and the processes of one run, all of which are gone at its end."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from psycopg.rows import dict_row

from tests.distributed.deployment import Api, free_port, settings
from tests.distributed.processes import Processes
from tests.support.servers import Postgres, running_postgres


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is.

    :param vendor: URL of the simulator.
    :param started: the moment, monotonic.
    """

    database: Postgres
    processes: Processes
    api: Api
    vendor: str
    started: float

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

    :param limit: seconds after which the run is ended as by a signal.
    :param faults: knobs of the simulator.
    :param environment: added to that of every process.
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

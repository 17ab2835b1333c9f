"""The world of every page: an Airflow, the simulator, an outcome table with a finished push, and a warehouse."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import running
from tests.airflow_harness import MemAPI, run_op
from tests.support.pages import ROOT
from tests.support.pushing import push
from tests.support.whole_airflow import free_port

LIST_ID = "0e1f7d32-8c5b-4f0a-9a53-5b6f0c1d2e3f"
RUN_ID = "scheduled__2026-01-31T06:00:00+00:00"
PORT = "8780"  # that pages name; each session has another
TABLES = {
    "leads": ("lead_id", "first_name", "last_name", "phone", "email", "day"),
    "contacts": ("contact_id", "first_name", "last_name", "full_name", "email", "phone", "company", "job_title", "city",
                 "country", "timezone", "language", "birthday", "created_at", "updated_at"),
}  # fmt: skip
FILES = ("outcomes", "warehouse")
PEOPLE = (("Ada", "Lovelace"), ("Grace", "Hopper"), ("Alan", "Turing"), ("Edsger", "Dijkstra"))
PUSHED = [
    {"lead_id": f"lead-{number}", "first_name": first, "last_name": last, "phone_number": f"+141555501{number}"}
    for number, (first, last) in enumerate(PEOPLE, 17)
]  # the answer for the first is lost, the second is refused
del PUSHED[-1]["phone_number"]
CONFIGURATION = """\
[core]
dags_folder = {dags}
load_examples = False

[contacts]
outcomes_conn_id = outcomes
"""


def rows() -> dict[str, list[tuple[str, ...]]]:
    """Return what is in the warehouse; leads are of the day that documented DAGs run for, and of today."""
    today = date.today().isoformat()  # noqa: DTZ011  # as `ds` is, near enough
    people = [
        (first, last, f"+141555501{number}", f"{first.lower()}@example.com")
        for number, (first, last) in enumerate(PEOPLE, 21)
    ]
    leads: list[tuple[str, ...]] = [
        (f"{name}-{number}", *person, day)
        for name, day in (("lead", "2026-01-31"), ("today", today))
        for number, person in enumerate(people, 21)
    ]
    moments = ("2026-01-30 08:00:00", "2026-01-31 08:00:00")
    place = ("Example Ltd", "Engineer", "London", "GB", "Europe/London", "en", "1915-12-10")
    contacts: list[tuple[str, ...]] = [
        (f"c-{number}", first, last, f"{first} {last}", email, phone, *place, *moments)
        for number, (first, last, phone, email) in enumerate(people)
    ]
    return {"leads": leads, "contacts": contacts}


class World:
    """One a session; every page begins it anew in the same place, since Airflow's settings are made of paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "world"
        self.template, self.worker = folder / "template", folder / "worker"
        self.airflow, self.home, self.work, self.data = (
            self.folder / name for name in ("airflow", "home", "work", "data")
        )
        self.dags = self.airflow / "dags"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.simulator = vendors()
        self.serving, self.is_served = ExitStack(), False
        self._write_template()

    def _write_template(self) -> None:
        self.template.mkdir()
        (self.template / "airflow.cfg").write_text(CONFIGURATION.format(dags=self.dags), "utf-8")
        shutil.copytree(self.template, self.airflow)
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        told = subprocess.run(migrate, check=False, env=self.environment(), capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        shutil.rmtree(self.template)
        self.airflow.rename(self.template)

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return the connections of every page by id."""
        files = {name: {"conn_type": "sqlite", "host": str(self.data / f"{name}.db")} for name in FILES}
        return vendor_connections(self.simulator, self.url) | files

    def environment(self) -> dict[str, str]:
        """Return the environment of a page's commands: a reader's, without what this process is told."""
        # Nothing leaves this machine, whatever a page names.
        proxies = {f"{name}_PROXY": "http://127.0.0.1:9" for name in ("HTTP", "HTTPS", "ALL")}
        proxies |= {"NO_PROXY": "127.0.0.1,localhost", "PIP_NO_INDEX": "1"}
        unwanted = ("AIRFLOW", "PYTEST", "CONTACTS_", "PYTHONSAFEPATH", "_AIRFLOW")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(unwanted) and not name.lower().endswith("_proxy")
        }
        connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(one) for name, one in self.connections().items()}
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {"AIRFLOW_HOME": str(self.airflow), "HOME": str(self.home), "PATH": path, "COLUMNS": "250"}
        return kept | connections | proxies | own

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Begin the world anew, and let its simulator run until the block ends."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.airflow)
        for folder in (self.dags, self.home, self.work, self.data):
            folder.mkdir()
        self._write_commands()
        with closing(sqlite3.connect(self.data / "warehouse.db")) as warehouse:
            fill(warehouse.cursor(), "?")
            warehouse.commit()
        self.simulator = vendors()
        with ExitStack() as self.serving:
            self.start_simulator()
            finish_push(self.simulator, self.connections())
            yield
        self.is_served = False

    def _write_commands(self) -> None:
        """Write the commands that are played: their folder is the first on PATH."""
        (self.folder / "bin").mkdir()
        places = {"@ROOT@": ROOT, "@PYTHON@": sys.executable, "@WORKER@": self.worker}
        for file in Path(__file__).with_name("bin").iterdir():
            text = file.read_text("utf-8")
            for name, place in places.items():
                text = text.replace(name, str(place))
            copy = self.folder / "bin" / file.name
            copy.write_text(text, "utf-8")
            copy.chmod(0o755)
        (self.folder / "bin" / "python3").symlink_to("python")

    def start_simulator(self) -> None:
        """Serve the world's simulator, unless it is."""
        if not self.is_served:
            self.serving.enter_context(running(self.simulator, port=self.port))
            self.is_served = True

    def stop_simulator(self) -> None:
        """Make room for one that a page starts."""
        self.serving.close()
        self.is_served = False


def vendors() -> Simulator:
    """Return a simulator that has the record list of the pages."""
    simulator = Simulator()
    simulator.set("talkdesk.record_lists", f"{LIST_ID},demo-list")
    return simulator


def vendor_connections(simulator: Simulator, url: str) -> dict[str, dict[str, Any]]:
    return {f"{name}_default": dict(one) for name, one in simulator.connections(url).items()}


def finish_push(simulator: Simulator, connections: Mapping[str, Any]) -> None:
    """Push four records into the outcome table of the connection ``outcomes``, one of each end."""
    simulator.set("talkdesk.reject_codes", "PHONE_NUMBER_INVALID")
    simulator.set("talkdesk.reject", "phone_number~0118$")
    simulator.set("talkdesk.store_then_drop", "next:1")
    limits = {"batch_size": 1, "max_in_flight": 1, "max_unknown": 1, "max_rejected": 2}
    task = push(PUSHED, "callbacks", contacts_conn_id="talkdesk_default", sync_key="lead_id", **limits)
    with redirect_stdout(StringIO()):
        result = run_op(task, MemAPI(connections), run_id=RUN_ID)
    assert result.error is None, result.error
    simulator.set("talkdesk.reject", [])
    simulator.set("talkdesk.reject_codes", "OTHER")


def fill(cursor: Any, mark: str) -> None:
    """Make the tables of the warehouse; ``mark`` is the database's placeholder."""
    for name, found in rows().items():
        cursor.execute(f"CREATE TABLE {name} ({', '.join(f'{column} VARCHAR(40)' for column in TABLES[name])})")
        cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join([mark] * len(TABLES[name]))})", found)

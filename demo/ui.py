"""The page on this machine alone: ``make ui``, a browser, and three days of pushes to look at; Ctrl-C ends it.

Makes a warehouse and an Airflow home in ``.demo-ui``, serves the five vendors on loopback, starts ``airflow
standalone`` with the example DAGs and the page configured, and lets Airflow run the pushes. The warehouse grows from
day to day, and the vendors err. After each day, what the outcome table has is moved a day back.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from demo import airflow_home, make_contacts
from demo.run import DAGS, ROOT, VENDORS, shown, simulator
from demo.screen import Screen

USERS = {"admin": "admin", "viewer": "viewer"}
ROWS_A_DAY = 150
# What the vendors do on each day: answers get lost after the contacts were stored, or before; a name is refused.
DAYS: tuple[dict[str, Any], ...] = (
    {"talkdesk.close_before_store": "next:1"},
    {"dex.store_then_drop": "next:1", "nedzo.reject": r"first_name~^[A-C]"},
    {"talkdesk.store_then_drop": "next:1", "apptoto.reject": "name~^[L-N]"},
)
ENDED = {"success", "failed"}
TIMES = {
    "runs": ("started_at", "updated_at", "completed_at"),
    "batches": ("batch_started_at", "batch_completed_at"),
    "records": ("settled_at",),
}
FILES = {"table": "outcomes.db", "log": "airflow.log", "home": "airflow"}
WORDS = """
The page         {url}/contacts/   or "Contacts" in Airflow's own navigation
Airflow          {url}/
Log in as        admin, who may see records, or viewer, who may not; password: {password}
Outcome table    {table}
Look up          C000003, which one vendor refused, or C999999, which was never read; at a terminal:
                 AIRFLOW_HOME={home} AIRFLOW_CONN_OUTCOMES={outcomes} \\
                   .venv/bin/airflow contacts why C000003 --outcomes-conn-id outcomes
The simulator    {simulator}/_simulator   what it has stored, and faults to set: docs/simulator.md
Logs             {log}

Airflow ran the pushes just now: those of earlier days were moved back in the outcome table, not in Airflow.
Ctrl-C ends all of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="The page in Airflow's UI, with invented contacts to look at.")
    parser.add_argument("--port", type=int, default=8080, help="Airflow's, on loopback; 0: a free one (%(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo-ui", help="replaced (default: .demo-ui)")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # no proxy reaches the simulator
    screen = Screen(os.fdopen(os.dup(1), "w"))
    # SIGINT too: a shell lets what it starts in the background ignore it, and so would Airflow.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), simulator(folder, screen) as (vendors, connections):
        write_warehouse(folder / "warehouse.db")
        airflow_home.configure(folder, DAGS, connections)
        airflow = Airflow(f"http://127.0.0.1:{free_port(options.port)}", secrets.token_urlsafe(6), folder)
        with airflow.running(screen):
            for day in range(len(DAYS)):
                pushes_of(day, airflow, vendors, screen)
            told = {"url": airflow.url, "password": airflow.password, "simulator": vendors}
            told |= {name: shown(folder / file) for name, file in FILES.items()}
            screen.say(WORDS.format(**told, outcomes=shlex.quote(os.environ["AIRFLOW_CONN_OUTCOMES"])))
            while True:
                airflow.check()
                time.sleep(1)
    screen.say("ended")


def free_port(wanted: int = 0) -> int:
    """Return the port, or a free one for 0; end with a word where it is taken."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise SystemExit(f"port {wanted} is taken ({error.strerror}): name another one, --port 0 for any") from None
        port: int = one.getsockname()[1]
        return port


def write_warehouse(file: Path) -> None:
    """Write all contacts; which of them are there already says the view ``contacts``."""
    make_contacts.write(file, ROWS_A_DAY * len(DAYS), 1)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE contacts RENAME TO all_contacts")
        connection.execute("CREATE TABLE dex_ids (contact_id VARCHAR(255) PRIMARY KEY, dex_id VARCHAR(255))")


def pushes_of(day: int, airflow: Airflow, vendors: str, screen: Screen) -> None:
    """Let Airflow push what the warehouse has on a day; then move all of it a day back, but on the last day."""
    with closing(sqlite3.connect(airflow.folder / "warehouse.db")) as connection:
        connection.execute("DROP VIEW IF EXISTS contacts")
        rows = ROWS_A_DAY * (day + 1)
        connection.execute(f"CREATE VIEW contacts AS SELECT * FROM all_contacts WHERE rowid <= {rows}")  # noqa: S608
    fetch(f"{vendors}/_simulator/faults", {"nedzo.reject": "", "apptoto.reject": ""} | DAYS[day])
    back = len(DAYS) - 1 - day
    when = (datetime.now(UTC) - timedelta(days=back)).isoformat()
    names = [f"example_{name}" for name in (*VENDORS, "upstream")]
    runs = [f"dags/{name}/dagRuns/{airflow.trigger(name, when)}" for name in names]
    with screen.during(f"pushes of day {day + 1} of {len(DAYS)}"):
        states = [airflow.wait_for(run) for run in runs]
    said = f"{states.count('failed')} of {len(states)} failed, as they should where answers were lost"
    screen.say(f"{'2. Pushes' if day == 0 else '':14} {rows} contacts to {len(VENDORS)} vendors: {said}")
    if back:
        with closing(sqlite3.connect(airflow.folder / "outcomes.db")) as connection, connection:
            for table, columns in TIMES.items():
                moved = ", ".join(f"{name} = strftime('%Y-%m-%d %H:%M:%f', {name}, '-1 day')" for name in columns)
                connection.execute(f"UPDATE contact_outcomes_{table} SET {moved}")  # noqa: S608  # names of ours


def fetch(url: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """Return the JSON object behind a loopback URL; by POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310  # loopback
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@dataclass(slots=True)
class Airflow:
    """``airflow standalone``, in a session of its own, and its REST API."""

    url: str
    password: str
    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)
    token: str = ""

    @contextmanager
    def running(self, screen: Screen) -> Iterator[None]:
        """Run it while the block lasts, and end every process of it."""
        passwords = self.folder / "passwords.json"
        passwords.write_text(json.dumps(dict.fromkeys(USERS, self.password)), encoding="utf-8")
        settings = {
            "core__dags_are_paused_at_creation": "False",
            "core__execution_api_server_url": f"{self.url}/execution/",
            "core__parallelism": "4",
            "core__simple_auth_manager_users": ",".join(map(":".join, USERS.items())),
            "core__simple_auth_manager_passwords_file": str(passwords),
            "api__base_url": self.url,
            "api__host": "127.0.0.1",
            "api__port": self.url.rpartition(":")[2],
            "api__workers": "1",
            # On a busy machine its first answers take longer than the usual 5 seconds, and a task that gives up on
            # them comes again only after the retry_delay of its DAG.
            "workers__execution_api_timeout": "60",
            "logging__worker_log_server_port": str(free_port()),
            "logging__trigger_log_server_port": str(free_port()),
            "contacts__outcomes_conn_id": "outcomes",
            "contacts__show_records": "True",
        }
        # standalone starts what the path calls airflow.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {f"AIRFLOW__{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "airflow", "standalone"]
        with (self.folder / "airflow.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment | {"PATH": path}, stdout=log, stderr=log, start_new_session=True
            )
            try:
                with screen.during("Airflow starts"):
                    self.wait_until_it_answers()
                yield
            finally:
                with screen.during("Airflow ends"):
                    self.end()

    def end(self) -> None:
        """Interrupt it, as Ctrl-C in its terminal does; after a while, or a second Ctrl-C, kill whatever is left."""
        for number, seconds in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                self.process.wait(seconds)

    def check(self) -> None:
        """Raise where it has ended by itself."""
        if self.process.poll() is not None:
            raise SystemExit(f"Airflow has ended: {shown(self.folder / 'airflow.log')}")

    def wait_until_it_answers(self) -> None:
        """Log in, and wait until every example DAG is there."""
        while True:
            self.check()
            with suppress(OSError, HTTPException):
                login = {"username": "admin", "password": self.password}
                self.token = fetch(f"{self.url}/auth/token", login)["access_token"]
                if self.ask("dags?limit=1")["total_entries"] >= len(list(DAGS.glob("*.py"))):
                    return
            time.sleep(0.5)

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the public API."""
        return fetch(f"{self.url}/api/v2/{path}", body, Authorization=f"Bearer {self.token}")

    def trigger(self, dag_id: str, when: str) -> str:
        """Start a DAG run for a moment; return its id."""
        return str(self.ask(f"dags/{dag_id}/dagRuns", {"logical_date": when})["dag_run_id"])

    def wait_for(self, run: str) -> str:
        """Wait until a DAG run has ended, and return how."""
        while (state := str(self.ask(run)["state"])) not in ENDED:
            self.check()
            time.sleep(0.5)
        return state


if __name__ == "__main__":
    main()

"""A real API server with the page in it, people who log in to it, and requests exactly as they are written."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.page_people import FAB, Manager, people
from tests.support.processes import PACKAGE, ROOT, Processes
from tests.support.whole_airflow import PATIENCE, free_port, settings


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server has said."""

    request: str = field(repr=False)
    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)


@dataclass(slots=True)
class PageServer:
    """One server, and everybody's token."""

    manager: Manager
    port: int
    folder: Path
    processes: Processes
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        who: str | None,
        path: str,
        method: str = "GET",
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cookie: bool = False,
    ) -> Answer:
        """Ask for a path, which is sent as it is, as somebody: by bearer token, or by the browser's cookie."""
        sent = dict(headers or {})
        token = None if who is None else self.tokens.get(who, who)
        if token is not None:
            sent |= {"Cookie": f"_token={token}"} if cookie else {"Authorization": f"Bearer {token}"}
        body = None if form is None else urlencode(form, errors="surrogatepass").encode()
        if body is not None:
            sent |= {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send(method, path, sent, body)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        said = {name.lower(): value for name, value in response.getheaders()}
        return Answer(f"{method} {path}", response.status, said, text)

    def log_in(self) -> None:
        """Get everybody's token."""
        for person in people(self.manager):
            body = json.dumps({"username": person.name, "password": person.password}).encode()
            found = self.send("POST", "/auth/token", {"Content-Type": "application/json"}, body)
            assert found.status in (200, 201), (person.name, found.text)
            self.tokens[person.name] = json.loads(found.text)["access_token"]

    def looks(self) -> list[dict[str, Any]]:
        """Return the audit log's rows of looks at records, oldest first."""
        return looks(self.folder / "airflow.db")

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.processes.check()
            with suppress(OSError):
                if self.send("GET", "/api/v2/version", {}, None).status == 200:
                    return
            time.sleep(0.2)
        raise TimeoutError("\n".join(self.processes.tails()))

    def said(self) -> str:
        return self.processes.text("api-server")


def looks(metadata: Path) -> list[dict[str, Any]]:
    """Return the rows of an audit log that are looks at records, oldest first."""
    with closing(sqlite3.connect(f"file:{metadata}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM log WHERE event LIKE 'contacts%' ORDER BY id")]


@contextmanager
def page_server(folder: Path, manager: Manager, connection: Mapping[str, Any]) -> Iterator[PageServer]:
    """Run a server on a metadata database of its own, which shows records in clear to who may edit."""
    port = free_port()
    mine = {
        "contacts.outcomes_conn_id": "outcomes",
        "contacts.show_records": "True",
        "core.simple_auth_manager_all_admins": "False",
    }
    if manager == "fab":
        mine |= {"core.auth_manager": FAB, "fab.auth_rate_limited": "False"}
    else:
        passwords = folder / "passwords.json"
        passwords.write_text(json.dumps({one.name: one.password for one in people(manager)}), "utf-8")
        mine |= {
            "core.multi_team": "True",
            "core.simple_auth_manager_users": ",".join(one.user for one in people(manager)),
            "core.simple_auth_manager_passwords_file": str(passwords),
        }
    environment = settings(folder, f"sqlite:///{folder / 'airflow.db'}", port, mine)
    environment |= {"AIRFLOW_CONN_OUTCOMES": json.dumps(connection), "PYTHONPATH": str(PACKAGE.parent)}
    processes = Processes(folder, environment)
    try:
        path = os.pathsep.join([str(PACKAGE.parent), str(ROOT)])
        processes.start("people", "-m", "tests.support.page_people", manager, PYTHONPATH=path)
        if processes.running.pop("people").wait():
            raise RuntimeError("\n".join(processes.tails()))
        processes.start("api-server", "-m", "airflow", "api-server")
        server = PageServer(manager, port, folder, processes)
        server.wait()
        server.log_in()
        yield server
    finally:
        processes.end()

"""How a block of each language is run; each returns what it has said, or raises what is wrong."""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml  # type: ignore[import-untyped]  # Airflow brings it, without types

from airflow_provider_contacts.simulator.server import running
from tests.documents.blocks import Block, WrongBlockError, kind_of
from tests.documents.shell import Shell, environment_of
from tests.documents.worker import settings_of
from tests.documents.world import PORT, World, fill, finish_push, vendor_connections, vendors
from tests.support.servers import MariaDB, NoServerError, Postgres, running_mariadb, running_postgres

if TYPE_CHECKING:
    from sqlalchemy import Engine

MACROS = {"ds": "2026-01-31", "data_interval_start": "2026-01-31", "data_interval_end": "2026-02-01"}
TAIL = 25


class Worker:
    """A process that runs Python blocks and commands under the Airflow settings that it was started with."""

    def __init__(self, environment: Mapping[str, str], address: Path) -> None:
        self.address = address
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(address))
            listener.listen()
            command = [sys.executable, str(Path(__file__).with_name("worker.py")), str(listener.fileno())]
            self.process = subprocess.Popen(command, env=dict(environment), pass_fds=[listener.fileno()])

    def run(self, kind: str, file: Path, environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
        """Run a block; return its exit code and what it has said."""
        job = {"kind": kind, "file": str(file), "environment": environment, "folder": str(folder)}
        output = file.with_suffix(".out")
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
            Path(os.devnull).open() as nothing,
            output.open("wb") as said,
        ):
            connection.connect(str(self.address))
            streams = [nothing.fileno(), said.fileno(), said.fileno()]
            socket.send_fds(connection, [json.dumps(job).encode()], streams)
            code = int(connection.recv(16) or -1)
        return code, output.read_text("utf-8", "replace")


class Workers:
    """A worker for each of the Airflow settings that were asked for; that of the world is at ``world.worker``."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}

    def of(self, environment: Mapping[str, str], world: World) -> Worker:
        settings = repr(settings_of(environment))
        if settings not in self.workers:
            address = world.worker.with_suffix(f".{len(self.workers)}") if self.workers else world.worker
            self.workers[settings] = Worker(environment, address)
        return self.workers[settings]

    def end(self) -> None:
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.wait()


def engine_of(url: str) -> Engine:
    from sqlalchemy import NullPool, create_engine

    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


class Servers:
    """The database servers of a session, each started when a block first asks for it."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.servers: dict[str, Postgres | MariaDB] = {}
        self.names = count(1)

    def filled(self, kind: str) -> Engine:
        """Return a new database with the outcome table and the warehouse's tables of the world."""
        if kind not in self.servers:
            start: Any = {"postgres": running_postgres, "mysql": running_mariadb}[kind]
            try:
                self.servers[kind] = self.stack.enter_context(start())
            except NoServerError as reason:
                pytest.skip(str(reason))
        server, name = self.servers[kind], f"page_{next(self.names)}"
        run(engine_of(server.url()), [f"CREATE DATABASE {name}"])
        simulator = vendors()
        with running(simulator) as url:
            outcomes = {"outcomes": server.connection(database=name)}
            finish_push(simulator, vendor_connections(simulator, url) | outcomes)
        engine = engine_of(server.url(database=name))
        with closing(engine.raw_connection()) as connection:
            fill(connection.cursor(), "%s")
            connection.commit()
        return engine


def run(engine: Engine, statements: Iterable[str]) -> str:
    """Execute statements, and return their rows as text."""
    with closing(engine.raw_connection()) as connection:
        cursor, said = connection.cursor(), []
        for one in statements:
            cursor.execute(one)
            if cursor.description:
                said.append(" | ".join(column[0] for column in cursor.description))
                said += [" | ".join(map(str, row)) for row in cursor.fetchall()]
        connection.commit()
    return "\n".join(said)


class Page:
    """What runs the blocks of one page, in order."""

    def __init__(self, world: World, workers: Workers, servers: Servers) -> None:
        self.world, self.workers, self.servers = world, workers, servers
        self.shell = Shell(world)
        workers.of(self.shell.environment, world)  # which begins to get ready
        self.databases: dict[str, Engine] = {}
        self.said: str | None = None  # by the block before, if it says anything

    def run(self, block: Block) -> None:
        """Run one block; an ``AssertionError`` or ``WrongBlockError`` tells what is wrong with it."""
        languages: Mapping[str, Callable[[Block], str | None]] = {
            "sh": self.run_shell, "python": self.run_python, "sql": self.run_sql, "json": self.run_json,
            "toml": parse_toml, "ini": self.run_ini, "yaml": parse_yaml,
        }  # fmt: skip
        if block.language == "text":
            assert self.said is not None, "no block before it says anything: give `run: no` and why it stands here"
            check_output(block.text.replace(PORT, str(self.world.port)), self.said)
        elif block.language in languages:
            self.said = languages[block.language](block)
        else:
            raise WrongBlockError(f"the language {block.language!r} is none of {', '.join((*languages, 'text'))}")

    def run_shell(self, block: Block) -> str:
        before, aside = self.shell.environment, self.world.folder / "aside"
        # What is said aside leaves nothing behind: the blocks after it would not reach the simulator.
        text = f"(\n{block.text}\nenv -0 >{aside}\n)" if block.way == "aside" else block.text
        said = judged(block, *self.shell.run(text, strict=block.way != "fails"))
        after = environment_of(aside) if block.way == "aside" else self.shell.environment
        for name, value in after.items():
            if name.startswith("AIRFLOW_CONN_") and before.get(name) != value:
                self._check(block, value)
        return said

    def _check(self, block: Block, connection: str) -> None:
        """Check a connection, in JSON or as a URI."""
        file = self.world.folder / "connection"
        file.write_text(connection, "utf-8")
        environment = self.shell.environment
        worker = self.workers.of(environment, self.world)
        judged(replace(block, way=""), *worker.run("connection", file, environment, self.world.folder))

    def run_python(self, block: Block) -> str:
        return self._work(kind_of(block), block, block.file or f"block_{block.line}.py")

    def _work(self, kind: str, block: Block, name: str) -> str:
        environment, folder = self.shell.environment, Path(self.shell.folder)
        if kind == "dag":
            # A home that the page has made itself has its own folder of DAGs.
            folder_of_dags = Path(environment["AIRFLOW_HOME"]) / "dags"
            file = folder_of_dags / Path(name).name
        else:
            file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text.replace(PORT, str(self.world.port)), "utf-8")
        try:
            return judged(block, *self.workers.of(environment, self.world).run(kind, file, environment, folder))
        finally:
            if not block.file:
                file.unlink()

    def run_sql(self, block: Block) -> str:
        text = jinja2.Template(block.text, undefined=jinja2.StrictUndefined).render(MACROS)
        statements = statements_of(text)
        if block.way not in ("postgres", "mysql"):
            name = "outcomes" if "contact_outcomes" in text else "warehouse"
            return run(engine_of(f"sqlite:///{self.world.data / name}.db"), statements)
        if block.way not in self.databases:
            self.databases[block.way] = self.servers.filled(block.way)
        return run(self.databases[block.way], statements)

    def run_json(self, block: Block) -> None:
        parsed = json.loads(block.text)
        if isinstance(parsed, dict) and "conn_type" in parsed:
            self._check(block, block.text)

    def run_ini(self, block: Block) -> None:
        configparser.ConfigParser().read_string(block.text)
        self._work("settings", block, "airflow.cfg")


def statements_of(text: str) -> list[str]:
    """Return the statements of a block; the last may have no semicolon, as in an operator."""
    found, rest = [], ""
    for line in text.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest.strip().removesuffix(";"))
            rest = ""
    return [*found, rest] if rest.strip() else found


def parse_toml(block: Block) -> None:
    tomllib.loads(block.text)


def parse_yaml(block: Block) -> None:
    yaml.safe_load(block.text)


def judged(block: Block, code: int, said: str) -> str:
    """Return what a block has said, if it ended as it was to end."""
    told = "\n".join(said.splitlines()[-TAIL:])
    if block.way == "fails":
        assert code, f"it is to fail, and has not:\n{told}"
    else:
        assert code == 0, f"it ended with {code}:\n{told}"
    return said


def check_output(expected: str, said: str) -> None:
    """Find each line in the output, in order; `…` stands for anything, any blank for any blanks."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", said)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    start = 0
    for line in filter(None, (" ".join(line.split()) for line in expected.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, re.split(r" ?… ?", line))))
        found = [number for number in range(start, len(lines)) if pattern.search(lines[number])]
        assert found, f"the output has no line (behind those before it)\n  {line}\nit is:\n{shown[-6000:]}"
        start = found[0] + 1

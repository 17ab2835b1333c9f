"""Processes in sessions of their own, so that one can be killed with everything that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # Airflow brings it, without types

import airflow_provider_contacts

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(str(airflow_provider_contacts.__file__)).resolve().parent
TAIL = 40
GONE_WITHIN = 20.0


def members(session: int) -> set[int]:
    found = set()
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def kill_session(session: int) -> int:
    """Kill every process of a session with SIGKILL; return how many there were.

    All are stopped before the first is killed: a parent that saw its child die could report it, which the processes of
    a machine that loses its power cannot.
    """
    stopped: set[int] = set()
    while new := members(session) - stopped:
        for pid in new:
            send(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        send(pid, signal.SIGKILL)
    end = time.monotonic() + GONE_WITHIN
    while members(session):
        if time.monotonic() > end:
            raise TimeoutError(f"processes of session {session} survive SIGKILL")
        time.sleep(0.05)
    return len(stopped)


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def environment() -> dict[str, str]:
    """Return in what another Python imports these tests, and the package that they test, which may be installed."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(ROOT)])}
    found.pop("AIRFLOW_HOME", None)
    return found


def child(script: str, *arguments: str, folder: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Run a script in a Python of its own."""
    command = [sys.executable, "-P", "-c", script, *arguments]
    return subprocess.Popen(command, env=environment(), stdout=stdout, text=True, cwd=folder)


class Processes:
    """Python processes of one environment, each with a session of its own and a log in the folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str | Path, **extra: str) -> None:
        """Start Python; ``extra`` is added to its environment."""
        with self.log(name).open("wb") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=self.environment | extra,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, name: str, *arguments: str | Path) -> None:
        self.start(name, *arguments)
        if code := self.running[name].wait():
            raise RuntimeError(f"{name} ended with {code}")
        del self.running[name]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def text(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")

    def check(self) -> None:
        for name, process in self.running.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")

    def kill(self, name: str) -> int:
        """Kill a process and all that it has started; return how many processes died."""
        process = self.running.pop(name)
        count = kill_session(process.pid)
        process.wait()
        return count

    def end(self) -> None:
        for name in list(self.running):
            self.kill(name)

    def tails(self) -> Iterator[str]:
        for file in sorted(self.folder.rglob("*.log")):
            lines = file.read_text(errors="replace").splitlines()[-TAIL:]
            yield f"---- {file.relative_to(self.folder)}\n" + "\n".join(line[:1000] for line in lines)

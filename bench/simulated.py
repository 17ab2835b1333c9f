"""The simulator as a process of its own: started with knobs, asked for what it has seen, and ended."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_contacts.simulator.messages import Seen
from bench.process import BrokenError, Place, tail
from campaigns.people import VENDORS


@dataclass(frozen=True, slots=True)
class Log:
    """What a vendor has seen.

    :param creates: its create requests, in the order of their answers.
    :param stored: contacts that exist; ``contacts`` are those that were asked for.
    """

    creates: Sequence[Seen]
    stored: int
    contacts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A running simulator.

    :param connections: a ready Airflow connection to each vendor.
    """

    url: str
    connections: Mapping[str, Mapping[str, Any]]

    def log(self, vendor: str, *, with_contacts: bool = False) -> Log:
        """Return what a vendor has seen until now."""
        limit = "" if with_contacts else "&limit=0"
        state = json.loads(self._get(f"/_simulator/state?vendor={vendor}&requests=true{limit}"))
        seen = (Seen(**one) for one in state["request_log"])
        return Log([one for one in seen if one.kind == "write"], state["stored"], state["contacts"])

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def running(place: Place, knobs: Mapping[str, str]) -> Iterator[Simulated]:
    """Start a simulator on a free port, and end it afterwards.

    :param knobs: names to values, as its command line takes them.
    :raises BrokenError: if it does not start.
    """
    pairs = [word for name, value in knobs.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-P", "-m", "airflow_provider_contacts.simulator", "--port", "0", *pairs]
    log = place.folder / "simulator.log"
    with (
        log.open("ab") as errors,
        Popen(command, stdout=PIPE, stderr=errors, text=True, cwd=place.folder, env=place.environment()) as process,
    ):
        try:
            yield started(process, log)
        finally:
            process.kill()


def started(process: Popen[str], log: Path) -> Simulated:
    """Read the simulator's first words: its address, and a connection to each vendor."""
    url, connections = "", {}
    for line in process.stdout or ():
        if line.startswith("Simulator at "):
            url = line.split()[2]
        elif line.startswith("export "):
            _, _, value = shlex.split(line)[1].partition("=")
            found = json.loads(value)
            connections[found["conn_type"]] = found
        if url and len(connections) == len(VENDORS):
            return Simulated(url, connections)
    raise BrokenError(f"the simulator did not start; the end of its log: {tail(log)}")

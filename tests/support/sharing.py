"""Many processes that share one rate, and a server that writes down when their requests came."""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from sqlalchemy import create_engine  # noqa: TID253  # a rate is shared through a database

from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget
from airflow_provider_contacts.ledgers.shared_rate.rate_table import RateRow, prepare
from airflow_provider_contacts.pacing.shared import SharedRate
from tests.support.processes import environment
from tests.support.servers import temporary_folder

ACCOUNT = "dex:shared"


@dataclass(frozen=True, slots=True)
class Responses:
    """What the server saw."""

    seconds: float
    moments: tuple[tuple[float, ...], ...]  # seconds since the first request, of each sender

    @property
    def total(self) -> int:
        return sum(map(len, self.moments))

    @property
    def shares(self) -> list[float]:
        return [len(one) / self.total for one in self.moments]

    def most_within(self, seconds: float) -> int:
        """Return the most requests in any window that is open at its end."""
        window: deque[float] = deque()
        most = 0
        for moment in sorted(moment for one in self.moments for moment in one):
            window.append(moment)
            while window[0] <= moment - seconds:
                window.popleft()
            most = max(most, len(window))
        return most

    def __str__(self) -> str:
        return (
            f"{self.total} requests in {self.seconds:.0f} s ({self.total / self.seconds:.1f}/s), at most "
            f"{self.most_within(1.0)} in a second, shares {min(self.shares):.1%} to {max(self.shares):.1%}"
        )


def row_of(url: str) -> RateRow:
    """Open the account's row in a database."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    prepare(engine, "the store")
    return RateRow(engine, ACCOUNT, "the test")


def send(url: str, shared: SharedRate, address: str, seconds: float, wanted: int) -> None:
    """Send as many requests as the shared rate lets through: what a worker's process runs."""
    with closing(LimiterBudget(row_of(url), shared)) as budget, socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        server.recv(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(budget.take(wanted)):
                server.sendall(b".")
            time.sleep(min(budget.wait(), max(0.0, end - time.monotonic())))
        server.sendall(b"!")


def share(url: str, shared: SharedRate, *, senders: int = 8, seconds: float, wanted: int = 50) -> Responses:
    """Let processes send all they can, and return what came."""
    with temporary_folder("contacts-rate-") as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(folder / "socket")
        listener.bind(address)
        listener.listen(senders)
        listener.settimeout(60)
        order = json.dumps([url, asdict(shared), address, seconds, wanted])
        command = [sys.executable, "-P", "-m", "tests.support.sharing", order]
        workers = [subprocess.Popen(command, env=environment()) for _ in range(senders)]
        connections = [listener.accept()[0] for _ in workers]
        try:
            return observe(connections, seconds)
        finally:
            for connection in connections:
                connection.close()
            for worker in workers:
                worker.wait(30)


def observe(connections: Sequence[socket.socket], seconds: float) -> Responses:
    """Let everyone begin at once, and write down each request until all have said goodbye."""
    moments: list[list[float]] = [[] for _ in connections]
    farewells = 0
    with selectors.DefaultSelector() as selector:
        for number, connection in enumerate(connections):
            selector.register(connection, selectors.EVENT_READ, number)
        for connection in connections:
            connection.sendall(b"!")
        while selector.get_map():
            ready = selector.select(30)
            assert ready, "a sender hangs"
            for key, _ in ready:
                found = connections[key.data].recv(65536)
                now = time.monotonic()
                if not found:
                    selector.unregister(key.fileobj)
                moments[key.data] += [now] * found.count(b".")
                farewells += found.count(b"!")
    assert farewells == len(connections), "a sender died"
    first = min(moment for one in moments for moment in one)
    return Responses(seconds, tuple(tuple(m - first for m in one) for one in moments))


if __name__ == "__main__":
    found, stated, where, length, at_most = json.loads(sys.argv[1])
    send(found, SharedRate(**stated), where, length, at_most)

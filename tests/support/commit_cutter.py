"""Something between a push and its database that lets the database die at the worst moment of a commit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tests.support.servers import MariaDB, Postgres

What = Literal["claim", "answer"]
Moment = Literal["before", "after"]
Die = Callable[[], None]

# Words of the two kinds of transactions in what the drivers send: statements go as text.
MARKS = {"claim": (b"_batches (", b"batch_started_at"), "answer": (b"UPDATE", b"SET http_status")}


class CommitCutter:
    """A socket in front of a server's; the chosen commit is where the server dies.

    :param moment: ``before`` the server has the commit, or ``after`` it has done it and before anybody hears of it.
    :param number: which of these transactions it is, counted from 1.
    """

    def __init__(
        self, server: Postgres | MariaDB, folder: Path, *, what: What, moment: Moment, number: int, die: Die
    ) -> None:
        self.has_cut = threading.Event()
        self._behind = server.socket
        self._what = what
        self._moment = moment
        self._number = number
        self._die = die
        self._deaf: socket.socket | None = None
        self._answered = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.socket.name))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def close(self) -> None:
        """Let nobody in any more, and wait for those who are."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._behind))
            except OSError:
                server.close()
                client.close()
                continue
            self._begin(self._back, server, client)
            self._begin(self._forth, client, server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        """Hand on what the server says; what it says to the chosen commit is lost."""
        with suppress(OSError):
            while data := server.recv(65536):
                if self._deaf is client:
                    self._answered.set()
                else:
                    client.sendall(data)
        end(client)

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        said = b""
        with suppress(OSError):
            while data := client.recv(65536):
                said += data
                if b"COMMIT" not in data:
                    server.sendall(data)
                    continue
                if self._is_chosen(said):
                    self._cut(client, server, data)
                    break
                said = b""
                server.sendall(data)
        end(server)
        client.close()
        server.close()

    def _is_chosen(self, said: bytes) -> bool:
        if self.has_cut.is_set() or not all(word in said for word in MARKS[self._what]):
            return False
        self._number -= 1
        return self._number == 0

    def _cut(self, client: socket.socket, server: socket.socket, commit: bytes) -> None:
        if self._moment == "after":
            self._deaf = client
            server.sendall(commit)
            assert self._answered.wait(30)
        self._die()
        end(client)
        self.has_cut.set()


def end(one: socket.socket) -> None:
    """Close a connection under whoever is reading from it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)

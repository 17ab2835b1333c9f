"""The command line within a test: the connections that commands find, and a person at a terminal."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tests.airflow_harness import airflow_connections


@contextmanager
def commands_know(connections: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Define connections; where a command says that its process may ask for others, too, is undone."""
    with patch.dict(os.environ, {"_AIRFLOW_PROCESS_CONTEXT": ""}), airflow_connections(connections):
        yield


@contextmanager
def terminal(answer: str) -> Iterator[None]:
    """Let the standard input be a terminal at which a person types an answer."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with os.fdopen(theirs, encoding="utf-8") as stdin, patch("sys.stdin", stdin):
        yield
    os.close(ours)

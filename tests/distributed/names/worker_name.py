"""How a worker calls itself, since all of them run on one host."""

from __future__ import annotations

import os
import socket


def worker_name() -> str:
    """Return the name that the run gave this process, the host's where it gave none."""
    return os.environ.get("WORKER_NAME") or socket.gethostname()

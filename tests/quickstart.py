"""The first push of the README, by its own commands, where this runs: ``nox --session airflow-3.2``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from socket import socket

ROOT = Path(__file__).resolve().parents[1]
PUSH = "airflow dags test quickstart"
FIRST = "Push partial: planned 2, succeeded 1, rejected 0, invalid 1, failed 0, unknown 0, skipped 0, duplicate 0,"
AGAIN = "Push partial: planned 2, succeeded 0, rejected 0, invalid 1, failed 0, unknown 0, skipped 1, duplicate 0,"
ROWS = [("'c-1'", "'succeeded'", "None"), ("'c-2'", "'invalid'", "'invalid_email'")]


def free_port() -> str:
    with closing(socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        return str(bound.getsockname()[1])


def commands(port: str) -> str:
    """Return the README's commands but those that make the environment, with the second push that it speaks of."""
    text = (ROOT / "README.md").read_text("utf-8")
    first, table, *_ = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    _, moved, rest = first.partition("cd ~/contacts-quickstart\n")
    assert moved, first
    served = rest.replace("8780", port).replace("simulator >", f"simulator --port {port} >")
    assert (served.count(port), served.count(PUSH)) == (2, 1), first
    return f"set -e\ntrap 'kill %1' EXIT\n{served}\n{PUSH}\n{table}"


def main() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="quickstart-") as folder:
        command = ["bash", "-c", commands(free_port())]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    said = f"{done.stdout}\n{done.stderr}"
    rows = sorted(line.strip("()").split(", ") for line in done.stdout.splitlines() if line.startswith("('c-"))
    assert done.returncode == 0, said
    assert re.findall(r"Push \w+:(?: [a-z]+ \d+,){8}", done.stdout) == [FIRST, AGAIN], said
    assert [tuple(row[:3]) for row in rows] == ROWS, said
    sys.stdout.write("the README's first push does what it says\n")


if __name__ == "__main__":
    main()

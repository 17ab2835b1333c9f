"""The first push of the README, by its own commands, in the environment that runs the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import socket

ROOT = Path(__file__).resolve().parents[2]
COUNTED = "Push partial: planned 2, succeeded 1, rejected 0, invalid 1, failed 0, unknown 0, skipped 0, duplicate 0,"


def free_port() -> int:
    with closing(socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def test_the_first_push_of_the_readme(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    first, table, *_ = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = first.splitlines()
    assert lines[2] == "cd ~/contacts-quickstart", "what comes before it makes the environment"
    port = str(free_port())
    served = "\n".join(lines[3:]).replace("8780", port).replace("simulator >", f"simulator --port {port} >")
    assert served.count(port) == 2
    push = "airflow dags test quickstart"
    script = f"set -e\ntrap 'kill %1' EXIT\n{served}\necho AGAIN\n{push}\n{table}"
    bin_folder = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "400"}
    if "CONTACTS_TEST_INSTALLED" not in os.environ:
        environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    pushed, _, again = done.stdout.partition("AGAIN")
    assert COUNTED in pushed, said
    assert "skipped 1" in again, said
    assert "requests 0" in again, said
    rows = sorted(row for row in again.splitlines() if row.startswith("('c-"))
    assert [row.split(", ")[:3] for row in rows] == [
        ["('c-1'", "'succeeded'", "None"],
        ["('c-2'", "'invalid'", "'invalid_email'"],
    ], said

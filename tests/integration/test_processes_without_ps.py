from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.servers import children_of, is_running, wait_until

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
# Programs that show what the operating system also tells Python; small images lack them.
SHOWING = {"ps", "pgrep", "pkill", "killall", "lsof", "fuser", "netstat", "nproc"}


def test_processes_are_seen_without_any_program_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children_of(os.getpid())
        assert is_running(child.pid)
        child.kill()
        wait_until(lambda: not is_running(child.pid), "a killed process that nobody has waited for does not run")
    assert not is_running(child.pid)
    assert child.pid not in children_of(os.getpid())
    assert children_of(child.pid) == []


def test_no_test_and_no_tool_starts_such_a_program() -> None:
    files = [path for folder in ("tests", "bench", "campaigns", "demo") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert {file.name: names for file in files if (names := started(file.read_text("utf-8")) & SHOWING)} == {}


def started(source: str) -> set[str]:
    """Return the first word of every list and tuple in a file: a command begins with its program."""
    rows = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.List, ast.Tuple)) and node.elts]
    return {
        first.value for row in rows if isinstance(first := row.elts[0], ast.Constant) and isinstance(first.value, str)
    }


def test_the_search_finds_a_command() -> None:
    assert started('subprocess.run(["ps", "-o", "pid="])') == {"ps"}

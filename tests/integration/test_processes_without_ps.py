from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.servers import children_of, is_running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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

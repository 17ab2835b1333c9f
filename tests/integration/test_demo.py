from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.screen import Screen
from tests.support.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SILENCE = 5.0


def test_the_demo_agrees_with_itself_and_is_never_silent_for_long(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo.run", "--rows", "300", "--folder", str(tmp_path / "demo")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": ""}
    silences, lines, before = [0.0], [], time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            silences.append(time.monotonic() - before)
            before = time.monotonic()
            lines.append(line)
    shown = "".join(lines)
    assert process.returncode == 0, shown
    assert max(silences) < LONGEST_SILENCE, shown
    assert "Table, XCom, simulator and this summary agree" in lines[-1]
    for name in ("apptoto", "dex", "intermezzo", "nedzo", "talkdesk", "upstream"):
        assert sum(line.startswith(name) for line in lines) == 2, shown


def test_a_step_that_lasts_is_named_again_with_what_it_has_done() -> None:
    file = io.StringIO()
    with Screen(file, every=0.01).during("it works", lambda: ", 7 done"):
        wait_until(lambda: file.getvalue().count("... it works, 0 s, 7 done\n") >= 3, "the step is named again")
    ended = file.getvalue()
    assert set(ended.splitlines()) == {"   ... it works, 0 s, 7 done"}


def test_a_step_that_fails_ends_its_naming() -> None:
    file = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Screen(file, every=60).during("it works"):
        raise ValueError("broken")
    assert file.getvalue() == ""
